"""Messages out: framed, masked by a client, compressed and encrypted where that was agreed, and sent."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from ..errors import IdError, NetworkError, NetworkTimeoutError
from .frame import CLOSE, CONTINUATION, PONG, build
from .message import Messages
from .sock import READABLE, WRITABLE, Socket, deadline_after, wait_ready
from .stream import Stream, lock_seconds

CONNECTING = 0
OPEN = 1
CLOSING = 2
CLOSED = 3

_NOTHING_SENT = "nothing was sent before the time was up"


class Framed(Stream):
    """The sending half of a WebSocket connection, and what is known of its state.

    Owns what its Stream owns. A subclass offers complete_handshake(), leave_to_service() and ending().
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self.state = CONNECTING
        self._client = False
        self._messages = Messages(False)
        self._tls: Any = None
        self._deflater: Any = None
        self._pong_due: bytes | None = None
        self._turn_taken = False
        self.close_code = 0
        self.close_reason = ""
        self.bytes_sent = 0
        self.messages_sent = 0

    def complete_handshake(self, timeout_ms: int) -> bool:
        """Go on with the handshake; the subclass knows how."""
        raise NotImplementedError

    def leave_to_service(self) -> None:
        """Something is queued; the subclass knows who sends it."""
        raise NotImplementedError

    def set_role(self, client: bool) -> None:
        """Say which end this is: a client masks what it sends."""
        self._client = client
        self._messages = Messages(client)

    def set_tls(self, tls: Any) -> None:
        """Have everything encrypted and decrypted by this session; None: by nobody."""
        self._tls = tls

    def set_deflater(self, deflater: Any) -> None:
        """Have messages compressed by this; None: not compressed."""
        self._deflater = deflater

    def take_deflater(self) -> Any:
        """Compress no more. Returns what has done it."""
        deflater, self._deflater = self._deflater, None
        return deflater

    def set_max_frame_size(self, size: int) -> None:
        """Take no frames with a larger payload, and send none."""
        self._messages.max_frame_size = size

    def set_max_message_size(self, size: int) -> None:
        """Take no larger messages."""
        self._messages.max_message_size = size

    def send_text(self, data: str | bytes) -> None:
        """Send a text message.

        data: an ASCII str, or UTF-8 in a bytes-like object.
        Errors: NetworkTimeoutError (nothing of it was sent), NetworkError, IdError (closed).
        """
        self._send_message(1, data.encode() if isinstance(data, str) else data)

    def send_binary(self, data: bytes | memoryview) -> None:
        """Send a binary message. data: a bytes-like object. Errors: as send_text."""
        self._send_message(2, data)

    def send_frame(self, opcode: int, payload: bytes) -> None:
        """Send a control frame, waiting as a message would. Errors: as send_text."""
        self._send_message(opcode, payload)

    def _check_open(self) -> None:
        if self._closed:
            raise IdError("closed")
        if self.state == CONNECTING and not self.complete_handshake(self.timeout_ms):
            if self._closed:
                raise IdError("closed")
            raise NetworkTimeoutError("the handshake was not complete before the time was up")
        if self.state != OPEN or self._broken:
            self._raise_trouble()
            if self.close_code:
                raise NetworkError(f"not connected: the connection was closed ({self.close_code})")
            raise NetworkError("not connected")

    def _send_message(self, opcode: int, data: bytes | memoryview) -> None:
        self._check_open()
        deadline = deadline_after(self.timeout_ms)
        if not self._sending.acquire(timeout=lock_seconds(deadline)):
            raise NetworkTimeoutError(_NOTHING_SENT)
        self._turn_taken = True
        try:
            self._wait_for_turn(deadline)
            self._send_in_turn_or_queue(opcode, data, deadline)
        finally:
            self._turn_taken = False
            self._sending.release()
            self._after_sending()
        if opcode < CLOSE:
            self.messages_sent += 1
            self.bytes_sent += len(data)

    def _wait_for_turn(self, deadline: float | None) -> None:
        """Until everything queued before is with the kernel, and there is room for more."""
        while True:
            self._check_open()
            with self._lock:
                if self._flush_queue() and self._fits():
                    break
            if not self._wait_to_send(deadline):
                self._check_open()
                raise NetworkTimeoutError(_NOTHING_SENT)
        self._check_open()

    def _fits(self) -> bool:
        return self._socket.fileno() < 0 or self._socket.fileno() in wait_ready({self._socket.fileno(): WRITABLE}, 0)

    def _send_in_turn_or_queue(self, opcode: int, data: bytes | memoryview, deadline: float | None) -> None:
        """Queue the message before anything else, and send until the time is up; the rest is the background's."""
        with self._lock:
            wire = memoryview(self._wire(opcode, data))
            size = len(wire)
            self._queue_first(wire)
        while True:
            with self._lock:
                flushed = self._flush_queue()
                untouched = self._outgoing and self._outgoing[0] is wire and self.outgoing_size >= size
                if self._broken:
                    self._raise_trouble()
            if flushed:
                return
            if not self._wait_to_send(deadline):
                with self._lock:
                    if untouched and self._tls is None and self._deflater is None:
                        self._outgoing.popleft()
                        self.outgoing_size -= size
                        raise IdError("closed") if self._closed else NetworkTimeoutError(_NOTHING_SENT)
                if self._closed:
                    raise IdError("closed")
                return

    def _wait_to_send(self, deadline: float | None) -> bool:
        """Wait for room, and read what comes meanwhile. False: the time is up, or closed."""
        pumps = self._may_pump()
        if not self._wait(WRITABLE | READABLE if pumps else WRITABLE, deadline):
            return False
        if pumps:
            self._pump()
        return True

    def _wire(self, opcode: int, data: bytes | memoryview) -> bytes:
        """A message or control frame as the bytes that carry it."""
        compressed = self._deflater is not None and opcode < CLOSE
        if compressed:
            data = self._deflater.deflate(data)
        limit = self._messages.max_frame_size
        size = len(data)
        if size <= limit or opcode >= CLOSE:
            result = build(opcode, data, self._client, True, compressed)
        else:
            result = b"".join(
                build(
                    CONTINUATION if offset else opcode,
                    data[offset : offset + limit],
                    self._client,
                    size - offset <= limit,
                    compressed and offset == 0,
                )
                for offset in range(0, size, limit)
            )
        return result if self._tls is None else self._tls.encrypt(result)

    def _queue_first(self, data: memoryview) -> None:
        if data:
            self._outgoing.appendleft(data)
            self.outgoing_size += len(data)

    def _after_sending(self) -> None:
        """The turn is over: send what could not come between, or leave it to the background."""
        with self._lock:
            payload = self._pong_due
            if self.outgoing_size == 0 and payload is not None:
                self._pong_due = None
                if self.state == OPEN:
                    self._send_control(PONG, payload)
            elif self.outgoing_size:
                self.leave_to_service()

    # ---- what is sent without waiting

    def _send_control(self, opcode: int, payload: bytes) -> None:
        """Send a control frame, behind everything that is on its way."""
        with self._lock:
            if opcode == PONG and (self.outgoing_size or self._turn_taken):
                # Who asks more often than he reads answers gets the last one only (RFC 6455, 5.5.3).
                if self._pong_due is None and not self._turn_taken:
                    self.leave_to_service()
                self._pong_due = payload
                return
            self._transmit(self._wire(opcode, payload))

    def send_now(self, data: bytes) -> None:
        """Send bytes as they are (encrypted if need be), without waiting; what the kernel does not take is queued."""
        with self._lock:
            self._transmit(data if self._tls is None else self._tls.encrypt(data))

    def send_due(self) -> None:
        """Send what the TLS session has to say by itself, without waiting."""
        with self._lock:
            data = self._tls.due()
            if data:
                self._transmit(data)

    def _transmit(self, data: bytes) -> None:
        if self._broken or self._socket.fileno() < 0:
            return
        rest = memoryview(data)
        if not self._outgoing and not self._turn_taken:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._break(error)
                return
        if rest:
            self._outgoing.append(rest)
            self.outgoing_size += len(rest)
            self.leave_to_service()

    def flush(self) -> bool:
        """Send what is queued, without waiting. True when nothing is left to send."""
        flushed = super().flush()
        if flushed and self._pong_due is not None:
            self._after_sending()
        return flushed and self.outgoing_size == 0

    def _offer_message(self, opcode: int, payload: bytes, frame: bytes, limit: int) -> bool:
        """Send a broadcast's message without waiting. False: it does not reach this client."""
        with self._lock:
            if self.state != OPEN or self._broken or self._closed:
                return False
            if not self.outgoing_size or self.outgoing_size + len(payload) <= limit:
                plain = self._tls is None and self._deflater is None
                shared = plain and len(payload) <= self._messages.max_frame_size
                self._transmit(frame if shared else self._wire(opcode, payload))
                if self._broken:
                    return False
                if self.outgoing_size <= limit:
                    self.messages_sent += 1
                    self.bytes_sent += len(payload)
                    return True
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return False

    # ---- what the receiving half does

    def _may_pump(self) -> bool:
        return False

    def _pump(self) -> bool:
        return False


def broadcast(clients: Iterable[Framed], opcode: int, payload: bytes, limit: int) -> int:
    """Send one message to many clients of a server, without waiting for any.

    clients: a list of Framed; limit: bytes that may wait for one of them.
    Returns how many it reaches.
    """
    frame = build(opcode, payload, False)
    return sum([client._offer_message(opcode, payload, frame, limit) for client in clients])
