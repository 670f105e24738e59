"""The client's side of the opening handshake, without I/O (RFC 6455, 4.1)."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

import h11
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, Request
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from . import deflate, http_headers, url
from .errors import NetworkError, show
from .handshake_settings import HEAD_LIMIT, Agreement, DeflateExtension, Settings, encode
from .http_headers import Fields, HeadError
from .redaction import NOTHING, Redaction
from .version import __version__


class _Verbatim(str):
    """A Host that is sent as it is: IDNA, through which wsproto puts it, counts the port to the last label."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return encode(str(self))


# What may come out of wsproto and below for bytes it does not like.
_REFUSALS = (ProtocolError, h11.ProtocolError, HeadError, deflate.Unacceptable, ValueError)


class ClientHandshake:
    """A client's side of the handshake.

    ``request``: the bytes to send; ``secrets``: what no error may show of it.
    """

    def __init__(self, target: url.Url, settings: Settings) -> None:
        headers = {"User-Agent": f"dryad_net/{__version__}"}
        if target.authorization is not None:
            headers["Authorization"] = target.authorization
        own = settings.headers or {}
        given = {name.lower(): name for name in own}
        host = own[given["host"]] if "host" in given else target.authority
        more = [item for item in headers.items() if item[0].lower() not in given]
        more += [item for item in own.items() if item[0].lower() != "host"]
        self.secrets = Redaction(target.target.partition("?")[2], more)
        self._deflate = DeflateExtension()
        self._wsproto = H11Handshake(ConnectionType.CLIENT)
        self.request = self._wsproto.send(
            Request(
                host=_Verbatim(host),
                target=target.target,
                extensions=[self._deflate] if settings.compression else [],
                extra_headers=[(name.encode("ascii"), encode(value)) for name, value in more],
                subprotocols=list(settings.subprotocols),
            )
        )

    def accept(self, head: bytes) -> Agreement:
        """Take the server's answer, whose status is 101 (RFC 6455, 4.1).

        head: all of it, up to and including the empty line.
        Returns what was agreed on. Errors: NetworkError.
        """
        version, status, _reason, fields = _response(head, self.secrets)
        if status != 101 or version < "1.1":
            raise NetworkError(f"the handshake failed: the server answered HTTP/{version} {status}")
        for name in _ONCE_IN_RESPONSE:
            if len(fields.get(name, ())) > 1:
                raise NetworkError(f"the handshake failed: the server sent {name} more than once")
        plain = http_headers.build(
            "HTTP/1.1 101 Switching Protocols",
            [(name, ", ".join(fields[name])) for name in _FIELDS_OF_RESPONSE if name in fields],
        )
        try:
            self._wsproto.receive_data(plain)
            event = next(self._wsproto.events(), None)
        except _REFUSALS as error:
            said = _printable(self.secrets.hide(str(error)), 200)
            raise NetworkError(f"the handshake failed: {said}") from None
        if not isinstance(event, AcceptConnection):
            raise NetworkError("the handshake failed: the server's answer was not understood")
        return Agreement(event.subprotocol, self._deflate.agreed)

    def body_size(self, head: bytes) -> int | None:
        """How many bytes follow the head of another answer; None: until the end of the stream, or in chunks."""
        _version, status, _reason, fields = _response(head, self.secrets)
        if status < 200 or status in (204, 304):  # RFC 9112, 6.3
            return 0
        sizes = set(http_headers.elements(http_headers.joined(fields, "content-length")))
        if "transfer-encoding" in fields or len(sizes) != 1:
            return None
        size = sizes.pop()
        return int(size) if re.fullmatch("[0-9]{1,18}", size) else None

    def refused(self, head: bytes, body: bytes) -> NetworkError:
        """The error for an answer that is not 101.

        body: as much of it as there is; its start is shown.
        Errors: NetworkError for what is no answer.
        """
        _version, status, reason, fields = _response(head, self.secrets)
        phrase = _printable(self.secrets.hide(reason), 60) or _phrase(status)
        text = f"the server refused: {status} {phrase}".rstrip()
        said = ""
        if 300 <= status < 400:
            said = _elsewhere(fields)  # the body would only say it again, with path and query
        elif "content-encoding" not in fields:
            if http_headers.contains(http_headers.joined(fields, "transfer-encoding"), "chunked"):
                body = _without_chunks(body)
            said = _printable(self.secrets.hide(body[:_MOST_OF_BODY].decode(errors="replace")), 200)
        return NetworkError(f"{text}: {said}" if said else text)


