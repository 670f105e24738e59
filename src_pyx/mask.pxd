cdef void mask_bytes(char *to, const char *data, size_t size, const unsigned char *key, size_t offset) noexcept nogil
cdef int next_key(unsigned char *key) except -1
