"""permessage-deflate (RFC 7692): what is agreed on in the handshake, and messages in and out of it."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from . import http_headers
from .close_codes import INVALID_DATA, TOO_BIG, Violation

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME: Final = "permessage-deflate"

# The end of a flush, which is taken off a message and put back on (RFC 7692, 7.2.1 and 7.2.2).
_TAIL = b"\x00\x00\xff\xff"
# An empty message (7.2.3.6): zlib flushes nothing where nothing is new.
_EMPTY = b"\x00"

# A window of 4 KiB and a hash of 2 ** (5 + 7) entries: some 40 KiB a connection (zlib.h,
# deflateInit2) instead of the 270 KiB that zlib's defaults take, for a few percent more bytes.
# A compressor may look back less far than was agreed on without saying so.
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5
# zlib has no raw deflate with a window of 256 bytes. In the window of 512 it never reaches back
# further than 512 - MIN_LOOKAHEAD (262) = 250 bytes (deflate.h, MAX_DIST), which is within 256.
_SMALLEST_FOR_ZLIB = 9

# A compressor that ends a block with BFINAL does it once a message or a frame. Each makes zlib start
# anew, which costs far more than the two bytes that such a block may have.
_MOST_FINAL_BLOCKS = 1000
# What follows such a block is copied, so it is taken in pieces of this size.
_PIECE = 1024


class InvalidDeflate(Violation):
    """What was received is no deflate."""

    def __init__(self, detail: str) -> None:
        super().__init__(INVALID_DATA, f"a message that does not inflate ({detail})")


class TooBig(Violation):
    """More came out than was allowed."""

    def __init__(self) -> None:
        super().__init__(TOO_BIG, "a message that inflates to more than is taken")


class Unacceptable(Exception):  # noqa: N818
    """Parameters that RFC 7692 does not allow; the argument says which."""


class Parameters(NamedTuple):
    """What was agreed on (RFC 7692, 7.1)."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15


class Deflater:
    """Compresses messages. Owns zlib's state, from the first message on."""

    __slots__ = ("_compressor", "_keeps_context", "_window_bits")

    def __init__(self, window_bits: int, no_context_takeover: bool) -> None:
        self._window_bits = max(min(window_bits, _WINDOW_BITS), _SMALLEST_FOR_ZLIB)
        self._keeps_context = not no_context_takeover
        self._compressor: zlib._Compress | None = None

    def deflate(self, data: ReadableBuffer) -> bytes:
        """A whole message's payload, compressed."""
        view = memoryview(data)
        if not view.nbytes:
            return _EMPTY
        # Where a signal's handler raises in here, nobody has the compressor any more: what it was given and has not
        # told would come out with the next message.
        compressor, self._compressor = self._compressor, None
        if compressor is None:
            compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -self._window_bits, _MEMORY_LEVEL)
        compressed = (compressor.compress(view) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]
        if self._keeps_context:
            self._compressor = compressor
        return compressed

    def forget(self) -> None:
        """Give the memory back: the next message refers to none before it, which is always allowed."""
        self._compressor = None


class Inflater:
    """Decompresses messages, piece by piece. Owns zlib's state, from the first piece on."""

    __slots__ = ("_decompressor", "_final_blocks", "_keeps_context", "_open", "_window_bits")

    def __init__(self, window_bits: int, no_context_takeover: bool) -> None:
        self._window_bits = window_bits
        self._keeps_context = not no_context_takeover
        self._decompressor: zlib._Decompress | None = None
        self._open = False  # has this message given zlib something since it began, or since a final block?
        self._final_blocks = 0

    def inflate(self, data: ReadableBuffer, limit: int, final: bool) -> bytes:
        """Decompress one piece of a message's payload.

        limit: how many bytes may come out of it; final: the message ends with it.
        Returns bytes. Errors: TooBig, InvalidDeflate.
        """
        try:
            inflated = self._feed(data, limit)
            if final:
                inflated += self._end(limit - len(inflated))
        except zlib.error as error:
            raise InvalidDeflate(str(error)) from None
        return inflated

    def _feed(self, data: ReadableBuffer, limit: int) -> bytes:
        if not memoryview(data).nbytes:
            return b""
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._decompressor = zlib.decompressobj(-self._window_bits)
        self._open = True
        inflated = decompressor.decompress(data, _one_more(limit))
        if len(inflated) > limit:
            raise TooBig
        if decompressor.eof:
            inflated += self._after_final_block(decompressor.unused_data, limit - len(inflated))
        return inflated

    def _after_final_block(self, rest: bytes, limit: int) -> bytes:
        """What comes after a block with BFINAL (RFC 7692, 7.2.3.4): zlib takes the stream for ended."""
        self._start_anew()
        pieces = []
        offset = 0
        while offset < len(rest):
            piece = rest[offset : offset + _PIECE]
            offset += len(piece)
            if self._decompressor is None:
                self._decompressor = zlib.decompressobj(-self._window_bits)
            decompressor = self._decompressor
            self._open = True
            inflated = decompressor.decompress(piece, _one_more(limit))
            limit -= len(inflated)
            if limit < 0:
                raise TooBig
            pieces.append(inflated)
            if decompressor.eof:
                offset -= len(decompressor.unused_data)
                self._start_anew()
        return b"".join(pieces)

    def _start_anew(self) -> None:
        self._decompressor = None
        self._open = False
        self._final_blocks += 1
        if self._final_blocks > _MOST_FINAL_BLOCKS:
            raise InvalidDeflate("too many final blocks")

    def _end(self, limit: int) -> bytes:
        """The end of a message: what its sender took off."""
        # A message that ends with a final block, or without a single byte, has nothing to be completed.
        inflated = self._feed(_TAIL, limit) if self._open else b""
        self._open = False
        self._final_blocks = 0
        if not self._keeps_context:
            self._decompressor = None
        return inflated


