cdef bint is_ascii(const char *data, size_t size) noexcept nogil
cdef Py_ssize_t find_end(const char *data, size_t size, size_t scanned,
                         const char *delimiter, size_t length) noexcept nogil
cdef Py_ssize_t find_end_of_text(const char *data, size_t size, size_t scanned,
                                 const char *delimiter, size_t length, bint *other) noexcept nogil
