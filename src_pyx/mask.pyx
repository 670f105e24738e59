"""Masking of frames (RFC 6455, 5.3), and the keys for it. The loop is in mask.h."""

from os import urandom

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef extern from "mask.h" nogil:
    void dryad_mask(char *to, const char *data, size_t size, const unsigned char *key, size_t offset) noexcept
    const char *dryad_mask_choose() noexcept

cdef enum:
    # One getrandom(2) for a thousand keys: alone it would cost as much as sending the frame.
    POOL = 4096

cdef bytes pool = b""
cdef Py_ssize_t pool_used = POOL

NAME = dryad_mask_choose().decode()


cdef void mask_bytes(char *to, const char *data, size_t size, const unsigned char *key, size_t offset) noexcept nogil:
    """Mask on the way from `data` to `to`: the same place, or one apart; offset: of the first byte in the payload."""
    dryad_mask(to, data, size, key, offset)


cdef int next_key(unsigned char *key) except -1:
    """A key that nobody can predict (RFC 6455, 10.3)."""
    global pool, pool_used
    if pool_used == POOL:
        pool = urandom(POOL)
        pool_used = 0
    memcpy(key, PyBytes_AS_STRING(pool) + pool_used, 4)
    pool_used += 4
    return 0


def new_key():
    """Four random bytes to mask a frame with."""
    cdef unsigned char key[4]
    next_key(key)
    return PyBytes_FromStringAndSize(<const char *> key, 4)


def forget_keys():
    """In the child of a fork: the parent goes on with the keys that were fetched."""
    global pool_used
    pool_used = POOL


def apply(data, bytes key not None, size_t offset=0):
    """Mask, or unmask, which is the same.

    data: any bytes-like object; key: 4 bytes; offset: of the first byte in its payload.
    Returns bytes.
    """
    cdef Py_buffer view
    cdef bytes result
    if len(key) != 4:
        raise ValueError("a masking key has four bytes")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        result = PyBytes_FromStringAndSize(NULL, view.len)
        mask_bytes(PyBytes_AS_STRING(result), <const char *> view.buf, view.len,
                   <const unsigned char *> PyBytes_AS_STRING(key), offset)
        return result
    finally:
        PyBuffer_Release(&view)
