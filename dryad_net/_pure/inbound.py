"""Messages in, and what control frames ask for (RFC 6455, 5)."""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from typing import Any

from ..close_codes import ABNORMAL, INTERNAL_ERROR, Violation
from ..close_codes import parse as parse_close
from ..errors import NetworkError
from .frame import BINARY, CLOSE, PING, PONG, TEXT
from .reader import BLOCK
from .sock import READABLE, Socket, deadline_after
from .source import Source
from .transmit import CLOSED, CLOSING, CONNECTING, OPEN

# Unread messages that are kept for the script; nothing more is read from a peer who sent so much.
UNREAD_LIMIT = 16 * 1024 * 1024
_MESSAGE_COST = 64  # bytes that an unread message takes besides its payload
_HOLD_SECONDS = 0.2  # how long the background leaves it to the script to read and answer what came before


class Inbound(Source):
    """The messages that a connection receives.

    Owns what its Source owns, and the messages received and not yet read. A subclass offers
    ending() and resumed() too.

    touched: a call has received from it since take_touched(), which notes when; watched: the background will look at
    it without being told by a poller.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self.touched = False
        self._touched_at = -math.inf
        self.watched = False
        self._reported = False  # whoever waits on many has been told of it, and has not received since
        self._left = False  # so it was at the last take_touched()
        self._held: Violation | None = None
        self._held_at = 0.0
        self._queues: dict[int, deque[Any]] = {TEXT: deque(), BINARY: deque()}
        self._unread = 0
        self._first: tuple[int, int] | None = None  # the kind and cost of the message that came when none was unread
        self._paused = False
        self.bytes_received = 0
        self.messages_received = 0
        self._keepalive = False
        self._heard = 0.0
        self._ping_sent = 0.0
        self._ping_payload: bytes | None = None
        self._latency: float | None = None
        self._inside_calls = 0
        self._parsing = False

    def ending(self) -> None:
        """No more messages; the subclass knows what is left to do."""
        raise NotImplementedError

    def resumed(self) -> None:
        """There is something to do that no poller shows; the subclass knows who does it."""
        raise NotImplementedError

    def open(self, inflater: Any, deflater: Any) -> bool:
        """The handshake is complete; what compresses, if that was agreed.

        Returns False if it was closed before: then it stays so.
        """
        with self._lock:
            self._messages.set_inflater(inflater)
            self._deflater = deflater
            self._heard = time.monotonic()
            if self._closed:
                return False
            self.state = OPEN
            return True

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
        self._reported = False
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
                    if self._held is not None:
                        self._act_on_held()  # what is unread is of the other kind, and stays readable
                        continue
                    if self._is_full():
                        other = "text" if kind == BINARY else "binary"
                        raise NetworkError(
                            f"{self._unread} bytes of unread {other} messages are waiting; "
                            "nothing more is read before they are"
                        )
                    if self._read_once():
                        continue
                    news = self._news
                if not self._wait(READABLE, deadline, news):
                    return None
        finally:
            self._inside_calls -= 1

    def _is_full(self) -> bool:
        """Is there so much to read that nothing more is taken? One message alone never is, whatever its size."""
        return self._unread - (0 if self._first is None else self._first[1]) >= UNREAD_LIMIT

    def _next_of(self, kind: int) -> Any:
        """The next message of a kind of what has come; the others before it wait in their queue."""
        while not self._queues[kind] and self.state == OPEN and not self._is_full():
            if not self._take_message():
                break
        if not self._queues[kind]:
            return None
        message = self._queues[kind].popleft()
        self._unread -= _cost(message)
        if self._held is not None:
            self._held_at = time.monotonic()
        if self._first is not None and self._first[0] == kind:
            self._first = None
        self._note_rest(self._unread > 0)
        self._leave_rest()
        if self._paused and not self._is_full():
            self._paused = False
            self.resumed()
        return message

    def _leave_rest(self) -> None:
        """What has come behind the message stays in the decoder, where no poller sees it: a ping, perhaps."""
        if self._messages.inside():
            self._note_rest(True)
            if not self.watched:
                self.resumed()

    def _next_event(self) -> tuple[int, Any] | None:
        """What has come next. Errors: Violation."""
        self._parsing = True
        try:
            if self._incoming:
                self._messages.feed(self._incoming.take_bytes(len(self._incoming)) or b"")
            return None if self._held is not None else self._messages.next_event()
        except Violation:
            raise
        except BaseException:
            # A signal's handler has raised in the middle of a frame, and nobody knows where in it.
            self._held = Violation(INTERNAL_ERROR, "an exception interrupted a message that came in")
            self._held_at = time.monotonic()
            raise
        finally:
            self._parsing = False

    def _take_message(self, in_background: bool = False) -> bool:
        """Put the next message of what has come into its queue; control frames before it are dealt with.

        in_background: see _act_in_turn().
        """
        while self.state == OPEN:
            if self._parsing:
                return False  # this thread is at it already: a signal's handler asks in the middle
            try:
                event = self._next_event()
            except Violation as violation:
                self._held = violation
                self._held_at = time.monotonic()
            if self._held is not None:
                self._act_in_turn(in_background)
                return False
            if event is None:
                return False
            kind, value = event
            if kind < CLOSE:
                self._queues[kind].append(value)
                if self._unread == 0:
                    self._first = (kind, _cost(value))
                self._unread += _cost(value)
                self._note_rest(True)
                self.messages_received += 1
                self.bytes_received += len(value.encode() if isinstance(value, str) else value)
                return True
            assert isinstance(value, bytes)
            self._control(kind, value)
        return False

    def _act_in_turn(self, in_background: bool) -> None:
        """Act on what is held if everything before it was read; else see that the background will.

        in_background: the script may be about to answer the message that it has just read, and is
        not to find the connection closed; its own next call acts at once.
        """
        if not self._unread and not (in_background and self._is_in_use()):
            self._act_on_held()
            return
        self._note_rest(True)
        if not self.watched:
            self.resumed()  # no poller wakes it for this

    def _is_in_use(self) -> bool:
        """In the background: has the script received from it a moment ago, as far as has been noticed?"""
        return self.touched or time.monotonic() - self._touched_at < _HOLD_SECONDS

    def _wait_or_act(self) -> None:
        """In the background: act on what is held, unless there still is time to read and answer what came before."""
        if time.monotonic() - self._held_at >= _HOLD_SECONDS and not self._is_in_use():
            self._act_on_held()
        else:
            self.resumed()

    def _act_on_held(self) -> None:
        violation, self._held = self._held, None
        if violation is not None and self.state == OPEN:
            self._violated(violation)

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._send_control(PONG, payload)
        elif kind == PONG:
            if payload == self._ping_payload:
                self._ping_payload = None
                self._latency = time.monotonic() - self._ping_sent
        else:
            try:
                code, reason = parse_close(payload)
            except Violation as violation:
                self._violated(violation)
                return
            self.send_close(code, "")
            # That this, or a pong before it, did not get through is no trouble: the peer has said all it wanted.
            self._trouble = None
            self._end_protocol(CLOSED, code, reason)

    def _may_pump(self) -> bool:
        may_read = not self._ended and not self._closed and self._held is None
        return self.state == OPEN and may_read and not self._is_full()

    def _take_one(self) -> None:
        """See that there is a message to read, if one has come; what is behind it stays where it is.

        So whatever follows a message, a violation perhaps, is dealt with after it was read. One read, but what is
        broken is read to its end: a send has told the script so, to whom nothing else is to look open.
        """
        with self._lock:
            has_read = False
            while not self._unread and self.state == OPEN and not self._closed:
                if self._take_message():
                    self._leave_rest()
                    break
                if (has_read and not self._broken) or self.state != OPEN or self._held is not None:
                    break
                has_read = self._read_once()
                if not has_read:
                    break

    def _pump(self, in_background: bool = False) -> bool:
        """Read once, to the end if it is broken, and put what comes where it waits. True: there may be more."""
        with self._lock:
            has_read = False
            while self.state == OPEN and not self._closed:
                if self._is_full():
                    self._paused = True
                    return False
                if self._take_message(in_background):
                    continue
                if (has_read and not self._broken) or self.state != OPEN or self._held is not None:
                    break
                if not self._read_once():
                    return False
                has_read = True
            return has_read

    def _readiness(self, readable: bool) -> bool:
        """Would a receive not give None right now?"""
        self._reported = self._is_ready()
        return self._reported

    def _is_ready(self) -> bool:
        if self._unread or self._closed:
            return True
        if self.state == CONNECTING:
            self.complete_handshake(0)
        self._take_one()
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

    # ---- how it ends

    def _violated(self, violation: Violation) -> None:
        """The peer broke the protocol: tell it so, and the script once (RFC 6455, 7.1.7)."""
        self.send_close(violation.code, violation.reason)
        self._trouble = NetworkError(f"the connection was closed ({violation.code}): {violation.reason}")
        self._end_protocol(CLOSED, violation.code, violation.reason)

    def _lost(self) -> None:
        """The stream has ended without a closing handshake."""
        if self.state not in (OPEN, CLOSING):
            return
        if self.state == OPEN and not self._broken and self._messages.inside():
            self._trouble = NetworkError("the connection ended in the middle of a message")
        self._end_protocol(CLOSED, self.close_code or ABNORMAL, self.close_reason)

    def _end_protocol(self, state: int, code: int, reason: str) -> None:
        """No more messages; what is left is the background's."""
        self.state = state
        if not self.close_code:
            self.close_code = code
            self.close_reason = reason
        self._incoming.clear()
        self._note_rest(True)
        self.ending()


def _cost(message: str | bytes) -> int:
    """What an unread message holds in memory."""
    if isinstance(message, bytes):
        return _MESSAGE_COST + len(message)
    widest = "" if message.isascii() else max(message)  # looks at every character
    return _MESSAGE_COST + len(message) * (1 if widest < "\u0100" else 2 if widest < "\U00010000" else 4)
