cdef extern from "utf8.h":
    ctypedef struct Seen "dryad_utf8_seen":
        size_t characters
        unsigned char most

cdef size_t check(const char *data, size_t size, bint *wrong, Seen *seen) noexcept
cdef str decode_valid(const char *data, size_t size, const Seen *seen)
cdef str decode_text(const char *data, size_t size, const char *errors)
cdef str decode_front(const char *data, size_t size, Py_ssize_t *consumed)
