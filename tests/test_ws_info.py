"""native_ws_client_info: every field, for clients of a server and for connections of our own."""

from __future__ import annotations

import time

import pytest
from support import SOON, Running, code_of, wait_until
from ws_support import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    INFO,
    PING,
    PONG,
    TEXT,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    deflated,
    opened,
    received,
    received_binary,
    request,
    ws_port,
)

import dryad_net as net


def test_the_fields(ws: WsLink) -> None:
    assert set(net.native_ws_client_info(ws.id)) == INFO


def test_of_a_fresh_connection(ws: WsLink) -> None:
    info = net.native_ws_client_info(ws.id)
    assert info["ip"] == "127.0.0.1"
    assert info["port"] == ws.peer.raw.getsockname()[1]
    assert type(info["port"]) is int
    assert info["path"] == "/"
    assert info["state"] == "open"
    assert info["subprotocol"] is info["close_code"] is info["latency_ms"] is None
    assert info["compression"] is False
    assert info["close_reason"] in (None, "")
    assert (info["bytes_sent"], info["bytes_received"]) == (0, 0)
    assert (info["messages_sent"], info["messages_received"]) == (0, 0)


def test_connected_at(ws_call: Upgrade, ws_server: int, ws_dial: Upgrade) -> None:
    """Seconds since the epoch."""
    before = time.time()
    link = ws_dial(ws_server)
    assert before - 1 <= net.native_ws_client_info(link.id)["connected_at"] <= time.time() + 1


@pytest.mark.parametrize("path", ["/", "/chat", "/a/b?token=1&x=%C3%A9", "/?q", "//", "/a;b=c"])
def test_the_path_with_its_query(ws_server: int, ws_dial: Upgrade, path: str) -> None:
    assert net.native_ws_client_info(ws_dial(ws_server, path=path).id)["path"] == path


def test_headers(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server, "Origin: http://a.example", "X-Several: one", "X-Several: two", "Cookie: a=b", "X-Empty:")
    headers = net.native_ws_client_info(link.id)["headers"]
    assert all(type(name) is str and type(value) is str for name, value in headers.items())
    found = {name.lower(): value for name, value in headers.items()}
    assert found["host"] == "test.example"
    assert found["origin"] == "http://a.example"
    assert found["x-several"] == "one, two"  # RFC 9110, section 5.3
    assert found["cookie"] == "a=b"
    assert found["x-empty"] == ""
    assert found["sec-websocket-version"] == "13"


def test_headers_of_any_bytes(ws_server: int, ws_knock: object) -> None:
    """A value may have bytes beyond ASCII (RFC 9110, section 5.5)."""
    peer = ws_knock(ws_server)  # type: ignore[operator]
    peer.say(request()[:-2] + b"X-Name: caf\xe9 \xff\r\n\r\n")
    headers = net.native_ws_client_info(accept_of(ws_server))["headers"]
    assert {name.lower(): value for name, value in headers.items()}["x-name"].startswith("caf")


def test_the_callers_own_object(ws: WsLink) -> None:
    net.native_ws_client_info(ws.id)["headers"].clear()
    net.native_ws_client_info(ws.id).clear()
    assert set(net.native_ws_client_info(ws.id)) == INFO


def test_counting_payload(ws: WsLink) -> None:
    """Bytes are those of messages: neither frame headers nor control frames."""
    net.native_ws_send(ws.id, "é" * 10)
    net.native_ws_send_binary(ws.id, b"x" * 1000)
    net.native_ws_send(ws.id, "")
    net.native_ws_ping(ws.id)
    ws.peer.send(PING, b"x" * 100)
    ws.peer.send(TEXT, b"abc", fin=False)
    ws.peer.send(CONTINUATION, b"def")
    ws.peer.send(BINARY, b"y" * 300)
    assert received(ws.id) == "abcdef"
    assert received_binary(ws.id) == b"y" * 300
    info = net.native_ws_client_info(ws.id)
    assert (info["bytes_sent"], info["messages_sent"]) == (1020, 3)
    assert (info["bytes_received"], info["messages_received"]) == (306, 2)


