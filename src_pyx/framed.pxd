from libc.stdint cimport int64_t

from .transmit cimport Transmitter

# A message on its way out: what of it is framed, and where the rest is.
cdef struct Outgoing:
    int opcode  # of the next frame
    const char *data  # what is not framed yet
    size_t left
    bint begun
    unsigned char key[4]
    size_t key_offset
    size_t frame_left  # of the frame whose header is written
    size_t room  # for what is framed and not sent
    const char *chunk  # to be sent next
    size_t chunk_left
    const char *direct  # behind the chunk: payload that is sent from where it lies
    size_t direct_left

cdef class Framed(Transmitter):
    cdef int check_open(self) except -1
    cdef int64_t open_within(self, int64_t timeout_ms) except -2
    cdef int send_message(self, int opcode, data, int64_t timeout_ms) except -1
    cdef int send_bytes(self, int opcode, const char *data, size_t size, int64_t timeout_ms) except -1
    cdef int send_rest(self, int opcode, size_t size, char *block, Py_ssize_t sent, Py_ssize_t total,
                       int64_t timeout_ms) except -1
    cdef int keep_rest(self, char *block, Py_ssize_t sent, Py_ssize_t total) except -1
    cdef int send_in_turn(self, int opcode, const char *data, size_t size, int64_t timeout_ms) except -1
    cdef int wait_for_turn(self, int64_t deadline) except -1
    cdef int send_plain(self, int opcode, const char *data, size_t size, int64_t deadline) except -1
    cdef bint next_chunk(self, Outgoing *out, char *block) except -1
    cdef Py_ssize_t send_chunk(self, Outgoing *out) noexcept
    cdef int queue_rest(self, Outgoing *out, char *block) except -1
    cdef int send_encoded(self, int opcode, const char *data, size_t size, int64_t deadline) except -1
    cdef int queue_compressed(self, int opcode, bytes data) except -1
    cdef bint wait_to_send(self, int64_t deadline) except -1
    cdef int end_protocol(self, int state, int code, str reason) except -1
    cdef bint pump(self, bint in_background) except -1
    cdef bint may_pump(self) noexcept
