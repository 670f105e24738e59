from libc.stdint cimport int64_t, uint64_t

from .sock cimport Socket

cdef struct Watched:
    Py_ssize_t position  # of its ID in the list
    bint is_found
    bint is_noted

cdef class Waiter:
    cdef int fd
    cdef int[2] wakers
    cdef list ids  # of the last wait, as they were given
    cdef list names  # the sockets' own IDs, in the same order
    cdef list slots  # token - 1 -> socket
    # The same, and lists of slots; with room for all, since a slot is in each once at most.
    cdef Watched *watched
    cdef Py_ssize_t *noted  # to look at, whatever the poller says
    cdef Py_ssize_t *found  # by this wait
    cdef Py_ssize_t *positions  # of those
    cdef Py_ssize_t noted_count
    cdef Py_ssize_t found_count
    cdef Py_ssize_t capacity
    cdef dict tokens  # socket -> token
    cdef list free
    cdef bint busy
    cdef bint given_up
    cdef Socket looking_at  # which may find by itself that it has something
    cdef bint asleep  # in the poller, without the GIL
    cdef uint64_t seen_closings

    cpdef list wait(self, list ids, int64_t timeout_ms, resolve)
    cdef list wait_alone(self, list ids, int64_t timeout_ms, resolve)
    cdef bint is_last(self, list ids) except -1
    cdef int change(self, list ids, sockets) except -1
    cdef int add(self, Socket sock) except -1
    cdef int make_room(self, Py_ssize_t count) except -1
    cdef int forget(self, Socket sock) except -1
    cdef int patience(self, int64_t timeout_ms, int64_t *deadline) noexcept
    cdef void note(self, Py_ssize_t slot) noexcept
    cdef int look_at_noted(self) except -1
    cdef bint look_at_poller(self, int timeout_ms) except -1
    cdef int look(self, Py_ssize_t slot, bint readable) except -1
    cdef list report(self)
    cdef void forget_found(self) noexcept
