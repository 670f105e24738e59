from libc.stdint cimport int64_t

from .framed cimport Framed

cdef class Source(Framed):
    cdef object held
    cdef int64_t held_at
    cdef bint decrypting
    cdef bint keepalive
    cdef int64_t heard

    cdef void hold(self, violation) noexcept
    cdef int fill_more(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef int fill_payload(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef int fill_decrypted(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef Py_ssize_t read_decrypted(self) except? -1
    cdef int decrypt(self, bytes data) except -1
    cdef int end_of_stream(self, Py_ssize_t n) except -1
