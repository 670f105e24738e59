"""Values out of the bytes that a fuzzer makes up, so that a case is replayed without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Source:
    """Takes values from the front of a case; when it is used up, everything is zero or empty."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def bytes(self, size: int) -> bytes:
        """At most so many bytes."""
        taken = self._data[self._position : self._position + size]
        self._position += len(taken)
        return taken

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.bytes(len(self._data))

    def number(self, low: int, high: int) -> int:
        """A whole number in a range."""
        size = ((high - low).bit_length() + 7) // 8
        return low + int.from_bytes(self.bytes(size), "little") % (high - low + 1)

    def boolean(self) -> bool:
        """True or False."""
        return self.number(0, 1) == 1

    def pick(self, items: Sequence[Item]) -> Item:
        """One of several."""
        return items[self.number(0, len(items) - 1)]

    def chunk(self, most: int = 255) -> bytes:
        """Bytes whose length is the first of them."""
        return self.bytes(self.number(0, most))

    def text(self, most: int = 255) -> str:
        """Any text, also one with lone surrogates, those that stand for a byte and others."""
        return as_text(self.chunk(most), self.boolean())


def as_text(data: bytes, any_surrogate: bool) -> str:
    """Bytes as a text: what is not UTF-8 becomes lone surrogates."""
    text = data.decode("utf-8", "surrogateescape")
    if any_surrogate:
        return text.replace("\udcff", "\ud800")  # which stands for no byte
    return text


def split(data: bytes, source: Source) -> list[bytes]:
    """Data in pieces, whose sizes the source says: large ones, or one byte each, or as they come."""
    steps = [source.number(0, 63) for _ in range(source.number(0, 15))] or [0]
    pieces = []
    position = number = 0
    while position < len(data):
        size = steps[number % len(steps)] or len(data)
        pieces.append(data[position : position + size])
        position += size
        number += 1
    return pieces
