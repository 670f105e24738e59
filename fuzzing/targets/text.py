"""The buffers of both halves: what leaves them, as bytes and as text, is what the plain model of the tests says.

No character is cut in two, bytes that are not UTF-8 come out escaped, and nothing is lost.
"""

from __future__ import annotations

from typing import Any

from core_support import agree, character_lengths
from source import Source, split

WORDS = ("é".encode(), "€".encode(), "😀".encode(), b"\xe2\x82", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\x80")
DELIMITERS = (b"\n", b"a", b"\xe2\x82", b"aa", "é".encode(), b"\xff\xff", b"\r\n")


def one(data: bytes) -> None:
    """Steps on a buffer; or one text that arrives in pieces and is read in others."""
    source = Source(data)
    if source.boolean():
        agree(_steps(source))
    else:
        agree(_stream(source))


def _steps(source: Source) -> list[tuple[Any, ...]]:
    steps: list[tuple[Any, ...]] = []
    while source:
        name = source.pick(("append", "take_bytes", "take_text", "take_text_until", "clear", "append", "take_text"))
        if name == "append":
            steps.append((name, source.chunk(40)))
        elif name == "take_bytes":
            steps.append((name, source.number(1, 20)))
        elif name == "take_text":
            steps.append((name, source.number(1, 20), source.boolean()))
        elif name == "take_text_until":
            steps.append((name, source.pick(DELIMITERS)))
        else:
            steps.append((name,))
    return steps


def _stream(source: Source) -> list[tuple[Any, ...]]:
    """Everything is read as it comes, and the end of the stream at last."""
    size = source.number(1, 30)
    cuts = Source(source.chunk(16))
    stream = source.rest()
    steps: list[tuple[Any, ...]] = []
    for piece in split(stream, cuts):
        steps.append(("append", piece))
        steps += [("take_text", size, False)] * (len(piece) // size + 2)
    steps += [("take_text", size, True)] * (len(character_lengths(stream, True)) + 1)
    return steps
