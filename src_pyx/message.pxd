cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from .buffer cimport Buffer
from .frame cimport Header
from .text cimport Seen

cdef enum:
    NOTHING = 0  # what next() says when it needs more bytes; otherwise an opcode


@cython.final
cdef class Messages:
    cdef bint client
    cdef readonly object inflater
    cdef public size_t max_frame_size
    cdef public size_t max_message_size
    cdef Buffer fed
    # the frame whose payload is being taken
    cdef Header header
    cdef bint in_frame
    cdef uint64_t frame_left
    cdef size_t mask_offset
    # the message it belongs to; opcode 0: none has begun
    cdef int opcode
    cdef bint compressed
    cdef PyObject *storage  # a bytes object, or an ASCII str, that nobody else has a reference to
    cdef bint is_text  # the str
    cdef bint is_ascii  # what is in it so far
    cdef size_t capacity
    cdef size_t held
    cdef size_t checked  # of a text: how much of it is known to be UTF-8
    cdef Seen seen  # what is in that much of it
    cdef bint skipping  # no more values are made
    cdef bint interrupted  # an exception of a signal's handler came while a message was inflated
    cdef object value
    cdef size_t size  # of the last message: bytes of payload

    cdef int next(self, Buffer incoming) except -1
    cpdef bint inside(self) noexcept
    cdef uint64_t size_of_whole(self, const char *start, size_t held) noexcept
    cdef int check_start(self) except -1
    cdef int check_header(self) except -1
    cdef int check_size(self) except -1
    cdef int control(self, Buffer incoming, int size) except -1
    cdef int whole_message(self, Buffer incoming, int header_size) except -1
    cdef int take_payload(self, Buffer incoming) except -1
    cdef char *storage_data(self) noexcept
    cdef char *room(self, size_t *size) except NULL
    cdef int grow(self, size_t size) except -1
    cdef bint lies_badly(self) noexcept
    cdef int resize(self, size_t capacity) except -1
    cdef int filled(self, size_t size) except -1
    cdef int check_text(self, bint final) except -1
    cdef int finish(self) except -1
    cdef int inflate(self) except -1
    cdef int opcode_done(self) noexcept
    cdef void let_go(self) noexcept
