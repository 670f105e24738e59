"""The recv_until scanner: where, in bytes that keep arriving, does a delimiter end?"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memchr, memcmp

cdef extern from "scan.h" nogil:
    int dryad_all_ascii(const unsigned char *data, size_t size) noexcept
    size_t dryad_find(const unsigned char *data, size_t size, unsigned char sought, int *other) noexcept
    void dryad_scan_choose() noexcept

dryad_scan_choose()


cdef bint is_ascii(const char *data, size_t size) noexcept nogil:
    return dryad_all_ascii(<const unsigned char *> data, size) != 0


cdef Py_ssize_t find_end(const char *data, size_t size, size_t scanned,
                         const char *delimiter, size_t length) noexcept nogil:
    """The index just after the first delimiter, or -1. `length` is at least 1.

    Looks for the delimiter's last byte and compares backwards from there, so a delimiter that
    arrives in pieces needs no step back: the first `scanned` bytes, seen in an earlier call, are
    never looked at again. memchr is the C library's SIMD; memmem took three times as long on
    64-byte lines.
    """
    cdef size_t before = length - 1
    cdef const char *end = data + size
    cdef const char *at = data + (scanned if scanned > before else before)
    cdef int last = <unsigned char> delimiter[before]
    while at < end:
        at = <const char *> memchr(at, last, end - at)
        if at == NULL:
            return -1
        if before == 0 or memcmp(at - before, delimiter, before) == 0:
            return at - data + 1
        at += 1
    return -1


cdef Py_ssize_t find_end_of_text(const char *data, size_t size, size_t scanned,
                                 const char *delimiter, size_t length, bint *other) noexcept nogil:
    """find_end() that says more: `other` is set if what it passes, the delimiter included, is not all ASCII.

    What earlier calls have passed was noted by them.
    """
    cdef size_t before = length - 1
    cdef size_t at = scanned
    cdef int found_other = other[0]
    cdef unsigned char last = <unsigned char> delimiter[before]
    if at < before:
        at = min(before, size)
        if not is_ascii(data + scanned, at - scanned):
            found_other = 1
    while at < size:
        at += dryad_find(<const unsigned char *> data + at, size - at, last, &found_other)
        if at < size:
            at += 1
            if memcmp(data + at - length, delimiter, before) == 0:
                other[0] = found_other != 0
                return at
    other[0] = found_other != 0
    return -1


def find(data, bytes delimiter not None, Py_ssize_t scanned=0):
    """Find where the first delimiter ends.

    data: the bytes-like object searched; delimiter: what is looked for, not empty; scanned: how
    many bytes at the start an earlier call has searched already.
    Returns the index after the delimiter's last byte, or -1.
    """
    cdef Py_buffer view
    if not delimiter or scanned < 0:
        raise ValueError("an empty delimiter or a negative count")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return find_end(<const char *> view.buf, view.len, scanned, delimiter, len(delimiter))
    finally:
        PyBuffer_Release(&view)
