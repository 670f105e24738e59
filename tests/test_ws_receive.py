"""Receiving: two queues, null, how long each call waits, and what stays readable."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support import Running, wait_until
from ws_support import BINARY, PING, SOON_MS, TEXT, Upgrade, WsLink, opened, received, received_binary, response

import dryad_net as net

BLOCKING: dict[str, Callable[[int, object], object]] = {
    "text": lambda identifier, ms: net.native_ws_recv_blocking(identifier, ms),
    "binary": lambda identifier, ms: net.native_ws_recv_binary_blocking(identifier, ms),
}


def test_null_if_nothing_is_there(ws: WsLink) -> None:
    begun = time.monotonic()
    for _ in range(100):
        assert net.native_ws_recv(ws.id) is None
        assert net.native_ws_recv_binary(ws.id) is None
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind", BLOCKING)
@pytest.mark.parametrize("ms", [0, 1, 50, 300, 50.0])
def test_null_when_the_time_is_up(ws_link: WsLink, kind: str, ms: float) -> None:
    begun = time.monotonic()
    assert BLOCKING[kind](ws_link.id, ms) is None
    assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5 + ms / 1000


@pytest.mark.parametrize("kind", BLOCKING)
@pytest.mark.parametrize("ms", [-1, None, 3_600_000, float(2**53)])
def test_waiting_without_limit(ws: WsLink, kind: str, ms: object) -> None:
    thread = Running(BLOCKING[kind], ws.id, ms).wait_asleep()
    ws.peer.send(TEXT if kind == "text" else BINARY, b"now")
    assert thread.result() in ("now", b"now")


def test_set_timeout_does_not_bound_a_call_with_a_timeout(ws: WsLink) -> None:
    net.native_ws_set_timeout(ws.id, 0)
    thread = Running(net.native_ws_recv_blocking, ws.id, SOON_MS).wait_asleep()
    ws.peer.text("later")
    assert thread.result() == "later"


def test_two_queues(ws: WsLink) -> None:
    """recv gives the next text, recv_binary the next binary, whatever came between."""
    for number in range(10):
        ws.peer.text(f"text {number}")
        ws.peer.send(BINARY, b"binary %d" % number)
    for number in range(10):
        assert received_binary(ws.id) == b"binary %d" % number
    assert net.native_ws_recv_binary(ws.id) is None
    for number in range(10):
        assert net.native_ws_recv(ws.id) == f"text {number}"
    assert net.native_ws_recv(ws.id) is None


def test_waiting_for_text_takes_no_binary(ws: WsLink) -> None:
    thread = Running(net.native_ws_recv_blocking, ws.id, SOON_MS).wait_asleep()
    ws.peer.send(BINARY, b"binary")
    ws.peer.text("text")
    assert thread.result() == "text"
    assert net.native_ws_recv_binary(ws.id) == b"binary"


def test_waiting_for_text_beside_binary_keeps_the_time(ws: WsLink) -> None:
    ws.peer.send(BINARY, b"binary")
    assert net.native_ws_recv_blocking(ws.id, 100) is None
    assert received_binary(ws.id) == b"binary"


def test_a_blocking_call_takes_what_is_there(ws: WsLink) -> None:
    ws.peer.text("one")
    ws.peer.text("two")
    assert received(ws.id) == "one"
    assert wait_until(lambda: net.native_ws_recv_blocking(ws.id, 0)) == "two"


def test_without_waiting_from_what_the_system_holds(ws: WsLink) -> None:
    ws.peer.text("there")
    assert wait_until(lambda: net.native_ws_recv(ws.id)) == "there"
    ws.peer.send(BINARY, b"there")
    assert wait_until(lambda: net.native_ws_recv_binary(ws.id)) == b"there"


def test_time_is_not_begun_anew_by_pings(ws: WsLink) -> None:
    ended = []

    def ping() -> None:
        while not ended:
            ws.peer.send(PING, b"again")
            time.sleep(0.01)

    thread = Running(ping)
    begun = time.monotonic()
    assert net.native_ws_recv_blocking(ws.id, 300) is None
    assert 0.298 <= time.monotonic() - begun < 5
    ended.append(True)
    thread.result()


def test_time_is_not_begun_anew_by_pieces(ws: WsLink) -> None:
    whole = ws.peer.frame(TEXT, b"x" * 100)
    ended = []

    def drip() -> int:
        position = 0
        while not ended and position < 90:
            ws.peer.say(whole[position : position + 1])
            position += 1
            time.sleep(0.01)
        return position

    thread = Running(drip)
    begun = time.monotonic()
    assert net.native_ws_recv_blocking(ws.id, 300) is None
    assert 0.298 <= time.monotonic() - begun < 5
    ended.append(True)
    ws.peer.say(whole[thread.result() :])
    assert received(ws.id) == "x" * 100


def test_recv_does_not_wait_for_the_rest(ws: WsLink) -> None:
    whole = ws.peer.frame(TEXT, b"x" * 100_000)
    ws.peer.say(whole[:50_000])
    begun = time.monotonic()
    while time.monotonic() - begun < 0.1:
        assert net.native_ws_recv(ws.id) is None
    ws.peer.say(whole[50_000:])
    assert received(ws.id) == "x" * 100_000


def test_nobody_reads_and_nothing_is_lost(ws: WsLink) -> None:
    """Unread data is bounded, the peer is slowed down, and all of it is there in the end."""
    block = b"x" * 65536
    count = 1600  # 100 MiB, more than anybody holds unread

    def send() -> None:
        for number in range(count):
            ws.peer.send(BINARY, number.to_bytes(4, "big") + block)

    ws.peer.raw.settimeout(60)
    sender = Running(send)
    sender.wait_asleep()
    for number in range(count):
        assert received_binary(ws.id) == number.to_bytes(4, "big") + block
    sender.result()


def test_texts_behind_unread_binaries_are_reached(ws: WsLink) -> None:
    """As far as what may be unread goes."""
    for _ in range(100):
        ws.peer.send(BINARY, b"x" * 10_000)
    ws.peer.text("behind")
    assert received(ws.id) == "behind"
    for _ in range(100):
        assert net.native_ws_recv_binary(ws.id) == b"x" * 10_000


def test_is_connected_and_state_of_an_open_one(ws: WsLink) -> None:
    assert net.native_ws_is_connected(ws.id) is True
    assert net.native_ws_get_state(ws.id) == "open"
    ws.peer.text("unread")
    assert net.native_ws_is_connected(ws.id) is True
    assert received(ws.id) == "unread"


def test_recv_is_null_while_connecting(ws_call: Upgrade) -> None:
    link = ws_call()
    assert net.native_ws_recv_blocking(link.id, 20) is None
    assert net.native_ws_recv_binary_blocking(link.id, 20) is None
    link.peer.say(response(link.peer.head()) + link.peer.frame(TEXT, b"hello"))
    assert received(opened(link.id)) == "hello"
