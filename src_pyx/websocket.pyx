"""A WebSocket connection: its state, its keepalive, and how it ends (RFC 6455, 7)."""

from os import urandom

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t

from .buffer cimport BLOCK, acquire_block, release_block
from .frame cimport CLOSE, PING
from .inbound cimport Inbound
from .message cimport NOTHING
from .posix cimport EAGAIN, dryad_now, dryad_recv_now
from .scan cimport find_end
from .sock cimport Socket, is_attending, would_block
from .transmit cimport CLOSED, CLOSING, CONNECTING, OPEN

from ..close_codes import TOO_BIG, Violation

cdef extern from "poller.h":
    const int DRYAD_READ, DRYAD_WRITE

cdef int64_t NOT_YET = -1

STATES = ("connecting", "open", "closing", "closed")


cdef class WebSocket(Inbound):
    """One WebSocket connection, as its owner above and the background see it."""

    def serve(self):
        """For a connection that no call is using: read, answer and flush, without waiting.

        Returns what must become possible before there is more to do (READ, WRITE).
        """
        cdef bint flushed
        if self.held is not None:
            self.wait_or_act()
        self.expect_something()
        self.pump(True)
        if self.state != OPEN:
            return 0
        flushed = self.flush()
        if self.is_full():
            self.paused = True
        if self.paused or self.ended or self.held is not None:
            return 0 if flushed else DRYAD_WRITE
        return DRYAD_READ | (0 if flushed else DRYAD_WRITE)

    def take_touched(self):
        """Has a call received from it since the last time this was asked, or is one inside it?

        Whoever waits on many looks at what comes here, but not where he has left a message that he was told of.
        """
        cdef bint touched = self.touched or self.users > 0 or (self.attended > 0 and not self.left and is_attending())
        self.touched = False
        self.left = self.reported
        if touched:
            self.touched_at = dryad_now()
        return touched

    def is_connected(self):
        """False once it is closed and every message was read; completes the handshake first."""
        if self.closed:
            return False
        if self.state == CONNECTING:
            self.complete_handshake(self.timeout_ms)
        self.take_one()
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
        return self.is_full()

    def has_messages(self):
        """Are there messages that were not read?"""
        return self.unread != 0

    def get_state(self):
        """Go on with whatever is under way, without waiting, and say where it stands."""
        if self.state == CONNECTING and not self.closed:
            self.complete_handshake(0)
        self.pump(False)
        return STATES[self.state]

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

    def why_broken(self):
        """Why it broke, if that is still to be said."""
        return self.trouble

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
        cdef int64_t timeout_ms = self.open_within(self.timeout_ms)
        self.ping_payload = payload
        self.ping_sent = dryad_now()
        self.send_message(PING, payload, timeout_ms)

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
        self.trouble = trouble
        self.end_protocol(CLOSED, code, trouble.detail)

    def begin_closing(self, int code, str reason not None, bint wait_for_peer):
        """Close for the script: say so to the peer, and let go what was not read.

        wait_for_peer: the state is "closing" until it has answered.
        Returns False if that was done before.
        """
        cdef bint was_open
        self.saying_close += 1
        try:
            if not Socket.begin_close(self):
                return False
            was_open = self.state == OPEN  # only now: from here on open() leaves it as it is
            self.texts = self.binaries = self.slot = self.held = None
            self.unread = self.slot_cost = 0
            if was_open:
                self.send_close(code, reason)
                if not self.close_code:
                    self.close_code = code
                    self.close_reason = reason
            self.state = CLOSING if was_open and wait_for_peer and not self.broken else CLOSED
        except BaseException:
            self.state = CLOSED  # whatever a signal's handler has raised in the middle of: there is nothing to wait for
            raise
        finally:
            self.saying_close -= 1
        return True

    def finish(self):
        """One step towards the end of a connection that is closed, as finish_close()."""
        if self.saying_close and self.fd >= 0:
            return DRYAD_READ | DRYAD_WRITE  # at once again: our end of stream must not overtake the Close frame
        if self.state == CLOSING:
            self.read_to_close()
            if self.state == CLOSING:
                return DRYAD_READ | (0 if self.flush() else DRYAD_WRITE)
        if self.fd < 0:
            return 0
        # What the end brings is not for the script: it has been told already why, or there is no why.
        trouble = self.trouble
        if self.tls is not None and not self.told_tls_end and self.flush():
            self.told_tls_end = True
            with self.encoding:
                self.transmit(self.tls.end())
        events = self.finish_close()
        if self.trouble is not None:  # else the script was told meanwhile
            self.trouble = trouble
        return events

    def abort(self):
        """Give the descriptor back, whatever is still to be sent."""
        self.state = CLOSED
        self.clear_queue()
        self.release()

    cdef int read_to_close(self) except -1:
        """Read on to the peer's Close, and let go the messages before it."""
        cdef int kind
        if self.reading or self.parsing:
            return 0  # who is at it hands the connection over when it is done
        self.parsing = True
        self.messages.skip()
        try:
            self.read_closed()
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
        finally:
            self.parsing = False
        if self.ended:
            self.state = CLOSED
        self.incoming.settle()
        return 0

    cdef int read_closed(self) except -1:
        """Read once, without waiting, from a connection that the script has closed."""
        cdef char *block = acquire_block()
        cdef Py_ssize_t n
        try:
            if self.tls is None:
                n = dryad_recv_now(self.fd, block, BLOCK, 0)
                if n > 0:
                    self.take_in(block, n)
            else:
                with self.encoding:
                    n = -EAGAIN if self.decrypting else dryad_recv_now(self.fd, block, BLOCK, 0)
                    if n > 0:
                        self.decrypt(PyBytes_FromStringAndSize(block, n))
            if n <= 0 and not would_block(n):
                self.end_of_stream(n)
        finally:
            release_block(block)
        return 0
