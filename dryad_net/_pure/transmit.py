"""Frames that are sent without waiting, and what every frame has to go through on its way out."""

from __future__ import annotations

import socket
import threading
from typing import Any

from ..close_codes import build as close_payload
from ..errors import ALREADY_SENDING, NetworkError
from ..threads import is_held_here
from .frame import CLOSE, CONTINUATION, PONG, build
from .message import Messages
from .sock import Socket
from .stream import Stream

CONNECTING = 0
OPEN = 1
CLOSING = 2
CLOSED = 3

# Whatever an exception of a signal's handler has left undone in the middle of encrypting.
_INTERRUPTED = "dropped: an exception interrupted what was to be sent to it"


class Transmitter(Stream):
    """A connection's frames on their way out, and what is known of its state.

    Owns what its Stream owns. A subclass offers leave_to_service().
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
        self._deflating = threading.RLock()
        self._encoding = False
        self._close_sent = False
        self.close_code = 0
        self.close_reason = ""
        self.bytes_sent = 0
        self.messages_sent = 0

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

    def _queue_encoded(self, opcode: int, data: bytes | memoryview, compressed: bool) -> memoryview:
        """Encode a message and queue it behind everything else: in one, so that no handler sends in between."""
        if self._encoding:
            raise NetworkError(ALREADY_SENDING)
        self._encoding = True
        try:
            wire = memoryview(self._wire(opcode, data, compressed))
            self._outgoing.append(wire)
            self.outgoing_size += len(wire)
        except NetworkError:
            raise  # the TLS session has ended
        except BaseException:
            if self._tls is not None:  # nothing can be sent after half of something
                self.drop(_INTERRUPTED)
            raise
        finally:
            self._encoding = False
        return wire

    def _wire(self, opcode: int, data: bytes | memoryview, compressed: bool) -> bytes:
        """A message, compressed or not, or a control frame as the bytes that carry it."""
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

    def _send_control(self, opcode: int, payload: bytes) -> None:
        """Send a control frame, behind everything that is on its way."""
        with self._lock:
            if opcode == PONG and (self.outgoing_size or self._turn_taken or self._encoding):
                # Who asks more often than he reads answers gets the last one only (RFC 6455, 5.5.3).
                if self._pong_due is None and not self._turn_taken:
                    self.leave_to_service()
                self._pong_due = payload
                return
            self._encode_and_send(opcode, payload, False)

    def _encode_and_send(self, opcode: int, payload: bytes, compressed: bool) -> None:
        if not self._may_transmit():
            return
        try:
            self._queue_encoded(opcode, payload, compressed)
        except NetworkError as error:  # the TLS session has ended
            self._note_trouble(error)
        else:
            self._push()

    def _note_trouble(self, error: NetworkError) -> None:
        """Nothing can be sent any more, which is for the next call to say."""
        if not self._broken:
            self._broken = True
            self._trouble = error

    def send_now(self, data: bytes) -> None:
        """Send bytes as they are (encrypted if need be), without waiting; what the kernel does not take is queued."""
        with self._lock:
            try:
                self._transmit(data if self._tls is None else self._tls.encrypt(data))
            except NetworkError as error:
                self._note_trouble(error)

    def send_due(self) -> None:
        """Send what the TLS session has to say by itself, without waiting."""
        with self._lock:
            data = b"" if self._encoding else self._tls.due()  # else it would come before what is being encrypted
            if data:
                self._transmit(data)

    def _may_transmit(self) -> bool:
        return not self._broken and self._socket.fileno() >= 0

    def _transmit(self, data: bytes) -> None:
        if not data or not self._may_transmit():
            return
        # Queued first: where a signal's handler raises in the middle, what is left of it is known.
        self._outgoing.append(memoryview(data))
        self.outgoing_size += len(data)
        self._push()

    def _push(self) -> None:
        """Send of the queue what the kernel takes; the rest is the background's."""
        if self._turn_taken or not super().flush():
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
            if self.state != OPEN or self._close_sent or self._broken or self._closed or self._encoding:
                return False
            # What a send of the script's own has queued waits as long as that does, and says nothing of the peer.
            queued = self.outgoing_size - self._own_left
            if not queued or queued + len(payload) <= limit:
                plain = self._tls is None and self._deflater is None
                shared = plain and len(payload) <= self._messages.max_frame_size
                if shared:
                    self._transmit(frame)
                else:
                    self._offer_encoded(opcode, payload)
                if self._broken:
                    return False
                if self.outgoing_size - self._own_left <= limit:
                    self.messages_sent += 1
                    self.bytes_sent += len(payload)
                    return True
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return False

    def _offer_encoded(self, opcode: int, payload: bytes) -> None:
        """Compress a broadcast's message, and send it; or as it is where one is being compressed, by another thread or
        below a signal's handler: any message may go out so (RFC 7692, 6), and before that one."""
        deflater = self._deflater
        compressed = (
            deflater is not None and not is_held_here(self._deflating) and self._deflating.acquire(blocking=False)
        )
        try:
            self._encode_and_send(opcode, deflater.deflate(payload) if compressed else payload, compressed)
        except BaseException:
            if compressed:
                deflater.forget()  # what was compressed is not sent: nothing may refer to it
            raise
        finally:
            if compressed:
                self._deflating.release()

    def send_close(self, code: int, reason: str) -> None:
        """Send a Close frame, behind everything that is on its way; the second time nothing."""
        with self._lock:
            if self._close_sent or self.state == CONNECTING or self._encoding:
                return
            self._close_sent = True
            # A client leaves it to the server to end the TCP connection (RFC 6455, 7.1.1).
            self._told_end = self._client
            self._send_control(CLOSE, close_payload(code, reason))


def broadcast(clients: list[Transmitter], opcode: int, payload: bytes, limit: int) -> int:
    """Send one message to many clients of a server, without waiting for any.

    clients: a list of Transmitter; limit: bytes that may wait for one of them.
    Returns how many it reaches.
    """
    frame = build(opcode, payload, False)
    return sum([client._offer_message(opcode, payload, frame, limit) for client in clients])
