"""native_net_wait and the background, while other threads find out what they wait for: nothing is overlooked."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from background_support import background_held_up
from support import Running, wait_until
from ws_support import PING, PONG, SOON_MS, TEXT, Peer, Upgrade, WsLink, accept_of, request

import dryad_net as net
from dryad_net import service
from dryad_net._backend import poll, sock
from dryad_net.native import net as native_net
from dryad_net.table import table

CLIENTS = 150
PURE = pytest.mark.skipif(net.backend != "pure", reason="the compiled half holds the GIL from the look to the wait")


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads of Python take turns all the time, and not every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_clients_whose_handshake_the_background_completes(ws_server: int, ws_knock: Callable[..., Peer]) -> None:
    def come() -> None:
        for _ in range(CLIENTS):
            peer = ws_knock(ws_server)
            peer.say(request())
            assert peer.head().startswith(b"HTTP/1.1 101 ")
            assert peer.message() == "welcome"
            peer.hang_up()

    coming = Running(come)
    for _ in range(CLIENTS):
        assert net.native_net_wait([ws_server], SOON_MS) == [ws_server]
        client = net.native_ws_accept(ws_server)
        assert client is not None
        net.native_ws_send(client, "welcome")
    coming.result(60)


@pytest.mark.usefixtures("switching")
def test_messages_that_another_thread_reads(ws_server: int, ws_dial: Upgrade) -> None:
    """Whoever asks for the state reads what has come."""
    link = ws_dial(ws_server)
    over = []

    def ask() -> None:
        while not over:
            net.native_ws_get_state(link.id)

    asking = Running(ask)
    try:
        for number in range(300):
            link.peer.text(str(number))
            assert net.native_net_wait([link.id], SOON_MS) == [link.id]
            assert net.native_ws_recv(link.id) == str(number)
    finally:
        over.append(True)
        asking.result()


def test_a_client_that_is_ready_while_the_last_one_is_accepted(ws_server: int, ws_dial: Upgrade) -> None:
    """The background completes a handshake between the accept's look for more and what it makes of it."""
    first = ws_dial(ws_server)
    server = table.objects[ws_server]
    late = table.objects[first.id]

    class Interrupted(deque[Any]):
        """Empty, and not any more as soon as that has been seen."""

        def __bool__(self) -> bool:
            held = len(self) > 0
            if not held and not done:
                done.append(True)
                server.completed(late)
            return held

    done: list[bool] = []
    ready, server.ready = server.ready, Interrupted([late])
    try:
        server.next_client()
        assert done == [True]
        assert server.attention
        assert net.native_net_wait([ws_server], 0) == [ws_server]
    finally:
        server.ready = ready
        for identifier in [number for number, behind in table.objects.items() if behind is late]:
            table.retire(identifier)
        late.abort()


class Task:
    """Work on one end of a socket pair, in which the script hands it over again."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = sock.adopt(end)
        self.deadline: float | None = None
        self.worked = 0
        self.again = threading.Event()

    def work(self) -> int:
        self.worked += 1
        if self.worked == 1:
            # Another thread's call, after everything here was looked at: from now on reading is wanted.
            Running(service.hand_over, self, poll.READ).result()
            return poll.WRITE  # as it was before that call
        self.again.set()
        return 0

    def expire(self) -> bool:
        return False

    def unsent(self) -> bool:
        return False


def test_what_is_handed_over_again_while_it_is_served() -> None:
    """What the call wants is not replaced by what was wanted before it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        try:
            while True:
                ours.send(bytes(65536))  # until it cannot be written any more
        except BlockingIOError:
            task = Task(ours)
        service.hand_over(task, poll.READ)
        theirs.send(b"x")
        wait_until(lambda: task.worked)
        assert task.again.wait(5)
        service.withdraw(task)
        task.socket.release()


def test_a_violation_that_the_script_has_read_first(ws: WsLink) -> None:
    """Behind a message that nobody reads: the descriptor tells the background nothing of it any more."""
    with background_held_up(ws):
        ws.peer.say(ws.peer.frame(TEXT, b"unread") + ws.peer.frame(3))
        wait_until(lambda: net.native_ws_client_info(ws.id)["messages_received"])
    assert ws.peer.closing()[0] == 1002
    assert net.native_ws_recv(ws.id) == "unread"


