"""Copies of what has come, or is to go.

glibc copies more than 2 KiB with `rep movsb`. On some processors (AMD Zen: 20 times slower, measured) that goes
byte by byte where the target begins 1 to 31 bytes further in its page than the source does. What is received
at the same place of a block, into strings that lie at the same place of the heap, meets that always or never.
The loop that masks is not troubled by it, and masking with zeros is copying.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

from .mask cimport mask_bytes

cdef enum:
    _PAGE = 4096
    _NEAR = 32
    _LONG = 2048


cdef inline void copy(char *to, const char *data, size_t size) noexcept nogil:
    """memcpy(3)."""
    cdef size_t ahead
    if size > _LONG:
        ahead = (<uintptr_t> to - <uintptr_t> data) % _PAGE
        if 0 < ahead < _NEAR:
            mask_bytes(to, data, size, b"\0\0\0\0", 0)
            return
    memcpy(to, data, size)


cdef inline bytes new_bytes(const char *data, size_t size):
    """A bytes object with a copy of these."""
    cdef bytes made
    if size <= _LONG:
        return PyBytes_FromStringAndSize(data, size)
    made = PyBytes_FromStringAndSize(NULL, size)
    copy(PyBytes_AS_STRING(made), data, size)
    return made
