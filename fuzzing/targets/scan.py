"""scan.find of both halves says what bytes.find says, however much was searched before."""

from __future__ import annotations

from core_support import HALVES, core
from source import Source

WORDS = (b"\r\n", b"aab", b"aa")
FINDS = {half: core(half, "scan").find for half in HALVES}


def one(data: bytes) -> None:
    """A delimiter, how much was searched, and the bytes."""
    source = Source(data)
    delimiter = source.chunk(20) or b"\n"
    part = source.number(0, 255)
    sought = source.rest()
    begin = sought.find(delimiter)
    expected = -1 if begin < 0 else begin + len(delimiter)
    # A prefix in which no delimiter ended.
    scanned = part % (len(sought) + 1 if expected < 0 else expected)
    for half, find in FINDS.items():
        for form in (sought, bytearray(sought)):
            assert find(form, delimiter) == expected, half
            assert find(form, delimiter, scanned) == expected, (half, scanned)
