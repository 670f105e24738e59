"""The server's side of the opening handshake, without I/O (RFC 6455, 4.2)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import NamedTuple

import h11
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError

from . import deflate, http_headers, url
from .errors import show
from .handshake_settings import HEAD_LIMIT, Agreement, DeflateExtension, Settings, encode
from .http_headers import Fields, HeadError


class Answer(NamedTuple):
    """A server's answer to a request.

    ``response``: the bytes to send; ``agreement``: None where it was refused (close after sending);
    ``reason``: why.
    """

    response: bytes
    agreement: Agreement | None
    reason: str


class _Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The request is refused: with this status, for this reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


# RFC 9112, 3: a method is a token. RFC 9112, 3.2: a target is never more than visible ASCII.
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
# Origin-form, or absolute-form, which a server has to take (RFC 9112, 3.2.2).
_TARGET = re.compile(r"(?:(?:https?|wss?)://[^/?#]+)?/[^#]*|(?:https?|wss?)://[^/?#]+(?:\?[^#]*)?", re.IGNORECASE)
# RFC 9110, 7.2: a host as in a URI, and perhaps a port.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]*)?")
# RFC 6455, 4.2.1, item 5: base64 of 16 bytes.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
# RFC 6455, 11.3.1 and 11.3.5; RFC 9112, 3.2; RFC 6454, 7.3.
_ONCE = ("host", "sec-websocket-key", "sec-websocket-version", "origin")
_VERSION = "13"


def answer(head: bytes, settings: Settings) -> Answer:
    """Answer a client's request, whatever its bytes are.

    head: all of it, up to and including the empty line; settings: the server's.
    Returns an Answer. Errors: none.
    """
    try:
        return _agree(head, settings)
    except _Refused as refused:
        response = refusal(refused.status, refused.reason)
        if head.startswith(b"HEAD "):  # RFC 9110, 9.3.2: no body, although its size is told
            response = response[: response.index(b"\r\n\r\n") + 4]
        return Answer(response, None, refused.reason)
    # What may come out of wsproto and below, should it dislike what was found in order here.
    except (ProtocolError, h11.ProtocolError, ValueError) as error:
        reason = f"the request was not understood: {error}"
        return Answer(refusal(400, reason), None, reason)


def _agree(head: bytes, settings: Settings) -> Answer:
    """The answer to a request that is in order. Errors: _Refused."""
    fields = _request(head)
    key = _check_upgrade(fields)
    try:
        subprotocol = _subprotocol(http_headers.joined(fields, "sec-websocket-protocol"), settings)
    except HeadError:
        raise _Refused(400, "Sec-WebSocket-Protocol is not a list of names") from None
    try:
        offers = http_headers.joined(fields, "sec-websocket-extensions")
        extensions = http_headers.extensions(offers) if offers is not None else []
    except HeadError:
        raise _Refused(400, "Sec-WebSocket-Extensions is not a list of extensions") from None
    chosen = deflate.choose(extensions) if settings.compression else None
    _check_origin(fields, settings)
    # wsproto gets what it looks at, in plain form, and none of what it does not need. The Host is
    # checked here; it would put it through IDNA.
    plain = [
        ("Host", "host"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", _VERSION),
    ]
    if subprotocol is not None:
        plain.append(("Sec-WebSocket-Protocol", subprotocol))
    if chosen is not None:
        plain.append(("Sec-WebSocket-Extensions", deflate.NAME))
    handshake = H11Handshake(ConnectionType.SERVER)
    handshake.receive_data(http_headers.build("GET / HTTP/1.1", plain))
    response = handshake.send(
        AcceptConnection(
            subprotocol=subprotocol,
            extensions=[] if chosen is None else [DeflateExtension(chosen[1])],
            extra_headers=[(name.encode("ascii"), encode(value)) for name, value in (settings.headers or {}).items()],
        )
    )
    return Answer(response, Agreement(subprotocol, None if chosen is None else chosen[0]), "")


def _request(head: bytes) -> Fields:
    """The fields of a request that RFC 9112 finds in order. Errors: _Refused."""
    if len(head) > HEAD_LIMIT:
        raise _Refused(431, f"more than {HEAD_LIMIT} bytes of headers")
    # RFC 9112, 2.2: an empty line before the request is to be ignored.
    start, _, _ = (text := head.decode("latin-1").removeprefix("\r\n")).partition("\r\n")
    line = _REQUEST_LINE.fullmatch(start)
    if line is None:
        raise _Refused(400, "not an HTTP request")
    method, target, major, minor = line.groups()
    if major != "1":
        raise _Refused(505, "only HTTP/1.1 is spoken here")
    if method != "GET":
        raise _Refused(405, "a WebSocket begins with GET")
    if minor == "0":  # RFC 9110, 7.8: it has no Upgrade
        raise _Refused(400, "a WebSocket needs HTTP/1.1")
    if not _TARGET.fullmatch(target):
        raise _Refused(400, "the request target is neither a path nor a URL")
    try:
        _start, fields = http_headers.parse(text)
    except HeadError as error:
        raise _Refused(400, f"malformed headers: {error}") from None
    for name in _ONCE:
        if len(fields.get(name, ())) > 1:
            raise _Refused(400, f"{name} more than once")
    if "host" not in fields or not _HOST.fullmatch(fields["host"][0]):
        raise _Refused(400, "no Host, or one that names no host")
    if "transfer-encoding" in fields or set(fields.get("content-length", ())) - {"0"}:
        raise _Refused(400, "a request that has a body")
    return fields


def _check_upgrade(fields: Fields) -> str:
    """The key of a request to upgrade to WebSocket, version 13. Errors: _Refused."""
    if not http_headers.contains(http_headers.joined(fields, "upgrade"), "websocket"):
        raise _Refused(426, "only WebSocket is spoken here, and there is no Upgrade: websocket")
    if not http_headers.contains(http_headers.joined(fields, "connection"), "upgrade"):
        raise _Refused(426, "only WebSocket is spoken here, and there is no Connection: Upgrade")
    version = fields.get("sec-websocket-version")
    if version is None:
        raise _Refused(400, "no Sec-WebSocket-Version")
    if version[0] != _VERSION:  # RFC 6455, 4.4
        raise _Refused(426, f"only version {_VERSION} of WebSocket is spoken here")
    key = fields.get("sec-websocket-key")
    if key is None or not _KEY.fullmatch(key[0]):
        raise _Refused(400, "no Sec-WebSocket-Key, or one that is not 16 bytes in base64")
    return key[0]


def _subprotocol(offered: str | None, settings: Settings) -> str | None:
    """The first of ours that the client offers. Errors: HeadError for a list that is none."""
    if offered is None:
        return None
    names = http_headers.tokens(offered)
    return next((name for name in settings.subprotocols if name in names), None)


def _check_origin(fields: Fields, settings: Settings) -> None:
    """RFC 6455, 4.2.2, item 4. What is no browser sends no Origin, or what it likes. Errors: _Refused."""
    if settings.origins is None or "origin" not in fields:
        return
    origin = fields["origin"][0]
    if origin not in settings.origins and url.origin(origin) not in settings.origins:
        raise _Refused(403, f"pages from {show(origin)} may not connect")


# What else the answer has to have (RFC 9110, 15.5.6 and 15.5.22; RFC 6455, 4.4).
_MORE_HEADERS = {
    405: [("Allow", "GET")],
    426: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", _VERSION)],
}


def refusal(status: int, reason: str) -> bytes:
    """A whole response that refuses; the connection is to be closed after it."""
    body = f"{reason}\n".encode("utf-8", "replace")
    return (
        http_headers.build(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            [
                *_MORE_HEADERS.get(status, ()),
                # RFC 9110, 7.8: whoever sends Upgrade names it in Connection.
                ("Connection", "close, Upgrade" if status == 426 else "close"),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(body))),
            ],
        )
        + body
    )


def describe(head: bytes) -> tuple[str, dict[str, str]]:
    """What client_info tells of a request that was accepted: its target, and its headers by lower-case name."""
    text = head.decode("utf-8", "surrogateescape").removeprefix("\r\n")
    start, fields = http_headers.parse(text)
    # RFC 6265, 5.4: cookies are separated by semicolons.
    return start.split(" ")[1], {
        name: ("; " if name == "cookie" else ", ").join(values) for name, values in fields.items()
    }
