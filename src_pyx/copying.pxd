"""Copies of what has come, or is to go.

glibc copies more than 2 KiB with `rep movsb`, and the kernel all that is sent and received. On some processors (AMD
Zen: 20 times slower, measured) that goes byte by byte where the target begins 1 to 15 bytes further in its page
than the source does, and at half the speed up to 31. What is received at the same place of a block, into strings
that lie at the same place of the heap, meets that always or never. The loop that masks is not troubled by it, and
masking with zeros is copying.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

from .mask cimport mask_bytes

cdef enum:
    _PAGE = 4096
    _NEAR = 32
    _TOO_NEAR = 16
    _LONG = 2048


cdef inline size_t _further(uintptr_t to, uintptr_t start) noexcept nogil:
    """How much further in its page the target begins than the source does."""
    return (to - start) % _PAGE


cdef inline void copy(char *to, const char *data, size_t size) noexcept nogil:
    """memcpy(3)."""
    if size > _LONG and 0 < _further(<uintptr_t> to, <uintptr_t> data) < _NEAR:
        mask_bytes(to, data, size, b"\0\0\0\0", 0)
    else:
        memcpy(to, data, size)


cdef inline bint crawls(uintptr_t to, uintptr_t start) noexcept nogil:
    """Would the kernel copy byte by byte?

    The addresses, or for one of them how far into a page it is: what one call sends mostly begins with a page
    in the kernel, where everything before it was received.
    """
    return 0 < _further(to, start) < _TOO_NEAR


cdef inline bytes new_bytes(const char *data, size_t size):
    """A bytes object with a copy of these."""
    cdef bytes made
    if size <= _LONG:
        return PyBytes_FromStringAndSize(data, size)
    made = PyBytes_FromStringAndSize(NULL, size)
    copy(PyBytes_AS_STRING(made), data, size)
    return made