@pytest.mark.parametrize("what", ["net_wait", "is_connected", "recv"])
def test_a_ping_that_the_script_has_read_without_knowing(ws: WsLink, what: str) -> None:
    """As above; whoever looks for a message stops behind the first."""
    with background_held_up(ws):
        ws.peer.say(ws.peer.frame(TEXT, b"unread") + ws.peer.frame(PING, b"you there?"))
        if what == "net_wait":
            assert net.native_net_wait([ws.id], SOON_MS) == [ws.id]
        elif what == "is_connected":
            wait_until(lambda: net.native_ws_is_connected(ws.id) and table.objects[ws.id].messages_received)
        else:
            assert net.native_ws_recv_blocking(ws.id, SOON_MS) == "unread"
    assert ws.peer.read()[:2] == (PONG, b"you there?")
    assert net.native_ws_recv(ws.id) == (None if what == "recv" else "unread")


@pytest.mark.parametrize("size", [10, 600_000])  # the second may be left in the system
def test_a_ping_to_a_script_that_asks_and_does_not_receive(ws: WsLink, size: int) -> None:
    """It may have reasons to wait on, and to leave the message where it is."""
    frame = ws.peer.frame
    sender = Running(ws.peer.say, frame(TEXT, b"1" * size))
    assert net.native_ws_recv_blocking(ws.id, SOON_MS) == "1" * size
    sender.result()
    sender = Running(ws.peer.say, frame(TEXT, b"2" * size) + frame(PING, b"you there?"))
    answer = Running(ws.peer.read)
    until = time.monotonic() + 5
    while answer.is_alive() and time.monotonic() < until:
        assert net.native_net_wait([ws.id], SOON_MS) == [ws.id]
        time.sleep(0.001)
    assert not answer.is_alive(), "answered only when the script was done"
    assert answer.result()[:2] == (PONG, b"you there?")
    sender.result()
    assert net.native_ws_recv(ws.id) == "2" * size


def _waiter() -> Any:
    """The one that native_net_wait keeps, of a socket that has just been watched."""
    assert native_net.kept.waiter is not None
    return native_net.kept.waiter


@PURE
def test_told_between_the_look_and_the_wait(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    assert net.native_net_wait([ws.id], 0) == []
    waiter, connection = _waiter(), table.objects[ws.id]
    look = waiter._look

    def looked(*given: Any) -> None:
        look(*given)
        if not connection.attention:
            connection.attention = True
            Running(waiter.poke, connection).result()

    monkeypatch.setattr(waiter, "_look", looked)
    monkeypatch.setattr(connection, "_readiness", lambda readable: connection.attention)
    begun = time.monotonic()
    waiter.poke(connection)
    assert net.native_net_wait([ws.id], SOON_MS) == [ws.id]
    assert time.monotonic() - begun < 5


@PURE
def test_told_in_the_middle_of_the_look(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    assert net.native_net_wait([ws.id], 0) == []
    waiter, connection = _waiter(), table.objects[ws.id]

    def readiness(readable: bool) -> bool:
        was = connection.attention
        if not was:
            connection.attention = True
            Running(waiter.poke, connection).result()
        return bool(was)

    monkeypatch.setattr(connection, "_readiness", readiness)
    begun = time.monotonic()
    waiter.poke(connection)
    assert net.native_net_wait([ws.id], SOON_MS) == [ws.id]
    assert time.monotonic() - begun < 5


def test_the_next_client_is_found(ws_server: int, ws_knock: Callable[..., Peer]) -> None:
    for _ in range(3):
        peer = ws_knock(ws_server)
        peer.say(request())
        assert net.native_net_wait([ws_server], SOON_MS) == [ws_server]
        accept_of(ws_server)


def test_told_while_another_socket_is_looked_at(ws_server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor tells it again, so the wait must not begin to sleep: it would for a second each time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = net.native_ws_connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
        ids = [client, ws_server]
        assert net.native_net_wait(ids, 0) == []
        connection, server = table.objects[client], table.objects[ws_server].socket

        def complete_handshake(_connection: object, _timeout_ms: int) -> bool:
            server.attention = True
            _waiter().poke(server)
            return False

        monkeypatch.setattr(type(connection), "complete_handshake", complete_handshake)
        begun = time.monotonic()
        for _ in range(6):
            # Later than the first look for signals, which interrupts a wait early.
            telling = threading.Timer(0.05, _waiter().poke, [connection])
            telling.start()
            assert net.native_net_wait(ids, SOON_MS) == [ws_server]
            telling.join()
            server.attention = False
        assert time.monotonic() - begun < 4
        monkeypatch.undo()
        net.native_ws_close(client)
