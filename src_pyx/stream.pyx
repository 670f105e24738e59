"""A connection's byte stream: receiving, sending, the send queue, and an end that loses nothing.

One system call a receive, one a send. The descriptor stays in blocking mode: calls that must not
wait pass MSG_DONTWAIT; a call that waits lets recv(2) itself wait for the first RECV_SLICE_MS
(SO_RCVTIMEO, set once), which saves a poll(2) in every round trip, and only then, when a context
switch more does not matter, polls together with a descriptor that begin_close() can wake.

Reads that give up the GIL take the `reading` turn, so that two threads cannot put their bytes into
the buffer in the wrong order; sends that give it up take the `sending` turn, so that no message is
cut in two by another.
"""

from collections import deque

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from .buffer cimport BLOCK, Buffer, acquire_block, release_block
from .posix cimport (
    EAGAIN, EINTR, ENOTCONN, MSG_DONTWAIT, MSG_PEEK, NO_DEADLINE, POLLIN, POLLOUT, dryad_now, dryad_recv, dryad_send,
    dryad_set_recv_timeout,
)
from .sock cimport Socket, Turn, deadline_after, would_block

from ..errors import IdError, NetworkError, NetworkTimeoutError, from_errno

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from "poller.h":
    const int DRYAD_READ, DRYAD_WRITE

cdef enum:
    NOTHING = 0  # what fill() says: nothing came (in time)
    FILLED = 1
    END = 2
    LOOK_AGAIN = -0x40000000  # no -errno: another thread has read meanwhile, and left what it did not take
    RECV_SLICE_MS = 20
    # SO_RCVTIMEO counts in ticks of up to 10 ms and may end that much early. A wait that is long
    # beside it reads no clock before the first slice is over, and takes it for this much.
    LEAST_SLICE_MS = 10
    LONG_WAIT_MS = 100
    NOGIL_SIZE = 65536  # copies from this size on are worth giving up the GIL for
    DRAIN_READS = 16  # blocks of late input thrown away in one step of a close

cdef size_t UNTIL_LIMIT = 64 * 1024 * 1024
cdef int64_t DONT_WAIT = 0
cdef int64_t NOT_YET = -1  # the deadline of a call that has not waited yet
cdef int64_t SLICE_TAKEN = -2  # ... that got something in its first slice, and wants more


