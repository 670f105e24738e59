from libc.stdint cimport int64_t

from .posix cimport EAGAIN, dryad_send_now
from .receiver cimport Receiver

cdef enum:
    NOGIL_SIZE = 65536  # copies from this size on are worth giving up the GIL for

cdef str NO_MEMORY

cdef class Turn:
    cdef bint taken
    cdef bint handed_over
    cdef unsigned long owner  # threading.get_ident(), or 0
    cdef int waiting
    cdef object lock

    cdef int take(self, int64_t deadline) except -1
    cdef bint wait(self, int64_t deadline) except -1
    cdef void give(self)

cdef class Stream(Receiver):
    cdef Turn sending
    cdef bint told_end
    cdef object outgoing
    cdef Py_ssize_t outgoing_offset
    cdef Py_ssize_t own_left  # of it, what a send that is waiting has queued
    cdef readonly Py_ssize_t outgoing_size

    cdef int check_writable(self) except -1
    cdef Py_ssize_t send_all(self, const char *data, Py_ssize_t size) except -1

    cdef inline Py_ssize_t send_small(self, const char *data, Py_ssize_t size) noexcept:
        """send(2) what may go at once and keeps the GIL, so that no turn is needed. -EAGAIN: it may not, or cannot."""
        if self.outgoing_size or self.sending.taken or size >= NOGIL_SIZE:
            return -EAGAIN
        return dryad_send_now(self.fd, data, size)

    cdef Py_ssize_t send_some(self, const char *data, Py_ssize_t size) noexcept
    cdef Py_ssize_t send_failed(self, Py_ssize_t failed) except -1
    cdef int queue_offered(self, bytes data, Py_ssize_t sent, Py_ssize_t limit) except -1
    cdef int open_queue(self) except -1
    cdef int cut_short(self, str reason=*) except -1
    cdef bint flush_queue(self) except -1
    cdef void clear_queue(self)
