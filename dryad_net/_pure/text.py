"""UTF-8 into strings: Python's own decoder."""

from __future__ import annotations

NAME = "Python"


def decode(data: bytes | bytearray | memoryview) -> str:
    """Strictly UTF-8 bytes as a string.

    data: any bytes-like object. Errors: UnicodeDecodeError.
    """
    return str(data, "utf-8")
