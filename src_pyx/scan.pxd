cdef Py_ssize_t find_end(const char *data, size_t size, size_t scanned,
                         const char *delimiter, size_t length) noexcept nogil
