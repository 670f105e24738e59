"""A WebSocket connection: its state, its keepalive, and how it ends (RFC 6455, 7)."""

from __future__ import annotations

import socket
import time
from os import urandom

from ..close_codes import TOO_BIG, Violation
from ..errors import NetworkError
from .frame import CLOSE, PING
from .inbound import Inbound
from .poll import READ, WRITE
from .reader import BLOCK
from .sock import READABLE, Attention, Socket, deadline_after
from .transmit import CLOSED, CLOSING, CONNECTING, OPEN

STATES = ("connecting", "open", "closing", "closed")


class WebSocket(Inbound):
    """One WebSocket connection, as its owner above and the background see it."""

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._told_tls_end = False

    def serve(self) -> int:
        """For a connection that no call is using: read, answer and flush, without waiting.

        Returns what must become possible before there is more to do (READ, WRITE).
        """
        with self._lock:
            if self._held is not None:
                self._wait_or_act()
        self._pump(True)
        if self.state != OPEN:
            return 0
        flushed = self.flush()
        with self._lock:
            if self._is_full():
                self._paused = True
            return (0 if self._paused or self._ended or self._held is not None else READ) | (0 if flushed else WRITE)

    def take_touched(self) -> bool:
        """Has a call received from it since the last time this was asked, or is one inside it?

        Whoever waits on many looks at what comes here, but not where he has left a message that he was told of.
        """
        attended = self._attended > 0 and not self._left and Attention.is_there()
        touched = self.touched or self._users > 0 or self._inside_calls > 0 or attended
        self.touched = False
        self._left = self._reported
        if touched:
            self._touched_at = time.monotonic()
        return touched

    def is_connected(self) -> bool:
        """False once it is closed and every message was read; completes the handshake first."""
        if self._closed:
            return False
        if self.state == CONNECTING:
            self.complete_handshake(self.timeout_ms)
        self._take_one()
        return self._unread != 0 or self.state == OPEN

    def is_open(self) -> bool:
        """Is the handshake complete, and no end in sight?"""
        return self.state == OPEN

    def is_closing(self) -> bool:
        """Does our Close wait for the peer's?"""
        return self.state == CLOSING

    def is_over(self) -> bool:
        """Is it closed, by whomever?"""
        return self.state == CLOSED

    def is_paused(self) -> bool:
        """Is nothing read, because the script has not read what came before?"""
        return self._is_full()

    def has_messages(self) -> bool:
        """Are there messages that were not read?"""
        return self._unread != 0

    def get_state(self) -> str:
        """Go on with whatever is under way, without waiting, and say where it stands."""
        if self.state == CONNECTING and not self._closed:
            self.complete_handshake(0)
        self._pump()
        return STATES[self.state]

    def fill_for_handshake(self, timeout_ms: int) -> bool:
        """Read once before the handshake is complete. False: nothing came in time."""
        deadline = deadline_after(timeout_ms)
        while not self._closed:
            with self._lock:
                if self._ended or self._read_once() or self._ended:
                    return True
            if not self._wait(READABLE, deadline):
                return False
        return False

    def take_head(self, limit: int) -> bytes | None:
        """An HTTP head, if it has come, up to and including its empty line.

        Returns bytes, or None: more must come. Errors: Violation, if it is longer than `limit`.
        """
        with self._lock:
            size = self._incoming.find(b"\r\n\r\n")
            if size > limit or (size < 0 and len(self._incoming) >= limit):
                raise Violation(TOO_BIG, f"a head of more than {limit} bytes")
            return None if size < 0 else self._incoming.take_bytes(size)

    def take_bytes(self, size: int) -> bytes | None:
        """At most so many of the bytes that have come; None if there are none."""
        with self._lock:
            return self._incoming.take_bytes(size)

    def buffered(self) -> int:
        """How many bytes have come that were not taken."""
        return len(self._incoming)

    def has_ended(self) -> bool:
        """Has the stream ended, or broken?"""
        return self._ended

    def take_trouble(self) -> NetworkError | None:
        """Why it broke, which is said once; None if that was said, or there is nothing to say."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def why_broken(self) -> NetworkError | None:
        """Why it broke, if that is still to be said."""
        return self._trouble

    # ---- keepalive

    def set_ping_watch(self, enable: bool) -> None:
        """Note when something was heard from the peer."""
        self._keepalive = enable
        self._heard = time.monotonic()

    def silence(self) -> float:
        """Seconds since something was heard from the peer."""
        return time.monotonic() - self._heard

    def ping(self) -> None:
        """Send a ping whose answer tells the latency, waiting as a message would."""
        deadline = deadline_after(self.timeout_ms)
        self._check_open()
        self._ping_payload = urandom(8)
        self._ping_sent = time.monotonic()
        self._send_message(PING, self._ping_payload, deadline)

    def ping_now(self) -> None:
        """Send a ping without waiting."""
        self._ping_payload = urandom(8)
        self._ping_sent = time.monotonic()
        self._send_control(PING, self._ping_payload)

    def latency_ms(self) -> float | None:
        """How long the last answered ping took; None before the first."""
        return None if self._latency is None else self._latency * 1000

    # ---- the end

    def fail_with(self, trouble: NetworkError, code: int) -> None:
        """Give up: nothing more is read or written, and the next call says why."""
        with self._lock:
            if self.state == CLOSED:
                return
            if self.state == OPEN:
                self.send_close(code, "")
            self._trouble = trouble
            self._end_protocol(CLOSED, code, trouble.detail)

    def begin_close(self) -> bool:
        """Let no new call in and wake those who wait. Returns False if that was done before."""
        return Socket.begin_close(self)  # what has come is still read, up to the peer's Close

    def begin_closing(self, code: int, reason: str, wait_for_peer: bool) -> bool:
        """Close for the script: say so to the peer, and let go what was not read.

        wait_for_peer: the state is "closing" until it has answered.
        Returns False if that was done before.
        """
        with self._lock:
            if not self.begin_close():
                return False
            was_open = self.state == OPEN
            try:
                self._let_go(code, reason, was_open)
            except BaseException:
                self.state = CLOSED  # whatever a signal's handler raised in the middle of: there is nothing to wait for
                raise
            self.state = CLOSING if was_open and wait_for_peer and not self._broken else CLOSED
            return True

    def _let_go(self, code: int, reason: str, was_open: bool) -> None:
        for queue in self._queues.values():
            queue.clear()
        self._unread = 0
        self._first = None
        self._held = None
        if was_open:
            self.send_close(code, reason)
            if not self.close_code:
                self.close_code = code
                self.close_reason = reason

    def finish(self) -> int:
        """One step towards the end of a connection that is closed, as finish_close()."""
        with self._lock:
            if self.state == CLOSING:
                self._read_to_close()
                if self.state == CLOSING:
                    return READ | (0 if self.flush() else WRITE)
            if self._socket.fileno() < 0:
                return 0
            # What the end brings is not for the script: it has been told already why, or there is no why.
            trouble = self._trouble
            if self._tls is not None and not self._told_tls_end and self.flush():
                self._told_tls_end = True
                self._transmit(self._tls.end())
            events = self.finish_close()
            if self._trouble is not None:  # else the script was told meanwhile
                self._trouble = trouble
            return events

    def abort(self) -> None:
        """Give the descriptor back, whatever is still to be sent."""
        self.state = CLOSED
        self._clear_queue()
        self.release()

    def _read_to_close(self) -> None:
        """Read on to the peer's Close, and let go the messages before it."""
        try:
            data = self._socket.recv(BLOCK)
            if data and self._tls is not None:
                self._decrypt(data)
            elif data:
                self._incoming.append(data)
            else:
                self._ended = True
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error)
        self._messages.skip()
        self._messages.feed(self._incoming.take_bytes(len(self._incoming)) or b"")
        try:
            while (event := self._messages.next_event()) is not None:
                if event[0] == CLOSE:
                    self.state = CLOSED
                    return
        except Violation:
            self.state = CLOSED
        if self._ended:
            self.state = CLOSED
