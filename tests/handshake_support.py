"""The opening handshake's messages, put together and taken apart without the library; and what an answer may be."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from typing import NamedTuple

from dryad_net import handshake
from dryad_net.errors import NetworkError
from dryad_net.handshake import Settings
from dryad_net.url import parse

# RFC 6455, 1.3
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

REQUEST = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def head(start: str, *fields: tuple[str, str | bytes | None]) -> bytes:
    """A head of these fields; those that are None are left out."""
    lines = [start.encode("latin-1")]
    for name, value in fields:
        if value is not None:
            lines.append(name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode()))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def request(
    *more: tuple[str, str | bytes | None], start: str = "GET /chat HTTP/1.1", **changes: str | bytes | None
) -> bytes:
    """A client's request; Sec_WebSocket_Key=None leaves that field out."""
    fields: dict[str, str | bytes | None] = dict(REQUEST)
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return head(start, *fields.items(), *more)


class Message(NamedTuple):
    """A head or a whole message, taken apart."""

    start: str
    fields: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])


def message(data: bytes) -> Message:
    """Take a head, or a response with a Content-Length, apart; no field may be there twice."""
    before, empty_line, body = data.partition(b"\r\n\r\n")
    assert empty_line
    start, *lines = before.decode("utf-8", "surrogateescape").split("\r\n")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon
        assert name.lower() not in fields
        fields[name.lower()] = value
    return Message(start, fields, body)


def accept_of(key: str) -> str:
    """What proves that the server has read the key (RFC 6455, 4.2.2, item 5)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def client(url: str = "ws://server.example.com/chat", **settings: object) -> handshake.ClientHandshake:
    """A client's handshake with these settings."""
    return handshake.ClientHandshake(parse(url), Settings(**settings))  # type: ignore[arg-type]


def response(
    to: handshake.ClientHandshake,
    *more: tuple[str, str | bytes | None],
    start: str = "HTTP/1.1 101 Switching Protocols",
    **changes: str | bytes | None,
) -> bytes:
    """The server's answer to a client's request; Upgrade=None leaves that field out."""
    fields: dict[str, str | bytes | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_of(message(to.request).fields["sec-websocket-key"]),
    }
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    return head(start, *fields.items(), *more)


# ---- whatever bytes come

PLAIN = Settings()
ALL = Settings({"X-Server": "yes"}, ("chat", "superchat"), True, frozenset({"https://example.org"}))


def check_answer(data: bytes) -> None:
    """A server of ours answers these bytes with HTTP, whatever they are."""
    for settings_ in (PLAIN, ALL):
        answer = handshake.answer(data, settings_)
        answered = message(answer.response)
        assert (answered.status == 101) == (answer.agreement is not None)
        if answer.agreement is None:
            assert answered.status in (400, 403, 405, 426, 431, 505)
        else:
            handshake.describe(data)


def check_message(error: NetworkError) -> None:
    """What the peer said is shown in one printable line."""
    assert str(error).isprintable()
    assert len(str(error)) < 600


def accepted(to: handshake.ClientHandshake, data: bytes) -> handshake.Agreement | None:
    """What was agreed on, or None."""
    try:
        return to.accept(data)
    except NetworkError as error:
        check_message(error)
        return None


def check_client(data: bytes) -> None:
    """To a client of ours these bytes are an answer, or an error of the library's own."""
    for to in (client(), client(compression=True, subprotocols=("chat", "x"))):
        with contextlib.suppress(NetworkError):
            handshake.status_of(data)
        with contextlib.suppress(NetworkError):
            to.body_size(data)
        with contextlib.suppress(NetworkError):
            check_message(to.refused(data, data))
        accepted(to, data)
        check_message(handshake.no_answer(data))
