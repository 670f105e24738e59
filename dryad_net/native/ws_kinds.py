"""What the parameters of the WebSocket functions may be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..checks import MESSAGE, Checked, Id, IdOrClosed, Number, Text
from ..close_codes import LONGEST_REASON, is_sendable
from ..errors import ArgumentError, IdError, NetworkError, show
from ..handshake import Settings, check_headers, check_origins, check_subprotocols
from ..opening import ClientOpening
from ..tls import check_options
from ..websocket import Connection, closing
from ..websocket_server import Server

HAS_BEGUN = "too late: the handshake has begun"


class ClosingOrClosed(IdOrClosed):
    """A connection; also one that was closed and whose peer has not answered yet."""

    fast = 0

    def check(self, value: Any, parameter: str) -> Any:
        return closing.get(self.number(value, parameter)) or super().check(value, parameter)


class ClientOrClosed(IdOrClosed):
    """A connection that a server accepted."""

    fast = 0

    def check(self, value: Any, parameter: str) -> Any:
        found = super().check(value, parameter)
        if found is not None and found.server is None:
            raise IdError(f"{found.kind} of our own, not {self.name}").about(found.id)
        return found


def _check_code(value: Any, parameter: str) -> int:
    code = Number("a close code", 1000, 4999).check(value, parameter)
    if not is_sendable(code):
        raise ArgumentError(f"{parameter}: no code that may be sent (RFC 6455, 7.4): {code}")
    return code


def _check_reason(value: Any, parameter: str) -> str:
    reason = MESSAGE.check(value, parameter)
    text = reason if isinstance(reason, str) else reason.decode()
    if len(reason) > LONGEST_REASON:
        raise ArgumentError(f"{parameter}: more than {LONGEST_REASON} bytes: {show(text)}")
    return text


CONNECTION = Id("a WebSocket connection", Connection)
CONNECTION_OR_CLOSED = IdOrClosed("a WebSocket connection", Connection)
SERVER = Id("a WebSocket server", Server)
SERVER_OR_CLOSED = IdOrClosed("a WebSocket server", Server)
EITHER = Id("a WebSocket connection or server", Connection, Server)
URL = Text("a URL (ws:// or wss://)")
PATH = Text("the path of a file")
CODE = Checked("a close code (1000 to 4999)", _check_code)
REASON = Checked("a string of at most 123 bytes", _check_reason)
HEADERS = Checked("an object of headers", check_headers)
SUBPROTOCOL = Checked("the name of a subprotocol", check_subprotocols)
ORIGINS = Checked("an array of origins", check_origins)
TLS_OPTIONS = Checked("an object of TLS options", check_options)
CLOSING_OR_CLOSED = ClosingOrClosed("a WebSocket connection", Connection)
CLIENT_OR_CLOSED = ClientOrClosed("a client of a WebSocket server", Connection)


@contextlib.contextmanager
def handshake_settings(either: Connection | Server) -> Iterator[Settings]:
    """What the next handshake goes by, to be changed. Errors: NetworkError, if it has begun."""
    if isinstance(either, Server):
        yield either.settings
    else:
        with before_handshake(either) as opening:
            yield opening.settings


@contextlib.contextmanager
def before_handshake(connection: Connection) -> Iterator[ClientOpening]:
    """A handshake that does not begin meanwhile, and then not at once. Errors: NetworkError, if it has begun."""
    opening = connection.opening
    if not isinstance(opening, ClientOpening):
        raise NetworkError(HAS_BEGUN)
    with opening.changing:
        if opening.started:
            raise NetworkError(HAS_BEGUN)
        yield opening
        connection.put_off_handshake()
