"""native_ws_connect: names and addresses, who cannot be reached, URLs that are none, and what the request says."""

from __future__ import annotations

import base64
import errno
import socket
import time

import pytest
from support import HAS_IPV6, SOON, code_of, free_ports, plain_listener, refusal, wait_until
from ws_support import (
    Upgrade,
    accept_of,
    header_of,
    headers_of,
    opened,
    plain_server,
    response,
    ws_port,
)

import dryad_net as net

needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")

BAD_URLS = [
    *["", " ", "ws", "ws:", "ws:/", "ws://", "ws:///path", "127.0.0.1:80", "//127.0.0.1", "example"],
    *["http://127.0.0.1/", "https://127.0.0.1/", "tcp://127.0.0.1/", "file:///etc/hosts", "wsx://127.0.0.1/"],
    *["ws://127.0.0.1/#fragment", "ws://127.0.0.1/#", "ws://127.0.0.1/a?b#c"],
    *["ws://127.0.0.1:port/", "ws://127.0.0.1:65536/", "ws://127.0.0.1:-1/", "ws://127.0.0.1:0/", "ws://[::1/"],
    *["ws://::1/", "ws://127.0.0.1:80:80/", "ws://user@/", "ws://:80/"],
    *["ws://127.0.0.1/\r\nEvil: 1", "ws://127.0.0.1/\n", "ws://127.0.0.1/\0", "ws://127.0.0.1\r\n/", "ws://a b/"],
    *["ws://127.0.0.1/\ud800", "ws://\udcff/"],
]


def upgraded(identifier: int, listening: socket.socket, sockets: list[socket.socket]) -> bytes:
    """Answer a connection's upgrade; returns the request's head."""
    net.native_ws_recv(identifier)
    peer = plain_server(listening)
    sockets.append(peer.raw)
    head = peer.head()
    peer.say(response(head))
    opened(identifier)
    return head


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_is_no_url(url: str) -> None:
    assert code_of(net.native_ws_connect, url) == "E3006"


@pytest.mark.parametrize("scheme", ["ws", "WS", "wS"])
def test_the_scheme_in_any_case(scheme: str, plain_sockets: list[socket.socket]) -> None:
    with plain_listener() as listening:
        own = net.native_ws_connect(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/")
        assert upgraded(own, listening, plain_sockets).startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("host", "listens"),
    [
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        pytest.param("[::1]", "::1", marks=needs_ipv6),
    ],
)
def test_names_and_addresses(host: str, listens: str, plain_sockets: list[socket.socket]) -> None:
    with plain_listener(listens) as listening:
        port = listening.getsockname()[1]
        own = net.native_ws_connect(f"ws://{host}:{port}/")
        assert type(own) is int
        assert own > 0
        head = upgraded(own, listening, plain_sockets)
    assert header_of(head, "Host") == f"{host}:{port}"
    info = net.native_ws_client_info(own)
    assert (info["ip"], info["port"]) == (listens, port)


def test_nobody_listens() -> None:
    (port,) = free_ports(1)
    error = refusal(net.native_ws_connect, f"ws://127.0.0.1:{port}/")
    assert error.code == "E5006"
    assert error.errno == errno.ECONNREFUSED
    assert f"127.0.0.1:{port}" in str(error)
    assert "refused" in str(error)


def test_a_name_that_nobody_has() -> None:
    error = refusal(net.native_ws_connect, "ws://no-such-host.invalid/")
    assert error.code == "E5006"
    assert "no-such-host.invalid" in str(error)


def test_secrets_are_not_in_errors() -> None:
    with plain_listener() as listening:
        port = listening.getsockname()[1]
    for url in (
        f"ws://user:secret@127.0.0.1:{port}/",
        "ws://user:secret@127.0.0.1/#x",
        "ws://user:secret@:80/",
        "ws://user:secret@127.0.0.1:port/",
        "http://user:secret@127.0.0.1/",
    ):
        assert "secret" not in str(refusal(net.native_ws_connect, url))


