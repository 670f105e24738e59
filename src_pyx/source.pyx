"""Bytes in, for messages: read, and decrypted where that was agreed, to where they belong."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t

from .buffer cimport BLOCK, acquire_block, release_block
from .framed cimport Framed
from .message cimport NOTHING
from .posix cimport EAGAIN, dryad_now
from .reader cimport END, FILLED, LOOK_AGAIN
from .sock cimport would_block

from ..close_codes import Violation
from ..errors import NetworkError

cdef enum:
    DIRECT_SIZE = 65536  # payloads of which so much is missing are read to where they belong, not with what follows
    FIRST_SIZE = 4096  # where the last message was read to where it belongs, what is read to see how large this one is


cdef class Source(Framed):
    """The bytes that messages come in.

    Owns what its Framed owns, and a violation that was found while reading, until it is acted on.
    """

    cdef void hold(self, violation) noexcept:
        """Have this violation acted on when what came before it was read."""
        self.held = violation
        self.held_at = dryad_now()

    cdef int fill_more(self, int64_t timeout_ms, int64_t *deadline) except -1:
        cdef int state
        cdef bint is_large
        if self.tls is not None:
            state = self.fill_decrypted(timeout_ms, deadline)
        elif (self.messages.frame_left >= DIRECT_SIZE and self.incoming.size() == 0 and not self.reading
                and not self.messages.lies_badly()):
            state = self.fill_payload(timeout_ms, deadline)
        else:
            is_large = self.messages.size >= DIRECT_SIZE + FIRST_SIZE and not self.messages.in_frame
            state = self.fill(FIRST_SIZE if is_large else BLOCK, timeout_ms, deadline)
        if self.keepalive and state == FILLED:
            self.heard = dryad_now()
        return state

    cdef int fill_payload(self, int64_t timeout_ms, int64_t *deadline) except -1:
        """Read straight to where the message is gathered, once."""
        cdef size_t room
        cdef char *to
        cdef Py_ssize_t n
        cdef unsigned int wakes = self.wakes
        if self.ended or self.closed:
            return END if self.ended else NOTHING
        try:
            to = self.messages.room(&room)
        except Violation as violation:
            self.hold(violation)
            return FILLED
        if self.has_time_for_slice(timeout_ms, deadline):
            n = self.read_slice(to, room, timeout_ms, deadline)
        else:
            n = self.read_now(to, room)
        if n > 0:
            if not self.closed:
                try:
                    self.messages.filled(n)
                except Violation as violation:
                    self.hold(violation)
            return FILLED
        if n == LOOK_AGAIN:
            return FILLED
        if would_block(n):
            # While this one waits, another thread may read, and move the place to read to.
            return FILLED if wakes != self.wakes or self.wait_for_more(timeout_ms, deadline) else NOTHING
        return self.end_of_stream(n)

    cdef int fill_decrypted(self, int64_t timeout_ms, int64_t *deadline) except -1:
        cdef Py_ssize_t n
        cdef unsigned int wakes = self.wakes
        while True:
            if self.ended or self.closed:
                return END if self.ended else NOTHING
            n = self.read_decrypted()
            if n > 0 or n == LOOK_AGAIN or wakes != self.wakes:
                return FILLED  # if not by this thread, then by the one it has waited for
            if n == 0 or not would_block(n):
                return self.end_of_stream(n)
            if not self.wait_for_more(timeout_ms, deadline):
                return NOTHING

    cdef Py_ssize_t read_decrypted(self) except? -1:
        """Read and decrypt until there is something for the reader, without waiting.

        Reading, decrypting and appending are one thing: what another thread reads comes behind it.
        """
        cdef char *block
        cdef Py_ssize_t n = 0
        with self.encoding:
            if self.decrypting:
                return -EAGAIN  # this thread is at it already: a signal's handler asks in the middle
            self.decrypting = True
            block = acquire_block()
            try:
                while True:
                    n = self.read_now(block, BLOCK)
                    if n <= 0 or self.decrypt(PyBytes_FromStringAndSize(block, n)):
                        return n
            except BaseException as error:
                if n > 0:
                    self.lose("there was no memory for what was received" if isinstance(error, MemoryError)
                              else "an exception interrupted what was to be decrypted")
                raise
            finally:
                self.decrypting = False
                release_block(block)

    cdef int decrypt(self, bytes data) except -1:
        """Decrypt what was received into the buffer. Returns whether the reader should look."""
        cdef bytes plain = b""
        cdef bint was_established = self.tls.established
        try:
            plain = self.tls.decrypt(data)
        except NetworkError:
            pass  # it is in tls.trouble, where it also is if something could be read before it
        if self.tls.trouble is not None:
            self.ended = True
            if not self.broken:
                self.broken = True
                self.trouble = self.tls.trouble
        if plain:
            self.take_in(PyBytes_AS_STRING(plain), len(plain))
        self.send_due()
        if self.tls.ended:
            self.ended = True
        return len(plain) > 0 or self.ended or self.tls.established != was_established

    cdef int end_of_stream(self, Py_ssize_t n) except -1:
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return END
