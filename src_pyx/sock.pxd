from libc.stdint cimport int64_t, uint64_t

from .posix cimport sockaddr_storage

cdef enum:
    # How long a receive that waits leaves the waiting to recv(2) itself.
    RECV_SLICE_MS = 20
    # SO_RCVTIMEO counts in ticks of up to 10 ms and may end that much early. A wait that is long
    # beside it reads no clock before the first slice is over, and takes it for this much.
    LEAST_SLICE_MS = 10
    LONG_WAIT_MS = 100

cdef tuple address_tuple(const sockaddr_storage *address)
cdef object os_error(Py_ssize_t failed)
cdef void attend(int change) noexcept
cdef bint is_attending() noexcept
cdef uint64_t closings() noexcept
cdef void say_how_many(int count) noexcept
cdef int how_many() noexcept
cdef bint would_block(Py_ssize_t result) noexcept

cdef class Socket:
    cdef int fd
    cdef bint closed
    cdef bint released
    cdef int users
    cdef int waiting
    cdef int[2] wakers
    cdef bint has_recv_slice
    cdef public bint attention
    cdef public bint unwatched
    cdef int attended
    cdef bint looked_at
    cdef int to_wake
    cdef unsigned int wakes

    cdef void set_recv_slice(self) noexcept
    cdef int leave(self) noexcept
    cdef void wake_waiting(self) noexcept
    cdef int wait(self, short events, int64_t deadline) except -1
    cdef int readiness(self, bint readable) except -1
