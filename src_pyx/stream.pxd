from libc.stdint cimport int64_t

from .buffer cimport Buffer
from .sock cimport Socket, Turn

cdef class Stream(Socket):
    cdef Buffer incoming
    cdef bint ended
    cdef bint broken
    cdef bint told_end
    cdef bint has_recv_slice
    cdef object trouble
    cdef readonly int64_t timeout_ms
    cdef Turn reading
    cdef Turn sending
    cdef object outgoing
    cdef Py_ssize_t outgoing_offset
    cdef readonly Py_ssize_t outgoing_size
    cdef str delimiter_text
    cdef bytes delimiter

    cdef object receive(self, size_t size, int64_t timeout_ms, bint as_text)
    cdef object pop(self, size_t size, bint as_text)
    cdef int fill(self, size_t room, int64_t timeout_ms, int64_t *deadline) except -1
    cdef Py_ssize_t read_block(self, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef Py_ssize_t read_into(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef bint has_time_for_slice(self, int64_t timeout_ms, int64_t *deadline) noexcept
    cdef Py_ssize_t read_slice(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef bint wait_for_more(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef Py_ssize_t read_behind(self, int64_t timeout_ms, int64_t *deadline) except? -1
    cdef Py_ssize_t read_now(self, char *data, size_t room) noexcept
    cdef bytes delimiter_bytes(self, str delimiter)
    cdef int fail(self, Py_ssize_t failed) except -1
    cdef int raise_trouble(self) except -1
    cdef int check_writable(self) except -1
    cdef Py_ssize_t send_some(self, const char *data, Py_ssize_t size) noexcept
    cdef Py_ssize_t send_all(self, const char *data, Py_ssize_t size, Py_ssize_t sent) except -1
    cdef Py_ssize_t send_failed(self, Py_ssize_t failed) except -1
    cdef bint flush_queue(self) except -1
    cdef void clear_queue(self)
    cdef int drain(self) except -1