cdef class Stream(Socket):
    """One TCP connection's bytes, in and out.

    Owns the descriptor, the bytes received and not yet read, and those queued for sending.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.incoming = Buffer()
        self.reading = Turn()
        self.sending = Turn()
        self.timeout_ms = 30000

    def set_timeout(self, int64_t timeout_ms):
        """Bound send() and recv_until() to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    # ---- receiving

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
        cdef bytes sought = self.delimiter_bytes(delimiter)
        cdef int64_t deadline = NOT_YET
        cdef int state
        cdef object text
        while True:
            if self.incoming.size() != 0:
                text = self.incoming.pop_text_until(sought)
                self.incoming.settle()
                if text is not None:
                    return text
                if self.incoming.size() >= UNTIL_LIMIT:
                    raise NetworkError(f"no delimiter in {self.incoming.size()} bytes; recv can read them")
            state = self.fill(BLOCK, self.timeout_ms, &deadline)
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
        n = dryad_recv(self.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK)
        while n == -EINTR:
            n = dryad_recv(self.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK)
        if n > 0 or would_block(n):
            return True
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return False

    cdef object receive(self, size_t size, int64_t timeout_ms, bint as_text):
        cdef int64_t deadline = NOT_YET
        cdef int state
        cdef object result
        if self.incoming.size() != 0:
            result = self.pop(size, as_text)
            if result is not None:
                return result
        while True:
            state = self.fill(self.incoming.room(size) if as_text else size, timeout_ms, &deadline)
            if state == NOTHING:
                return None
            result = self.pop(size, as_text)
            if result is not None:
                return result
            if state == END:
                self.raise_trouble()
                return None

    cdef object pop(self, size_t size, bint as_text):
        """Take at most `size` of the bytes received; None if there is nothing that can be taken yet."""
        cdef object result
        if as_text:
            result = self.incoming.pop_text(size, self.ended)
        else:
            result = self.incoming.pop_bytes(size)
        self.incoming.settle()
        return result

    cdef bytes delimiter_bytes(self, str delimiter):
        """The delimiter encoded; the same object for the same delimiter, so that the scan goes on."""
        if delimiter is not self.delimiter_text and delimiter != self.delimiter_text:
            self.delimiter = delimiter.encode("utf-8", "surrogateescape")
            self.delimiter_text = delimiter
        return self.delimiter

    cdef int fill(self, size_t room, int64_t timeout_ms, int64_t *deadline) except -1:
        """One read into the buffer, at most `room` bytes where it is empty.

        *deadline is NOT_YET before a call's first one, and then when the call's time is up.
        """
        cdef Py_ssize_t n
        if self.ended:
            return END
        if self.closed:
            return NOTHING
        if self.incoming.size() < BLOCK // 2:
            n = self.read_block(min(room, <size_t> BLOCK), timeout_ms, deadline)
        else:
            n = self.read_behind(timeout_ms, deadline)
        if n > 0 or n == LOOK_AGAIN:
            return FILLED
        if self.closed or would_block(n):
            return NOTHING
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return END

    cdef Py_ssize_t read_block(self, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Read into a block of its own, which no other thread sees while this one waits."""
        cdef char *block = acquire_block()
        cdef Py_ssize_t n
        cdef bint kept = False
        try:
            n = self.read_into(block, room, timeout_ms, deadline)
            if n > 0 and not self.closed:
                if self.incoming.size() == 0:
                    self.incoming.attach(block, n)
                    kept = True
                else:
                    memcpy(self.incoming.reserve(n), block, n)
                    self.incoming.commit(n)
            return n
        finally:
            if not kept:
                release_block(block)

    cdef Py_ssize_t read_into(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        cdef Py_ssize_t n
        if self.has_time_for_slice(timeout_ms, deadline):
            n = self.read_slice(block, room, timeout_ms, deadline)
            if not would_block(n):
                return n
        while True:
            n = self.read_now(block, room)
            if not would_block(n):
                return n
            if not self.wait_for_more(timeout_ms, deadline):
                return -EAGAIN

    cdef bint has_time_for_slice(self, int64_t timeout_ms, int64_t *deadline) noexcept:
        if timeout_ms == 0:
            return False
        if deadline[0] == NOT_YET and (timeout_ms < 0 or timeout_ms >= LONG_WAIT_MS):
            return True
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms)
        return deadline[0] == NO_DEADLINE or deadline[0] - dryad_now() >= RECV_SLICE_MS * <int64_t> 1000000

    cdef Py_ssize_t read_slice(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Let recv(2) itself wait, without the GIL and for RECV_SLICE_MS; most answers come in time."""
        cdef Py_ssize_t n
        cdef int fd = self.fd
        if self.reading.taken or self.reading.lock is not None:
            if deadline[0] < 0:
                deadline[0] = deadline_after(timeout_ms)
            n = self.reading.take(deadline[0])
            if n == 0:
                return -EAGAIN
            if n == 2:
                self.reading.give()
                return LOOK_AGAIN
        self.reading.taken = True
        if not self.has_recv_slice:
            dryad_set_recv_timeout(fd, RECV_SLICE_MS)
            self.has_recv_slice = True
        self.users += 1
        with nogil:
            n = dryad_recv(fd, block, room, 0)
        self.leave()
        self.reading.give()
        if n == -EINTR:
            PyErr_CheckSignals()
            n = -EAGAIN
            timeout_ms += LEAST_SLICE_MS if timeout_ms > 0 else 0  # not a slice, then, that is over
        if deadline[0] == NOT_YET:
            deadline[0] = SLICE_TAKEN
            if would_block(n):
                deadline[0] = deadline_after(timeout_ms - LEAST_SLICE_MS if timeout_ms > 0 else timeout_ms)
        return n

    cdef bint wait_for_more(self, int64_t timeout_ms, int64_t *deadline) except -1:
        """Wait until there is something to read. False: the time is up, or closed."""
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms) if timeout_ms else DONT_WAIT
        return deadline[0] != DONT_WAIT and self.wait(POLLIN, deadline[0])

    cdef Py_ssize_t read_behind(self, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Read straight behind what the buffer holds: for messages larger than a block."""
        cdef Py_ssize_t n
        while True:
            n = self.read_now(self.incoming.reserve(BLOCK), BLOCK)
            if n > 0:
                self.incoming.commit(n)
            if not would_block(n):
                return n
            if not self.wait_for_more(timeout_ms, deadline):
                return -EAGAIN

    cdef Py_ssize_t read_now(self, char *data, size_t room) noexcept:
        """recv(2) without waiting; nothing while another thread is inside one: what comes is its."""
        cdef Py_ssize_t n
        if self.reading.taken or self.closed:
            return -EAGAIN
        n = dryad_recv(self.fd, data, room, MSG_DONTWAIT)
        while n == -EINTR:
            n = dryad_recv(self.fd, data, room, MSG_DONTWAIT)
        return n

    # ---- what went wrong

    cdef int fail(self, Py_ssize_t failed) except -1:
        """The connection broke while reading: no more comes, and the next call may say why."""
        self.ended = True
        if not self.broken:
            self.broken = True
            self.trouble = from_errno(<int> -failed)
        return 0

    cdef int raise_trouble(self) except -1:
        cdef object trouble = self.trouble
        if trouble is not None:
            self.trouble = None
            raise trouble
        return 0

    cdef int check_writable(self) except -1:
        if self.closed:
            raise IdError("closed")
        if self.broken:
            self.raise_trouble()
            raise from_errno(ENOTCONN)
        return 0

    # ---- sending

    def send(self, data):
        """Send all of it, waiting up to the timeout.

        data: an ASCII str or a bytes-like object; neither is copied.
        Returns the number of bytes the kernel took; fewer than all only when the time was up.
        Errors: NetworkTimeoutError (it took none), NetworkError, IdError (closed meanwhile).
        """
        cdef Py_buffer view
        cdef const char *text
        cdef Py_ssize_t size
        if PyUnicode_Check(data):
            text = PyUnicode_AsUTF8AndSize(data, &size)
            return self.send_all(text, size, 0)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.send_all(<const char *> view.buf, view.len, 0)
        finally:
            PyBuffer_Release(&view)

    cdef Py_ssize_t send_all(self, const char *data, Py_ssize_t size, Py_ssize_t sent) except -1:
        cdef Py_ssize_t n = 0
        cdef int64_t deadline
        self.check_writable()
        if size < NOGIL_SIZE and self.outgoing_size == 0 and not self.sending.taken:
            n = self.send_some(data, size)
            if n == size:
                return n
            if n < 0 and not would_block(n):
                return self.send_failed(n)
            sent = max(n, 0)
        deadline = deadline_after(self.timeout_ms)
        if self.sending.take(deadline) == 0:
            raise NetworkTimeoutError("nothing was sent before the time was up")
        try:
            while True:
                self.check_writable()
                # What was queued before goes first; what is queued once this has begun comes after it.
                if sent > 0 or self.flush_queue():
                    self.check_writable()
                    n = self.send_some(data + sent, size - sent)
                    if n >= 0:
                        sent += n
                    elif not would_block(n):
                        return self.send_failed(n)
                    if sent == size:
                        return sent
                if not self.wait(POLLOUT, deadline):
                    self.check_writable()
                    if sent == 0:
                        raise NetworkTimeoutError("nothing was sent before the time was up")
                    return sent
        finally:
            self.sending.give()

    cdef Py_ssize_t send_some(self, const char *data, Py_ssize_t size) noexcept:
        """send(2) without waiting; from NOGIL_SIZE on without the GIL, and then in one's turn only."""
        cdef Py_ssize_t n
        cdef int fd = self.fd
        if size < NOGIL_SIZE:
            n = dryad_send(fd, data, size, MSG_DONTWAIT)
            while n == -EINTR:
                n = dryad_send(fd, data, size, MSG_DONTWAIT)
            return n
        self.users += 1
        with nogil:
            n = dryad_send(fd, data, size, MSG_DONTWAIT)
            while n == -EINTR:
                n = dryad_send(fd, data, size, MSG_DONTWAIT)
        self.leave()
        return n

    cdef Py_ssize_t send_failed(self, Py_ssize_t failed) except -1:
        """The connection broke while writing: said at once. What was received stays readable."""
        self.broken = True
        self.trouble = None
        raise from_errno(<int> -failed)

    def offer(self, bytes data not None, Py_ssize_t limit):
        """Send without waiting, and queue what the kernel does not take.

        data: bytes, shared by everybody it is offered to; limit: bytes that may wait in the queue.
        Returns 0: it reaches nobody (closed, broken, or just dropped for going over the limit),
        1: sent, 2: the rest is queued for flush().
        """
        cdef Py_ssize_t n = -EAGAIN
        if self.broken or not self.is_connected():
            return 0
        if self.outgoing_size == 0 and not self.sending.taken:
            self.sending.take(DONT_WAIT)
            try:
                n = self.send_some(data, len(data))
            finally:
                self.sending.give()
            if n == len(data):
                return 1
            if n < 0 and not would_block(n):
                self.broken = True
                self.trouble = from_errno(<int> -n)
                return 0
        if self.outgoing_size + len(data) - max(n, 0) > limit:
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return 0
        if self.outgoing is None:
            self.outgoing = deque()
        if n > 0:
            # What others queued while this was being sent without the GIL comes after its rest.
            self.outgoing.appendleft(data)
            self.outgoing_offset = n
        else:
            self.outgoing.append(data)
            n = 0
        self.outgoing_size += len(data) - n
        return 2

    def drop(self, str reason not None):
        """Give up on this peer: what is queued goes, both directions end, the next call says why."""
        self.clear_queue()
        if not self.broken:
            self.broken = True
            self.trouble = NetworkError(reason)
        self.end_both()

    def flush(self):
        """Send what is queued, without waiting. True when nothing is left to send."""
        if self.sending.taken:
            return False  # in the middle of its own bytes; it flushes first thing
        self.sending.take(DONT_WAIT)
        try:
            return self.flush_queue()
        finally:
            self.sending.give()

    cdef bint flush_queue(self) except -1:
        cdef Py_ssize_t n
        cdef bytes chunk
        while self.outgoing_size > 0:
            chunk = self.outgoing[0]
            n = self.send_some(<const char *> chunk + self.outgoing_offset, len(chunk) - self.outgoing_offset)
            if n < 0:
                if would_block(n):
                    return False
                if not self.broken:
                    self.broken = True
                    self.trouble = from_errno(<int> -n)
                self.clear_queue()
                return True
            if self.outgoing_size == 0:
                return True  # dropped meanwhile
            self.outgoing_size -= n
            self.outgoing_offset += n
            if self.outgoing_offset == len(chunk):
                self.outgoing.popleft()
                self.outgoing_offset = 0
        self.clear_queue()
        return True

    cdef void clear_queue(self):
        self.outgoing = None
        self.outgoing_size = self.outgoing_offset = 0

    # ---- the end

    def begin_close(self):
        """Let no new call in, wake those who wait, let go what was not read. False if done before."""
        if not Socket.begin_close(self):
            return False
        self.incoming.reset()
        return True

    def finish_close(self):
        """One step towards the end: flush, send our end of stream, read away what still comes.

        A descriptor that is closed with unread or late input resets the connection, and a reset
        destroys what the peer has not read yet (RFC 9293, 3.10.4; RFC 1122, 4.2.2.13): so it is
        kept until the peer's end of stream.
        Returns what must become possible before the next step (READ, WRITE), or 0: the descriptor
        has been given back.
        """
        cdef bint flushed = self.flush()
        if flushed and not self.told_end:
            self.told_end = True
            self.end_sending()
        # Also before all is flushed: a peer that wants to be rid of its own data first reads ours later.
        self.drain()
        if not self.broken and not (flushed and self.ended):
            return (0 if self.ended else DRYAD_READ) | (0 if flushed else DRYAD_WRITE)
        self.release()
        return 0

    cdef int drain(self) except -1:
        """Throw away what has come, some of it at a time."""
        cdef char *block
        cdef Py_ssize_t n = 0
        cdef int _read
        if self.ended:
            return 0
        block = acquire_block()
        for _read in range(DRAIN_READS):
            n = dryad_recv(self.fd, block, BLOCK, MSG_DONTWAIT)
            if n <= 0 and n != -EINTR:
                break
        release_block(block)
        if n == 0:
            self.ended = True
        elif n < 0 and n != -EINTR and not would_block(n):
            self.fail(n)
        return 0
