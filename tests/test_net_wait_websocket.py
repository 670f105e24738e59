"""native_net_wait over WebSocket connections and servers, in threads, and what it costs."""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import SOON, Link, Running, refusal, reset, wait_until
from ws_support import (
    BINARY,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Peer,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    deflated,
    opened,
    received,
    request,
    response,
    shorten,
)

import dryad_net as net
from dryad_net.table import table

SOON_MS = int(SOON * 1000)


def ready(*ids: int) -> list[int]:
    """Which are ready right now?"""
    return net.native_net_wait(list(ids), 0)


def becomes_ready(identifier: int) -> None:
    assert net.native_net_wait([identifier], SOON_MS) == [identifier]


def test_a_message(ws: WsLink) -> None:
    assert ready(ws.id) == []
    waiting = Running(net.native_net_wait, [ws.id], -1).wait_asleep()
    ws.peer.text("hello")
    assert waiting.result() == [ws.id]
    assert ready(ws.id) == [ws.id]
    assert net.native_ws_recv(ws.id) == "hello"
    assert ready(ws.id) == []


@pytest.mark.parametrize("first", ["text", "binary"])
def test_either_queue(ws: WsLink, first: str) -> None:
    ws.peer.text("text")
    ws.peer.send(BINARY, b"binary")
    becomes_ready(ws.id)
    if first == "text":
        assert received(ws.id) == "text"
        becomes_ready(ws.id)
        assert net.native_ws_recv_binary_blocking(ws.id, SOON_MS) == b"binary"
    else:
        assert net.native_ws_recv_binary_blocking(ws.id, SOON_MS) == b"binary"
        assert ready(ws.id) == [ws.id]
        assert net.native_ws_recv(ws.id) == "text"
    assert ready(ws.id) == []


def test_messages_that_were_read_together(ws: WsLink) -> None:
    """Queued in the library, where the system knows nothing of them."""
    ws.peer.say(b"".join(ws.peer.frame(TEXT, b"%d" % number) for number in range(10)))
    for number in range(10):
        becomes_ready(ws.id)
        assert net.native_ws_recv(ws.id) == str(number)
    assert ready(ws.id) == []


def test_an_empty_message_is_one(ws: WsLink) -> None:
    ws.peer.text("")
    becomes_ready(ws.id)
    assert net.native_ws_recv(ws.id) == ""


@pytest.mark.parametrize("cut", [1, 2, 4, 7, 50])
def test_part_of_a_frame_is_nothing_yet(ws: WsLink, cut: int) -> None:
    whole = ws.peer.frame(TEXT, b"x" * 100)
    ws.peer.say(whole[:cut])
    used = time.process_time()
    assert net.native_net_wait([ws.id], 150) == []
    assert time.process_time() - used < 0.1
    assert net.native_ws_recv(ws.id) is None
    waiting = Running(net.native_net_wait, [ws.id], SOON_MS).wait_asleep()
    ws.peer.say(whole[cut:])
    assert waiting.result() == [ws.id]
    assert net.native_ws_recv(ws.id) == "x" * 100


LARGE = 70_000


def after_a_large_one(ws: WsLink, size: int = 600_000) -> None:
    """From then on the next message may be left where it is until it is asked for."""
    sender = Running(ws.peer.send, BINARY, b"f" * size)
    assert net.native_ws_recv_binary_blocking(ws.id, SOON_MS) == b"f" * size
    sender.result()
    assert ready(ws.id) == []


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 9, 10, 13, 14, 15, 5000, LARGE, -1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_part_of_a_large_frame_is_nothing_yet(ws: WsLink, opcode: int, cut: int) -> None:
    after_a_large_one(ws)
    whole = ws.peer.frame(opcode, b"x" * LARGE)
    ws.peer.say(whole[:cut])
    used = time.process_time()
    assert net.native_net_wait([ws.id], 100) == []
    assert time.process_time() - used < 0.1
    waiting = Running(net.native_net_wait, [ws.id], SOON_MS).wait_asleep()
    ws.peer.say(whole[cut:])
    assert waiting.result() == [ws.id]
    assert ready(ws.id) == [ws.id]
    if opcode == TEXT:
        assert net.native_ws_recv(ws.id) == "x" * LARGE
    else:
        assert net.native_ws_recv_binary(ws.id) == b"x" * LARGE
    assert ready(ws.id) == []


