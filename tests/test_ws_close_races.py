"""Closing by one thread while another, or the background, is in the middle of something with the same connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from background_support import background_held_up
from support import Running, code_of, refusal, reset, reset_arrives, wait_until
from ws_support import (
    SOON_MS,
    Peer,
    Upgrade,
    WsLink,
    request,
    response,
    shorten,
    status_of,
)

import dryad_net as net
from dryad_net import handshake, service
from dryad_net._backend import poll, reader, transmit
from dryad_net.table import table
from dryad_net.websocket import Connection
from dryad_net.websocket_server import Server

CALLS: dict[str, Callable[[int], object]] = {
    "send": lambda identifier: net.native_ws_send(identifier, "x"),
    "ping": net.native_ws_ping,
    "recv_blocking": lambda identifier: net.native_ws_recv_blocking(identifier, SOON_MS),
    "recv_binary_blocking": lambda identifier: net.native_ws_recv_binary_blocking(identifier, SOON_MS),
    "is_connected": net.native_ws_is_connected,
}
# What they say where the connection is closed meanwhile.
OUTCOMES = {
    "send": "E3029",
    "ping": "E3029",
    "recv_blocking": None,
    "recv_binary_blocking": None,
    "is_connected": False,
}


def outcome(call: Callable[[int], object], identifier: int) -> object:
    """What a call returns, or the code of its error."""
    try:
        return call(identifier)
    except net.DryadNetError as error:
        return error.code


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[..., object]) -> None:
    """Have ``act`` happen first, the next time that a function is called; called with the same arguments."""
    function = getattr(owner, name)

    def late(*args: Any) -> Any:
        monkeypatch.setattr(owner, name, function)
        act(*args)
        return function(*args)

    monkeypatch.setattr(owner, name, late)


def after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[..., object]) -> None:
    """Have ``act`` happen behind it, the next time that a function is called; called with the same arguments."""
    function = getattr(owner, name)

    def early(*args: Any) -> Any:
        monkeypatch.setattr(owner, name, function)
        result = function(*args)
        act(*args)
        return result

    monkeypatch.setattr(owner, name, early)


# ---- our own handshake


def closed_when_answered(ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch) -> tuple[WsLink, Connection]:
    """A connection of our own that another thread closes as soon as the server's answer has been read."""
    shorten(monkeypatch, CLOSE_SECONDS=0.3)
    link = ws_call()
    after(
        monkeypatch,
        handshake.ClientHandshake,
        "accept",
        lambda *_: Running(net.native_ws_close, link.id).result(),
    )
    return link, table.objects[link.id]