def test_connecting_waits_for_no_upgrade() -> None:
    """An unreachable server is an error at once; one that never speaks is none yet."""
    with plain_listener() as silent:
        begun = time.monotonic()
        own = net.native_ws_connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
        assert time.monotonic() - begun < 5
        assert net.native_ws_get_state(own) == "connecting"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("/", "/"),
        ("/chat", "/chat"),
        ("/a/b?c=d&e=f", "/a/b?c=d&e=f"),
        ("?x=1", "/?x=1"),
        ("/%20%C3%A9", "/%20%C3%A9"),
        ("/é ü", "/%C3%A9%20%C3%BC"),
        ("//double", "//double"),
        ("/" + "p" * 2000, "/" + "p" * 2000),
    ],
)
def test_the_request_target(path: str, target: str, plain_sockets: list[socket.socket]) -> None:
    with plain_listener() as listening:
        own = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}{path}")
        head = upgraded(own, listening, plain_sockets)
    assert head.split(b"\r\n")[0].decode() == f"GET {target} HTTP/1.1"
    assert net.native_ws_client_info(own)["path"] == target


def test_the_request(ws_call: Upgrade) -> None:
    """RFC 6455, section 4.1: everything that a client must say, and nothing that nobody asked for."""
    keys = []
    for _ in range(2):
        link = ws_call()
        net.native_ws_recv(link.id)
        head = link.peer.head()
        assert header_of(head, "Upgrade").lower() == "websocket"
        assert "upgrade" in header_of(head, "Connection").lower()
        assert header_of(head, "Sec-WebSocket-Version") == "13"
        assert len(base64.b64decode(header_of(head, "Sec-WebSocket-Key"), validate=True)) == 16
        keys.append(header_of(head, "Sec-WebSocket-Key"))
        for name in ("Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Origin", "Authorization", "Cookie"):
            assert headers_of(head, name) == []
        assert link.peer.pending == b""
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("userinfo", "plain"),
    [
        ("user:password", b"user:password"),
        ("user", b"user:"),
        ("user:", b"user:"),
        (":password", b":password"),
        ("a%40b:p%3Aq%2F", b"a@b:p:q/"),
        ("us%C3%A9r:p%20w", "usér:p w".encode()),
        ("user:a:b", b"user:a:b"),
    ],
)
def test_userinfo_becomes_basic_authorization(userinfo: str, plain: bytes, plain_sockets: list[socket.socket]) -> None:
    with plain_listener() as listening:
        port = listening.getsockname()[1]
        own = net.native_ws_connect(f"ws://{userinfo}@127.0.0.1:{port}/path")
        head = upgraded(own, listening, plain_sockets)
    scheme, _, credentials = header_of(head, "Authorization").partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(credentials, validate=True) == plain
    assert header_of(head, "Host") == f"127.0.0.1:{port}"
    assert head.startswith(b"GET /path HTTP/1.1\r\n")


def test_wss_to_a_server_without_tls(plain_sockets: list[socket.socket]) -> None:
    with plain_listener() as listening:
        own = net.native_ws_connect(f"wss://127.0.0.1:{listening.getsockname()[1]}/")
        net.native_ws_recv(own)
        raw = listening.accept()[0]
    plain_sockets.append(raw)
    raw.settimeout(SOON)
    assert raw.recv(1) == b"\x16"  # a TLS handshake record (RFC 8446, section 5.1)
    raw.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    error = refusal(net.native_ws_send, own, "x")
    assert error.code == "E5006"
    assert "TLS" in str(error)
    becomes_closed(own)


def becomes_closed(identifier: int) -> None:
    wait_until(lambda: net.native_ws_get_state(identifier) == "closed")


def test_ids_are_of_the_one_counter(ws_server: int, plain_sockets: list[socket.socket]) -> None:
    tcp = net.native_tcp_listen(0)
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    client = accept_of(ws_server)
    udp = net.native_udp_socket()
    assert ws_server < tcp < own < client < udp
    net.native_ws_close(own)
    assert net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/") > udp


def test_our_client_and_our_server(ws_pair: tuple[int, int]) -> None:
    own, accepted = ws_pair
    net.native_ws_send(own, "to the server")
    assert net.native_ws_recv_blocking(accepted, -1) == "to the server"
    net.native_ws_send(accepted, "to the client")
    assert net.native_ws_recv_blocking(own, -1) == "to the client"


def test_a_peer_closed_before_the_request(ws_call: Upgrade) -> None:
    link = ws_call()
    link.peer.hang_up()
    error = refusal(net.native_ws_send, link.id, "x")
    assert error.code == "E5006"
    becomes_closed(link.id)
    assert net.native_ws_recv(link.id) is None
