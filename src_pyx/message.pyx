"""Frames in, messages out (RFC 6455, 5.4 to 5.6): what the peer sent, wherever the bytes were cut.

A frame that lies whole in the buffer becomes a message right there; everything else (fragments,
payloads that have not come yet, compressed ones) is gathered in storage that becomes the message.
Every length is checked when its header is read, before memory is set aside for it, and storage
grows with what has come and not with what was announced. A call that raises MemoryError has taken
nothing, and can be made again; where that cannot be, the message that is lost is a Violation.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy

from .buffer cimport Buffer
from .copying cimport copy, crawls
from .frame cimport BINARY, CLOSE, CONTINUATION, LONGEST_CONTROL, PONG, RSV1, TEXT, read_header
from .mask cimport mask_bytes
from .scan cimport is_ascii
from .text cimport check, decode_text, decode_valid

from ..close_codes import INTERNAL_ERROR, INVALID_DATA, PROTOCOL_ERROR, TOO_BIG, Violation

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **data, Py_ssize_t size) except -1
    PyObject *new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) except NULL
    char *bytes_data "PyBytes_AS_STRING"(PyObject *data)
    PyObject *new_text "PyUnicode_New"(Py_ssize_t size, Py_UCS4 most) except NULL
    char *text_data "PyUnicode_DATA"(PyObject *text)

cdef enum:
    # Storage that is set aside at once; more follows when that much has come.
    FIRST_STORAGE = 1048576
    LARGE_HEADER = 10  # of a frame of 64 KiB and more: two bytes, and a length of eight; with a masking key 4 more

DEFAULT_FRAME_SIZE = 16 * 1024 * 1024
DEFAULT_MESSAGE_SIZE = 64 * 1024 * 1024


cdef class Messages:
    """The messages of one direction of a connection.

    Owns the message that has begun. Needs the bytes in a Buffer, which it takes them from.
    """

    def __cinit__(self, bint client, inflater=None):
        self.client = client
        self.inflater = inflater
        self.max_frame_size = DEFAULT_FRAME_SIZE
        self.max_message_size = DEFAULT_MESSAGE_SIZE
        self.storage = NULL
        self.is_text = self.is_ascii = False
        self.capacity = self.held = self.checked = 0
        self.seen.characters = self.seen.most = 0
        self.opcode = 0
        self.frame_left = 0
        self.header.fin = True

    def __dealloc__(self):
        self.let_go()

    def skip(self):
        """Make no values any more of the messages that come: the connection is being closed."""
        self.skipping = True

    def set_inflater(self, inflater):
        """What inflates compressed messages (RFC 7692); None: they are not allowed."""
        self.inflater = inflater

    def feed(self, data):
        """Take bytes that were received, in any pieces."""
        if self.fed is None:
            self.fed = Buffer()
        self.fed.append(data)

    def next_event(self):
        """The next message or control frame of what was fed.

        Returns (opcode, str or bytes), or None: more bytes are needed.
        Errors: Violation.
        """
        cdef int kind
        if self.fed is None:
            self.fed = Buffer()
        kind = self.next(self.fed)
        self.fed.settle()
        if kind == NOTHING:
            return None
        value = self.value
        self.value = None
        return (kind, value)

    cpdef bint inside(self) noexcept:
        """Has a message or a frame begun that has not ended?"""
        return self.opcode != 0

    cdef uint64_t size_of_whole(self, const char *start, size_t held) noexcept:
        """How many bytes the message takes that begins so, header included, if it is in one frame.

        start, held: what follows everything that was taken. Returns 0 where it takes more to tell: of
        what is in several frames, compressed, too large, wrong, or no message.
        """
        cdef Header header
        cdef int size
        if held < 2 or self.inside():
            return 0
        size = read_header(<const unsigned char *> start, held, &header)
        if size == 0 or not header.fin or header.reserved or not (header.opcode == TEXT or header.opcode == BINARY):
            return 0
        if header.length > self.max_frame_size or header.length > self.max_message_size:
            return 0
        return size + header.length

    cdef int next(self, Buffer incoming) except -1:
        """Go on to the next message or control frame, which is then in `value`. Returns its opcode.

        incoming: from here the bytes are taken. Returns NOTHING when it needs more of them.
        """
        cdef int size
        while True:
            if not self.in_frame:
                if incoming.size() < 2:
                    return NOTHING
                size = read_header(<const unsigned char *> incoming.data + incoming.start, incoming.size(),
                                   &self.header)
                self.check_start()
                if size == 0 and not self.header.measured:
                    return NOTHING
                self.check_header()
                if self.header.opcode < CLOSE:
                    self.check_size()
                if size == 0:
                    return NOTHING
                if self.header.opcode >= CLOSE:
                    return self.control(incoming, size)
                if (self.header.fin and self.header.opcode != CONTINUATION and not self.header.reserved
                        and self.header.length <= incoming.size() - size):
                    return self.whole_message(incoming, size)
                incoming.consume(size)
                if self.header.opcode != CONTINUATION:
                    self.opcode = self.header.opcode
                    self.compressed = self.header.reserved != 0
                self.in_frame = True
                self.frame_left = self.header.length
                self.mask_offset = 0
            self.take_payload(incoming)
            if self.frame_left != 0:
                return NOTHING
            if self.header.fin:
                self.finish()
                self.in_frame = False
                return self.opcode_done()
            self.in_frame = False

    cdef int check_start(self) except -1:
        """What the first two bytes of a header can have wrong (RFC 6455, 5.1, 5.2, 5.5)."""
        cdef int opcode = self.header.opcode
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise Violation(PROTOCOL_ERROR, f"a frame with the reserved opcode {opcode}")
        if opcode >= CLOSE and not self.header.fin:
            raise Violation(PROTOCOL_ERROR, "a control frame in fragments")
        if opcode >= CLOSE and self.header.length > LONGEST_CONTROL:
            raise Violation(PROTOCOL_ERROR, "a control frame of more than 125 bytes")
        if self.header.masked and self.client:
            raise Violation(PROTOCOL_ERROR, "a masked frame from a server")
        if not self.header.masked and not self.client:
            raise Violation(PROTOCOL_ERROR, "a frame without a mask from a client")
        return 0

    cdef int check_header(self) except -1:
        cdef int opcode = self.header.opcode
        if not self.header.shortest:
            raise Violation(PROTOCOL_ERROR, "a length in more bytes than it needs")
        if self.header.length >> 63:
            raise Violation(PROTOCOL_ERROR, "a length of 64 bits")
        # RSV1 says that a message is compressed, on its first frame (RFC 7692, 6).
        if self.header.reserved and (
            self.header.reserved != RSV1 or self.inflater is None or not (opcode == TEXT or opcode == BINARY)
        ):
            raise Violation(PROTOCOL_ERROR, "a reserved bit that was not negotiated")
        if opcode == CONTINUATION and self.opcode == 0:
            raise Violation(PROTOCOL_ERROR, "a continuation of nothing")
        if (opcode == TEXT or opcode == BINARY) and self.opcode != 0:
            raise Violation(PROTOCOL_ERROR, "a new message inside another")
        return 0

    cdef int check_size(self) except -1:
        """The limits, before anything is set aside for the payload."""
        cdef size_t limit = self.max_message_size
        cdef size_t held = self.held if self.opcode != 0 else 0
        if self.header.length > self.max_frame_size:
            raise Violation(TOO_BIG, f"a frame of {self.header.length} bytes; at most {self.max_frame_size} are taken")
        if self.header.reserved or (self.opcode != 0 and self.compressed):
            limit += limit // 1024 + 1024  # what deflate adds to data that it cannot compress
        if held + self.header.length > limit:
            raise Violation(TOO_BIG, f"a message of more than {self.max_message_size} bytes")
        return 0

    cdef int control(self, Buffer incoming, int size) except -1:
        """A control frame, once it is there as a whole: it is short (RFC 6455, 5.5)."""
        cdef size_t length = <size_t> self.header.length
        cdef char payload[LONGEST_CONTROL]
        if incoming.size() < size + length:
            return NOTHING
        if self.header.masked:
            mask_bytes(payload, incoming.data + incoming.start + size, length, self.header.key, 0)
        else:
            memcpy(payload, incoming.data + incoming.start + size, length)
        self.value = PyBytes_FromStringAndSize(payload, length)
        incoming.consume(size + length)
        return self.header.opcode

    cdef int whole_message(self, Buffer incoming, int header_size) except -1:
        """A message in one frame that is there as a whole: decoded where it lies."""
        cdef size_t size = <size_t> self.header.length
        cdef char *data = incoming.data + incoming.start + header_size
        self.size = size
        if self.header.opcode == BINARY:
            value = PyBytes_FromStringAndSize(NULL, size)
            if self.header.masked:
                mask_bytes(PyBytes_AS_STRING(value), data, size, self.header.key, 0)
            else:
                copy(PyBytes_AS_STRING(value), data, size)
            self.value = value
            incoming.consume(header_size + size)
            return BINARY
        if self.header.masked:
            mask_bytes(data, data, size, self.header.key, 0)
        try:
            self.value = decode_text(data, size, NULL)
        except UnicodeDecodeError:
            raise Violation(INVALID_DATA, "a text that is not UTF-8") from None
        except MemoryError:
            if self.header.masked:
                mask_bytes(data, data, size, self.header.key, 0)  # as it came, for the next time
            raise
        incoming.consume(header_size + size)
        return TEXT

    # ---- gathering

    cdef int take_payload(self, Buffer incoming) except -1:
        """Move what has come of this frame's payload into storage."""
        cdef size_t size = min(<size_t> self.frame_left, incoming.size())
        cdef size_t room
        cdef char *to
        while size:
            to = self.room(&room)
            room = min(room, size)
            copy(to, incoming.data + incoming.start, room)
            incoming.consume(room)
            self.filled(room)
            size -= room
        return 0

    cdef char *room(self, size_t *size) except NULL:
        """Where more of this frame's payload goes, and how much of it fits there."""
        if self.held == self.capacity:
            self.grow(min(<size_t> self.frame_left, max(self.capacity, <size_t> FIRST_STORAGE)))
        size[0] = min(<size_t> self.frame_left, self.capacity - self.held)
        return self.storage_data() + self.held

    cdef char *storage_data(self) noexcept:
        return text_data(self.storage) if self.is_text else bytes_data(self.storage)

    cdef bint lies_badly(self) noexcept:
        """Would the kernel copy byte by byte to where a large frame is gathered, from behind its header?"""
        cdef int header = LARGE_HEADER + (4 if self.header.masked else 0)
        return self.storage != NULL and crawls(<uintptr_t> self.storage_data(), header)

    cdef int grow(self, size_t size) except -1:
        cdef PyObject *storage = self.storage
        cdef size_t capacity = self.held + size
        if not self.header.fin:
            capacity = max(capacity, 2 * self.capacity)  # fragments that follow shall find room too
        if storage == NULL:
            # A text in one frame is most often ASCII, and then what it is gathered in is the str itself.
            self.is_text = self.is_ascii = (
                self.opcode == TEXT and self.header.fin and not self.compressed and size == self.header.length
            )
            self.storage = new_text(capacity, 127) if self.is_text else new_bytes(NULL, capacity)
        else:
            self.resize(capacity)
        self.capacity = capacity
        return 0

    cdef int resize(self, size_t capacity) except -1:
        """Give the storage another size. Errors: Violation, since without memory it is lost."""
        try:
            _PyBytes_Resize(&self.storage, capacity)
        except MemoryError:
            raise Violation(INTERNAL_ERROR, f"no memory for a message of more than {self.held} bytes") from None
        return 0

    cdef int filled(self, size_t size) except -1:
        """So many bytes have been put where room() said."""
        cdef char *data = self.storage_data() + self.held
        if self.header.masked:
            mask_bytes(data, data, size, self.header.key, self.mask_offset)
            self.mask_offset += size
        self.held += size
        self.frame_left -= size
        if self.is_ascii:
            self.is_ascii = is_ascii(data, size)
            if self.is_ascii:
                self.checked = self.seen.characters = self.held
                return 0
        if self.opcode == TEXT and not self.compressed and (self.frame_left or not self.header.fin):
            self.check_text(False)
        return 0

    cdef int check_text(self, bint final) except -1:
        cdef bint wrong = False
        self.checked += check(self.storage_data() + self.checked, self.held - self.checked, &wrong, &self.seen)
        if wrong or (final and self.checked != self.held):
            raise Violation(INVALID_DATA, "a text that is not UTF-8")
        return 0

    cdef int finish(self) except -1:
        """The message is complete: make its value of what was gathered."""
        if self.skipping:
            self.let_go()
            return 0
        if self.compressed:
            self.inflate()
        if self.storage == NULL:
            self.value = "" if self.opcode == TEXT else b""
        elif self.opcode != TEXT:
            if self.held != self.capacity:
                self.resize(self.held)
                self.capacity = self.held
            self.value = <object> self.storage
        elif self.is_ascii:
            self.value = <object> self.storage
        else:
            self.check_text(True)
            self.value = decode_valid(self.storage_data(), self.held, &self.seen)
        self.size = self.held
        self.let_go()
        return 0

    cdef int inflate(self) except -1:
        """Put what was compressed in the place of what was gathered."""
        cdef bytes inflated = b""
        cdef object gathered = b""
        if self.storage != NULL:
            if self.held != self.capacity:
                self.resize(self.held)
            gathered = <object> self.storage
            self.let_go()
        try:
            inflated = self.inflater.inflate(gathered, self.max_message_size, True)
        except MemoryError:
            raise Violation(INTERNAL_ERROR, "there was no memory to inflate a message") from None
        except Violation:
            raise
        except BaseException:
            self.interrupted = True
            raise
        self.compressed = False
        self.let_go()
        self.storage = <PyObject *> inflated
        Py_INCREF(inflated)
        self.capacity = self.held = len(inflated)
        return 0

    cdef int opcode_done(self) noexcept:
        """No message has begun any more. Returns the opcode of the one that is complete."""
        cdef int opcode = self.opcode
        self.opcode = 0
        return opcode

    cdef void let_go(self) noexcept:
        Py_XDECREF(self.storage)
        self.storage = NULL
        self.is_text = self.is_ascii = False
        self.capacity = self.held = self.checked = 0
        self.seen.characters = self.seen.most = 0
