"""A frame's header, to bytes and from bytes (RFC 6455, 5.2)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from .copying cimport copy
from .mask cimport mask_bytes, next_key

cdef enum:
    MASKED = 0x80  # in the second byte
    LENGTH_IN_TWO = 126
    LENGTH_IN_EIGHT = 127


cdef int read_header(const unsigned char *data, size_t size, Header *header) noexcept nogil:
    """Read a header. Returns how many bytes it has, 0 while they are not all there.

    The first two bytes are read as soon as they are there, with `length` their seven bits of it, and
    the length as soon as it is: they may be wrong already, and a peer that is wrong may never send the rest.
    """
    cdef int length_size, needed, i
    if size < 2:
        return 0
    header.fin = (data[0] & FIN) != 0
    header.reserved = data[0] & 0x70
    header.opcode = data[0] & 0x0F
    header.masked = (data[1] & MASKED) != 0
    header.length = data[1] & 0x7F
    header.shortest = True
    length_size = 2 if header.length == LENGTH_IN_TWO else 8 if header.length == LENGTH_IN_EIGHT else 0
    needed = 2 + length_size + (4 if header.masked else 0)
    header.measured = size >= <size_t> (2 + length_size)
    if not header.measured:
        return 0
    if length_size:
        header.length = 0
        for i in range(length_size):
            header.length = header.length << 8 | data[2 + i]
        header.shortest = header.length > (0xFFFF if length_size == 8 else 125)
    if size < <size_t> needed:
        return 0
    if header.masked:
        memcpy(header.key, data + 2 + length_size, 4)
    return needed


cdef int write_header(unsigned char *to, int first, uint64_t length, const unsigned char *key) noexcept nogil:
    """Write a header; key: NULL for a frame that is not masked. Returns how many bytes it has."""
    cdef int length_size = 0
    cdef int size, i
    to[0] = <unsigned char> first
    if length <= 125:
        to[1] = <unsigned char> length
    elif length <= 0xFFFF:
        to[1] = LENGTH_IN_TWO
        length_size = 2
    else:
        to[1] = LENGTH_IN_EIGHT
        length_size = 8
    for i in range(length_size):
        to[2 + i] = <unsigned char> (length >> (8 * (length_size - 1 - i)))
    size = 2 + length_size
    if key != NULL:
        to[1] |= MASKED
        memcpy(to + size, key, 4)
        size += 4
    return size


def build(int opcode, payload, bint masked, bint fin=True, bint compressed=False):
    """A whole frame.

    opcode: 0 to 15; payload: any bytes-like object; masked: as a client's frames are; fin: the
    message ends with it; compressed: RSV1 is set (RFC 7692, 6).
    Returns bytes.
    """
    cdef unsigned char header[LONGEST_HEADER]
    cdef unsigned char key[4]
    cdef Py_buffer view
    cdef bytes result
    cdef char *to
    cdef int first = opcode | (FIN if fin else 0) | (RSV1 if compressed else 0)
    cdef int size
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        if masked:
            next_key(key)
        size = write_header(header, first, view.len, key if masked else NULL)
        result = PyBytes_FromStringAndSize(NULL, size + view.len)
        to = PyBytes_AS_STRING(result)
        memcpy(to, header, size)
        if masked:
            mask_bytes(to + size, <const char *> view.buf, view.len, key, 0)
        elif view.len:
            copy(to + size, <const char *> view.buf, view.len)
        return result
    finally:
        PyBuffer_Release(&view)
