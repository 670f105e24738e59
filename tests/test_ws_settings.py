"""Settings of connections and servers: what applies to whom and when, headers and subprotocols."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from support import code_of, kernel_socket, refusal
from ws_support import (
    DEFLATE,
    Peer,
    Upgrade,
    WsLink,
    accept_of,
    header_of,
    headers_of,
    opened,
    request,
    response,
    status_of,
    ws_port,
)

import dryad_net as net

Knock = Callable[..., Peer]
OWN_OF_THE_HANDSHAKE = [
    *("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"),
    *("Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "sec-websocket-anything", "CONTENT-LENGTH"),
    *("Content-Length", "Transfer-Encoding", "transfer-encoding", "upgrade"),
]
BAD_HEADERS: list[object] = [
    *(None, 5, "X: y", [("X", "y")], ["X"], {"X": 5}, {"X": None}, {"X": b"y"}, {5: "y"}, {None: "y"}, {b"X": "y"}),
    *({"": "y"}, {"X Y": "y"}, {"X:": "y"}, {"X\r\nY": "z"}, {"X\0": "y"}, {"é": "y"}, {"X(": "y"}, {"\ud800": "y"}),
    *({"X": "a\r\nY: b"}, {"X": "a\n"}, {"X": "a\r"}, {"X": "a\0b"}, {"X": "\ud800"}, {"X": "a\x01b"}, {"X": "\x7f"}),
    {"X": "y" * 20_000},
    {f"X-{number}": "y" * 100 for number in range(500)},
    *({name: "x"} for name in OWN_OF_THE_HANDSHAKE),
]
BAD_SUBPROTOCOLS = [
    "",
    " ",
    ",",
    "a b",
    "a,,b",
    "a,",
    "a, a",
    "é",
    "a\r\nb",
    "a\0",
    '"a"',
    "a/b",
    "\ud800",
    None,
    5,
    b"a",
]


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=lambda headers: ascii(headers)[:40])
def test_headers_that_are_none(ws_call: Upgrade, ws_server: int, headers: object) -> None:
    link = ws_call()
    for identifier in (link.id, ws_server):
        assert code_of(net.native_ws_set_headers, identifier, headers) == "E3006"
    net.native_ws_recv(link.id)
    assert link.peer.head().count(b"\r\n") <= 9


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X": ""},
        {"x-lower": "value", "X-UPPER": "VALUE"},
        {"X": "with\ttab and  spaces"},
        {"X!#$%&'*+-.^_`|~1": "every character of a token"},
        {"Host": "other.example:81", "Origin": "null", "Cookie": "a=b; c=d", "Authorization": "Bearer x"},
        {"User-Agent": "Dryad", "Accept-Language": "pt-BR"},
        {f"X-{number}": str(number) for number in range(100)},
    ],
    ids=lambda headers: ascii(headers)[:40],
)
def test_headers_as_they_were_set(ws_call: Upgrade, headers: dict[str, str]) -> None:
    link = ws_call()
    net.native_ws_set_headers(link.id, headers)
    net.native_ws_recv(link.id)
    head = link.peer.head()
    for name, value in headers.items():
        assert header_of(head, name) == value
    assert len(headers_of(head, "Host")) == 1
    link.peer.say(response(head))
    opened(link.id)


@pytest.mark.parametrize("protocol", BAD_SUBPROTOCOLS, ids=ascii)
def test_subprotocols_that_are_none(ws_call: Upgrade, ws_server: int, protocol: object) -> None:
    link = ws_call()
    for identifier in (link.id, ws_server):
        assert code_of(net.native_ws_set_subprotocol, identifier, protocol) == "E3006"


# ---- servers: for the clients accepted later


def test_server_headers_are_in_its_answers(ws_server: int, ws_knock: Knock) -> None:
    net.native_ws_set_headers(ws_server, {"X-Served-By": "dryad", "Set-Cookie": "a=b"})
    peer = ws_knock(ws_server)
    peer.say(request())
    head = peer.head()
    assert status_of(head) == 101
    assert header_of(head, "X-Served-By") == "dryad"
    assert header_of(head, "Set-Cookie") == "a=b"
    accept_of(ws_server)


@pytest.mark.parametrize(
    ("speaks", "asked", "agreed"),
    [
        ("chat", ["chat"], "chat"),
        ("chat", ["other, chat"], "chat"),
        ("chat", ["other", "chat"], "chat"),
        ("chat", ["other"], None),
        ("chat", [], None),
        ("one, two", ["two"], "two"),
        ("one,two", ["other, two"], "two"),
    ],
)
def test_subprotocols_of_a_server(
    ws_server: int, ws_knock: Knock, speaks: str, asked: list[str], agreed: str | None
) -> None:
    """RFC 6455, section 4.2.2: one that the client has named, or none."""
    net.native_ws_set_subprotocol(ws_server, speaks)
    peer = ws_knock(ws_server)
    peer.say(request(*[f"Sec-WebSocket-Protocol: {each}" for each in asked]))
    head = peer.head()
    assert status_of(head) == 101
    assert headers_of(head, "Sec-WebSocket-Protocol") == ([agreed] if agreed else [])
    assert net.native_ws_client_info(accept_of(ws_server))["subprotocol"] == agreed


def test_a_subprotocol_that_the_server_does_not_set(ws_server: int, ws_knock: Knock) -> None:
    peer = ws_knock(ws_server)
    peer.say(request("Sec-WebSocket-Protocol: chat"))
    assert headers_of(peer.head(), "Sec-WebSocket-Protocol") == []
    assert net.native_ws_client_info(accept_of(ws_server))["subprotocol"] is None


def test_between_our_client_and_our_server(ws_server: int) -> None:
    net.native_ws_set_subprotocol(ws_server, "chat")
    net.native_ws_set_compression(ws_server, True)
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    net.native_ws_set_subprotocol(own, "other, chat")
    net.native_ws_set_compression(own, True)
    net.native_ws_recv(own)
    accepted = accept_of(ws_server)
    for identifier in (opened(own), accepted):
        info = net.native_ws_client_info(identifier)
        assert (info["subprotocol"], bool(info["compression"])) == ("chat", True)


def test_a_servers_compression_is_for_later_clients(ws_server: int, ws_dial: Upgrade) -> None:
    before = ws_dial(ws_server, DEFLATE)
    net.native_ws_set_compression(ws_server, True)
    with_it, without = ws_dial(ws_server, DEFLATE), ws_dial(ws_server)
    net.native_ws_set_compression(ws_server, False)
    after = ws_dial(ws_server, DEFLATE)
    compressed = [bool(net.native_ws_client_info(each.id)["compression"]) for each in (before, with_it, without, after)]
    assert compressed == [False, True, False, False]


def test_a_servers_timeout_is_for_later_clients(ws_server: int, ws_dial: Upgrade) -> None:
    net.native_ws_set_timeout(ws_server, 50)
    link = ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, bytes(4 << 20))  # so that there is no room
    begun = time.monotonic()
    assert refusal(net.native_ws_send, link.id, "x").code == "E5007"
    assert 0.048 <= time.monotonic() - begun < 5


def test_keepalive_reaches_the_system(ws_server: int, ws_dial: Upgrade, ws_link: WsLink) -> None:
    """And TCP keepalive below it."""
    before = ws_dial(ws_server)
    net.native_ws_set_keepalive(ws_server, True)
    after = ws_dial(ws_server)
    net.native_ws_set_keepalive(ws_link.id, True)
    for identifier, on in ((before.id, False), (after.id, True), (ws_link.id, True)):
        with kernel_socket(identifier) as twin:
            assert bool(twin.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is on
    net.native_ws_set_keepalive(ws_link.id, False)
    with kernel_socket(ws_link.id) as twin:
        assert not twin.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_settings_of_a_server_hold_for_who_waits_already(ws_server: int, ws_knock: Knock) -> None:
    """What is set before a client is accepted holds for it."""
    peer = ws_knock(ws_server)
    peer.say(request())
    peer.head()
    net.native_ws_set_max_frame_size(ws_server, 100)
    accepted = accept_of(ws_server)
    net.native_ws_send(accepted, "x" * 150)
    assert [len(each.payload) for each in peer.frames()] == [100, 50]


@pytest.mark.parametrize("name", ["headers", "subprotocol"])
def test_too_late_on_an_accepted_client(ws_client: WsLink, name: str) -> None:
    value = {"X": "y"} if name == "headers" else "chat"
    assert "handshake" in str(refusal(getattr(net, f"native_ws_set_{name}"), ws_client.id, value))


def test_compression_that_was_not_negotiated(ws: WsLink) -> None:
    assert code_of(net.native_ws_set_compression, ws.id, True) == "E3006"
    assert net.native_ws_set_compression(ws.id, False) is None
    net.native_ws_send(ws.id, "x" * 1000)
    assert ws.peer.message() == "x" * 1000


def test_settings_of_a_stopped_server(ws_server: int) -> None:
    net.native_ws_stop_server(ws_server)
    for name, value in (
        ("timeout", 5),
        ("keepalive", True),
        ("max_frame_size", 5),
        ("compression", True),
        ("headers", {}),
        ("subprotocol", "chat"),
    ):
        assert code_of(getattr(net, f"native_ws_set_{name}"), ws_server, value) == "E3029"


def test_settings_return_null(ws_server: int, ws_call: Upgrade) -> None:
    link = ws_call()
    for identifier in (ws_server, link.id):
        assert net.native_ws_set_timeout(identifier, 1000) is None
        assert net.native_ws_set_timeout(identifier, None) is None
        assert net.native_ws_set_keepalive(identifier, True) is None
        assert net.native_ws_set_max_frame_size(identifier, 1000.0) is None
        assert net.native_ws_set_max_message_size(identifier, 1000) is None
        assert net.native_ws_set_compression(identifier, True) is None
        assert net.native_ws_set_headers(identifier, {"X": "y"}) is None
        assert net.native_ws_set_subprotocol(identifier, "chat") is None
