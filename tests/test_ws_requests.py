"""Requests that are late, too long, or no WebSocket: answered, dropped, and nobody else is disturbed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from support import Running, reset
from ws_support import Peer, Upgrade, accept_of, header_of, received, request, shorten, status_of

import dryad_net as net
from dryad_net import websocket_server

Knock = Callable[..., Peer]
GET = b"GET / HTTP/1.1\r\nHost: test.example\r\n"

BAD: dict[str, tuple[set[int], bytes]] = {
    "a plain GET": ({400, 426}, GET + b"\r\n"),
    "another method": ({400, 405}, request(line="POST / HTTP/1.1")),
    "HTTP/1.0": ({400, 426, 505}, request(line="GET / HTTP/1.0")),
    "HTTP/2": ({400, 505}, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "no HTTP": ({400}, b"hello there\r\n\r\n"),
    "a TLS ClientHello": ({400}, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n"),
    "version 12": ({426}, request(version="12")),
    "version 8": ({426}, request(version="8")),
    "no version": ({400, 426}, request().replace(b"Sec-WebSocket-Version: 13\r\n", b"")),
    "no key": ({400}, request().replace(b"Sec-WebSocket-Key", b"X-Key")),
    "an empty key": ({400}, request(key="")),
    "a short key": ({400}, request(key="c2hvcnQ=")),
    "a key that is no base64": ({400}, request(key="!" * 24)),
    "two keys": ({400}, request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")),
    "no Host": ({400}, request().replace(b"Host: test.example\r\n", b"")),
    "two Hosts": ({400}, request("Host: other.example")),
    "no Upgrade": ({400, 426}, request().replace(b"Upgrade: websocket\r\n", b"")),
    "another Upgrade": ({400, 426}, request().replace(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n")),
    "no Connection": ({400, 426}, request().replace(b"Connection: Upgrade\r\n", b"")),
    "another Connection": ({400, 426}, request().replace(b"Connection: Upgrade\r\n", b"Connection: close\r\n")),
    "a space before the colon": ({400}, request("X-Header : value")),
    "a folded header": ({400}, request("X-Header: value\r\n folded")),
    "a NUL": ({400}, request("X-Header: a\0b")),
    "no name": ({400}, request(": value")),
    "no colon": ({400}, request("value")),
    "a body": ({400, 413}, request("Content-Length: 5") + b"hello"),
    "not ASCII in an extension": ({400}, request("Sec-WebSocket-Extensions: \u00ff\u00fe")),
}


def refused(peer: Peer) -> tuple[int, bytes]:
    """The status and head of the answer; after it and its body, the connection must end."""
    head = peer.head()
    assert b"Upgrade: websocket" not in head or status_of(head) == 426
    body = peer.body()
    assert len(body) == int(header_of(head, "Content-Length"))
    assert "close" in header_of(head, "Connection").lower()
    return status_of(head), head


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_answered(ws_server: int, ws_knock: Knock, ws_dial: Upgrade, name: str) -> None:
    statuses, data = BAD[name]
    before = ws_dial(ws_server)
    peer = ws_knock(ws_server)
    peer.say(data)
    status, _ = refused(peer)  # in the background, no call is made meanwhile
    assert status in statuses
    assert net.native_ws_accept(ws_server) is None
    net.native_ws_send(before.id, "undisturbed")
    assert before.peer.message() == "undisturbed"
    ws_dial(ws_server)


def test_426_names_the_version(ws_server: int, ws_knock: Knock) -> None:
    """RFC 6455, section 4.4."""
    peer = ws_knock(ws_server)
    peer.say(request(version="7"))
    assert header_of(refused(peer)[1], "Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize(
    "data",
    [
        request("X-Long: " + "x" * 17_000),
        request(*[f"X-{number}: {number}" for number in range(2000)]),
        request(path="/" + "p" * 17_000),
        b"x" * 17_000,
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000,
    ],
    ids=["a long header", "many headers", "a long target", "no line", "no end"],
)
def test_more_than_16_kib_is_431(ws_server: int, ws_knock: Knock, data: bytes) -> None:
    peer = ws_knock(ws_server)

    def flood() -> None:
        with contextlib.suppress(OSError):  # the answer need not wait for all of it
            peer.say(data)

    flooding = Running(flood)
    assert status_of(peer.head()) in (400, 414, 431)
    flooding.result()
    assert net.native_ws_accept(ws_server) is None


def test_a_head_of_nearly_16_kib_is_fine(ws_server: int, ws_knock: Knock) -> None:
    peer = ws_knock(ws_server)
    peer.say(request("X-Long: " + "x" * 15_000))
    headers = net.native_ws_client_info(accept_of(ws_server))["headers"]
    assert {name.lower(): value for name, value in headers.items()}["x-long"] == "x" * 15_000


@pytest.mark.parametrize("said", [b"", b"GET / HT", request()[:-2]])
def test_too_slow_is_408(ws_server: int, ws_knock: Knock, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """After 10 s; the test has half a second."""
    assert websocket_server.HANDSHAKE_SECONDS == 10
    shorten(monkeypatch, HANDSHAKE_SECONDS=0.5)
    peer = ws_knock(ws_server)
    begun = time.monotonic()
    peer.say(said)
    assert refused(peer)[0] == 408
    assert 0.3 < time.monotonic() - begun < 5


def test_too_slow_though_never_silent(ws_server: int, ws_knock: Knock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not make the time begin anew."""
    shorten(monkeypatch, HANDSHAKE_SECONDS=0.5)
    peer = ws_knock(ws_server)

    def drip() -> None:
        try:
            for byte in request():
                peer.say(bytes([byte]))
                time.sleep(0.05)
        except OSError:
            pass  # dropped, as it must be

    dripping = Running(drip)
    begun = time.monotonic()
    assert status_of(peer.head()) == 408
    assert time.monotonic() - begun < 5
    peer.hang_up()
    dripping.result()


@pytest.mark.parametrize("way", ["end of stream", "reset"])
@pytest.mark.parametrize("said", [0, 30, 1000])
def test_clients_that_give_up(ws_server: int, ws_knock: Knock, way: str, said: int) -> None:
    for _ in range(5):
        peer = ws_knock(ws_server)
        peer.say(request()[:said])
        if way == "reset":
            reset(peer.raw)
        else:
            peer.hang_up()
    patient = ws_knock(ws_server)
    patient.say(request(path="/patient"))
    accepted = accept_of(ws_server)
    while net.native_ws_client_info(accepted)["path"] != "/patient":  # some said everything, and left
        accepted = accept_of(ws_server)
    net.native_ws_send(accepted, "welcome")
    patient.head()
    assert patient.message() == "welcome"


def test_half_closed_after_the_request(ws_server: int, ws_knock: Knock) -> None:
    """A client that can say no Close any more: the end of its stream is the end of the connection."""
    peer = ws_knock(ws_server)
    peer.say(request() + peer.frame(1, b"that is all"))
    peer.raw.shutdown(1)
    assert status_of(peer.head()) == 101
    assert received(accept_of(ws_server)) == "that is all"


def test_many_bad_requests_at_once(ws_server: int, ws_knock: Knock, ws_dial: Upgrade) -> None:
    peers = [ws_knock(ws_server) for _ in range(60)]
    for number, peer in enumerate(peers):
        peer.say(list(BAD.values())[number % len(BAD)][1])
    ws_dial(ws_server)
    for peer in peers:
        assert status_of(peer.head()) >= 400
