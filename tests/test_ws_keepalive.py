"""native_ws_set_keepalive: a ping after a silence, 1011 when nothing answers it. The 20 s are shortened here."""

from __future__ import annotations

import contextlib
import time

import pytest
from support import SOON, Running, refusal
from ws_support import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Upgrade,
    WsLink,
    becomes,
    received,
    response,
    said_once,
    shorten,
)

import dryad_net as net
from dryad_net.websocket import Connection

SILENCE = 0.8  # no thread of a busy machine is held up for so long, as a rule


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, KEEPALIVE_SECONDS=SILENCE)


def test_a_ping_after_a_silence(ws: WsLink) -> None:
    begun = time.monotonic()
    net.native_ws_set_keepalive(ws.id, True)
    for _ in range(3):
        payload = ws.peer.expect(PING)
        assert time.monotonic() - begun > SILENCE / 2
        ws.peer.send(PONG, payload)
        begun = time.monotonic()
    assert net.native_ws_get_state(ws.id) == "open"


def test_closed_without_an_answer(ws: WsLink) -> None:
    begun = time.monotonic()
    net.native_ws_set_keepalive(ws.id, True)
    ws.peer.expect(PING)
    assert ws.peer.closing()[0] == 1011
    # After a silence before the ping, and one after it.
    assert SILENCE * 1.5 < time.monotonic() - begun < 10
    ws.peer.hang_up()
    becomes(ws.id, "closed")
    assert "ping" in said_once(ws.id)


def test_said_to_who_waits(ws: WsLink) -> None:
    waiting = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    net.native_ws_set_keepalive(ws.id, True)
    with pytest.raises(net.NetworkError, match=r"^E5006 native_ws_recv_blocking: "):
        waiting.result()


@pytest.mark.parametrize("answer", ["a message", "a ping", "a pong of anything", "part of a frame"])
def test_any_sign_of_life_will_do(ws: WsLink, answer: str) -> None:
    net.native_ws_set_keepalive(ws.id, True)
    whole = ws.peer.frame(BINARY, b"x" * 1000)
    for turn in range(4):
        ws.peer.expect(PING)
        if answer == "a message":
            ws.peer.send(BINARY, b"x")
        elif answer == "a ping":
            ws.peer.send(PING, b"")
            assert ws.peer.expect(PONG) == b""
        elif answer == "a pong of anything":
            ws.peer.send(PONG, b"anything")
        else:
            ws.peer.say(whole[turn * 50 : turn * 50 + 50])
    assert net.native_ws_get_state(ws.id) == "open"


def test_an_answer_that_nobody_has_read_yet(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The background thread was held up, by a machine that is busy or a process that was stopped."""
    with monkeypatch.context() as held_up:
        held_up.setattr(Connection, "work", lambda connection: 0)
        net.native_ws_set_keepalive(ws.id, True)
        for _ in range(3):
            ws.peer.send(PONG, ws.peer.expect(PING))
    assert net.native_ws_get_state(ws.id) == "open"


def test_no_pings_while_there_is_traffic(ws: WsLink) -> None:
    net.native_ws_set_keepalive(ws.id, True)
    begun = last = time.monotonic()
    longest = 0.0  # what this thread may have been held up
    while last - begun < 3 * SILENCE:
        ws.peer.text("busy")
        assert received(ws.id) == "busy"
        time.sleep(SILENCE / 10)
        before, last = last, time.monotonic()
        longest = max(longest, last - before)
    net.native_ws_send(ws.id, "end")
    pings = 0
    while ws.peer.read()[:2] != (TEXT, b"end"):
        pings += 1
    assert pings == 0 or longest >= SILENCE


def test_while_the_script_waits(ws: WsLink) -> None:
    net.native_ws_set_keepalive(ws.id, True)

    def answer() -> None:
        for _ in range(3):
            ws.peer.send(PONG, ws.peer.expect(PING))
        ws.peer.text("enough")

    answering = Running(answer)
    assert net.native_ws_recv_blocking(ws.id, int(SOON * 1000)) == "enough"
    answering.result()


def test_while_the_script_keeps_calling(ws: WsLink) -> None:
    """Calls that hear nothing are no sign of life of the peer's."""
    net.native_ws_set_keepalive(ws.id, True)

    def call_on() -> None:
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            assert net.native_ws_recv_blocking(ws.id, 20) is None

    with pytest.raises(net.NetworkError):
        call_on()
    assert ws.peer.closing()[0] == 1011


def test_switched_off_again(ws: WsLink) -> None:
    net.native_ws_set_keepalive(ws.id, True)
    ws.peer.send(PONG, ws.peer.expect(PING))
    net.native_ws_set_keepalive(ws.id, False)
    time.sleep(3 * SILENCE)
    net.native_ws_send(ws.id, "end")
    frames = [ws.peer.read()]
    while frames[-1].opcode == PING:
        frames.append(ws.peer.read())
    assert frames[-1].payload == b"end"
    assert len(frames) <= 2
    assert net.native_ws_get_state(ws.id) == "open"


def test_off_by_default(ws: WsLink) -> None:
    time.sleep(3 * SILENCE)
    net.native_ws_send(ws.id, "end")
    assert ws.peer.message() == "end"


def test_set_on_a_server(ws_server: int, ws_dial: Upgrade) -> None:
    net.native_ws_set_keepalive(ws_server, True)
    dead, alive = ws_dial(ws_server), ws_dial(ws_server)

    def live() -> None:
        for _ in range(4):
            alive.peer.send(PONG, alive.peer.expect(PING))

    living = Running(live)
    assert dead.peer.closing()[0] == 1011
    living.result()
    assert net.native_ws_get_clients(ws_server) == [alive.id]
    assert refusal(net.native_ws_send, dead.id, "x").code == "E5006"


def test_set_before_the_handshake(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_keepalive(link.id, True)
    link.peer.say(response(link.peer.head()))
    link.peer.expect(PING)


def test_a_script_that_does_not_read_is_no_dead_peer(ws: WsLink) -> None:
    """Where input waits because nobody reads it, the answer may be behind it."""
    net.native_ws_set_keepalive(ws.id, True)
    block = ws.peer.frame(BINARY, b"x" * 100_000)
    ended = []

    def send() -> int:
        ws.peer.raw.settimeout(0.1)
        sent = 0
        while not ended and sent < 50_000_000:
            with contextlib.suppress(TimeoutError):
                sent += ws.peer.raw.send(block[sent % len(block) :])
        return sent

    sending = Running(send)
    time.sleep(5 * SILENCE)
    assert net.native_ws_get_state(ws.id) == "open"
    ended.append(True)
    whole = sending.result() // len(block)
    for _ in range(whole):
        assert net.native_ws_recv_binary_blocking(ws.id, int(SOON * 1000)) == b"x" * 100_000
