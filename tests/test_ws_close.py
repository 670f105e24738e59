"""Closing by us: native_ws_close, close_with, kick_client, stop_server. Nothing sent before is lost, nobody waits."""

from __future__ import annotations

import time

import pytest
from support import Running, code_of, free_ports, refusal, reset, wait_until
from ws_support import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    close_payload,
    opened,
    received,
    shorten,
    ws_port,
)

import dryad_net as net
from dryad_net import service

NOBODYS_CODES = [0, -1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 65536, 1000.5, None, "1000"]
READING = ["native_ws_recv", "native_ws_recv_binary", "native_ws_ping", "native_ws_pong", "native_ws_client_info"]


def test_close_says_1000_and_waits_for_the_answer(ws: WsLink) -> None:
    assert net.native_ws_close(ws.id) is None
    assert net.native_ws_get_state(ws.id) == "closing"
    assert net.native_ws_is_connected(ws.id) is False
    assert ws.peer.closing() == (1000, "")
    ws.peer.close(1000)
    becomes(ws.id, "closed")
    ws.peer.raw.shutdown(1)
    assert ws.peer.ended()


def test_the_server_ends_the_connection_first(ws_client: WsLink) -> None:
    """RFC 6455, section 7.1.1."""
    net.native_ws_close(ws_client.id)
    assert ws_client.peer.closing() == (1000, "")
    ws_client.peer.close(1000)
    assert ws_client.peer.ended()


def test_closing_does_not_wait(ws: WsLink) -> None:
    begun = time.monotonic()
    net.native_ws_close(ws.id)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("name", READING)
def test_other_calls_say_closed(ws: WsLink, name: str) -> None:
    net.native_ws_close(ws.id)
    error = refusal(getattr(net, name), ws.id)
    assert error.code == "E3029"
    assert "closed" in str(error)


def test_writing_and_settings_say_closed(ws: WsLink) -> None:
    net.native_ws_close(ws.id)
    for function, *values in (
        (net.native_ws_send, "x"),
        (net.native_ws_send_binary, b"x"),
        (net.native_ws_recv_blocking, 0),
        (net.native_ws_recv_binary_blocking, 0),
        (net.native_ws_set_timeout, 5),
        (net.native_ws_set_keepalive, True),
        (net.native_ws_set_max_frame_size, 5),
        (net.native_ws_get_local_addr,),
    ):
        assert "closed" in str(refusal(function, ws.id, *values))
        assert code_of(function, ws.id, *values) == "E3029"


def test_closing_again_does_nothing(ws: WsLink) -> None:
    for _ in range(3):
        assert net.native_ws_close(ws.id) is None
        assert net.native_ws_kick_client(ws.id) is None
        assert net.native_ws_close_with(ws.id, 1001, "x") is None
        assert net.native_ws_stop_server(ws.id) is None
    assert ws.peer.answer_close() == (1000, "")
    becomes(ws.id, "closed")
    net.native_ws_close(ws.id)
    assert net.native_ws_get_state(ws.id) == "closed"
    assert net.native_ws_is_connected(ws.id) is False


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
def test_what_was_sent_before_arrives(ws: WsLink, size: int) -> None:
    def read() -> tuple[object, object]:
        message = ws.peer.message()
        return message, ws.peer.answer_close()

    reader = Running(read)
    net.native_ws_send_binary(ws.id, b"x" * size)
    net.native_ws_close(ws.id)
    assert reader.result() == (b"x" * size, (1000, ""))


def test_unread_input_does_not_destroy_what_was_sent(ws: WsLink) -> None:
    """RFC 1122, 4.2.2.13: closing with unread data would send a reset."""
    for _ in range(50):
        ws.peer.send(BINARY, b"unread" * 1000)
    net.native_ws_send(ws.id, "x" * 100_000)
    net.native_ws_close(ws.id)
    for _ in range(50):
        ws.peer.send(BINARY, b"too late" * 1000)
    assert ws.peer.message() == "x" * 100_000
    assert ws.peer.answer_close() == (1000, "")
    becomes(ws.id, "closed")


def test_data_that_crosses_the_close_is_let_go(ws: WsLink) -> None:
    net.native_ws_close(ws.id)
    ws.peer.text("crossing")
    ws.peer.send(PING, b"crossing")
    ws.peer.send(TEXT, b"half", fin=False)
    assert ws.peer.closing() == (1000, "")
    ws.peer.close(1000)
    becomes(ws.id, "closed")


def test_the_answer_may_be_any_close(ws: WsLink) -> None:
    """Both sides closing at once, each with its own code."""
    net.native_ws_close(ws.id)
    ws.peer.close(4321, "at the same time")
    assert ws.peer.closing() == (1000, "")
    becomes(ws.id, "closed")
    ws.peer.raw.shutdown(1)
    assert ws.peer.read() is None


@pytest.mark.parametrize("way", ["end of stream", "reset", "a violation"])
def test_no_answer_but_an_end(ws: WsLink, way: str) -> None:
    net.native_ws_close(ws.id)
    ws.peer.closing()
    if way == "reset":
        reset(ws.peer.raw)
    elif way == "a violation":
        ws.peer.send(3)
        ws.peer.raw.shutdown(1)
    else:
        ws.peer.raw.shutdown(1)
    becomes(ws.id, "closed")


