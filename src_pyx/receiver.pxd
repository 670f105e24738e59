from libc.stdint cimport int64_t

from .reader cimport Reader

cdef class Receiver(Reader):
    cdef readonly int64_t timeout_ms
    cdef unsigned char brimful
    cdef object whole  # what fill_whole() has read

    cdef object receive(self, size_t size, int64_t timeout_ms, bint as_text)
    cdef int fill_whole(self, size_t size, bint as_text, int64_t timeout_ms, int64_t *deadline) except -1
    cdef object pop(self, size_t size, bint as_text)
    cdef int settle(self) except -1
    cdef int drain(self) except -1