def _one_more(limit: int) -> int:
    """What shows that more than the limit comes out, if that many bytes can be: zlib takes a Py_ssize_t."""
    return min(limit + 1, sys.maxsize)


def deflater(parameters: Parameters, client: bool) -> Deflater:
    """The compressor of what we send; client: whether we are the client."""
    if client:
        return Deflater(parameters.client_max_window_bits, parameters.client_no_context_takeover)
    return Deflater(parameters.server_max_window_bits, parameters.server_no_context_takeover)


def inflater(parameters: Parameters, client: bool) -> Inflater:
    """The decompressor of what we receive; client: whether we are the client."""
    if client:
        return Inflater(parameters.server_max_window_bits, parameters.server_no_context_takeover)
    return Inflater(parameters.client_max_window_bits, parameters.client_no_context_takeover)


def offer() -> str:
    """The parameters that our client offers: the server may make both windows smaller, and context go."""
    return "client_max_window_bits"


def choose(offers: Iterable[tuple[str, http_headers.Parameters]]) -> tuple[Parameters, str] | None:
    """The server's answer to what a client offers: to the first offer that is acceptable.

    offers: all extensions of the request, in order.
    Returns what is agreed on and the answer's parameters, or None where no offer will do.
    """
    for name, parameters in offers:
        if name != NAME:
            continue
        try:
            return _answer(_values(parameters))
        except Unacceptable:
            continue  # RFC 7692, 7.1: declined, and the next one may do
    return None


def _answer(offered: dict[str, str | None]) -> tuple[Parameters, str]:
    server_bits = _window_bits(offered, "server_max_window_bits") or 15
    client_bits = 15
    written = []
    if "server_no_context_takeover" in offered:
        written.append("server_no_context_takeover")
    if "client_no_context_takeover" in offered:
        written.append("client_no_context_takeover")
    if "server_max_window_bits" in offered:
        written.append(f"server_max_window_bits={server_bits}")
    if "client_max_window_bits" in offered:
        # Where the client is ready for a smaller window, ours need not hold 32 KiB for each of thousands.
        client_bits = min(_window_bits(offered, "client_max_window_bits", optional=True) or 15, _WINDOW_BITS)
        written.append(f"client_max_window_bits={client_bits}")
    agreed = Parameters(
        "server_no_context_takeover" in offered, "client_no_context_takeover" in offered, server_bits, client_bits
    )
    return agreed, "; ".join(written)


def agree(parameters: http_headers.Parameters) -> Parameters:
    """What the server's answer to our client's ``offer`` means. Errors: Unacceptable."""
    answered = _values(parameters)
    return Parameters(
        "server_no_context_takeover" in answered,
        "client_no_context_takeover" in answered,
        _window_bits(answered, "server_max_window_bits") or 15,
        _window_bits(answered, "client_max_window_bits") or 15,
    )


def _values(parameters: http_headers.Parameters) -> dict[str, str | None]:
    """The parameters by name. Errors: Unacceptable for one that is unknown or given twice, or that has no value."""
    values: dict[str, str | None] = {}
    for name, value in parameters:
        if name not in Parameters._fields:
            raise Unacceptable(f"an unknown parameter, {name}")
        if name in values:
            raise Unacceptable(f"{name} twice")
        if value is not None and name.endswith("_no_context_takeover"):
            raise Unacceptable(f"{name} with a value")
        values[name] = value
    return values


def _window_bits(values: dict[str, str | None], name: str, optional: bool = False) -> int | None:
    """The parameter's value, from 8 to 15 without leading zeros (7.1.2); None without it.

    optional: whether the parameter may come without a value (7.1.2.2: in an offer).
    """
    if name not in values:
        return None
    value = values[name]
    if value is None and optional:
        return None
    if value not in _WINDOW_SIZES:
        raise Unacceptable(f"{name} is not from 8 to 15")
    return int(value)


_WINDOW_SIZES = frozenset(map(str, range(8, 16)))