def test_counting_broadcasts(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(2)]
    net.native_ws_broadcast(ws_server, "x" * 10)
    net.native_ws_broadcast_except(ws_server, links[0].id, "x" * 5)
    net.native_ws_broadcast_binary(ws_server, b"x")
    infos = [net.native_ws_client_info(link.id) for link in links]
    assert [(info["bytes_sent"], info["messages_sent"]) for info in infos] == [(11, 2), (16, 3)]


def test_counting_compressed_messages(ws_server: int, ws_dial: Upgrade) -> None:
    """The payload of the messages as the script sees them."""
    net.native_ws_set_compression(ws_server, True)
    link = ws_dial(ws_server, DEFLATE)
    link.peer.send(TEXT, deflated(b"z" * 5000), rsv=4)
    assert received(link.id) == "z" * 5000
    net.native_ws_send(link.id, "z" * 5000)
    info = net.native_ws_client_info(link.id)
    assert info["bytes_received"] == info["bytes_sent"] == 5000


def test_counting_many_messages(ws_pair: tuple[int, int]) -> None:
    own, accepted = ws_pair

    def send() -> None:
        for _ in range(20):
            net.native_ws_send_binary(own, bytes(1_000_000))

    sender = Running(send)
    for _ in range(20):
        received_binary(accepted)
    sender.result()
    assert net.native_ws_client_info(own)["bytes_sent"] == 20_000_000
    assert net.native_ws_client_info(accepted)["bytes_received"] == 20_000_000


def test_latency_of_the_last_ping(ws: WsLink) -> None:
    net.native_ws_ping(ws.id)
    assert net.native_ws_client_info(ws.id)["latency_ms"] is None
    payload = ws.peer.expect(PING)
    time.sleep(0.06)  # what is measured
    ws.peer.send(PONG, payload)

    def latency() -> float | None:
        net.native_ws_recv(ws.id)
        return net.native_ws_client_info(ws.id)["latency_ms"]

    assert 59 <= wait_until(latency) < SOON * 1000
    net.native_ws_ping(ws.id)
    assert net.native_ws_client_info(ws.id)["latency_ms"] >= 59  # until there is a later one
    ws.peer.send(PONG, ws.peer.expect(PING))
    wait_until(lambda: latency() < 59)


def test_a_pong_of_another_payload_is_none(ws: WsLink) -> None:
    net.native_ws_ping(ws.id)
    payload = ws.peer.expect(PING)
    ws.peer.send(PONG, payload + b"x")
    ws.peer.text("after it")
    assert received(ws.id) == "after it"
    assert net.native_ws_client_info(ws.id)["latency_ms"] is None


def test_a_connection_of_our_own(ws_server: int) -> None:
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/path?query")
    net.native_ws_set_headers(own, {"X-One": "1"})
    net.native_ws_recv(own)
    accept_of(ws_server)
    opened(own)
    info = net.native_ws_client_info(own)
    assert (info["ip"], info["port"]) == ("127.0.0.1", ws_port(ws_server))
    assert info["path"] == "/path?query"
    assert net.native_ws_get_local_addr(own)["ip"] == "127.0.0.1"


def test_states(ws: WsLink) -> None:
    assert net.native_ws_client_info(ws.id)["state"] == "open"
    ws.peer.close(4000, "bye")
    ws.peer.closing()
    ws.peer.hang_up()
    becomes(ws.id, "closed")
    info = net.native_ws_client_info(ws.id)
    assert (info["state"], info["close_code"], info["close_reason"]) == ("closed", 4000, "bye")
    assert (info["ip"], info["path"]) == ("127.0.0.1", "/")
    net.native_ws_close(ws.id)
    assert code_of(net.native_ws_client_info, ws.id) == "E3029"