# What wsproto looks at, of an answer; and what may be there once (RFC 6455, 11.3.2 to 11.3.4).
_ONCE_IN_RESPONSE = ("sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions")
_FIELDS_OF_RESPONSE = ("upgrade", "connection", *_ONCE_IN_RESPONSE)
_MOST_OF_BODY = 4096
_STATUS_LINE = re.compile(r"HTTP/([0-9]\.[0-9]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")


def status_of(head: bytes, secrets: Redaction = NOTHING) -> int:
    """The status of a server's answer. Below 200, but for 101, another answer follows (RFC 9110, 15.2).

    secrets: of the request, which a server may repeat.
    Errors: NetworkError for what is no answer.
    """
    return _response(head, secrets)[1]


def _response(head: bytes, secrets: Redaction) -> tuple[str, int, str, Fields]:
    """Version, status, reason and fields of an answer. Errors: NetworkError."""
    if head.startswith((b"\x15\x03", b"\x16\x03")):  # RFC 8446, 5.1: an alert, or a handshake
        raise NetworkError("the server speaks TLS: use wss://")
    # RFC 9112, 5.2: a user agent takes a line that goes on in the next one as one line.
    text = re.sub(r"[ \t]*\r\n[ \t]+", " ", head.decode("latin-1"))
    try:
        start, fields = http_headers.parse(text)
    except HeadError as error:
        raise NetworkError(f"the server's answer is malformed: {error}") from None
    line = _STATUS_LINE.fullmatch(start)
    if line is None:
        raise NetworkError(f"the server does not speak HTTP, but says {show(secrets.hide(start))}")
    return line[1], int(line[2]), line[3] or "", fields


def no_answer(received: bytes, secrets: Redaction = NOTHING) -> NetworkError:
    """The error for a connection that ended, or said too much, before there was a whole head.

    secrets: of the request, which a server may repeat.
    """
    if len(received) >= HEAD_LIMIT:
        return NetworkError(f"the server's answer has more than {HEAD_LIMIT} bytes of headers")
    if received.startswith((b"\x15\x03", b"\x16\x03")):
        return NetworkError("the server speaks TLS: use wss://")
    if received and not b"HTTP/1.1 ".startswith(received[:9]):
        said = _printable(secrets.hide(received.decode("latin-1")), 60)
        return NetworkError(f"the server does not speak HTTP, but says {show(said)}")
    return NetworkError("the server closed the connection during the handshake")


def _printable(text: str, most: int) -> str:
    """The start of a text, in one line."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _elsewhere(fields: Fields) -> str:
    """Where a redirection points to: the origin only, since the rest may hold secrets."""
    location = fields.get("location", [""])[0]
    try:
        parts = urlsplit(location)
        there = url.origin(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}") if parts.netloc else None
    except ValueError:
        there = None
    return f"it points to {there}" if there else ""


def _without_chunks(body: bytes) -> bytes:
    """The content of a body in chunks (RFC 9112, 7.1), as far as it goes."""
    content = b""
    while True:
        line, _, body = body.partition(b"\r\n")
        size = re.match(rb"[0-9A-Fa-f]{1,8}", line)
        if size is None or not int(size[0], 16):
            return content
        content += body[: int(size[0], 16)]
        body = body[int(size[0], 16) + len(b"\r\n") :]
