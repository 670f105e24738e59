"""What the library does while the script does nothing at all, or computes: every promise within 250 ms."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable

import pytest
from support import Running, wait_until
from ws_support import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    Upgrade,
    WsLink,
    close_payload,
    received,
    request,
    response,
    status_of,
    switches_of_service,
)

import dryad_net as net
from dryad_net import service
from dryad_net.table import table
from dryad_net.websocket import Connection

MIB = 1 << 20
# Of the 250 ms, with some room for a machine that is busy; the median of several is looked at.
PROMPTLY = 0.35
ROUNDS = 5
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs proc(5)")


def sleeping(peers_work: Callable[[], object]) -> object:
    """The script sleeps, outside the library, until a thread of the peer's has done its work."""
    return Running(peers_work).result()


def computing(peers_work: Callable[[], object]) -> object:
    """The script computes, without a call to the library, until a thread of the peer's has done its work."""
    thread = Running(peers_work)
    number = 0
    while thread.is_alive():
        number = (number * 31 + 7) % 1_000_003
    return thread.result()


BUSY = {"sleeping": sleeping, "computing": computing}


def seconds_of(work: Callable[[], object]) -> float:
    """How long the peer had to wait, in the middle of several tries."""

    def measured() -> float:
        begun = time.monotonic()
        work()
        return time.monotonic() - begun

    return statistics.median(measured() for _ in range(ROUNDS))


@pytest.mark.parametrize("busy", BUSY)
def test_pings_are_answered(ws: WsLink, busy: str) -> None:
    def ping() -> None:
        ws.peer.send(PING, b"still there?")
        assert ws.peer.expect(PONG) == b"still there?"

    assert BUSY[busy](lambda: seconds_of(ping)) < PROMPTLY


@pytest.mark.parametrize("busy", BUSY)
def test_pings_behind_messages_that_nobody_reads(ws: WsLink, busy: str) -> None:
    def ping() -> None:
        ws.peer.text("unread")
        ws.peer.send(TEXT, b"x" * 10_000, fin=False)
        ws.peer.send(PING, b"behind")
        assert ws.peer.expect(PONG) == b"behind"
        ws.peer.send(0, b"end")

    assert BUSY[busy](lambda: seconds_of(ping)) < PROMPTLY
    for _ in range(ROUNDS):
        assert received(ws.id) == "unread"
        assert received(ws.id) == "x" * 10_000 + "end"


def test_pings_right_after_the_script_was_busy_with_it(ws: WsLink) -> None:
    """A connection that was used a moment ago is looked after as well as any other."""

    def ping() -> float:
        begun = time.monotonic()
        ws.peer.send(PING, b"now")
        ws.peer.expect(PONG)
        return time.monotonic() - begun

    waited = []
    for _ in range(ROUNDS):
        for _ in range(20):
            net.native_ws_send(ws.id, "busy")
            assert ws.peer.message() == "busy"
            assert net.native_ws_recv(ws.id) is None
        waited.append(Running(ping).result())
    assert statistics.median(waited) < PROMPTLY


@pytest.mark.parametrize("behind", [PING, CLOSE, 3])
def test_what_came_behind_a_message_that_was_read(ws: WsLink, behind: int) -> None:
    """In the same packet: it has left the system, and no call of the script's looks at it any more."""
    peer = ws.peer
    peer.say(peer.frame(TEXT, b"read") + peer.frame(behind))
    assert received(ws.id) == "read"

    def answer() -> float:
        begun = time.monotonic()
        assert peer.read().opcode == (PONG if behind == PING else CLOSE)
        return time.monotonic() - begun

    assert Running(answer).result() < 1


@pytest.mark.parametrize("busy", BUSY)
def test_a_close_is_answered(ws_server: int, ws_dial: Upgrade, busy: str) -> None:
    links = [ws_dial(ws_server) for _ in range(ROUNDS)]
    peers = iter([link.peer for link in links])

    def close() -> None:
        peer = next(peers)
        peer.close(1001, "leaving")
        assert peer.closing()[0] == 1001
        assert peer.ended()

    assert BUSY[busy](lambda: seconds_of(close)) < PROMPTLY
    assert all(net.native_ws_client_info(link.id)["close_reason"] == "leaving" for link in links)


@pytest.mark.parametrize("busy", BUSY)
def test_a_violation_is_answered(ws_server: int, ws_dial: Upgrade, busy: str) -> None:
    peers = iter([ws_dial(ws_server).peer for _ in range(ROUNDS)])

    def violate() -> None:
        peer = next(peers)
        peer.send(3)
        assert peer.closing()[0] == 1002

    assert BUSY[busy](lambda: seconds_of(violate)) < PROMPTLY


@pytest.mark.parametrize("busy", BUSY)
def test_server_handshakes_are_completed(ws_server: int, ws_knock: Callable[..., Peer], busy: str) -> None:
    peers = iter([ws_knock(ws_server) for _ in range(ROUNDS)])

    def upgrade() -> None:
        peer = next(peers)
        peer.say(request())
        assert status_of(peer.head()) == 101

    assert BUSY[busy](lambda: seconds_of(upgrade)) < PROMPTLY
    for _ in range(ROUNDS):
        assert wait_until(lambda: net.native_ws_accept(ws_server))


@pytest.mark.usefixtures("handshakes_begin_when_promised")
@pytest.mark.parametrize("busy", BUSY)
def test_client_handshakes_are_completed(ws_call: Upgrade, busy: str) -> None:
    """100 ms after connect, if no call has done it."""

    def work() -> float:
        begun = time.monotonic()
        head = link.peer.head()
        link.peer.say(response(head))
        link.peer.send(PING, b"open?")
        assert link.peer.expect(PONG) == b"open?"
        return time.monotonic() - begun

    waited = []
    for _ in range(ROUNDS):
        link = ws_call()
        waited.append(BUSY[busy](work))
        assert net.native_ws_get_state(link.id) == "open"
    assert statistics.median(waited) < PROMPTLY + 0.1


