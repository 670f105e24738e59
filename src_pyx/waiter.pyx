"""Waiting for any of many sockets: connections, servers and datagram sockets together.

The sockets of one wait stay registered with the poller for the next, so that its cost is that of
those which have something, and not of those which have nothing. What a poller cannot see (bytes and
messages that were received and not read, clients whose handshake is complete) is told by poke(); a
socket that was reported is looked at again the next time.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp

from .deadline cimport deadline_after, one_wait
from .posix cimport (
    EINTR, NO_DEADLINE, dryad_close, dryad_now, dryad_wake, dryad_wake_clear, dryad_wake_close, dryad_wake_open,
)
from .sock cimport Socket, attend, closings, os_error, say_how_many

from .sock import attendants

cdef extern from "Python.h":
    ctypedef struct PyListObject:
        void **ob_item

cdef extern from "poller.h" nogil:
    enum:
        DRYAD_POLL_BATCH

    struct dryad_ready:
        uint64_t token
        int events

    int dryad_poller_open() noexcept
    int dryad_poller_watch(int poller, int fd, uint64_t token) noexcept
    int dryad_poller_forget(int poller, int fd) noexcept
    int dryad_poller_wait(int poller, dryad_ready *ready, int timeout_ms) noexcept

cdef enum:
    WAKE_TOKEN = 0


cdef struct Watched:
    Py_ssize_t position  # of its ID in the list
    bint found


cdef class Waiter:
    """The sockets of the last wait. Owns the poller's descriptor and one to wake it with.

    poke() may be called from any thread while another is in wait(), which gives up the GIL.
    """

    cdef int fd
    cdef int[2] wakers
    cdef list ids  # of the last wait, as they were given
    cdef list names  # the sockets' own IDs, in the same order
    cdef list slots  # token - 1 -> socket
    cdef Watched *watched  # the same
    cdef Py_ssize_t capacity
    cdef dict tokens  # socket -> token
    cdef list free
    cdef list noted  # slots to look at, whatever the poller says
    cdef bint busy
    cdef bint given_up
    cdef Socket looking_at  # which may find by itself that it has something
    cdef bint asleep  # in the poller, without the GIL
    cdef uint64_t seen_closings

    def __cinit__(self):
        cdef int failed
        self.wakers[0] = self.wakers[1] = self.fd = -1
        self.ids = []
        self.names = []
        self.slots = []
        self.watched = NULL
        self.capacity = 0
        self.tokens = {}
        self.free = []
        self.noted = []
        self.fd = dryad_poller_open()
        if self.fd < 0:
            raise os_error(self.fd)
        failed = dryad_wake_open(self.wakers)
        if failed == 0:
            failed = dryad_poller_watch(self.fd, self.wakers[0], WAKE_TOKEN)
        if failed:
            raise os_error(failed)
        attendants.append(self)

    def __dealloc__(self):
        PyMem_Free(self.watched)
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)

    def close(self):
        """Give the descriptors back, and know no socket any more; as soon as nobody waits with it."""
        if self.busy:
            self.given_up = True
        else:
            self.abandon()

    def abandon(self):
        """Give the descriptors back at once."""
        cdef Socket sock
        for sock in self.tokens:
            sock.attended -= 1
        self.ids = []
        self.names = []
        self.tokens = {}
        self.slots = []
        self.noted = []
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)
            self.fd = -1
        if self in attendants:
            attendants.remove(self)

    def poke(self, Socket sock not None):
        """Look at this socket, even if its descriptor says nothing."""
        token = self.tokens.get(sock)
        if token is not None and sock is not self.looking_at:
            self.noted.append(token - 1)
            if self.asleep:
                dryad_wake(self.wakers[1])

    def wait(self, list ids not None, int64_t timeout_ms, resolve):
        """Wait until a receive or an accept on one of them would not give None.

        ids: a list; timeout_ms: 0 does not wait, -1 waits without limit; resolve: called with the
        list if it is not that of the last wait, returns the sockets in its order, as a list.
        Returns the IDs (``id``) of those sockets, in their order; an empty list when the time is up;
        None, if another thread is waiting with it, or has given it up.
        Errors: what `resolve` raises; OSError.
        """
        if self.busy or self.fd < 0:
            return None
        self.busy = True
        try:
            return self.wait_alone(ids, timeout_ms, resolve)
        finally:
            self.busy = False
            if self.given_up:
                self.abandon()

    cdef list wait_alone(self, list ids, int64_t timeout_ms, resolve):
        cdef int64_t deadline = -1
        cdef list found = []  # slots
        cdef bint goes_on
        cdef bint first = True
        cdef int patience, piece
        if not self.is_last(ids) or self.seen_closings != closings():
            self.change(ids, resolve(ids))
        attend(1)
        try:
            while True:
                self.look_at_noted(found)
                patience = 0 if found else self.patience(timeout_ms, &deadline)
                piece = one_wait(patience, first)
                first = False
                goes_on = self.look_at_poller(found, piece) or piece != patience
                if found or (not goes_on and not self.noted):
                    return self.report(found)
        finally:
            for slot in found:
                self.watched[<Py_ssize_t> slot].found = False
            attend(-1)

    cdef bint is_last(self, list ids) except -1:
        """Is it the list of the last wait? Scripts pass the same numbers again, and mostly the same objects."""
        cdef Py_ssize_t i
        cdef size_t size = PyList_GET_SIZE(ids)
        if size != <size_t> PyList_GET_SIZE(self.ids):
            return False
        if size == 0:
            return True  # both may be NULL then, which memcmp may not be given
        if memcmp((<PyListObject *> ids).ob_item, (<PyListObject *> self.ids).ob_item, size * sizeof(void *)) == 0:
            return True
        for i in range(PyList_GET_SIZE(ids)):
            given = <object> PyList_GET_ITEM(ids, i)
            last = <object> PyList_GET_ITEM(self.ids, i)
            if given is not last and not (PyLong_CheckExact(given) and given == last):
                return False
        return True

    cdef int change(self, list ids, sockets) except -1:
        """Watch these instead of those of the last wait."""
        cdef dict positions = {}
        cdef Socket sock
        cdef Py_ssize_t position
        self.seen_closings = closings()
        for position, sock in enumerate(sockets):
            positions.setdefault(sock, position)
        self.ids = []  # until everything is registered
        for sock in list(self.tokens):
            if sock not in positions or sock.closed:
                self.forget(sock)
        for sock in positions:
            if sock not in self.tokens:
                self.add(sock)
            self.watched[<Py_ssize_t> self.tokens[sock] - 1].position = positions[sock]
        self.names = [sock.id for sock in sockets]
        self.ids = list(ids)
        return 0

    cdef int add(self, Socket sock) except -1:
        cdef int failed
        cdef object token
        if self.free:
            token = self.free.pop()
            self.slots[token - 1] = sock
        else:
            self.slots.append(sock)
            token = len(self.slots)
        self.make_room(token)
        self.watched[<Py_ssize_t> token - 1].found = False
        self.tokens[sock] = token
        sock.attended += 1
        self.noted.append(token - 1)
        if sock.fd >= 0 and not sock.unwatched:
            failed = dryad_poller_watch(self.fd, sock.fd, token)
            if failed:
                self.forget(sock)
                raise os_error(failed)
        return 0

    cdef int make_room(self, Py_ssize_t count) except -1:
        cdef Watched *watched
        if count > self.capacity:
            watched = <Watched *> PyMem_Realloc(self.watched, 2 * count * sizeof(Watched))
            if watched == NULL:
                raise MemoryError
            self.watched = watched
            self.capacity = 2 * count
        return 0

    cdef int forget(self, Socket sock) except -1:
        cdef object token = self.tokens.pop(sock)
        sock.attended -= 1
        if sock.fd >= 0 and not sock.unwatched:
            dryad_poller_forget(self.fd, sock.fd)
        self.slots[token - 1] = None
        self.free.append(token)
        return 0

    cdef int patience(self, int64_t timeout_ms, int64_t *deadline) noexcept:
        """How many milliseconds to wait from here; -1: no limit."""
        cdef int64_t left
        if timeout_ms == 0:
            return 0
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms)
        if deadline[0] == NO_DEADLINE:
            return -1
        left = deadline[0] - dryad_now()
        return <int> min((left + 999999) // 1000000, <int64_t> 0x7FFFFFFF) if left > 0 else 0

    cdef int look_at_noted(self, list found) except -1:
        cdef list noted = self.noted
        if not noted:
            return 0
        self.noted = []
        for slot in noted:
            self.look(slot, False, found)
        return 0

    cdef bint look_at_poller(self, list found, int timeout_ms) except -1:
        """Ask the poller, waiting so long. False: it has waited to the end of that, or did not wait at all."""
        cdef dryad_ready ready[DRYAD_POLL_BATCH]
        cdef Py_ssize_t before
        cdef int count, i
        cdef int fd = self.fd
        cdef Py_ssize_t unseen = len(self.tokens) + 1  # so many events, the waker's too, tell of all that are ready
        cdef bint waits = timeout_ms != 0
        cdef bint has_come = False
        while True:
            if timeout_ms == 0:
                count = dryad_poller_wait(fd, ready, 0)
            else:
                PyErr_CheckSignals()
                self.asleep = True
                with nogil:
                    count = dryad_poller_wait(fd, ready, timeout_ms)
                self.asleep = False
            if count == -EINTR:
                PyErr_CheckSignals()
                return waits
            if count < 0:
                raise os_error(count)
            before = len(found)
            say_how_many(<int> before + count)
            for i in range(count):
                if ready[i].token == WAKE_TOKEN:
                    dryad_wake_clear(self.wakers[0])
                else:
                    self.look(<Py_ssize_t> ready[i].token - 1, True, found)
            has_come = has_come or count > 0
            unseen -= count
            # Who waits is back here anyway, if nothing came of it.
            if count == 0 or unseen <= 0 or (count < DRYAD_POLL_BATCH and (waits or len(found) > before)):
                return waits and has_come
            timeout_ms = 0  # there may be more than it reports at once, and what it has reported may come to nothing

    cdef int look(self, Py_ssize_t slot, bint readable, list found) except -1:
        cdef Socket sock = self.slots[slot]
        if sock is None or self.watched[slot].found:
            return 0
        sock.looked_at = True
        self.looking_at = sock
        try:
            if sock.readiness(readable):
                found.append(slot)
                self.watched[slot].found = True
        finally:
            sock.looked_at = False
            self.looking_at = None
        return 0

    cdef list report(self, list found):
        """The IDs, whose sockets will be looked at again the next time."""
        cdef list names = self.names
        self.noted += found
        if len(found) == 1:
            return [names[self.watched[<Py_ssize_t> found[0]].position]]
        return [names[position] for position in sorted([self.watched[<Py_ssize_t> slot].position for slot in found])]
