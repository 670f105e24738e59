"""Readiness of many descriptors at once, for the thread that serves those nobody is calling.

epoll or kqueue; which one, and how, is in poller.h.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t

from .posix cimport EINTR, dryad_close, dryad_wake, dryad_wake_clear, dryad_wake_close, dryad_wake_open
from .sock cimport Socket, os_error

cdef extern from "poller.h" nogil:
    enum:
        DRYAD_POLL_BATCH
    const char *DRYAD_POLLER_NAME
    const int DRYAD_READ, DRYAD_WRITE

    struct dryad_ready:
        uint64_t token
        int events

    int dryad_poller_open() noexcept
    int dryad_poller_arm(int poller, int fd, uint64_t token, int events) noexcept
    int dryad_poller_wait(int poller, dryad_ready *ready, int timeout_ms) noexcept

READ = DRYAD_READ
WRITE = DRYAD_WRITE
NAME = DRYAD_POLLER_NAME.decode()

cdef enum:
    WAKE_TOKEN = 0


cdef class Poller:
    """A set of sockets, each watched until it is ready once.

    Owns the poller's descriptor and one to wake it with. arm() and wake() may be called
    from any thread while another is in wait(), which gives up the GIL.
    """

    cdef int fd
    cdef int[2] wakers
    # What the system has reported, of which it will not speak again, and how much of it was not told yet.
    cdef dryad_ready[DRYAD_POLL_BATCH] ready
    cdef int untold

    def __cinit__(self):
        cdef int failed
        self.wakers[0] = self.wakers[1] = -1
        self.fd = dryad_poller_open()
        if self.fd < 0:
            raise os_error(self.fd)
        failed = dryad_wake_open(self.wakers)
        if failed == 0:
            failed = dryad_poller_arm(self.fd, self.wakers[0], WAKE_TOKEN, DRYAD_READ)
        if failed:
            raise os_error(failed)

    def __dealloc__(self):
        self.close()

    cpdef close(self):
        """Give the descriptors back."""
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)
            self.fd = -1

    def arm(self, Socket sock not None, uint64_t token, int events):
        """Report `token` once when the socket is ready.

        token: not zero, of one socket only; events: READ, WRITE or both.
        Errors: OSError.
        """
        cdef int failed = dryad_poller_arm(self.fd, sock.fd, token, events)
        if failed:
            raise os_error(failed)

    def wake(self):
        """Make wait() return."""
        dryad_wake(self.wakers[1])

    def wait(self, int timeout_ms):
        """Wait until something is ready, wake() is called, or the time is up (-1: no limit).

        Returns the tokens of the ready sockets, each once: called by one thread. Errors: OSError;
        MemoryError, after which the next call tells what this one could not.
        """
        cdef int count, i
        cdef list tokens = []
        if self.untold == 0:
            with nogil:
                count = dryad_poller_wait(self.fd, self.ready, timeout_ms)
            if count == -EINTR:
                PyErr_CheckSignals()
                return tokens
            if count < 0:
                raise os_error(count)
            self.untold = count
        for i in range(self.untold):
            if self.ready[i].token == WAKE_TOKEN:
                dryad_wake_clear(self.wakers[0])
                dryad_poller_arm(self.fd, self.wakers[0], WAKE_TOKEN, DRYAD_READ)
            else:
                tokens.append(self.ready[i].token)
        self.untold = 0
        return tokens