@pytest.mark.parametrize("busy", BUSY)
def test_queues_are_flushed(ws_server: int, ws_dial: Upgrade, busy: str) -> None:
    links = [ws_dial(ws_server, recv_buffer=4096) for _ in range(3)]
    assert net.native_ws_broadcast_binary(ws_server, b"q" * (4 * MIB)) == 3
    for link in links:
        assert BUSY[busy](link.peer.message) == b"q" * (4 * MIB)


@pytest.mark.parametrize("busy", BUSY)
def test_closes_are_finished(ws: WsLink, busy: str) -> None:
    net.native_ws_close(ws.id)

    def finish() -> None:
        assert ws.peer.closing() == (1000, "")
        ws.peer.close(1000)
        if ws.peer.client:
            assert ws.peer.ended()

    BUSY[busy](finish)
    wait_until(lambda: net.native_ws_get_state(ws.id) == "closed")


def test_messages_that_came_meanwhile_are_there_at_once(ws: WsLink) -> None:
    def send() -> None:
        for number in range(100):
            ws.peer.text(str(number))
        ws.peer.send(PING, b"all sent")
        assert ws.peer.expect(PONG) == b"all sent"  # so they have been read

    computing(send)
    assert [net.native_ws_recv(ws.id) for _ in range(100)] == [str(number) for number in range(100)]


def test_many_connections_are_served_side_by_side(ws_server: int, ws_dial: Upgrade) -> None:
    peers = [ws_dial(ws_server).peer for _ in range(100)]

    def ping() -> None:
        for peer in peers:
            peer.send(PING, b"!")
        for peer in peers:
            assert peer.expect(PONG) == b"!"

    assert sleeping(lambda: seconds_of(ping)) < PROMPTLY


# ---- what it costs


@needs_proc
def test_a_script_that_makes_calls_pays_nothing(ws_pair: tuple[int, int]) -> None:
    """No thread switch on its path: the background thread looks in now and then, not at each message."""
    own, accepted = ws_pair
    begun, before = time.monotonic(), switches_of_service()
    rounds = 0
    # On a busy machine it takes longer to make so many that the looks now and then are few beside them.
    while (seconds := time.monotonic() - begun) < 0.6 or rounds < 300:
        net.native_ws_send(own, "there")
        assert received(accepted) == "there"
        net.native_ws_send(accepted, "and back")
        assert received(own) == "and back"
        rounds += 1
    switches = switches_of_service() - before
    assert switches < max(rounds / 10, 100 * seconds), f"{switches} in {rounds} round trips of {seconds} s"


@needs_proc
def test_idle_connections_cost_nothing(ws_server: int, ws_dial: Upgrade) -> None:
    for _ in range(20):
        ws_dial(ws_server)
    time.sleep(0.3)
    switches, used = switches_of_service(), time.process_time()
    time.sleep(0.6)
    assert switches_of_service() - switches < 60
    assert time.process_time() - used < 0.1


def test_a_peer_that_takes_nothing_makes_nobody_spin(ws_server: int, ws_dial: Upgrade) -> None:
    ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, bytes(4 * MIB))
    time.sleep(0.2)
    used = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - used < 0.2


def test_a_paused_peer_makes_nobody_spin(ws: WsLink) -> None:
    """More input than may be unread waits in the system, and the background thread is not called for it."""
    ws.peer.raw.settimeout(0.5)

    def flood() -> None:
        block = ws.peer.frame(2, bytes(100_000))
        with contextlib.suppress(TimeoutError):
            for _ in range(2000):
                ws.peer.say(block)

    Running(flood).result(60)
    used = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - used < 0.2


def test_the_close_of_a_silent_peer_makes_nobody_spin(ws: WsLink) -> None:
    net.native_ws_close(ws.id)
    ws.peer.send(PING, b"x")
    ws.peer.text("late")
    used = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - used < 0.2
    assert ws.peer.expect(CLOSE) == close_payload(1000)


def test_a_close_is_seen_while_a_broadcast_waits(ws_server: int, ws_dial: Upgrade) -> None:
    """The peer does not read: nothing but what it sends itself tells of it."""
    link = ws_dial(ws_server, recv_buffer=65536)
    connection = table.objects[link.id]
    wait_until(lambda: connection not in service.service._used, what="the background to leave it to the poller")
    assert net.native_ws_broadcast(ws_server, "x" * 12 * MIB) == 1
    link.peer.close(1000)
    wait_until(connection.is_over, what="the Close to be read")


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half flushes without letting others run")
def test_a_timeout_of_0_is_not_up_because_the_background_flushes(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer to a ping takes the turn for as long as a send takes, and no longer."""
    connection = table.objects[ws.id]
    net.native_ws_set_timeout(ws.id, 0)
    flush_queue = Connection._flush_queue
    sending: list[Running] = []

    def flush_while_the_script_sends(connection: Connection) -> bool:
        if not sending:
            sending.append(Running(net.native_ws_send, ws.id, "hello").wait_asleep())
        return bool(flush_queue(connection))

    monkeypatch.setattr(Connection, "_flush_queue", flush_while_the_script_sends)
    ws.peer.send(PING, b"you there?")
    assert {(found.opcode, found.payload) for found in (ws.peer.read(), ws.peer.read())} == {
        (PONG, b"you there?"),
        (TEXT, b"hello"),
    }
    assert sending[0].result() is None
    assert connection.is_open()
