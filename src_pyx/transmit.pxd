from libc.stdint cimport uint64_t

from .message cimport Messages
from .stream cimport Stream

cdef enum:
    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3

cdef class Transmitter(Stream):
    cdef readonly int state
    cdef bint client
    cdef Messages messages
    cdef object tls
    cdef object deflater
    cdef object encoding
    cdef object deflating
    cdef bytes pong_due
    cdef readonly int close_code
    cdef readonly str close_reason
    cdef readonly uint64_t bytes_sent
    cdef readonly uint64_t messages_sent
    cdef bint close_sent
    cdef int saying_close

    cdef inline bint is_plain(self) noexcept:
        """Does the wire carry frames that need nothing but a header and perhaps a mask?"""
        return self.tls is None and self.deflater is None

    cdef bint goes_in_one_frame(self, bytes payload) noexcept
    cdef bytes wire(self, int opcode, data, bint compressed)
    cdef bytes encoded(self, int opcode, data, bint compressed)
    cdef bytes encrypted(self, bytes data)
    cdef int unwire(self, str reason=*) except -1
    cdef int queue_encoded(self, int opcode, data, bint compressed) except -1
    cdef int queue_wire(self, int opcode, data, bint compressed) except -1
    cdef int transmit_encoded(self, int opcode, bytes payload, bint compressed) except -1
    cdef int offer_encoded(self, int opcode, bytes payload) except -1
    cdef int lock_encoding(self) except -1
    cdef int queue_last(self, bytes data) except -1
    cdef int queue_first(self, bytes data) except -1
    cdef int after_sending(self) except -1
    cdef int note_trouble(self, error) except -1
    cdef int send_control(self, int opcode, bytes payload) except -1
    cdef int transmit(self, bytes data) except -1
    cdef int transmit_rest(self, bytes data, Py_ssize_t n) except -1
    cdef int queue_rest_of(self, bytes data, Py_ssize_t sent) except -1
    cdef bint offer_message(self, int opcode, bytes payload, bytes frame, Py_ssize_t limit) except -1
    cdef bint offer_rest(self, int opcode, bytes payload, bytes frame, Py_ssize_t sent, Py_ssize_t limit) except -1
    cdef bint send_offered(self, int opcode, bytes payload, bytes frame, Py_ssize_t sent,
                           Py_ssize_t limit) except -1