@pytest.mark.parametrize("name", CALLS)
def test_closing_while_a_call_takes_the_answer(ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The server keeps its socket open: nothing but the limit of the close gives the descriptor back."""
    link, connection = closed_when_answered(ws_call, monkeypatch)
    calling = Running(outcome, CALLS[name], link.id)
    link.peer.say(response(link.peer.head()))
    assert calling.result() == OUTCOMES[name]
    assert net.native_ws_get_state(link.id) == "closed"
    assert link.peer.ended()
    wait_until(lambda: connection.fileno() < 0, what="the descriptor is given back")
    assert not connection.is_open()


def test_closing_while_the_background_takes_the_answer(ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    link, connection = closed_when_answered(ws_call, monkeypatch)
    link.peer.say(response(link.peer.head()))
    assert link.peer.ended()
    wait_until(lambda: connection.fileno() < 0, what="the descriptor is given back")
    assert net.native_ws_get_state(link.id) == "closed"
    assert not connection.is_open()


@pytest.mark.parametrize("enable", [True, False])
def test_closing_while_keepalive_is_set(ws_link: WsLink, monkeypatch: pytest.MonkeyPatch, enable: bool) -> None:
    """The limit of the close stays, although keepalive has one of its own, or none."""
    shorten(monkeypatch, CLOSE_SECONDS=0.3)
    connection = table.objects[ws_link.id]
    after(monkeypatch, Connection, "is_open", lambda _: Running(net.native_ws_close, ws_link.id).result())
    net.native_ws_set_keepalive(ws_link.id, enable)
    assert ws_link.peer.closing()[0] == 1000
    wait_until(lambda: connection.fileno() < 0, what="the descriptor is given back")


def closes_by_script(ws: WsLink, code: int) -> None:
    net.native_ws_close(ws.id)


def closes_by_peer(ws: WsLink, code: int) -> None:
    ws.peer.close(code)


@pytest.mark.parametrize("who", [closes_by_script, closes_by_peer])
def test_the_background_looks_while_the_close_frame_is_made(
    ws: WsLink, monkeypatch: pytest.MonkeyPatch, who: Callable[[WsLink, int], None]
) -> None:
    """Our end of stream does not overtake it."""
    connection = table.objects[ws.id]
    looked = threading.Event()
    finish = Connection._finish

    def finish_and_tell(connection: Connection) -> int:
        events = finish(connection)
        looked.set()
        return events

    def meanwhile(*_: object) -> None:
        if who is closes_by_peer:
            Running(net.native_ws_kick_client if connection.server else net.native_ws_close, ws.id).wait_asleep()
        else:
            service.hand_over(connection, poll.READ | poll.WRITE)
        looked.wait(0.5)  # in vain on the pure half, where this has the connection's lock

    monkeypatch.setattr(Connection, "_finish", finish_and_tell)
    before(monkeypatch, transmit, "close_payload", meanwhile)
    who(ws, 1000)
    assert ws.peer.closing()[0] == 1000
    if who is closes_by_script:
        ws.peer.close(1000)
    wait_until(lambda: connection.fileno() < 0 or connection.is_over(), what="the end")


def test_nothing_goes_out_behind_a_close_frame_that_waits(
    ws_server: int, ws_dial: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6455, section 5.5.1."""
    link = ws_dial(ws_server, recv_buffer=65536)
    large = "x" * 12_000_000  # more than the system takes; less than what may wait
    assert net.native_ws_broadcast(ws_server, large) == 1
    reached: list[object] = []

    def too_late(_: Connection) -> None:
        reached.append(refusal(net.native_ws_send, link.id, "too late").detail)
        reached.append(net.native_ws_broadcast(ws_server, "too late"))

    before(monkeypatch, Connection, "leave_to_service", too_late)
    link.peer.close(1000)
    wait_until(lambda: len(reached) == 2, what="the Close to wait")
    assert link.peer.message() == large
    assert link.peer.closing()[0] == 1000
    assert link.peer.ended()
    assert reached == ["not connected", 0]


def test_ctrl_c_while_the_close_frame_is_made(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is none, and nobody waits for the answer."""
    shorten(monkeypatch, CLOSE_SECONDS=0.3)

    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    connection = table.objects[ws.id]
    before(monkeypatch, transmit, "close_payload", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        net.native_ws_close(ws.id)
    assert connection.get_state() == "closed"
    assert ws.peer.ended()
    wait_until(lambda: connection.fileno() < 0, what="the descriptor is given back")


@pytest.mark.skipif(net.backend == "pure", reason="the pure half's lock keeps other threads out meanwhile")
def test_whoever_finds_it_broken_is_told_why(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the moment in which another thread's call learns of it."""
    why: list[str] = []
    with background_held_up(ws):
        reset(ws.peer.raw)
        reset_arrives(ws.id)
        before(
            monkeypatch,
            reader,
            "from_errno",
            lambda *_: why.append(Running(refusal, net.native_ws_send, ws.id, "x").result().detail),
        )
        first = Running(outcome, CALLS["recv_blocking"], ws.id).result()
    assert len(why) == 1
    assert "not connected" not in why[0]
    assert first is None


# ---- a server that is stopped


def gone(server: int) -> None:
    """Nothing is left of a server that is stopped."""
    assert code_of(net.native_ws_accept, server) == "E3029"
    assert not [found for found in table.objects.values() if getattr(getattr(found, "server", None), "id", 0) == server]


def test_stopping_before_the_answer_goes_out(
    ws_server: int, ws_knock: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it does not go out: whoever is told that it is open is told of the end too."""
    shorten(monkeypatch, CLOSE_SECONDS=0.3)
    begun: list[Connection] = []
    after(monkeypatch, Server, "_apply_settings", lambda _, client: begun.append(client))
    after(monkeypatch, handshake, "answer", lambda *_: Running(net.native_ws_stop_server, ws_server).result())
    peer = ws_knock(ws_server)
    peer.say(request())
    assert peer.body() == b""
    wait_until(lambda: begun[0].fileno() < 0, what="the descriptor is given back")
    assert not begun[0].is_open()
    gone(ws_server)


def test_stopping_behind_the_answer(
    ws_server: int, ws_knock: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has its 101, and so it gets its Close."""
    shorten(monkeypatch, CLOSE_SECONDS=0.3)
    begun: list[Connection] = []
    stopping: list[Running] = []
    after(monkeypatch, Server, "_apply_settings", lambda _, client: begun.append(client))
    after(
        monkeypatch,
        Connection,
        "send_now",
        lambda *_: stopping.append(Running(net.native_ws_stop_server, ws_server).wait_asleep()),
    )
    peer = ws_knock(ws_server)
    peer.say(request())
    assert status_of(peer.head()) == 101
    assert peer.closing()[0] == 1001
    wait_until(lambda: begun[0].fileno() < 0, what="the descriptor is given back")
    stopping[0].result()
    gone(ws_server)


def test_stopping_while_a_client_becomes_ready(
    ws_server: int, ws_knock: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just after its server was seen to be running."""
    background: list[int] = []
    is_closed = Server.is_closed

    def stopped_after(server: Server) -> bool:
        closed = is_closed(server)
        if background == [threading.get_ident()]:
            background.clear()
            Running(net.native_ws_stop_server, ws_server).result()
        return closed

    monkeypatch.setattr(Server, "is_closed", stopped_after)
    before(monkeypatch, Server, "completed", lambda *_: background.append(threading.get_ident()))
    peer = ws_knock(ws_server)
    peer.say(request())
    assert status_of(peer.head()) == 101
    assert peer.closing()[0] == 1001
    gone(ws_server)


@pytest.mark.parametrize("where", ["before it has an ID", "before the ID is known", "when it is among the clients"])
def test_stopping_in_the_middle_of_an_accept(
    ws_server: int, ws_knock: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The client that is just being handed out is closed as the others are."""
    peer = ws_knock(ws_server)
    peer.say(request())
    assert status_of(peer.head()) == 101
    assert net.native_net_wait([ws_server], SOON_MS) == [ws_server]

    def stop(*_: object) -> None:
        Running(net.native_ws_stop_server, ws_server).result()

    if where == "before it has an ID":
        before(monkeypatch, Server, "_apply_settings", stop)
    elif where == "before the ID is known":
        after(monkeypatch, Server, "_name", stop)
    else:
        after(monkeypatch, table, "add", stop)
    assert net.native_ws_accept(ws_server) is None
    assert peer.closing()[0] == 1001
    gone(ws_server)
