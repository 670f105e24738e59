from libc.stdint cimport uint64_t

cdef enum:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    FIN = 0x80
    RSV1 = 0x40
    LONGEST_HEADER = 14
    LONGEST_CONTROL = 125  # bytes of payload (RFC 6455, 5.5)

cdef struct Header:
    bint fin
    int reserved  # the three bits, where they stand in the first byte
    int opcode
    bint masked
    unsigned char key[4]
    uint64_t length
    bint measured  # all of the length is there, if not of the masking key
    int shortest  # as few bytes as the length needs (RFC 6455, 5.2)

cdef int read_header(const unsigned char *data, size_t size, Header *header) noexcept nogil
cdef int write_header(unsigned char *to, int first, uint64_t length, const unsigned char *key) noexcept nogil
