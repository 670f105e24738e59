"""Headers and subprotocols are refused with an ArgumentError, or arrive on the other side as they are."""

from __future__ import annotations

from typing import Any

from handshake_support import client, message, response
from source import Source

from dryad_net import handshake
from dryad_net.errors import ArgumentError
from dryad_net.handshake import Settings, check_headers, check_origins, check_subprotocols

WORDS = (b"\r\n", b"\0", b"Host", b"Cookie", b"Upgrade", b"Sec-WebSocket-Key", b", ", b"chat", b"https://a.example")
NAMES = ("Host", "Origin", "Cookie", "Authorization", "User-Agent", "X-Any", "x-any", "Upgrade", "Sec-WebSocket-Foo")


def one(data: bytes) -> None:
    """An object of headers, a subprotocol, an array of origins."""
    source = Source(data)
    protocols = _checked(check_subprotocols, source.text(30)) or ()
    _checked(check_origins, [source.text(40), *([5] if source.boolean() else [])])
    given: dict[Any, Any] = {}
    for _ in range(source.number(0, 4)):
        given[source.pick(NAMES) if source.boolean() else source.text(20)] = source.text(60)
    headers = _checked(check_headers, given)
    if headers is not None:
        _check_client(headers, protocols)
        _check_server(headers, protocols)


def _checked(check: Any, value: Any) -> Any:
    """What the check makes of a value; None if it refuses it."""
    try:
        return check(value, "value")
    except ArgumentError as error:
        assert len(str(error)) < 400
        return None


def _check_client(headers: dict[str, str], protocols: tuple[str, ...]) -> None:
    request = client(headers=headers, subprotocols=protocols).request
    fields = message(request).fields
    for name, value in headers.items():
        assert fields[name.lower()] == value
    answer = handshake.answer(request, Settings(subprotocols=protocols))
    # What is no host is no business of check_headers': a server may say 400.
    if answer.agreement is None:
        assert "host" in {name.lower() for name in headers}, answer.reason
    else:
        assert answer.agreement.subprotocol == (protocols[0] if protocols else None)
        path, described = handshake.describe(request)
        assert path == "/chat"
        for name, value in headers.items():
            assert described[name.lower()] == value


def _check_server(headers: dict[str, str], protocols: tuple[str, ...]) -> None:
    to = client(subprotocols=protocols)
    answer = handshake.answer(to.request, Settings(headers=headers, subprotocols=protocols))
    assert answer.agreement is not None
    fields = message(answer.response).fields
    for name, value in headers.items():
        assert fields[name.lower()] == value
    assert to.accept(answer.response) == answer.agreement
    assert response(client())  # the tests' own answer is one, too
