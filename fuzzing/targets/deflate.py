"""permessage-deflate: any bytes inflate to the same in any pieces, within the limit, or to a violation.

What is deflated inflates to itself, whatever was agreed on; what is offered is answered or declined.
"""

from __future__ import annotations

import zlib

from source import Source, split

from dryad_net import deflate, http_headers
from dryad_net.close_codes import INVALID_DATA, TOO_BIG, Violation
from dryad_net.deflate import Parameters

WORDS = (
    *(b"permessage-deflate", b"; client_max_window_bits", b"; server_max_window_bits=10", b"=8", b'"15"', b", "),
    *(b"; server_no_context_takeover", b"; client_no_context_takeover", b"\x00\x00\xff\xff", b"\x03\x00", b"\x01\x00"),
)


def one(data: bytes) -> None:
    """What is agreed on, and then messages or an offer."""
    source = Source(data)
    agreed = Parameters(source.boolean(), source.boolean(), source.number(8, 15), source.number(8, 15))
    client = source.boolean()
    action = source.pick((_inflate, _round_trips, _negotiate))
    action(source, agreed, client)


def _inflate(source: Source, agreed: Parameters, client: bool) -> None:
    """Messages one after another, whole and in pieces."""
    whole, pieces = deflate.inflater(agreed, client), deflate.inflater(agreed, client)
    for _ in range(source.number(1, 3)):
        limit = source.pick((0, 1, 100, 1000, 65536, 1 << 20))
        cuts = Source(source.chunk(16))
        compressed = source.chunk(2000)
        if source.boolean():
            packer = zlib.compressobj(wbits=-9)
            compressed = packer.compress(compressed * source.number(1, 300)) + packer.flush()
        at_once = _message(whole, [compressed], limit)
        assert _message(pieces, split(compressed, cuts), limit) == at_once
        if at_once is None:
            return
        assert len(at_once) <= limit


def _message(inflater: deflate.Inflater, pieces: list[bytes], limit: int) -> bytes | None:
    """What the pieces inflate to; None if they are refused.

    Of what is too much and invalid behind that, zlib tells the one or the other, as it was cut.
    """
    inflated = b""
    try:
        for number, piece in enumerate(pieces or [b""], 1):
            inflated += inflater.inflate(piece, limit - len(inflated), number >= len(pieces))
    except Violation as violation:
        assert violation.code in (INVALID_DATA, TOO_BIG)
        return None
    return inflated


def _round_trips(source: Source, agreed: Parameters, client: bool) -> None:
    deflater, inflater = deflate.deflater(agreed, client), deflate.inflater(agreed, not client)
    while source:
        message = source.chunk() * source.pick((1, 1, 2, 300))
        compressed = deflater.deflate(message)
        assert inflater.inflate(compressed, len(message), True) == message
        if source.number(0, 7) == 7:
            deflater.forget()


def _negotiate(source: Source, agreed: Parameters, client: bool) -> None:
    """A server's answer to any offer is one that our client takes, and means the same."""
    try:
        offers = http_headers.extensions(source.rest().decode("latin-1"))
    except http_headers.HeadError:
        return
    chosen = deflate.choose(offers)
    if chosen is not None:
        parameters, written = chosen
        [(name, answered)] = http_headers.extensions("; ".join(filter(None, (deflate.NAME, written))))
        assert name == deflate.NAME
        assert deflate.agree(answered) == parameters