def test_a_large_message_that_is_left_for_later(ws: WsLink) -> None:
    """It, and what follows it, is there when it is asked for, and is read in the background otherwise."""
    after_a_large_one(ws)
    ws.peer.send(BINARY, b"1" * LARGE)
    ws.peer.send(TEXT, b"2" * LARGE)
    ws.peer.send(PING, b"ping")
    becomes_ready(ws.id)
    assert net.native_ws_recv(ws.id) == "2" * LARGE  # of the other queue
    assert ready(ws.id) == [ws.id]
    assert net.native_ws_recv_binary(ws.id) == b"1" * LARGE
    assert ws.peer.read()[:2] == (PONG, b"ping")
    ws.peer.send(BINARY, b"3" * LARGE)
    ws.peer.send(PING, b"pong")
    becomes_ready(ws.id)
    assert ws.peer.read()[:2] == (PONG, b"pong")
    assert net.native_ws_recv_binary(ws.id) == b"3" * LARGE
    assert ready(ws.id) == []


@pytest.mark.parametrize("what", ["ping", "fragments", "close", "a violation", "too large", "reset", "the end"])
def test_what_is_not_a_large_message_is_taken(ws: WsLink, what: str) -> None:
    after_a_large_one(ws)
    if what == "ping":
        ws.peer.send(PING, b"ping")
        assert net.native_net_wait([ws.id], 100) == []
        assert ws.peer.read()[:2] == (PONG, b"ping")
        return
    if what == "fragments":
        ws.peer.send(BINARY, b"1" * LARGE, fin=False)
        assert net.native_net_wait([ws.id], 100) == []
        ws.peer.send(0, b"2" * LARGE)
        becomes_ready(ws.id)
        assert net.native_ws_recv_binary(ws.id) == b"1" * LARGE + b"2" * LARGE
        return
    waiting = Running(net.native_net_wait, [ws.id], SOON_MS).wait_asleep()
    if what == "close":
        ws.peer.close(1000)
    elif what == "a violation":
        ws.peer.send(TEXT, b"\xff" * LARGE)
    elif what == "too large":
        net.native_ws_set_max_frame_size(ws.id, 1000)
        ws.peer.send(BINARY, b"x" * 5000)
    elif what == "reset":
        reset(ws.peer.raw)
    else:
        ws.peer.hang_up()
    assert waiting.result() == [ws.id]
    if what in ("a violation", "too large", "reset"):
        assert refusal(net.native_ws_recv, ws.id).code == "E5006"
    assert net.native_ws_recv(ws.id) is None
    assert ready(ws.id) == [ws.id]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("at", [5000, 300_000, 599_999])
def test_what_is_wrong_in_a_large_text(ws: WsLink, at: int, blocking: bool) -> None:
    """It is read to where it belongs, and found while it comes."""
    after_a_large_one(ws)
    text = bytearray(b"x" * 600_000)
    text[at] = 0xFF
    sender = Running(send_what_is_taken, ws.peer, ws.peer.frame(TEXT, bytes(text)))
    if blocking:
        error = refusal(net.native_ws_recv_blocking, ws.id, SOON_MS)
    else:
        wait_until(lambda: net.native_ws_get_state(ws.id) == "closed")
        error = refusal(net.native_ws_recv, ws.id)
    assert (error.code, "(1007)" in str(error)) == ("E5006", True)
    assert ws.peer.closing()[0] == 1007
    sender.result()


def send_what_is_taken(peer: Peer, data: bytes) -> None:
    """A violation ends the connection in the middle."""
    with contextlib.suppress(OSError):
        peer.say(data)


def test_part_of_a_message_is_nothing_yet(ws: WsLink) -> None:
    ws.peer.send(TEXT, b"one ", fin=False)
    assert net.native_net_wait([ws.id], 50) == []
    ws.peer.send(0, b"two", fin=False)
    assert net.native_net_wait([ws.id], 50) == []
    ws.peer.send(0, b"")
    becomes_ready(ws.id)
    assert net.native_ws_recv(ws.id) == "one two"


