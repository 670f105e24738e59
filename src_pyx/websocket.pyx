"""A WebSocket connection: messages in, what control frames ask for, and how it ends (RFC 6455, 5 to 7).

A receive takes the next message out of what has come, and leaves the rest there. Only messages of
the other kind, and those that come while nobody receives, are put into queues; when they fill up,
nothing more is read, and TCP makes the peer wait.
"""

from collections import deque
from os import urandom

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from .buffer cimport BLOCK, acquire_block, release_block
from .frame cimport BINARY, CLOSE, PING, PONG, TEXT
from .framed cimport CLOSED, CLOSING, CONNECTING, OPEN, Framed
from .message cimport NOTHING
from .posix cimport dryad_now, dryad_recv_now
from .scan cimport find_end
from .sock cimport Socket, deadline_after, is_attending, would_block

from ..close_codes import ABNORMAL, TOO_BIG, Violation
from ..close_codes import build as close_payload
from ..close_codes import parse as parse_close
from ..errors import NetworkError

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from "poller.h":
    const int DRYAD_READ, DRYAD_WRITE

cdef enum:
    # What fill() of Receiver says.
    FILLED = 1
    END = 2
    LOOK_AGAIN = -0x40000000
    # Payloads of which this much is missing are read to where they belong; shorter ones come
    # together with what follows them.
    DIRECT_SIZE = 65536
    MESSAGE_COST = 64  # bytes that an unread message takes besides its payload

# Unread messages that are kept for the script; nothing more is read from a peer who sent so much.
cdef size_t UNREAD_LIMIT = 16 * 1024 * 1024
cdef int64_t NOT_YET = -1

STATES = ("connecting", "open", "closing", "closed")


