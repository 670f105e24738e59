"""Frames: the compiled decoder against the pure one, which is wsproto's.

The same bytes, split anywhere, give the same messages and control frames, and the same close code
where the peer broke a rule: as a client and as a server, with and without compression and limits.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from core_support import HALVES, core
from source import Source, split

from dryad_net import close_codes, deflate
from dryad_net.close_codes import Violation
from dryad_net.deflate import Parameters

WORDS = (b"\x81\x00", b"\x88\x02\x03\xe8", b"\x7e\x00\x7e", b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00", b"\xe2\x82\xac")
MASK = b"\x37\xfa\x21\x3d"
BYTE_BY_BYTE = 600  # longer ones would take most of the time
LIMITS = (16 * 1024 * 1024, 1, 10, 125, 126, 300, 70_000)


class Setup(NamedTuple):
    """How a connection was set up."""

    client: bool
    compression: Parameters | None
    frame_limit: int
    message_limit: int


class Outcome(NamedTuple):
    """What came out: the events, and the close code where a rule was broken."""

    events: list[tuple[int, str | bytes]]
    code: int | None


def one(data: bytes) -> None:
    """The setup, how the bytes are split, and the bytes: as they are, or frames made after them."""
    source = Source(data)
    setup = _setup(source)
    cuts = Source(source.chunk(16))
    stream = _frames(source, setup) if source.boolean() else source.rest()
    ways = [[stream], split(stream, cuts)]
    if len(stream) <= BYTE_BY_BYTE:
        ways.append([stream[at : at + 1] for at in range(len(stream))])
    outcomes = {(half, way): _outcome(half, setup, pieces) for half in HALVES for way, pieces in enumerate(ways)}
    first = next(iter(outcomes.values()))
    assert all(outcome == first for outcome in outcomes.values()), (setup, stream, outcomes)


def _setup(source: Source) -> Setup:
    bits = source.number(8, 15)
    agreed = Parameters(source.boolean(), source.boolean(), bits, source.number(8, 15))
    return Setup(
        source.boolean(),
        agreed if source.boolean() else None,
        source.pick(LIMITS) if source.boolean() else LIMITS[0],
        source.pick(LIMITS) if source.boolean() else LIMITS[0],
    )


def _outcome(half: str, setup: Setup, pieces: list[bytes]) -> Outcome:
    inflater = deflate.inflater(setup.compression, setup.client) if setup.compression else None
    messages = core(half, "message").Messages(setup.client, inflater)
    messages.max_frame_size = setup.frame_limit
    messages.max_message_size = setup.message_limit
    events: list[tuple[int, str | bytes]] = []
    try:
        for piece in pieces:
            messages.feed(piece)
            while (event := messages.next_event()) is not None:
                events.append(event)
                if event[0] == 8:
                    close_codes.parse(event[1])
                    return Outcome(events, None)  # what follows a Close is not looked at
    except Violation as violation:
        assert close_codes.is_sendable(violation.code)
        return Outcome(events, violation.code)
    return Outcome(events, None)


def _frames(source: Source, setup: Setup) -> bytes:
    """Frames that are mostly in order, with payloads of the case's own."""
    compressor: Any = zlib.compressobj(wbits=-9)
    stream = bytearray()
    while source:
        first = source.pick((0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0xC1, 0xC2, 0x41, 0x42))
        if source.number(0, 15) == 15:
            first = source.number(0, 255)
        payload = source.chunk(200) * (400 if source.number(0, 63) == 63 else 1)
        if first & 0x40 and source.boolean():
            payload = (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        masked = not setup.client if source.number(0, 15) else setup.client
        stream += _frame(first, payload, masked, source.number(0, 31))
    return bytes(stream)


def _frame(first: int, payload: bytes, masked: bool, form: int) -> bytes:
    """A frame; form: 1 and 2 write the length in more bytes than it needs."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if form == 2 or size > 0xFFFF:
        header = struct.pack("!BBQ", first, bit | 127, size)
    elif form == 1 or size > 125:
        header = struct.pack("!BBH", first, bit | 126, size)
    else:
        header = bytes((first, bit | size))
    if not masked:
        return header + payload
    return header + MASK + core("pure", "mask").apply(payload, MASK)
