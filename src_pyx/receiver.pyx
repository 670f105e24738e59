"""The bytes a connection receives: taking them, as text or as they are."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t

from .buffer cimport BLOCK, acquire_block, release_block
from .posix cimport MSG_PEEK, dryad_recv_now
from .reader cimport END, FILLED, NOTHING, NOT_YET, RECORD, Reader
from .scan cimport is_ascii
from .sock cimport Socket, would_block

from ..errors import NetworkError

cdef extern from "Python.h":
    str new_text "PyUnicode_New"(Py_ssize_t size, Py_UCS4 most)
    char *text_data "PyUnicode_DATA"(object text)

cdef enum:
    AHEAD_SIZE = 65536  # what is read at once for receives that are smaller, from a stream that has so much
    DIRECT_SIZE = 16384  # receives of this size on are worth a read straight into what they return
    RECORD_SIZE = BLOCK // 2  # records of this size on are gathered where they can stay
    DRAIN_READS = 16  # blocks thrown away in one step
    # What the last receive that read got.
    SCARCE = 0  # less than was asked for
    PLENTY = 1  # as much, or more
    WHOLE = 2  # ... and what was asked for was as many characters as bytes

cdef size_t UNTIL_LIMIT = 64 * 1024 * 1024


cdef class Receiver(Reader):
    """The receiving half of a connection. Owns what its Reader owns."""

    def __cinit__(self, handle, *args, **kwargs):
        self.timeout_ms = 30000

    def set_timeout(self, int64_t timeout_ms):
        """Bound the calls that wait and have no timeout argument to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    def recv(self, size_t size):
        """At most `size` bytes that are there now, as text; None if there are none."""
        return self.receive(size, 0, True)

    def recv_blocking(self, size_t size, int64_t timeout_ms):
        """The first bytes to come, at most `size`, as text; None at the end or when the time is up."""
        return self.receive(size, timeout_ms, True)

    def recv_bytes(self, size_t size):
        """recv() without decoding."""
        return self.receive(size, 0, False)

    def recv_bytes_blocking(self, size_t size, int64_t timeout_ms):
        """recv_blocking() without decoding."""
        return self.receive(size, timeout_ms, False)

    def recv_all(self):
        """Everything that is there now, as text; "" if nothing is, and at the end."""
        cdef size_t before
        cdef int64_t deadline = NOT_YET
        cdef int state = FILLED
        cdef object text
        while state == FILLED and self.incoming.size() < UNTIL_LIMIT:
            before = self.incoming.size()
            state = self.fill(BLOCK, 0, &deadline)
            if self.incoming.size() < before + BLOCK:
                break  # a short read: the kernel has no more (recv(2))
        text = self.pop(self.incoming.size(), True)
        if text is None:
            self.raise_trouble()
            return ""
        return text

    def recv_until(self, str delimiter not None):
        """Everything up to and including the delimiter, as text; None when the time is up or at the end."""
        cdef bytes sought = self.incoming.encoded(delimiter)
        cdef int64_t deadline = NOT_YET
        cdef int state
        cdef object text
        while True:
            if self.incoming.size() != 0:
                text = self.incoming.pop_text_until(sought)
                self.settle()
                if text is not None:
                    return text
                if self.incoming.size() >= UNTIL_LIMIT:
                    raise NetworkError(f"no delimiter in {self.incoming.size()} bytes; recv can read them")
            state = self.fill(RECORD if self.incoming.is_large(RECORD_SIZE) else BLOCK, self.timeout_ms, &deadline)
            if state == NOTHING:
                return None
            if state == END:
                if self.incoming.size() == 0:
                    self.raise_trouble()
                return None

    def is_connected(self):
        """False once the peer has closed, or the connection broke, and everything received was read."""
        cdef char byte
        cdef Py_ssize_t n
        if self.closed:
            return False
        if self.incoming.size() != 0:
            return True
        if self.ended:
            return False
        n = dryad_recv_now(self.fd, &byte, 1, MSG_PEEK)
        if n > 0 or would_block(n):
            return True
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return False

    cdef int readiness(self, bint readable) except -1:
        """Would recv() not give None right now? A character that is not all there does not count."""
        cdef int64_t deadline = NOT_YET
        cdef unsigned char first  # a plain char has no sign on ARM
        cdef Py_ssize_t n
        if self.closed or self.ended:
            return 1
        if self.incoming.size() == 0:
            if not readable:
                return 0
            n = dryad_recv_now(self.fd, &first, 1, MSG_PEEK)
            if n == 1 and first < 0x80:
                return 1  # a character of one byte, which can be left where it is
            if n < 0 and not would_block(n):
                self.fail(n)  # the system says it only once
        if readable:
            self.expect_something()
            while self.fill(BLOCK, 0, &deadline) == FILLED and not self.incoming.has_character():
                pass  # behind part of a character there may be the end
            self.settle()
        return self.ended or self.incoming.has_character()

    cdef object receive(self, size_t size, int64_t timeout_ms, bint as_text):
        cdef int64_t deadline = NOT_YET
        cdef int state
        cdef size_t held
        cdef object result
        if self.incoming.size() != 0:
            result = self.pop(size, as_text)
            if result is not None:
                return result
        while True:
            if self.brimful != SCARCE and size < DIRECT_SIZE:
                state = self.fill(AHEAD_SIZE, timeout_ms, &deadline)
            elif self.brimful == WHOLE and size <= BLOCK and self.incoming.size() == 0:
                state = self.fill_whole(size, as_text, timeout_ms, &deadline)
            else:
                state = self.fill(self.incoming.room(size) if as_text else size, timeout_ms, &deadline)
            if state == NOTHING:
                return None
            result = self.whole
            if result is not None:
                self.whole = None
                return result
            held = self.incoming.size()
            result = self.pop(size, as_text)
            if held < size:
                self.brimful = SCARCE
            elif result is not None and <size_t> len(result) == size:
                self.brimful = WHOLE
            else:
                self.brimful = PLENTY
            if result is not None:
                return result
            if state == END:
                self.raise_trouble()
                return None

    cdef int fill_whole(self, size_t size, bint as_text, int64_t timeout_ms, int64_t *deadline) except -1:
        """One read straight into what it becomes, `size` bytes or ASCII characters, which are then `whole`.

        A stream that has given all that was asked for will probably do so again, and this saves a copy.
        Where it does not, or the text is another, what was read goes into the buffer.
        """
        cdef object made = new_text(size, 127) if as_text else PyBytes_FromStringAndSize(NULL, size)
        cdef char *data = text_data(made) if as_text else PyBytes_AS_STRING(made)
        cdef Py_ssize_t n
        if self.ended:
            return END
        if self.closed:
            return NOTHING
        n = self.read_into(data, size, timeout_ms, deadline)
        if n > 0 and not self.closed:
            if <size_t> n == size and self.incoming.size() == 0 and (not as_text or is_ascii(data, n)):
                self.whole = made
            else:
                self.take_in(data, n)
        return self.outcome(n)

    cdef object pop(self, size_t size, bint as_text):
        """Take at most `size` of the bytes received; None if there is nothing that can be taken yet."""
        cdef object result
        if as_text:
            result = self.incoming.pop_text(size, self.ended)
        else:
            result = self.incoming.pop_bytes(size)
        self.settle()
        return result

    cdef int settle(self) except -1:
        """What was not taken stays, for the next call; who waits elsewhere cannot see it from outside."""
        self.incoming.settle()
        if self.incoming.size():
            self.wake_waiting()
            if self.attended:
                self.poke()
        return 0

    # ---- the end

    def begin_close(self):
        """Let no new call in, wake those who wait, let go what was not read. False if done before."""
        if not Socket.begin_close(self):
            return False
        self.incoming.reset()
        return True

    cdef int drain(self) except -1:
        """Throw away what has come, some of it at a time."""
        cdef char *block
        cdef Py_ssize_t n = 0
        cdef int _read
        if self.ended:
            return 0
        block = acquire_block()
        for _read in range(DRAIN_READS):
            n = dryad_recv_now(self.fd, block, BLOCK, 0)
            if n <= 0:
                break
        release_block(block)
        if n == 0:
            self.ended = True
        elif n < 0 and not would_block(n):
            self.fail(n)
        return 0
