"""What a handshake goes by: what was set before it, how that is checked, and what both sides agree on."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from wsproto.extensions import Extension

from . import deflate, http_headers, url
from .errors import ArgumentError, show

# A head may have this many bytes. Of a client's, the URL may take 6 KiB.
HEAD_LIMIT: Final = 16 * 1024
_LONGEST_HEADERS = 8 * 1024
_LONGEST_SUBPROTOCOLS = 1024

_OWN_HEADERS = frozenset({"upgrade", "connection", "content-length", "transfer-encoding"})
_OWN_PREFIX = "sec-websocket-"


class Settings:
    """What was set before the handshake.

    ``headers``: more of them; ``subprotocols``: in order of preference; ``compression``: offer or
    accept permessage-deflate; ``origins``: whose pages may connect (a server's only; None: all).
    """

    __slots__ = ("compression", "headers", "origins", "subprotocols")

    def __init__(
        self,
        headers: dict[str, str] | None = None,
        subprotocols: tuple[str, ...] = (),
        compression: bool = False,
        origins: frozenset[str] | None = None,
    ) -> None:
        self.headers = headers
        self.subprotocols = subprotocols
        self.compression = compression
        self.origins = origins

    def copy(self) -> Settings:
        """The same settings, to be changed apart."""
        return Settings(self.headers, self.subprotocols, self.compression, self.origins)


class Agreement(NamedTuple):
    """What both sides agreed on: the subprotocol and the parameters of permessage-deflate, or None."""

    subprotocol: str | None
    compression: deflate.Parameters | None


def check_headers(value: Any, parameter: str) -> dict[str, str]:
    """Headers of the script's own, with white space around the values taken away. Errors: ArgumentError."""
    if not isinstance(value, dict):
        raise ArgumentError(f"{parameter}: must be an object of strings, not {show(value)}")
    headers: dict[str, str] = {}
    seen = set()
    size = 0
    for name, text in dict(value).items():  # another thread may change it meanwhile
        if not isinstance(name, str) or not http_headers.is_token(name):
            raise ArgumentError(f"{parameter}: {show(name)} is no name of a header")
        where = f"{parameter}[{show(name)}]"
        lower = name.lower()
        if lower in _OWN_HEADERS or lower.startswith(_OWN_PREFIX):
            raise ArgumentError(f"{where}: this header is the handshake's own")
        if lower in seen:
            raise ArgumentError(f"{where}: given twice (upper and lower case are the same)")
        seen.add(lower)
        # The values may be secrets: they are not shown.
        if not isinstance(text, str):
            raise ArgumentError(f"{where}: must be a string, not {type(text).__name__}")
        if not http_headers.is_value(text):
            raise ArgumentError(f"{where}: control characters (such as CR and LF) are not allowed")
        headers[name[:]] = text.strip(" \t")
        try:
            size += len(name) + len(encode(text)) + len(": \r\n")
        except UnicodeEncodeError:
            raise ArgumentError(f"{where}: a lone surrogate that is no escaped byte") from None
    if size > _LONGEST_HEADERS:
        raise ArgumentError(f"{parameter}: must not be longer than {_LONGEST_HEADERS} bytes in all")
    return headers


def check_subprotocols(value: Any, parameter: str) -> tuple[str, ...]:
    """One subprotocol, or several separated by commas, in order of preference. Errors: ArgumentError."""
    if not isinstance(value, str) or len(value) > _LONGEST_SUBPROTOCOLS:
        raise ArgumentError(
            f"{parameter}: must be a string of at most {_LONGEST_SUBPROTOCOLS} bytes, not {show(value)}"
        )
    names = [name.strip(" \t") for name in value.split(",")]
    for name in names:  # RFC 6455, 4.1, item 10
        if not http_headers.is_token(name):
            raise ArgumentError(f"{parameter}: {show(name)} is no name of a subprotocol")
    if len(set(names)) < len(names):
        raise ArgumentError(f"{parameter}: the same subprotocol twice, in {show(value)}")
    return tuple(names)


def check_origins(value: Any, parameter: str) -> frozenset[str]:
    """The origins whose pages may connect. Errors: ArgumentError."""
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(f"{parameter}: must be an array of strings, not {show(value)}")
    origins = set()
    for index, item in enumerate(value):
        found = url.origin(item) if isinstance(item, str) else None
        if found is None:
            raise ArgumentError(
                f'{parameter}[{index}]: must be an origin such as "https://example.org" '
                f"(no path, no slash at the end), not {show(item)}"
            )
        origins.add(found)
    return frozenset(origins)


def encode(text: str) -> bytes:
    """Text as it is sent, and received: UTF-8, where other bytes are escaped."""
    return text.encode("utf-8", "surrogateescape")


class DeflateExtension(Extension):
    """permessage-deflate in wsproto's negotiation; the frames are none of its business."""

    name = deflate.NAME

    def __init__(self, answer: str = "") -> None:
        self.answer = answer
        self.agreed: deflate.Parameters | None = None

    def offer(self) -> str:
        """Client: the parameters of the offer."""
        return deflate.offer()

    def accept(self, offer: str) -> str:
        """Server: the parameters of the answer, which were chosen before."""
        return self.answer

    def finalize(self, offer: str) -> None:
        """Client: take the parameters of the answer."""
        if self.agreed is not None:
            raise deflate.Unacceptable("the extension twice")
        [(_name, parameters)] = http_headers.extensions(offer)
        self.agreed = deflate.agree(parameters)
