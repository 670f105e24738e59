"""Bytes received and not yet consumed, and how they leave: as bytes or as text."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from .scan import find

# How much may have been consumed at the front before what is behind it is moved there.
_COMPACT_SIZE = 65536
_LONGEST_CHARACTER = 4


def is_half_surrogate(data: bytes | bytearray) -> bool:
    """Is this the start of a surrogate (U+D800 to U+DFFF), which is no UTF-8 whatever follows (RFC 3629, 4)?

    Python's decoders wait for its third byte.
    """
    return len(data) == 2 and data[0] == 0xED and data[1] >= 0xA0


def _decode(data: bytes, final: bool) -> tuple[str, int]:
    """The whole characters at the front, and how many bytes they are; what is no UTF-8 is escaped."""
    text, consumed = codecs.utf_8_decode(data, "surrogateescape", final)
    if is_half_surrogate(data[consumed:]):
        return codecs.utf_8_decode(data, "surrogateescape", True)
    return text, consumed


class Buffer:
    """Received bytes, in the order they came."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._start = 0
        self._scanned = 0
        self._sought: bytes | None = None

    def __len__(self) -> int:
        return len(self._data) - self._start

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes at the end.

        data: any bytes-like object.
        """
        self._data += data

    def _receive(self, recv: Callable[[int], bytes], size: int) -> int:
        """Add at the end what recv(size) returns. Returns how many bytes that are.

        Without a line of Python between: where a signal's handler raises, either has happened or neither.
        """
        before = len(self._data)
        next(map(self._data.extend, map(recv, (size,))))
        return len(self._data) - before

    def take_bytes(self, size: int) -> bytes | None:
        """Take at most `size` bytes from the front; None if there are none."""
        taken = bytes(self._data[self._start : self._start + size])
        self._consume(len(taken))
        return taken or None

    def take_text(self, size: int, final: bool = False) -> str | None:
        """Take at most `size` bytes from the front as text that cuts no character in two.

        size: bytes; if the first character alone is longer, that one character is taken.
        final: no more bytes will come, so an incomplete character is taken too, escaped.
        Returns a str with bytes that are not UTF-8 as lone surrogates, or None for nothing yet.
        """
        limit = min(size, len(self))
        if limit == 0:
            return None
        front = bytes(self._data[self._start : self._start + limit])
        text, consumed = _decode(front, final and limit == len(self))
        if consumed == 0:
            consumed = self._first_character(limit, final)
            if consumed == 0:
                return None
            text = bytes(self._data[self._start : self._start + consumed]).decode("utf-8", "surrogateescape")
        self._consume(consumed)
        return text

    def _first_character(self, limit: int, final: bool) -> int:
        """How much to take when `limit` bytes hold no whole character: one that is longer, what
        turned out to be none, or nothing while the rest of it may still come."""
        ahead = bytes(self._data[self._start : self._start + _LONGEST_CHARACTER])
        text, consumed = _decode(ahead, False)
        if consumed == 0:
            return limit if final else 0
        return len(text[0].encode("utf-8", "surrogateescape"))

    def has_character(self) -> bool:
        """Is the first character all there?"""
        ahead = bytes(self._data[self._start : self._start + _LONGEST_CHARACTER])
        return _decode(ahead, False)[1] > 0

    def room_for_text(self, size: int) -> int:
        """How much to read so that take_text(size) has something and nothing is left over, if all comes:
        up to size bytes, or what the first character, which has begun, still lacks."""
        held = len(self)
        if size > held:
            return size - held
        first = self._data[self._start]
        length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2
        return max(length - held, 1)

    def take_text_until(self, delimiter: bytes) -> str | None:
        """Take everything up to and including the first delimiter as text, or None.

        delimiter: bytes, not empty. The search goes on where the last one for the same object ended.
        """
        if not delimiter:
            raise ValueError("an empty delimiter")
        if delimiter is not self._sought:
            self._sought = delimiter
            self._scanned = 0
        # What was consumed may still be in _data; no delimiter can begin there.
        searched = max(self._scanned, len(delimiter) - 1)
        end = find(self._data, delimiter, self._start + searched)
        if end < 0:
            self._scanned = len(self)
            return None
        text = bytes(self._data[self._start : end]).decode("utf-8", "surrogateescape")
        self._consume(end - self._start)
        self._scanned = 0
        return text

    def find(self, sought: bytes) -> int:
        """How many bytes there are up to and including the first occurrence; -1 if there is none."""
        begin = self._data.find(sought, self._start)
        return -1 if begin < 0 else begin + len(sought) - self._start

    def clear(self) -> None:
        """Let everything go."""
        self._data = bytearray()
        self._start = self._scanned = 0

    def _consume(self, size: int) -> None:
        self._start += size
        self._scanned = max(self._scanned - size, 0)
        if self._start == len(self._data):
            self._data = bytearray()
            self._start = 0
        elif self._start > _COMPACT_SIZE and self._start > len(self._data) // 2:
            del self._data[: self._start]
            self._start = 0
