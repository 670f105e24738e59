from libc.stdint cimport int64_t

from .buffer cimport Buffer
from .sock cimport Socket

cdef enum:
    NOTHING = 0  # what fill() says: nothing came (in time)
    FILLED = 1
    END = 2
    RECORD = 0  # the room that fill() is given for a part of a large record
    NOT_YET = -1  # the deadline of a call that has not waited yet
    LOOK_AGAIN = -0x40000000  # no -errno: another thread has read meanwhile, and left what it did not take

cdef class Reader(Socket):
    cdef Buffer incoming
    cdef bint reading  # a thread is inside recv(2)
    cdef int wanting  # who waits for that
    cdef bint ended
    cdef bint broken
    cdef object trouble
    cdef bint is_idle_watched
    cdef unsigned char vain_reads

    cdef int fill(self, size_t room, int64_t timeout_ms, int64_t *deadline) except -1
    cdef bint is_still_idle(self) noexcept
    cdef void note_vain_read(self) noexcept
    cdef void expect_something(self) noexcept
    cdef int outcome(self, Py_ssize_t n) except -1
    cdef Py_ssize_t read_block(self, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef Py_ssize_t read_into(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef bint has_time_for_slice(self, int64_t timeout_ms, int64_t *deadline) noexcept
    cdef Py_ssize_t read_slice(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef int wait_for_reader(self, int64_t deadline) except -1
    cdef int wait_for_more(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef Py_ssize_t read_behind(self, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef Py_ssize_t read_record(self, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef Py_ssize_t read_now(self, char *data, size_t room) noexcept
    cdef int take_in(self, const char *data, size_t size) except -1
    cdef int lose(self, str reason) except -1
    cdef int fail(self, Py_ssize_t failed) except -1
    cdef int break_off(self, Py_ssize_t failed) except -1
    cdef int tell_broken(self, trouble) except -1
    cdef int raise_trouble(self) except -1
