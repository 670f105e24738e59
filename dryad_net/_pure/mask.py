"""Masking of frames (RFC 6455, 5.3), and the keys for it."""

from __future__ import annotations

from os import urandom

NAME = "int"


def new_key() -> bytes:
    """Four random bytes to mask a frame with."""
    return urandom(4)


def forget_keys() -> None:
    """In the child of a fork: nothing to do, since no keys are kept."""


def apply(data: bytes | bytearray | memoryview, key: bytes, offset: int = 0) -> bytes:
    """Mask, or unmask, which is the same.

    data: any bytes-like object; key: 4 bytes; offset: of the first byte in its payload.
    Returns bytes.
    """
    if len(key) != 4:
        raise ValueError("a masking key has four bytes")
    size = len(data)
    turned = key[offset % 4 :] + key[: offset % 4]
    pattern = (turned * (size // 4 + 1))[:size]
    # One XOR of two very long numbers is the fastest loop that plain Python has.
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")