def test_a_ping_is_nothing_to_read_but_is_answered(ws: WsLink) -> None:
    waiting = Running(net.native_net_wait, [ws.id], 300)
    ws.peer.send(PING, b"while it waits")
    ws.peer.send(PONG, b"unasked")
    assert ws.peer.expect(PONG) == b"while it waits"
    assert waiting.result() == []


def test_pings_while_it_polls(ws: WsLink) -> None:
    for number in range(20):
        ws.peer.send(PING, b"%d" % number)
        assert ready(ws.id) == []
    for number in range(20):
        assert ws.peer.expect(PONG) == b"%d" % number


def test_the_peers_close(ws: WsLink) -> None:
    """For ever from then on, also when all is read."""
    ws.peer.text("before")
    ws.peer.close(1000)
    becomes_ready(ws.id)
    assert received(ws.id) == "before"
    becomes_ready(ws.id)
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    ws.peer.closing()
    becomes(ws.id, "closed")
    for _ in range(3):
        assert ready(ws.id) == [ws.id]
    assert net.native_ws_is_connected(ws.id) is False
    assert ready(ws.id) == [ws.id]


@pytest.mark.parametrize("way", ["end of stream", "reset", "a violation"])
def test_a_broken_connection(ws: WsLink, way: str) -> None:
    waiting = Running(net.native_net_wait, [ws.id], -1).wait_asleep()
    if way == "reset":
        reset(ws.peer.raw)
    elif way == "a violation":
        ws.peer.send(3)
    else:
        ws.peer.hang_up()
    assert waiting.result() == [ws.id]
    if way != "end of stream":
        assert refusal(net.native_ws_recv, ws.id).code == "E5006"
        assert net.native_ws_recv(ws.id) is None
    assert ready(ws.id) == [ws.id]


def test_unsent_data_is_nothing_to_read(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, b"q" * (4 << 20))
    used = time.process_time()
    assert net.native_net_wait([link.id, ws_server], 300) == []
    assert time.process_time() - used < 0.2
    reader = Running(link.peer.message)
    assert net.native_net_wait([link.id], 300) == []
    assert reader.result() == b"q" * (4 << 20)


def test_a_client_whose_handshake_is_under_way(ws_call: Upgrade) -> None:
    """It is completed meanwhile; being open alone is nothing to read."""
    link = ws_call()
    assert ready(link.id) == []
    waiting = Running(net.native_net_wait, [link.id], SOON_MS)
    link.peer.say(response(link.peer.head()))
    link.peer.send(PING, b"open?")
    assert link.peer.expect(PONG) == b"open?"
    link.peer.text("hello")
    assert waiting.result() == [link.id]
    assert net.native_ws_recv(link.id) == "hello"


def test_a_refused_handshake(ws_call: Upgrade) -> None:
    link = ws_call()
    waiting = Running(net.native_net_wait, [link.id], SOON_MS)
    link.peer.head()
    link.peer.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert waiting.result() == [link.id]
    assert "403" in str(refusal(net.native_ws_recv, link.id))