cdef class WebSocket(Framed):
    """One WebSocket connection.

    Owns what its Framed owns, and the messages received and not yet read. A subclass offers
    complete_handshake(), leave_to_service(), ending() and resumed().
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.latency = -1

    def ending(self):
        """No more messages; the subclass knows what is left to do."""
        raise NotImplementedError

    def resumed(self):
        """There is room for messages again; the subclass knows who reads them."""
        raise NotImplementedError

    def open(self, inflater, deflater):
        """The handshake is complete; what compresses, if that was agreed."""
        self.messages.set_inflater(inflater)
        self.deflater = deflater
        self.heard = dryad_now()
        self.state = OPEN

    # ---- receiving

    def recv_text(self):
        """The next text message that is there now; None if there is none."""
        return self.receive_message(TEXT, 0)

    def recv_text_blocking(self, int64_t timeout_ms):
        """The next text message; None at the end or when the time is up."""
        return self.receive_message(TEXT, timeout_ms)

    def recv_binary(self):
        """The next binary message that is there now; None if there is none."""
        return self.receive_message(BINARY, 0)

    def recv_binary_blocking(self, int64_t timeout_ms):
        """The next binary message; None at the end or when the time is up."""
        return self.receive_message(BINARY, timeout_ms)

    cdef object receive_message(self, int kind, int64_t timeout_ms):
        cdef int64_t deadline = NOT_YET
        cdef int64_t now
        cdef int got
        cdef object message
        self.touched = True
        if self.state == CONNECTING:
            if timeout_ms > 0:
                deadline = deadline_after(timeout_ms)
            if not self.complete_handshake(timeout_ms):
                return None
            if timeout_ms > 0:
                now = dryad_now()
                timeout_ms = max((deadline - now + 999999) // 1000000, 1) if deadline > now else 0
                deadline = NOT_YET
        while True:
            if self.unread:
                message = self.pop_queued(kind)
                if message is not None:
                    return message
            if self.state != OPEN:
                if not self.closed:
                    self.raise_trouble()
                return None
            got = self.next_message()
            if got == kind:
                message = self.messages.value
                self.messages.value = None
                if self.attended and self.incoming.size():
                    self.poke()
                return message
            if got != NOTHING:
                self.keep(got)
                continue
            if self.state != OPEN:
                continue
            if self.unread >= UNREAD_LIMIT:
                raise NetworkError(
                    f"{self.unread} bytes of unread {'text' if kind == BINARY else 'binary'} messages are waiting; "
                    "nothing more is read before they are"
                )
            got = self.fill_more(timeout_ms, &deadline)
            if got == NOTHING:
                return None
            if got == END:
                self.lost()

    cdef object pop_queued(self, int kind):
        """The message of this kind that has waited longest, or None."""
        cdef object queue = self.texts if kind == TEXT else self.binaries
        cdef object message
        if not queue:
            return None
        message = queue.popleft()
        self.unread -= cost(message)
        if not queue:
            if kind == TEXT:
                self.texts = None
            else:
                self.binaries = None
        if self.attended and self.unread:
            self.poke()
        if self.paused and self.unread < UNREAD_LIMIT:
            self.paused = False
            self.resumed()
        return message

    cdef int next_message(self) except -1:
        """The next message of what has come, in messages.value; control frames before it are dealt with.

        Returns its kind, or NOTHING: there is none yet, or there will be none (see state).
        """
        cdef int kind = NOTHING
        while self.state == OPEN:
            try:
                kind = self.messages.next(self.incoming)
            except Violation as violation:
                self.violated(violation)
                return NOTHING
            if kind < CLOSE:
                break
            self.control(kind)
            kind = NOTHING
        self.incoming.settle()
        if kind != NOTHING:
            self.messages_received += 1
            self.bytes_received += self.messages.size
        return kind

    cdef int keep(self, int kind) except -1:
        """Put the message just taken where it waits for its reader."""
        cdef object message = self.messages.value
        self.messages.value = None
        if kind == TEXT:
            if self.texts is None:
                self.texts = deque()
            self.texts.append(message)
        else:
            if self.binaries is None:
                self.binaries = deque()
            self.binaries.append(message)
        self.unread += cost(message)
        return 0

    cdef int control(self, int kind) except -1:
        cdef bytes payload = self.messages.value
        self.messages.value = None
        if kind == PING:
            self.send_control(PONG, payload)
        elif kind == PONG:
            if payload == self.ping_payload:
                self.ping_payload = None
                self.latency = dryad_now() - self.ping_sent
        else:
            try:
                code, reason = parse_close(payload)
            except Violation as violation:
                return self.violated(violation)
            self.close_received = True
            self.send_close(code, "")
            self.end_protocol(CLOSED, code, reason)
        return 0

    cdef bint may_pump(self) noexcept:
        return (self.state == OPEN and not self.ended and not self.closed and not self.reading.taken
                and self.unread < UNREAD_LIMIT)

    cdef bint pump(self) except -1:
        """Read once, and put what comes where it waits. True: there may be more."""
        cdef int64_t deadline = NOT_YET
        cdef int got
        cdef bint has_read = False
        while self.state == OPEN and not self.closed:
            if self.unread >= UNREAD_LIMIT:
                self.paused = True
                return False
            got = self.next_message()
            if got != NOTHING:
                self.keep(got)
                continue
            if has_read or self.state != OPEN:
                break
            got = self.fill_more(0, &deadline)
            if got == END:
                self.lost()
            elif got == NOTHING:
                return False
            has_read = True
        return has_read

    def serve(self):
        """For a connection that no call is using: read, answer and flush, without waiting.

        Returns what must become possible before there is more to do (READ, WRITE).
        """
        cdef bint flushed
        self.pump()
        if self.state != OPEN:
            return 0
        flushed = self.flush()
        return (DRYAD_READ if self.may_pump() else 0) | (0 if flushed else DRYAD_WRITE)

    def take_touched(self):
        """Has a call received from it since the last time this was asked, or is one inside it?"""
        cdef bint touched = self.touched or self.users > 0 or (self.attended > 0 and is_attending())
        self.touched = False
        return touched

    def is_connected(self):
        """False once it is closed and every message was read; completes the handshake first."""
        self.touched = True
        if self.closed:
            return False
        if self.state == CONNECTING:
            self.complete_handshake(self.timeout_ms)
        if not self.unread and self.state == OPEN:
            self.pump()
        return self.unread != 0 or self.state == OPEN

    def is_open(self):
        """Is the handshake complete, and no end in sight?"""
        return self.state == OPEN

    def is_closing(self):
        """Does our Close wait for the peer's?"""
        return self.state == CLOSING

    def is_over(self):
        """Is it closed, by whomever?"""
        return self.state == CLOSED

    def is_paused(self):
        """Is nothing read, because the script has not read what came before?"""
        return self.unread >= UNREAD_LIMIT

    def has_messages(self):
        """Are there messages that were not read?"""
        return self.unread != 0

    def get_state(self):
        """Go on with whatever is under way, without waiting, and say where it stands."""
        self.touched = True
        if self.state == CONNECTING and not self.closed:
            self.complete_handshake(0)
        if self.state == OPEN and not self.closed:
            self.pump()
        return STATES[self.state]

    cdef int readiness(self, bint readable) except -1:
        """Would a receive not give null right now?"""
        if self.unread or self.closed:
            return 1
        if self.state == CONNECTING:
            self.complete_handshake(0)
        if self.state == OPEN and (readable or self.incoming.size()):
            self.pump()
        return self.unread != 0 or self.state > OPEN

    # ---- reading

    cdef int fill_more(self, int64_t timeout_ms, int64_t *deadline) except -1:
        cdef int state
        if self.tls is not None:
            state = self.fill_decrypted(timeout_ms, deadline)
        elif self.messages.frame_left >= DIRECT_SIZE and self.incoming.size() == 0 and not self.reading.taken:
            state = self.fill_payload(timeout_ms, deadline)
        else:
            state = self.fill(BLOCK, timeout_ms, deadline)
        if self.keepalive and state == FILLED:
            self.heard = dryad_now()
        return state

    cdef int fill_payload(self, int64_t timeout_ms, int64_t *deadline) except -1:
        """Read straight to where the message is gathered, once."""
        cdef size_t room
        cdef char *to
        cdef Py_ssize_t n
        if self.ended or self.closed:
            return END if self.ended else NOTHING
        to = self.messages.room(&room)
        if self.has_time_for_slice(timeout_ms, deadline):
            n = self.read_slice(to, room, timeout_ms, deadline)
        else:
            n = self.read_now(to, room)
        if n > 0:
            if not self.closed:
                try:
                    self.messages.filled(n)
                except Violation as violation:
                    self.violated(violation)
            return FILLED
        if n == LOOK_AGAIN:
            return FILLED
        if would_block(n):
            # While this one waits, another thread may read, and move the place to read to.
            return FILLED if self.wait_for_more(timeout_ms, deadline) else NOTHING
        return self.end_of_stream(n)

    cdef int fill_decrypted(self, int64_t timeout_ms, int64_t *deadline) except -1:
        cdef char *block
        cdef bytes data
        cdef Py_ssize_t n
        while True:
            if self.ended or self.closed:
                return END if self.ended else NOTHING
            block = acquire_block()
            try:
                n = self.read_into(block, BLOCK, timeout_ms, deadline)
                data = PyBytes_FromStringAndSize(block, n) if n > 0 else None
            finally:
                release_block(block)
            if n == LOOK_AGAIN:
                return FILLED
            if n > 0:
                if self.decrypt(data):
                    return FILLED
            elif self.closed or would_block(n):
                return NOTHING
            else:
                return self.end_of_stream(n)

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
        self.send_due()
        if plain:
            memcpy(self.incoming.reserve(len(plain)), PyBytes_AS_STRING(plain), len(plain))
            self.incoming.commit(len(plain))
        if self.tls.ended:
            self.ended = True
        return len(plain) > 0 or self.ended or self.tls.established != was_established

    cdef int end_of_stream(self, Py_ssize_t n) except -1:
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return END

    def fill_for_handshake(self, int64_t timeout_ms):
        """Read once before the handshake is complete. False: nothing came in time."""
        cdef int64_t deadline = NOT_YET
        return self.fill_more(timeout_ms, &deadline) != NOTHING

    def take_head(self, size_t limit):
        """An HTTP head, if it has come, up to and including its empty line.

        Returns bytes, or None: more must come. Errors: Violation, if it is longer than `limit`.
        """
        cdef Py_ssize_t size = find_end(self.incoming.data + self.incoming.start, self.incoming.size(),
                                        self.incoming.scanned, b"\r\n\r\n", 4)
        cdef object head = None
        if size < 0:
            self.incoming.scanned = self.incoming.size()
            size = self.incoming.size() + 1
        elif <size_t> size <= limit:
            head = self.incoming.pop_bytes(size)
            self.incoming.scanned = 0
        self.incoming.settle()
        if <size_t> size > limit:
            raise Violation(TOO_BIG, f"a head of more than {limit} bytes")
        return head

    def take_bytes(self, size_t size):
        """At most so many of the bytes that have come; None if there are none."""
        cdef object taken = self.incoming.pop_bytes(size)
        self.incoming.settle()
        return taken

    def buffered(self):
        """How many bytes have come that were not taken."""
        return self.incoming.size()

    def has_ended(self):
        """Has the stream ended, or broken?"""
        return self.ended

    def take_trouble(self):
        """Why it broke, which is said once; None if that was said, or there is nothing to say."""
        trouble = self.trouble
        self.trouble = None
        return trouble

    # ---- keepalive

    def set_ping_watch(self, bint enable):
        """Note when something was heard from the peer."""
        self.keepalive = enable
        self.heard = dryad_now()

    def silence(self):
        """Seconds since something was heard from the peer."""
        return (dryad_now() - self.heard) / 1e9

    def ping(self):
        """Send a ping whose answer tells the latency, waiting as a message would."""
        cdef bytes payload = urandom(8)
        self.check_open()
        self.ping_payload = payload
        self.ping_sent = dryad_now()
        self.send_message(PING, payload)

    def ping_now(self):
        """Send a ping without waiting."""
        self.ping_payload = urandom(8)
        self.ping_sent = dryad_now()
        self.send_control(PING, self.ping_payload)

    def latency_ms(self):
        """How long the last answered ping took; None before the first."""
        return None if self.latency < 0 else self.latency / 1e6

    # ---- the end

    def fail_with(self, trouble, int code):
        """Give up: nothing more is read or written, and the next call says why."""
        if self.state == CLOSED:
            return
        if self.state == OPEN:
            self.send_close(code, "")
        if not self.broken:
            self.broken = True
            self.trouble = trouble
        self.end_protocol(CLOSED, code, trouble.detail)

    cdef int violated(self, violation) except -1:
        """The peer broke the protocol: tell it so, and the script once (RFC 6455, 7.1.7)."""
        self.send_close(violation.code, violation.reason)
        if not self.broken:
            self.broken = True
            self.trouble = NetworkError(f"the connection was closed ({violation.code}): {violation.reason}")
        return self.end_protocol(CLOSED, violation.code, violation.reason)

    cdef int lost(self) except -1:
        """The stream has ended without a closing handshake."""
        if self.state != OPEN and self.state != CLOSING:
            return 0
        if self.state == OPEN and not self.broken and (self.messages.inside() or self.incoming.size()):
            self.broken = True
            self.trouble = NetworkError("the connection ended in the middle of a message")
        return self.end_protocol(CLOSED, self.close_code or ABNORMAL, self.close_reason)

    cdef int end_protocol(self, int state, int code, str reason) except -1:
        """No more messages; what is left is the background's."""
        self.state = state
        if not self.close_code:
            self.close_code = code
            self.close_reason = reason
        if state == CLOSED and not self.reading.taken:
            self.incoming.reset()
            self.messages.let_go()
        self.ending()
        return 0

    def send_close(self, int code, str reason not None):
        """Send a Close frame, behind everything that is on its way; the second time nothing."""
        if self.close_sent or self.state == CONNECTING:
            return
        self.close_sent = True
        # A client leaves it to the server to end the TCP connection (RFC 6455, 7.1.1).
        self.told_end = self.client
        self.send_control(CLOSE, close_payload(code, reason))

    def begin_closing(self, int code, str reason not None, bint wait_for_peer):
        """Close for the script: say so to the peer, and let go what was not read.

        wait_for_peer: the state is "closing" until it has answered.
        Returns False if that was done before.
        """
        cdef bint was_open = self.state == OPEN
        if not Socket.begin_close(self):
            return False
        self.texts = self.binaries = None
        self.unread = 0
        if was_open:
            self.send_close(code, reason)
            if not self.close_code:
                self.close_code = code
                self.close_reason = reason
        self.state = CLOSING if was_open and wait_for_peer and not self.broken else CLOSED
        return True

    def finish(self):
        """One step towards the end of a connection that is closed, as finish_close()."""
        if self.state == CLOSING:
            self.read_to_close()
            if self.state == CLOSING:
                return DRYAD_READ | (0 if self.flush() else DRYAD_WRITE)
        if self.fd < 0:
            return 0
        if self.tls is not None and not self.told_tls_end and self.flush():
            self.told_tls_end = True
            self.transmit(self.tls.end())
        # What the end brings is not for the script: it has been told already why, or there is no why.
        trouble = self.trouble
        events = self.finish_close()
        self.trouble = trouble
        return events

    def abort(self):
        """Give the descriptor back, whatever is still to be sent."""
        self.state = CLOSED
        self.clear_queue()
        self.release()

    cdef int read_to_close(self) except -1:
        """Read on to the peer's Close, and let go the messages before it."""
        cdef char *block
        cdef Py_ssize_t n
        cdef int kind
        if self.reading.taken:
            return 0
        block = acquire_block()
        try:
            n = dryad_recv_now(self.fd, block, BLOCK, 0)
            if n > 0 and self.tls is not None:
                self.decrypt(PyBytes_FromStringAndSize(block, n))
            elif n > 0:
                memcpy(self.incoming.reserve(n), block, n)
                self.incoming.commit(n)
            elif not would_block(n):
                self.end_of_stream(n)
        finally:
            release_block(block)
        try:
            while self.state == CLOSING:
                kind = self.messages.next(self.incoming)
                self.messages.value = None
                if kind == CLOSE:
                    self.close_received = True
                    self.state = CLOSED
                elif kind == NOTHING:
                    break
        except Violation:
            self.state = CLOSED
        if self.ended:
            self.state = CLOSED
        self.incoming.settle()
        return 0


cdef size_t cost(message):
    """What an unread message holds in memory."""
    if isinstance(message, bytes):
        return MESSAGE_COST + len(message)
    return MESSAGE_COST + <size_t> PyUnicode_KIND(message) * PyUnicode_GET_LENGTH(message)
