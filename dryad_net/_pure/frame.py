"""A frame's header, to bytes (RFC 6455, 5.2)."""

from __future__ import annotations

from .mask import apply, new_key

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

_FIN = 0x80
_RSV1 = 0x40
_MASKED = 0x80


def build(
    opcode: int, payload: bytes | bytearray | memoryview, masked: bool, fin: bool = True, compressed: bool = False
) -> bytes:
    """A whole frame.

    opcode: 0 to 15; payload: any bytes-like object; masked: as a client's frames are; fin: the
    message ends with it; compressed: RSV1 is set (RFC 7692, 6).
    Returns bytes.
    """
    first = opcode | (_FIN if fin else 0) | (_RSV1 if compressed else 0)
    bit = _MASKED if masked else 0
    size = len(payload)
    if size <= 125:
        header = bytes((first, bit | size))
    elif size <= 0xFFFF:
        header = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    if not masked:
        return header + payload
    key = new_key()
    return header + key + apply(payload, key)
