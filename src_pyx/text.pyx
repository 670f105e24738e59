"""UTF-8 into strings: what bytes.decode does, and quicker where text is long (transcode.h)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8, PyUnicode_DecodeUTF8Stateful

from .copying cimport copy
from .scan cimport is_ascii

cdef extern from "Python.h":
    str new_text "PyUnicode_New"(Py_ssize_t size, Py_UCS4 most)
    void *text_data "PyUnicode_DATA"(str text)

cdef extern from "transcode.h" nogil:
    bint dryad_is_ascii(const unsigned char *data, size_t size) noexcept
    size_t dryad_utf8_valid(const unsigned char *data, size_t size, int *wrong, Seen *seen) noexcept
    void dryad_transcode(const unsigned char *data, size_t size, void *to, size_t characters, int width) noexcept
    const char *dryad_transcode_choose() noexcept

cdef enum:
    # Python's own decoder is as quick for fewer bytes, and knows the strings it shares.
    SHORT = 8
    BRIEF = 64  # so few bytes are looked at here and now

NAME = dryad_transcode_choose().decode()


cdef size_t check(const char *data, size_t size, bint *wrong, Seen *seen) noexcept:
    """How many bytes at the front are whole characters, which `seen` is added to.

    wrong: set if what follows them can never become one.
    """
    cdef int found = 0
    cdef size_t valid = dryad_utf8_valid(<const unsigned char *> data, size, &found, seen)
    wrong[0] = found != 0
    return valid


cdef str decode_valid(const char *data, size_t size, const Seen *seen):
    """A string of valid UTF-8, which `seen` was counted from."""
    cdef int width
    cdef Py_UCS4 most
    cdef str text
    if size < SHORT:
        return PyUnicode_DecodeUTF8(data, size, NULL)
    # The lead bytes from which on characters need another storage: U+0100 is C4 80, U+10000 F0 90 80 80.
    if seen.most < 0x80:
        width, most = 1, 0x7F
    elif seen.most < 0xC4:
        width, most = 1, 0xFF
    elif seen.most < 0xF0:
        width, most = 2, 0xFFFF
    else:
        width, most = 4, 0x10FFFF
    text = new_text(seen.characters, most)
    if seen.characters == size:
        copy(<char *> text_data(text), data, size)
    else:
        dryad_transcode(<const unsigned char *> data, size, text_data(text), seen.characters, width)
    return text


cdef str decode_ascii(const char *data, size_t size):
    """A string of these bytes, if they are ASCII; None otherwise, which mostly shows at once."""
    cdef str text
    if not (dryad_is_ascii(<const unsigned char *> data, size) if size < BRIEF else is_ascii(data, size)):
        return None
    text = new_text(size, 0x7F)
    copy(<char *> text_data(text), data, size)
    return text


cdef str decode_text(const char *data, size_t size, const char *errors):
    """bytes.decode("utf-8", errors); errors: NULL for strict.

    Errors: UnicodeDecodeError.
    """
    cdef Seen seen
    cdef bint wrong = False
    cdef str text
    if size < SHORT:
        return PyUnicode_DecodeUTF8(data, size, errors)
    text = decode_ascii(data, size)
    if text is not None:
        return text
    seen.characters = seen.most = 0
    if check(data, size, &wrong, &seen) != size:
        return PyUnicode_DecodeUTF8(data, size, errors)
    return decode_valid(data, size, &seen)


cdef str decode_front(const char *data, size_t size, Py_ssize_t *consumed):
    """As much as is whole characters; bytes that are not UTF-8 become lone surrogates."""
    cdef Seen seen
    cdef bint wrong = False
    cdef str text
    if size < SHORT:
        # Of ASCII, the decoder of Python 3.11.2, which Debian 12 has, does not say how much it was (gh-99612).
        consumed[0] = size
        return PyUnicode_DecodeUTF8Stateful(data, size, "surrogateescape", consumed)
    text = decode_ascii(data, size)
    if text is not None:
        consumed[0] = size
        return text
    seen.characters = seen.most = 0
    consumed[0] = check(data, size, &wrong, &seen)
    if wrong:
        return PyUnicode_DecodeUTF8Stateful(data, size, "surrogateescape", consumed)
    return decode_valid(data, consumed[0], &seen)


def decode(data):
    """Strictly UTF-8 bytes as a string.

    data: any bytes-like object. Errors: UnicodeDecodeError.
    """
    cdef Py_buffer view
    if PyBytes_CheckExact(data):
        return decode_text(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), NULL)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return decode_text(<const char *> view.buf, view.len, NULL)
    finally:
        PyBuffer_Release(&view)
