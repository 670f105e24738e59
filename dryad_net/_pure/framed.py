"""Messages out: framed, masked by a client, compressed and encrypted where that was agreed, and sent."""

from __future__ import annotations

from ..errors import ALREADY_SENDING, IdError, NetworkError, NetworkTimeoutError
from ..threads import is_held_here
from .frame import CLOSE
from .sock import READABLE, WRITABLE, deadline_after, wait_ready
from .stream import NOTHING_SENT
from .transmit import CONNECTING, OPEN, Transmitter


class Framed(Transmitter):
    """The messages that a connection sends.

    Owns what its Transmitter owns. A subclass offers complete_handshake() too.
    """

    def complete_handshake(self, timeout_ms: int) -> bool:
        """Go on with the handshake; the subclass knows how."""
        raise NotImplementedError

    def send_text(self, data: str | bytes) -> None:
        """Send a text message.

        data: an ASCII str, or UTF-8 in a bytes-like object.
        Errors: NetworkTimeoutError (nothing of it was sent), NetworkError, IdError (closed).
        """
        self._send_message(1, data.encode() if isinstance(data, str) else data, deadline_after(self.timeout_ms))

    def send_binary(self, data: bytes | memoryview) -> None:
        """Send a binary message. data: a bytes-like object. Errors: as send_text."""
        self._send_message(2, data, deadline_after(self.timeout_ms))

    def send_frame(self, opcode: int, payload: bytes) -> None:
        """Send a control frame, waiting as a message would. Errors: as send_text."""
        self._send_message(opcode, payload, deadline_after(self.timeout_ms))

    def _check_open(self) -> None:
        complete = self._closed or self.state != CONNECTING or self.complete_handshake(self.timeout_ms)
        if self._closed:
            raise IdError("closed")
        if not complete:
            raise NetworkTimeoutError("the handshake was not complete before the time was up")
        if self.state != OPEN or self._close_sent or self._broken:  # nothing comes behind a Close frame that waits
            self._raise_trouble()
            if self.close_code:
                raise NetworkError(f"not connected: the connection was closed ({self.close_code})")
            raise NetworkError("not connected")

    def _send_message(self, opcode: int, data: bytes | memoryview, deadline: float | None) -> None:
        """deadline: of the handshake too, if that is not complete."""
        self._check_open()
        taken: list[bool] = []
        try:
            self._take_turn(deadline, taken)
            self._turn_taken = True
            self._wait_for_turn(deadline)
            self._send_in_turn_or_queue(opcode, data, deadline)
        finally:
            if True in taken:
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
                raise NetworkTimeoutError(NOTHING_SENT)
        self._check_open()

    def _fits(self) -> bool:
        fd = self._socket.fileno()
        return fd in wait_ready({fd: WRITABLE}, 0)

    def _send_in_turn_or_queue(self, opcode: int, data: bytes | memoryview, deadline: float | None) -> None:
        """Queue the message, and send until the time is up; the rest is the background's."""
        wire = self._queue_compressed(opcode, data)
        try:
            self._send_queued(wire, deadline)
        finally:
            self._own_left = 0

    def _queue_compressed(self, opcode: int, data: bytes | memoryview) -> memoryview:
        """Compress a message, if that was agreed, and queue it.

        The background answers peers meanwhile, and closes are not held up: zlib has a lock of its own.
        """
        deflater = self._deflater
        if deflater is None or opcode >= CLOSE:
            return self._queue_own(opcode, data, False)
        if is_held_here(self._deflating):  # by a broadcast
            raise NetworkError(ALREADY_SENDING)
        with self._deflating:
            try:
                return self._queue_own(opcode, deflater.deflate(data), True)
            except BaseException:
                deflater.forget()  # what was compressed is not sent: nothing may refer to it
                raise

    def _queue_own(self, opcode: int, data: bytes | memoryview, compressed: bool) -> memoryview:
        with self._lock:
            if compressed:
                self._check_open()  # it took a while
            wire = self._queue_encoded(opcode, data, compressed)
            self._own_left = self.outgoing_size
        return wire

    def _send_queued(self, wire: memoryview, deadline: float | None) -> None:
        while True:
            with self._lock:
                flushed = self._flush_queue()
                if self._broken:
                    self._raise_trouble()
            if flushed:
                return
            if not self._wait_to_send(deadline):
                with self._lock:
                    if self._tls is None and self._deflater is None and self._take_back(wire):
                        raise IdError("closed") if self._closed else NetworkTimeoutError(NOTHING_SENT)
                if self._closed:
                    raise IdError("closed")
                return

    def _take_back(self, wire: memoryview) -> bool:
        """Take a message out of the queue again, if nothing of it was sent."""
        waiting = tuple(self._outgoing)  # at once: a signal's handler may send, too
        if not any(each is wire for each in waiting):
            return False
        self._outgoing.remove(wire)
        self.outgoing_size -= len(wire)
        return True

    def _wait_to_send(self, deadline: float | None) -> bool:
        """Wait for room, and read what comes meanwhile. False: the time is up, or closed."""
        pumps = self._may_pump()
        if not self._wait(WRITABLE | READABLE if pumps else WRITABLE, deadline):
            return False
        if pumps:
            self._pump()
        return True

    # ---- what the receiving half does

    def _may_pump(self) -> bool:
        return False

    def _pump(self, in_background: bool = False) -> bool:
        return False
