"""Frames in, messages out (RFC 6455, 5.4 to 5.6), by wsproto's frame decoder; the limits are ours."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Frame, FrameDecoder, Opcode, ParseFailed, RsvBits

from ..close_codes import INTERNAL_ERROR, INVALID_DATA, PROTOCOL_ERROR, TOO_BIG, Violation
from .buffer import is_half_surrogate

if TYPE_CHECKING:
    from ..deflate import Inflater

NOTHING = 0

# So many fragments are joined into one part: an object for each would cost fifty times a tiny one's payload.
_JOINED = 1024
_MASKED = 0x80  # in the second byte

DEFAULT_FRAME_SIZE = 16 * 1024 * 1024
DEFAULT_MESSAGE_SIZE = 64 * 1024 * 1024


class _Rules(Extension):
    """What a header can have wrong that wsproto's decoder does not look at, before the payload comes."""

    name = "rules"

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False  # the handshake never sees it

    def frame_inbound_header(
        self, proto: FrameDecoder | Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        return self._messages._check_header(opcode, rsv, payload_length)


class Messages:
    """The messages of one direction of a connection. Owns the one that has begun."""

    def __init__(self, client: bool, inflater: Inflater | None = None) -> None:
        self.client = client
        self.inflater = inflater
        self.max_frame_size = DEFAULT_FRAME_SIZE
        self.max_message_size = DEFAULT_MESSAGE_SIZE
        self._decoder = FrameDecoder(client, [_Rules(self)])
        self._opcode = 0
        self._compressed = False
        self._parts: list[Any] = []
        self._joined = 0  # how many of them, at the front, are joined ones
        self._wire_size = 0
        self._length = 0
        self._skipping = False
        self._text = codecs.getincrementaldecoder("utf-8")()

    def skip(self) -> None:
        """Make no values any more of the messages that come: the connection is being closed."""
        self._skipping = True

    def set_inflater(self, inflater: Inflater | None) -> None:
        """What inflates compressed messages (RFC 7692); None: they are not allowed."""
        self.inflater = inflater

    def feed(self, data: bytes) -> None:
        """Take bytes that were received, in any pieces."""
        self._decoder.receive_bytes(data)

    def inside(self) -> bool:
        """Has a message or a frame begun that has not ended?"""
        return self._opcode != 0 or self._decoder.header is not None or len(self._decoder.buffer) > 0

    def next_event(self) -> tuple[int, str | bytes] | None:
        """The next message or control frame of what was fed.

        Returns (opcode, str or bytes), or None: more bytes are needed.
        Errors: Violation.
        """
        try:
            return self._next_event()
        except MemoryError:
            raise Violation(INTERNAL_ERROR, "there was no memory for a message") from None

    def _next_event(self) -> tuple[int, str | bytes] | None:
        while True:
            self._check_mask()
            try:
                frame = self._decoder.process_buffer()
            except ParseFailed as failed:
                raise Violation(int(failed.code), str(failed)) from None
            if frame is None:
                return None
            if frame.opcode.iscontrol():
                assert isinstance(frame.payload, bytes)
                return int(frame.opcode), frame.payload
            found = self._gather(frame)
            if found is not None:
                return found

    def _check_mask(self) -> None:
        """wsproto looks at it when it may be said already that the frame is too big, and what is wrong goes first."""
        start = self._decoder.buffer.buffer[:2]
        if self._decoder.header is None and len(start) == 2 and bool(start[1] & _MASKED) is self.client:
            whose = "a masked frame from a server" if self.client else "a frame without a mask from a client"
            raise Violation(PROTOCOL_ERROR, whose)

    def _check_header(self, opcode: Opcode, rsv: RsvBits, length: int) -> RsvBits:
        if opcode.iscontrol():
            return RsvBits(False, False, False)
        first = opcode is not Opcode.CONTINUATION
        # RSV1 says that a message is compressed, on its first frame (RFC 7692, 6).
        compressible = first and self.inflater is not None
        if (rsv.rsv1 and not compressible) or rsv.rsv2 or rsv.rsv3:
            raise Violation(PROTOCOL_ERROR, "a reserved bit that was not negotiated")
        if not first and not self._opcode:
            raise Violation(PROTOCOL_ERROR, "a continuation of nothing")
        if first and self._opcode:
            raise Violation(PROTOCOL_ERROR, "a new message inside another")
        if length > self.max_frame_size:
            raise Violation(TOO_BIG, f"a frame of {length} bytes; at most {self.max_frame_size} are taken")
        limit = self.max_message_size
        if rsv.rsv1 or self._compressed:
            limit += limit // 1024 + 1024  # what deflate adds to data that it cannot compress
        if (0 if first else self._wire_size) + length > limit:
            raise Violation(TOO_BIG, f"a message of more than {self.max_message_size} bytes")
        if first:
            self._compressed = rsv.rsv1
            self._wire_size = 0
        # Counted when the frame ends: for a header that comes in pieces, wsproto asks more than once.
        self._length = length
        return RsvBits(rsv.rsv1, False, False)

    def _gather(self, frame: Frame) -> tuple[int, str | bytes] | None:
        if frame.opcode is not Opcode.CONTINUATION:
            self._opcode = int(frame.opcode)
        if frame.frame_finished:
            self._wire_size += self._length
        part: Any = frame.payload
        final = frame.frame_finished and frame.message_finished
        if self._skipping:
            self._opcode = 0 if final else self._opcode
            return None
        if self._opcode == Opcode.TEXT and not self._compressed:
            part = self._decode(part, final)
        if part or not self._parts:
            self._parts.append(part)
        if len(self._parts) - self._joined >= _JOINED:
            self._parts[self._joined :] = [part[:0].join(self._parts[self._joined :])]
            self._joined += 1
        if not final:
            return None
        opcode, whole = self._opcode, self._parts[0][:0].join(self._parts)
        if self._compressed:
            # As a whole: what is wrong in a later frame is told before what does not inflate.
            assert self.inflater is not None
            whole = self.inflater.inflate(whole, self.max_message_size, True)
            if opcode == Opcode.TEXT:
                whole = self._decode(whole, True)
        self._opcode = self._wire_size = 0
        self._compressed = False
        self._parts = []
        self._joined = 0
        return opcode, whole

    def _decode(self, data: bytes | bytearray, final: bool) -> str:
        """The next part of a text. Errors: Violation, at the first byte that is wrong."""
        try:
            text = self._text.decode(data, final)
        except UnicodeDecodeError:
            raise Violation(INVALID_DATA, "a text that is not UTF-8") from None
        if is_half_surrogate(self._text.getstate()[0]):
            raise Violation(INVALID_DATA, "a text that is not UTF-8")
        return text