def test_closed_after_a_while_without_an_answer(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 10 s; the test has half a second."""
    assert service.CLOSE_SECONDS == 10
    shorten(monkeypatch, CLOSE_SECONDS=0.5)
    net.native_ws_close(ws.id)
    assert net.native_ws_get_state(ws.id) == "closing"
    begun = time.monotonic()
    becomes(ws.id, "closed")
    assert 0.3 < time.monotonic() - begun < 5
    assert ws.peer.closing() == (1000, "")


def test_closing_wakes_who_waits(ws: WsLink) -> None:
    texts = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    binaries = Running(net.native_ws_recv_binary_blocking, ws.id, -1).wait_asleep()
    net.native_ws_close(ws.id)
    assert texts.result() is None
    assert binaries.result() is None


# ---- close_with


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4000, 4999, 4000.0])
@pytest.mark.parametrize("reason", ["", "because", "é€𐍈", "x" * 123, "é" * 61])
def test_close_with(ws: WsLink, code: float, reason: str) -> None:
    assert net.native_ws_close_with(ws.id, code, reason) is None
    assert net.native_ws_get_state(ws.id) == "closing"
    assert ws.peer.expect(CLOSE) == close_payload(int(code), reason)
    ws.peer.close(int(code))
    becomes(ws.id, "closed")


@pytest.mark.parametrize(
    "code", [0, -1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 65536, 1000.5, None, "1000"]
)
def test_codes_that_nobody_may_send(ws: WsLink, code: object) -> None:
    assert code_of(net.native_ws_close_with, ws.id, code, "") == "E3006"
    assert net.native_ws_get_state(ws.id) == "open"


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, "\ud800", None, b"bytes", 5])
def test_reasons_that_nobody_may_send(ws: WsLink, reason: object) -> None:
    """A control frame has 125 bytes, two of them the code (RFC 6455, section 5.5)."""
    assert code_of(net.native_ws_close_with, ws.id, 1000, reason) == "E3006"
    net.native_ws_send(ws.id, "still open")
    assert ws.peer.message() == "still open"


# ---- servers


def test_kick_says_1008_and_ends(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server)
    other = ws_dial(ws_server)
    net.native_ws_send(link.id, "last words")
    assert net.native_ws_kick_client(link.id) is None
    assert net.native_ws_get_state(link.id) == "closed"
    assert net.native_ws_is_connected(link.id) is False
    assert code_of(net.native_ws_recv, link.id) == "E3029"
    assert link.peer.message() == "last words"
    assert link.peer.closing()[0] == 1008
    assert link.peer.ended()  # without an answer
    assert net.native_ws_get_clients(ws_server) == [other.id]
    net.native_ws_send(other.id, "undisturbed")
    assert other.peer.message() == "undisturbed"


def test_kick_with_unread_input(ws_client: WsLink) -> None:
    for _ in range(20):
        ws_client.peer.send(BINARY, b"unread" * 1000)
    net.native_ws_kick_client(ws_client.id)
    assert ws_client.peer.closing()[0] == 1008


def test_kick_is_for_clients_of_a_server(ws_link: WsLink) -> None:
    assert code_of(net.native_ws_kick_client, ws_link.id) == "E3029"
    assert net.native_ws_get_state(ws_link.id) == "open"


def test_stop_server_says_1001_to_everyone(ws_dial: Upgrade) -> None:
    (port,) = free_ports(1)  # which nobody else is given when it is free again
    server = net.native_ws_listen(port)
    links = [ws_dial(server) for _ in range(5)]
    net.native_ws_send(links[0].id, "before")
    begun = time.monotonic()
    assert net.native_ws_stop_server(server) is None
    assert time.monotonic() - begun < 2
    assert links[0].peer.message() == "before"
    for link in links:
        assert code_of(net.native_ws_send, link.id, "x") == "E3029"
        assert net.native_ws_get_state(link.id) in ("closing", "closed")
        assert link.peer.answer_close()[0] == 1001
    for link in links:
        becomes(link.id, "closed")
    assert code_of(net.native_ws_accept, server) == "E3029"
    assert net.native_ws_stop_server(server) is None
    assert code_of(net.native_ws_connect, f"ws://127.0.0.1:{port}/") == "E5006"


def test_stop_server_and_who_was_not_accepted(ws_server: int) -> None:
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    opened(own)
    net.native_ws_stop_server(ws_server)
    assert net.native_ws_recv_blocking(own, -1) is None
    wait_until(lambda: net.native_ws_client_info(own)["close_code"] == 1001)


def test_a_port_is_free_again(ws_server: int, ws_dial: Upgrade) -> None:
    ws_dial(ws_server)
    port = ws_port(ws_server)
    net.native_ws_stop_server(ws_server)
    again = net.native_ws_listen(port)
    own = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
    net.native_ws_recv(own)
    accepted = accept_of(again)
    net.native_ws_send(accepted, "a new one")
    assert received(own) == "a new one"
