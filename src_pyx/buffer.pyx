"""Bytes received and not yet consumed, and how they leave: as bytes or as text.

A Buffer owns memory only while there is something in it. What a read brings lies in a block that
all connections share; it is attached to the buffer of the connection that read, taken from there,
and only what is left over afterwards moves to memory of the buffer's own (`settle`). No call gives
up the GIL between `attach` and `settle`, so a block is never seen by two connections.

A large record, which a delimiter ends, is gathered in the storage of a str: that is the record, when
it is complete and ASCII, and no byte of it is copied.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF
from libc.string cimport memmove

from .copying cimport copy, new_bytes
from .scan cimport find_end, find_end_of_text, is_ascii
from .text cimport decode_front, decode_text

cdef extern from "Python.h":
    PyObject *new_text "PyUnicode_New"(Py_ssize_t size, Py_UCS4 most) except NULL
    char *text_data "PyUnicode_DATA"(PyObject *text)
    int PyUnicode_Resize(PyObject **text, Py_ssize_t size) except -1

cdef extern from "utf8.h" nogil:
    int dryad_utf8_character(const unsigned char *data, size_t size) noexcept

cdef enum:
    # malloc() puts large memory 16 bytes into a page, where the kernel's copies are four times slower
    # on some processors than to a place 64 bytes in.
    BLOCK_OFFSET = 48
    MOST_FORESEEN = 4194304  # of a record that may be as large as the last one, what is set aside at once

cdef char *spare_block = NULL


cdef char *acquire_block() except NULL:
    """A block of BLOCK bytes for one read; it must be attached to a buffer or given back."""
    global spare_block
    cdef char *block = spare_block
    spare_block = NULL
    if block == NULL:
        block = <char *> PyMem_RawMalloc(BLOCK + BLOCK_OFFSET)
        if block == NULL:
            raise MemoryError
        block += BLOCK_OFFSET
    return block


cdef void release_block(char *block) noexcept:
    global spare_block
    if spare_block == NULL:
        spare_block = block
    else:
        PyMem_RawFree(block - BLOCK_OFFSET)


cdef char *acquire_large(size_t size) except NULL:
    """Memory for something larger than a block, which is used once."""
    cdef char *memory = <char *> PyMem_RawMalloc(size + BLOCK_OFFSET)
    if memory == NULL:
        raise MemoryError
    return memory + BLOCK_OFFSET


cdef void release_large(char *memory) noexcept:
    PyMem_RawFree(memory - BLOCK_OFFSET)


cdef size_t character_length(const char *data, size_t size):
    """How many bytes the first character takes, 0 if they are not all there yet.

    A byte that begins no UTF-8 character is a character of its own: it comes out escaped.
    """
    cdef int length = dryad_utf8_character(<const unsigned char *> data, size)
    return 1 if length < 0 else length


cdef class Buffer:
    """Received bytes, in the order they came.

    Owns its storage, unless it lies on a shared block, which it gives back in settle().
    """

    def __cinit__(self):
        self.data = NULL
        self.text = NULL
        self.lead = 0
        self.start = self.end = self.capacity = self.scanned = self.record = 0
        self.other = False
        self.sought = None
        self.on_block = False

    def __dealloc__(self):
        self.reset()

    def __len__(self):
        return self.end - self.start

    cdef char *reserve(self, size_t room) except NULL:
        """Room for `room` bytes behind the last one; never while a block is attached."""
        cdef size_t held = self.end - self.start
        cdef size_t wanted
        cdef char *data
        if self.capacity - self.end >= room:
            return self.data + self.end
        if room > (<size_t> -1) // 4 - held:
            raise MemoryError
        if self.capacity // 2 >= held + room:
            memmove(self.data, self.data + self.start, held)
            data = self.data
        else:
            wanted = max(held + room, 2 * held)
            if self.start != 0:
                memmove(self.data, self.data + self.start, held)
                self.end = held
                self.start = 0
            self.resize(wanted)
            data = self.data
        self.start = 0
        self.end = held
        return data + held

    cdef int resize(self, size_t capacity) except -1:
        cdef char *data
        if self.text != NULL:
            PyUnicode_Resize(&self.text, capacity)
            self.data = text_data(self.text)
        else:
            self.on_block = False  # what it becomes is no block for others
            data = <char *> PyMem_RawRealloc(NULL if self.data == NULL else self.data - self.lead, self.lead + capacity)
            if data == NULL:
                raise MemoryError
            self.data = data + self.lead
        self.capacity = capacity
        return 0

    cdef char *gather(self, size_t *room) except NULL:
        """Room behind the last byte, as reserve() makes it, in the str that a large record becomes.

        A record is mostly as large as the last one: if so, what is read ends with it, and nothing is
        left over that would have to be moved.
        """
        cdef size_t held = self.end - self.start
        cdef size_t scanned = self.scanned
        cdef size_t capacity = min(self.record, <size_t> MOST_FORESEEN)
        cdef PyObject *text
        if self.text == NULL:
            if capacity <= held:
                capacity = 2 * held
            text = new_text(capacity, 127)
            if held:
                copy(text_data(text), self.data + self.start, held)
            self.reset()
            self.text = text
            self.data = text_data(text)
            self.capacity = capacity
            self.end = held
            self.scanned = scanned
            self.other = not is_ascii(self.data, scanned)
        elif self.end == self.capacity:
            self.reserve(BLOCK)
        room[0] = self.capacity - self.end
        return self.data + self.end

    cdef void commit(self, size_t size) noexcept:
        """`size` bytes have been written to what reserve() returned."""
        self.end += size

    cdef void attach(self, char *block, size_t size) noexcept:
        """Take a block with `size` bytes in it as the storage of this buffer, which is empty."""
        self.reset()
        self.data = block
        self.lead = BLOCK_OFFSET
        self.end = size
        self.capacity = BLOCK
        self.on_block = True

    cdef void settle(self) noexcept:
        """Give an attached block back; what is left in it moves to memory of our own.

        Large leftovers, and those no memory can be had for, keep the block instead: nothing fails.
        """
        cdef size_t held = self.end - self.start
        cdef char *block = self.data
        cdef char *own
        if not self.on_block:
            if held == 0 and block != NULL:
                self.reset()
            return
        if held == 0:
            self.reset()
            return
        self.on_block = False
        if held > BLOCK // 2:
            return
        own = <char *> PyMem_RawMalloc(held)
        if own == NULL:
            return
        copy(own, block + self.start, held)
        release_block(block)
        self.data = own
        self.lead = 0
        self.capacity = self.end = held
        self.start = 0

    cdef void reset(self) noexcept:
        """Let everything go."""
        if self.text != NULL:
            Py_XDECREF(self.text)
            self.text = NULL
        elif self.on_block:
            release_block(self.data)
        elif self.data != NULL:
            PyMem_RawFree(self.data - self.lead)
        self.data = NULL
        self.lead = 0
        self.start = self.end = self.capacity = self.scanned = 0
        self.on_block = self.other = False

    cdef object pop_bytes(self, size_t size):
        cdef size_t taken = min(size, self.end - self.start)
        cdef object result
        if taken == 0:
            return None
        result = new_bytes(self.data + self.start, taken)
        self.consume(taken)
        return result

    cdef object pop_text(self, size_t size, bint final):
        cdef size_t held = self.end - self.start
        cdef size_t limit = min(size, held)
        cdef const char *data = self.data + self.start
        cdef Py_ssize_t consumed = 0
        cdef object text
        if limit == 0:
            return None
        text = decode_front(data, limit, &consumed)
        if <size_t> consumed < limit and (
            (final and limit == held)
            # Half a surrogate (ED A0 to ED BF): Python's decoder waits for the rest of what is no UTF-8 (RFC 3629, 4).
            or dryad_utf8_character(<const unsigned char *> data + consumed, limit - consumed) < 0
        ):
            consumed = limit
            text = decode_text(data, limit, "surrogateescape")
        elif consumed == 0:
            consumed = self.first_character(limit, final)
            if consumed == 0:
                return None
            text = decode_text(data, consumed, "surrogateescape")
        self.consume(consumed)
        return text

    cdef size_t first_character(self, size_t limit, bint final):
        """How much to take when `limit` bytes hold no whole character: one that is longer, what
        turned out to be none, or nothing while the rest of it may still come."""
        cdef size_t held = self.end - self.start
        cdef size_t length = character_length(self.data + self.start, held)
        if length == 0:
            return limit if final else 0
        return length

    cpdef bint has_character(self):
        """Is the first character all there?"""
        return self.end != self.start and character_length(self.data + self.start, self.end - self.start) != 0

    cdef size_t room(self, size_t size) noexcept:
        cdef size_t held = self.end - self.start
        cdef unsigned char first
        cdef size_t length
        if size > held:
            return size - held
        first = <unsigned char> self.data[self.start]
        length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
        return length - held if length > held else 1

    cdef bytes encoded(self, str delimiter):
        """The delimiter encoded; the same object for the same delimiter, so that the scan goes on."""
        if delimiter is not self.delimiter_text and delimiter != self.delimiter_text:
            self.delimiter = delimiter.encode("utf-8", "surrogateescape")
            self.delimiter_text = delimiter
        return self.delimiter

    cdef object pop_text_until(self, bytes delimiter):
        cdef size_t held = self.end - self.start
        cdef Py_ssize_t size
        cdef object text
        if delimiter is not self.sought:
            self.sought = delimiter
            self.scanned = 0
            self.other = False
        if self.text == NULL:
            size = find_end(self.data + self.start, held, self.scanned,
                            <const char *> delimiter, len(delimiter))
        else:
            size = find_end_of_text(self.data + self.start, held, self.scanned,
                                    <const char *> delimiter, len(delimiter), &self.other)
        if size < 0:
            self.scanned = held
            return None
        # Among large records a few short ones may be, and do not count.
        self.record = max(<size_t> size, self.record - self.record // 16)
        if self.text != NULL and self.start == 0:
            return self.pop_gathered(size)
        text = decode_text(self.data + self.start, size, "surrogateescape")
        self.consume(size)
        self.scanned = 0
        return text

    cdef object pop_gathered(self, size_t size):
        """The record that is at the beginning of the str; what follows it moves to memory of its own."""
        cdef size_t rest = self.end - size
        cdef char *own = NULL
        cdef object record
        if rest:
            own = <char *> PyMem_RawMalloc(rest)
            if own == NULL:
                raise MemoryError
            copy(own, self.data + size, rest)
        try:
            if self.other or size < self.capacity // 2:
                record = decode_text(self.data, size, "surrogateescape")
            else:
                if size != self.capacity:
                    self.resize(size)
                record = <object> self.text
        except MemoryError:
            PyMem_RawFree(own)
            raise
        self.reset()
        self.data = own
        self.capacity = self.end = rest
        return record

    def append(self, data):
        """Add bytes at the end.

        data: any bytes-like object.
        """
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if view.len:
                copy(self.reserve(view.len), <const char *> view.buf, view.len)
                self.commit(view.len)
        finally:
            PyBuffer_Release(&view)

    def take_bytes(self, size_t size):
        """Take at most `size` bytes from the front; None if there are none."""
        result = self.pop_bytes(size)
        self.settle()
        return result

    def take_text(self, size_t size, bint final=False):
        """Take at most `size` bytes from the front as text that cuts no character in two.

        size: bytes; if the first character alone is longer, that one character is taken.
        final: no more bytes will come, so an incomplete character is taken too, escaped.
        Returns a str with bytes that are not UTF-8 as lone surrogates, or None for nothing yet.
        """
        result = self.pop_text(size, final)
        self.settle()
        return result

    def room_for_text(self, size_t size):
        """How much to read so that take_text(size) has something and nothing is left over, if all comes:
        up to size bytes, or what the first character, which has begun, still lacks."""
        return self.room(size)

    def take_text_until(self, bytes delimiter not None):
        """Take everything up to and including the first delimiter as text, or None.

        delimiter: bytes, not empty. The search goes on where the last one for the same object ended.
        """
        if not delimiter:
            raise ValueError("an empty delimiter")
        result = self.pop_text_until(delimiter)
        self.settle()
        return result

    def find(self, bytes sought not None):
        """How many bytes there are up to and including the first occurrence; -1 if there is none."""
        return find_end(self.data + self.start, self.end - self.start, 0, <const char *> sought, len(sought))

    def clear(self):
        """Let everything go."""
        self.reset()
