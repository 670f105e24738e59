"""A WebSocket connection: messages in, what control frames ask for, and how it ends (RFC 6455, 5 to 7)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from os import urandom
from typing import Any

from ..close_codes import ABNORMAL, TOO_BIG, Violation
from ..close_codes import build as close_payload
from ..close_codes import parse as parse_close
from ..errors import NetworkError
from .frame import BINARY, CLOSE, PING, PONG, TEXT
from .framed import CLOSED, CLOSING, CONNECTING, OPEN, Framed
from .poll import READ, WRITE
from .receiver import BLOCK
from .sock import READABLE, Attention, Socket, deadline_after

# Unread messages that are kept for the script; nothing more is read from a peer who sent so much.
UNREAD_LIMIT = 16 * 1024 * 1024
_MESSAGE_COST = 64  # bytes that an unread message takes besides its payload

STATES = ("connecting", "open", "closing", "closed")


class WebSocket(Framed):
    """One WebSocket connection.

    Owns what its Framed owns, and the messages received and not yet read. A subclass offers
    complete_handshake(), leave_to_service(), ending() and resumed().
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self.touched = False
        self._queues: dict[int, deque[Any]] = {TEXT: deque(), BINARY: deque()}
        self._unread = 0
        self._paused = False
        self._close_sent = False
        self._told_tls_end = False
        self.bytes_received = 0
        self.messages_received = 0
        self._keepalive = False
        self._heard = 0.0
        self._ping_sent = 0.0
        self._ping_payload = b""
        self._latency: float | None = None
        self._inside_calls = 0

    def ending(self) -> None:
        """No more messages; the subclass knows what is left to do."""
        raise NotImplementedError

    def resumed(self) -> None:
        """There is room for messages again; the subclass knows who reads them."""
        raise NotImplementedError

    def open(self, inflater: Any, deflater: Any) -> None:
        """The handshake is complete; what compresses, if that was agreed."""
        self._messages.set_inflater(inflater)
        self._deflater = deflater
        self._heard = time.monotonic()
        self.state = OPEN

    # ---- receiving

    def recv_text(self) -> str | None:
        """The next text message that is there now; None if there is none."""
        return self._receive_message(TEXT, 0)  # type: ignore[no-any-return]

    def recv_text_blocking(self, timeout_ms: int) -> str | None:
        """The next text message; None at the end or when the time is up."""
        return self._receive_message(TEXT, timeout_ms)  # type: ignore[no-any-return]

    def recv_binary(self) -> bytes | None:
        """The next binary message that is there now; None if there is none."""
        return self._receive_message(BINARY, 0)  # type: ignore[no-any-return]

    def recv_binary_blocking(self, timeout_ms: int) -> bytes | None:
        """The next binary message; None at the end or when the time is up."""
        return self._receive_message(BINARY, timeout_ms)  # type: ignore[no-any-return]

    def _receive_message(self, kind: int, timeout_ms: int) -> Any:
        self.touched = True
        deadline = deadline_after(timeout_ms)
        self._inside_calls += 1
        try:
            if self.state == CONNECTING and not self.complete_handshake(timeout_ms):
                return None
            while True:
                with self._lock:
                    message = self._next_of(kind)
                    if message is not None:
                        return message
                    if self.state != OPEN:
                        if not self._closed:
                            self._raise_trouble()
                        return None
                    if self._unread >= UNREAD_LIMIT:
                        other = "text" if kind == BINARY else "binary"
                        raise NetworkError(
                            f"{self._unread} bytes of unread {other} messages are waiting; "
                            "nothing more is read before they are"
                        )
                    if self._read_once():
                        continue
                if not self._wait(READABLE, deadline):
                    return None
        finally:
            self._inside_calls -= 1

    def _next_of(self, kind: int) -> Any:
        """The next message of a kind of what has come; the others before it wait in their queue."""
        while not self._queues[kind] and self.state == OPEN and self._unread < UNREAD_LIMIT:
            if not self._take_message():
                break
        if not self._queues[kind]:
            return None
        message = self._queues[kind].popleft()
        self._unread -= _cost(message)
        self._note_rest(self._unread > 0 or self._messages.inside())
        if self._paused and self._unread < UNREAD_LIMIT:
            self._paused = False
            self.resumed()
        return message

    def _take_message(self) -> bool:
        """Put the next message of what has come into its queue; control frames before it are dealt with."""
        while self.state == OPEN:
            if self._incoming:
                self._messages.feed(self._incoming.take_bytes(len(self._incoming)) or b"")
            try:
                event = self._messages.next_event()
            except Violation as violation:
                self._violated(violation)
                return False
            if event is None:
                return False
            kind, value = event
            if kind < CLOSE:
                self._queues[kind].append(value)
                self._unread += _cost(value)
                self.messages_received += 1
                self.bytes_received += len(value.encode() if isinstance(value, str) else value)
                return True
            assert isinstance(value, bytes)
            self._control(kind, value)
        return False

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._send_control(PONG, payload)
        elif kind == PONG:
            if payload == self._ping_payload:
                self._ping_payload = b""
                self._latency = time.monotonic() - self._ping_sent
        else:
            try:
                code, reason = parse_close(payload)
            except Violation as violation:
                self._violated(violation)
                return
            self.send_close(code, "")
            self._end_protocol(CLOSED, code, reason)

    def _may_pump(self) -> bool:
        return self.state == OPEN and not self._ended and not self._closed and self._unread < UNREAD_LIMIT

    def _pump(self) -> bool:
        """Read once, and put what comes where it waits. True: there may be more."""
        with self._lock:
            has_read = False
            while self.state == OPEN and not self._closed:
                if self._unread >= UNREAD_LIMIT:
                    self._paused = True
                    return False
                if self._take_message():
                    continue
                if has_read or self.state != OPEN:
                    break
                if not self._read_once():
                    return False
                has_read = True
            return has_read

    def serve(self) -> int:
        """For a connection that no call is using: read, answer and flush, without waiting.

        Returns what must become possible before there is more to do (READ, WRITE).
        """
        self._pump()
        if self.state != OPEN:
            return 0
        flushed = self.flush()
        return (READ if self._may_pump() else 0) | (0 if flushed else WRITE)

    def take_touched(self) -> bool:
        """Has a call received from it since the last time this was asked, or is one inside it?"""
        attended = self._attended > 0 and Attention.is_there()
        touched = self.touched or self._users > 0 or self._inside_calls > 0 or attended
        self.touched = False
        return touched

    def is_connected(self) -> bool:
        """False once it is closed and every message was read; completes the handshake first."""
        self.touched = True
        if self._closed:
            return False
        if self.state == CONNECTING:
            self.complete_handshake(self.timeout_ms)
        if not self._unread and self.state == OPEN:
            self._pump()
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
        return self._unread >= UNREAD_LIMIT

    def has_messages(self) -> bool:
        """Are there messages that were not read?"""
        return self._unread != 0

    def get_state(self) -> str:
        """Go on with whatever is under way, without waiting, and say where it stands."""
        self.touched = True
        if self.state == CONNECTING and not self._closed:
            self.complete_handshake(0)
        if self.state == OPEN and not self._closed:
            self._pump()
        return STATES[self.state]

    def _readiness(self, readable: bool) -> bool:
        """Would a receive not give None right now?"""
        if self._unread or self._closed:
            return True
        if self.state == CONNECTING:
            self.complete_handshake(0)
        if self.state == OPEN:
            self._pump()
        return self._unread != 0 or self.state > OPEN

    # ---- reading

    def _read_once(self) -> bool:
        """Read, without waiting. False: nothing was there."""
        came = self._fill(BLOCK) if self._tls is None else self._fill_decrypted()
        if came and self._keepalive:
            self._heard = time.monotonic()
        if not came and self._ended and self.state != CONNECTING:
            self._lost()
            return True
        return came

    def _fill_decrypted(self) -> bool:
        while not self._ended and not self._closed:
            try:
                data = self._socket.recv(BLOCK)
            except BlockingIOError:
                return False
            except OSError as error:
                self._fail(error)
                return False
            if not data:
                self._ended = True
                return False
            if self._decrypt(data):
                return True
        return False

    def _decrypt(self, data: bytes) -> bool:
        """Decrypt what was received into the buffer. Returns whether the reader should look."""
        was_established = self._tls.established
        plain = b""
        # What goes wrong is in tls.trouble, where it also is if something could be read before it.
        with contextlib.suppress(NetworkError):
            plain = self._tls.decrypt(data)
        if self._tls.trouble is not None:
            self._ended = True
            if not self._broken:
                self._broken = True
                self._trouble = self._tls.trouble
        self.send_due()
        self._incoming.append(plain)
        if self._tls.ended:
            self._ended = True
        return bool(plain) or self._ended or self._tls.established != was_established

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
        self._check_open()
        self._ping_payload = urandom(8)
        self._ping_sent = time.monotonic()
        self._send_message(PING, self._ping_payload)

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
            if not self._broken:
                self._broken = True
                self._trouble = trouble
            self._end_protocol(CLOSED, code, trouble.detail)

    def _violated(self, violation: Violation) -> None:
        """The peer broke the protocol: tell it so, and the script once (RFC 6455, 7.1.7)."""
        self.send_close(violation.code, violation.reason)
        if not self._broken:
            self._broken = True
            self._trouble = NetworkError(f"the connection was closed ({violation.code}): {violation.reason}")
        self._end_protocol(CLOSED, violation.code, violation.reason)

    def _lost(self) -> None:
        """The stream has ended without a closing handshake."""
        if self.state not in (OPEN, CLOSING):
            return
        if self.state == OPEN and not self._broken and self._messages.inside():
            self._broken = True
            self._trouble = NetworkError("the connection ended in the middle of a message")
        self._end_protocol(CLOSED, self.close_code or ABNORMAL, self.close_reason)

    def _end_protocol(self, state: int, code: int, reason: str) -> None:
        """No more messages; what is left is the background's."""
        self.state = state
        if not self.close_code:
            self.close_code = code
            self.close_reason = reason
        self._incoming.clear()
        self.ending()

    def send_close(self, code: int, reason: str) -> None:
        """Send a Close frame, behind everything that is on its way; the second time nothing."""
        with self._lock:
            if self._close_sent or self.state == CONNECTING:
                return
            self._close_sent = True
            # A client leaves it to the server to end the TCP connection (RFC 6455, 7.1.1).
            self._told_end = self._client
            self._send_control(CLOSE, close_payload(code, reason))

    def begin_close(self) -> bool:
        """Let no new call in and wake those who wait. Returns False if that was done before."""
        return Socket.begin_close(self)  # what has come is still read, up to the peer's Close

    def begin_closing(self, code: int, reason: str, wait_for_peer: bool) -> bool:
        """Close for the script: say so to the peer, and let go what was not read.

        wait_for_peer: the state is "closing" until it has answered.
        Returns False if that was done before.
        """
        with self._lock:
            was_open = self.state == OPEN
            if not self.begin_close():
                return False
            for queue in self._queues.values():
                queue.clear()
            self._unread = 0
            if was_open:
                self.send_close(code, reason)
                if not self.close_code:
                    self.close_code = code
                    self.close_reason = reason
            self.state = CLOSING if was_open and wait_for_peer and not self._broken else CLOSED
            return True

    def finish(self) -> int:
        """One step towards the end of a connection that is closed, as finish_close()."""
        with self._lock:
            if self.state == CLOSING:
                self._read_to_close()
                if self.state == CLOSING:
                    return READ | (0 if self.flush() else WRITE)
            if self._socket.fileno() < 0:
                return 0
            if self._tls is not None and not self._told_tls_end and self.flush():
                self._told_tls_end = True
                self._transmit(self._tls.end())
            # What the end brings is not for the script: it has been told already why, or there is no why.
            trouble = self._trouble
            events = self.finish_close()
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


def _cost(message: str | bytes) -> int:
    """What an unread message holds in memory."""
    if isinstance(message, bytes):
        return _MESSAGE_COST + len(message)
    widest = max(message, default="")
    return _MESSAGE_COST + len(message) * (1 if widest < "\u0100" else 2 if widest < "\U00010000" else 4)