# What a refusal may say of a body that does not end.
ENDLESS = ["Content-Length: 500\r\n\r\nabc", "\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]


@pytest.mark.parametrize("rest", ENDLESS)
def test_a_refused_handshake_whose_body_does_not_end(
    ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    shorten(monkeypatch, BODY_SECONDS=0.3)
    link = ws_call()
    waiting = Running(net.native_net_wait, [link.id], SOON_MS)
    link.peer.head()
    link.peer.say(f"HTTP/1.1 403 Forbidden\r\n{rest}".encode())
    assert waiting.result() == [link.id]
    assert "403" in str(refusal(net.native_ws_recv, link.id))


def test_a_body_that_ends_late_is_told_at_once(ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, BODY_SECONDS=3600)
    link = ws_call()
    waiting = Running(net.native_net_wait, [link.id], SOON_MS)
    link.peer.head()
    link.peer.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot ")
    waiting.wait_asleep()
    link.peer.say(b"today")
    assert waiting.result() == [link.id]
    assert "not today" in str(refusal(net.native_ws_recv, link.id))


def test_a_server(ws_server: int, ws_knock: Callable[..., Peer]) -> None:
    """Ready when accept would give a client: after the handshake, not before."""
    peer = ws_knock(ws_server)
    assert net.native_net_wait([ws_server], 50) == []
    peer.say(request()[:30])
    assert net.native_net_wait([ws_server], 50) == []
    waiting = Running(net.native_net_wait, [ws_server], SOON_MS).wait_asleep()
    peer.say(request()[30:])
    assert waiting.result() == [ws_server]
    assert ready(ws_server) == [ws_server]
    accepted = net.native_ws_accept(ws_server)
    assert accepted is not None
    assert ready(ws_server, accepted) == []


def test_a_server_that_turns_somebody_away(ws_server: int, ws_knock: Callable[..., Peer]) -> None:
    waiting = Running(net.native_net_wait, [ws_server], 300)
    peer = ws_knock(ws_server)
    peer.say(b"GET / HTTP/1.1\r\n\r\n")
    peer.body()
    assert waiting.result() == []


def test_several_waiting_clients(ws_server: int, ws_knock: Callable[..., Peer]) -> None:
    for _ in range(3):
        peer = ws_knock(ws_server)
        peer.say(request())
        peer.head()
    for _ in range(3):
        becomes_ready(ws_server)
        assert net.native_ws_accept(ws_server) is not None
    assert ready(ws_server) == []


def test_compressed_messages(ws_server: int, ws_dial: Upgrade) -> None:
    net.native_ws_set_compression(ws_server, True)
    link = ws_dial(ws_server, DEFLATE)
    data = deflated(b"x" * 1000)
    link.peer.send(TEXT, data[:3], rsv=4, fin=False)
    assert net.native_net_wait([link.id], 50) == []
    link.peer.send(0, data[3:])
    becomes_ready(link.id)
    assert net.native_ws_recv(link.id) == "x" * 1000


def test_many_with_large_messages_at_once(ws_server: int, ws_dial: Upgrade) -> None:
    """More than a cache holds: all are ready that have a whole message, and nobody else."""
    links = [ws_dial(ws_server) for _ in range(100)]
    whole = [number for number in range(100) if number % 7]
    for turn in range(4):
        message = bytes([turn]) * 9_000
        for number, link in enumerate(links):
            frame = link.peer.frame(BINARY, message)
            link.peer.say(frame if number in whole else frame[: 5 + number])
        wanted = [links[number].id for number in whole]
        wait_until(lambda wanted=wanted: ready(*(link.id for link in links)) == wanted)
        for number, link in enumerate(links):
            if number not in whole:
                assert net.native_ws_recv_binary(link.id) is None
                link.peer.say(link.peer.frame(BINARY, message)[5 + number :])
        for link in links:
            becomes_ready(link.id)
            assert net.native_ws_recv_binary(link.id) == message
        assert ready(*(link.id for link in links)) == []


def test_an_echo_server_of_many(ws_server: int) -> None:
    """What it is for: accept, read and answer whatever comes, in one thread without a pause."""
    port = net.native_ws_get_local_addr(ws_server)["port"]
    clients = [net.native_ws_connect(f"ws://127.0.0.1:{port}/") for _ in range(30)]
    for client in clients:
        net.native_ws_recv(client)

    def serve() -> int:
        served, count = [ws_server], 0
        while count < 30 * 20:
            for identifier in net.native_net_wait(served, SOON_MS):
                if identifier == ws_server:
                    served.append(net.native_ws_accept(ws_server))
                else:
                    net.native_ws_send(identifier, net.native_ws_recv(identifier))
                    count += 1
        return len(served)

    serving = Running(serve)
    for turn in range(20):
        for client in clients:
            net.native_ws_send(client, f"{client} {turn}")
        for client in clients:
            assert received(client) == f"{client} {turn}"
    assert serving.result() == 31


# ---- threads


def waited(*ids: int) -> object:
    """What a wait without limit returns, or the code that it raises."""
    try:
        return net.native_net_wait(list(ids), -1)
    except net.IdError as error:
        return error.code


@pytest.mark.parametrize("stop", ["close", "kick_client", "stop_server"])
def test_closed_by_another_thread(ws_server: int, ws_client: WsLink, stop: str) -> None:
    """It comes back at once: with the ID, or saying that it is closed."""
    waiting = Running(waited, ws_server, ws_client.id).wait_asleep()
    begun = time.monotonic()
    if stop == "stop_server":
        net.native_ws_stop_server(ws_server)
    else:
        getattr(net, f"native_ws_{stop}")(ws_client.id)
    assert waiting.result() in ("E3029", [ws_client.id], [ws_server], [ws_server, ws_client.id])
    assert time.monotonic() - begun < 5


def test_a_tcp_connection_closed_by_another_thread(link: Link, server: int) -> None:
    waiting = Running(waited, link.id, server).wait_asleep()
    net.native_tcp_close(link.id)
    assert waiting.result() in ("E3029", [link.id])
    waiting = Running(waited, server).wait_asleep()
    net.native_tcp_stop_server(server)
    assert waiting.result() in ("E3029", [server])


def test_several_threads_wait(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(4)]
    threads = [Running(net.native_net_wait, [link.id, ws_server], -1).wait_asleep() for link in links]
    together = Running(net.native_net_wait, [link.id for link in links], -1).wait_asleep()
    for link in links:
        link.peer.text("x")
    assert [thread.result() for thread in threads] == [[link.id] for link in links]
    assert together.result()


def test_waiting_beside_who_receives(ws: WsLink) -> None:
    """Whoever comes first takes the message; nobody hangs."""
    receiving = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    waiting = Running(net.native_net_wait, [ws.id], -1).wait_asleep()
    ws.peer.text("one")
    assert receiving.result() == "one"
    ws.peer.text("two")
    assert waiting.result() == [ws.id]
    assert received(ws.id) == "two"


def test_a_message_read_in_the_background(ws: WsLink) -> None:
    """It has left the system before anybody waits."""
    ws.peer.text("early")
    ws.peer.send(PING, b"read?")
    assert ws.peer.expect(PONG) == b"read?"
    assert ready(ws.id) == [ws.id]


# ---- what it costs


def test_idle_ids_of_the_previous_call_cost_little(ws_server: int) -> None:
    port = net.native_ws_get_local_addr(ws_server)["port"]
    for _ in range(200):
        opened(net.native_ws_connect(f"ws://127.0.0.1:{port}/"))
    ids = [accept_of(ws_server) for _ in range(200)]

    def cost(chosen: list[int]) -> float:
        net.native_net_wait(chosen, 0)
        best = 1.0
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(20):
                net.native_net_wait(chosen, 0)
            best = min(best, (time.perf_counter() - begun) / 20)
        return best

    few, many = cost(ids[:2]), cost(ids)
    # A system call for each would be at least 200 ns, in Python a microsecond or more.
    assert many - few < 198 * (150e-9 if net.backend == "compiled" else 500e-9), (few, many)


def test_waiting_for_many_does_not_spin(ws_server: int) -> None:
    port = net.native_ws_get_local_addr(ws_server)["port"]
    owns = [opened(net.native_ws_connect(f"ws://127.0.0.1:{port}/")) for _ in range(50)]
    accepted = [accept_of(ws_server) for _ in owns]
    time.sleep(0.2)
    used = time.process_time()
    assert net.native_net_wait([*accepted, ws_server], 400) == []
    assert time.process_time() - used < 0.15
    net.native_ws_send(owns[7], "x")
    assert net.native_net_wait([*accepted, ws_server], SOON_MS) == [accepted[7]]


def test_a_descriptor_given_back_while_it_is_registered(ws_link: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the background, between the look at its number and the system call, which only the pure half can meet."""
    ws_link.peer.close()
    becomes(ws_link.id, "closed")
    register = selectors.DefaultSelector.register

    def late(selector: Any, fd: Any, events: int, data: Any = None) -> Any:
        if data is table.objects.get(ws_link.id):
            data.release()
        return register(selector, fd, events, data)

    monkeypatch.setattr(selectors.DefaultSelector, "register", late)
    assert ready(ws_link.id) == [ws_link.id]
    assert net.native_ws_recv(ws_link.id) is None
