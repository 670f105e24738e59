"""Connections that a script asks in turn: what has come is found by the next call, however often nothing was there."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import (
    Link,
    Running,
    arrives,
    kernel_socket,
    refusal,
    reset,
    run_script,
    unread_in_kernel,
    wait_for_event,
    wait_until,
)
from ws_support import PING, PONG, Upgrade, WsLink

import dryad_net as net

Dial = Callable[..., Link]
HERE = Path(__file__).parent
VAIN = 20


def ask_in_vain(*identifiers: int) -> None:
    for _ in range(VAIN):
        for identifier in identifiers:
            assert net.native_tcp_recv(identifier, 100) is None


def until_readable(identifier: int) -> None:
    """Nothing is left on its way when this returns."""
    with kernel_socket(identifier) as twin:
        assert select.select([twin], [], [], 10)[0]


def end_arrives(identifier: int) -> None:
    """Wait until the system knows of the peer's end of stream, behind what it holds."""
    with kernel_socket(identifier) as twin:
        wait_for_event(twin.fileno(), select.POLLRDHUP)


def test_what_came_is_there_at_the_next_call(server: int, dial: Dial) -> None:
    links = [dial(server) for _ in range(5)]
    ask_in_vain(*(link.id for link in links))
    for turn in range(300):
        link = links[turn % 5]
        others = [other.id for other in links if other is not link]
        link.raw.sendall(b"%d" % turn)
        for other in others[: turn % 3]:
            assert net.native_tcp_recv(other, 100) is None
        until_readable(link.id)
        assert net.native_tcp_recv(link.id, 100) == str(turn)
        assert net.native_tcp_recv(link.id, 100) is None


def test_more_at_once_than_the_system_reports_at_once(server: int, dial: Dial) -> None:
    links = [dial(server) for _ in range(150)]
    ask_in_vain(*(link.id for link in links))
    for link in links:
        link.raw.sendall(b"x")
    for link in links:
        until_readable(link.id)
    assert [net.native_tcp_recv(link.id, 100) for link in links] == ["x"] * 150


@pytest.mark.parametrize("receive", [net.native_tcp_recv_bytes, net.native_tcp_recv])
def test_the_rest_of_what_came_is_there_too(link: Link, receive: Callable[..., str | bytes | None]) -> None:
    ask_in_vain(link.id)
    link.raw.sendall(b"x" * 1000)
    until_readable(link.id)
    for _ in range(10):
        assert len(receive(link.id, 100) or "") == 100
    assert receive(link.id, 100) is None


def test_the_other_receives(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, 0)
    for number in range(50):
        ask_in_vain(link.id)
        assert net.native_tcp_recv_all(link.id) == ""
        assert net.native_tcp_recv_until(link.id, "\n") is None
        assert net.native_net_wait([link.id], 0) == []
        link.raw.sendall(b"line\nrest")
        until_readable(link.id)
        if number % 2:
            assert net.native_net_wait([link.id], 0) == [link.id]
        assert net.native_tcp_recv_until(link.id, "\n") == "line\n"
        assert net.native_tcp_recv_all(link.id) == "rest"


def test_the_end_and_a_reset(server: int, dial: Dial) -> None:
    links = [dial(server) for _ in range(2)]
    ask_in_vain(*(link.id for link in links))
    links[0].raw.close()
    links[1].raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    links[1].raw.close()
    for link in links:
        until_readable(link.id)
    assert net.native_tcp_recv(links[0].id, 1) is None
    assert not net.native_tcp_is_connected(links[0].id)
    with pytest.raises(net.NetworkError, match="ECONNRESET"):
        net.native_tcp_recv(links[1].id, 1)


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="nothing tells of the end but reading")
@pytest.mark.parametrize("is_reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("seen", ["before", "between", "after"])
def test_the_end_right_behind_what_came(server: int, dial: Dial, is_reset: bool, seen: str) -> None:
    """Whether the system is asked before the bytes, between them and the end, or when both are there."""
    asked, other = dial(server), dial(server)
    ask_in_vain(asked.id, other.id)
    asked.raw.sendall(b"early")
    until_readable(asked.id)
    assert net.native_tcp_recv(asked.id, 100) == "early"
    if seen == "before":
        assert net.native_tcp_recv(asked.id, 100) is None
    asked.raw.sendall(b"late")
    arrives(asked.id, 4)
    if seen == "between":
        assert net.native_tcp_recv(other.id, 100) is None
    if is_reset:
        reset(asked.raw)
    else:
        asked.raw.shutdown(socket.SHUT_WR)
    end_arrives(asked.id)
    if seen == "after":
        assert net.native_tcp_recv(other.id, 100) is None
    assert net.native_tcp_recv(asked.id, 100) == "late"
    if is_reset:
        assert "ECONNRESET" in refusal(net.native_tcp_recv, asked.id, 100).detail
    else:
        assert net.native_tcp_recv(asked.id, 100) is None
        assert not net.native_tcp_is_connected(asked.id)


@pytest.mark.parametrize("looks_between", [False, True])
def test_what_lies_behind_urgent_data(server: int, dial: Dial, looks_between: bool) -> None:
    """A receive stops in front of it (tcp(7)), which is no sign that nothing more is there."""
    asked, other = dial(server), dial(server)
    for _ in range(20):
        ask_in_vain(asked.id, other.id)
        asked.raw.sendall(b"before")
        if looks_between:
            arrives(asked.id, 6)
            assert net.native_tcp_recv(other.id, 100) is None
        asked.raw.send(b"!", socket.MSG_OOB)
        asked.raw.sendall(b"behind")
        with kernel_socket(asked.id) as twin:
            wait_until(lambda twin=twin: unread_in_kernel(twin.fileno()) == 13, what="all of it")
        assert net.native_tcp_recv(other.id, 100) is None
        came = ""
        while len(came) < 13:
            part = net.native_tcp_recv(asked.id, 100)
            assert part is not None, came
            came += part
        assert came == "before!behind"


def test_a_short_read_beside_another_thread_that_looks(server: int, dial: Dial) -> None:
    """What came in between is told of."""
    asked, other = dial(server), dial(server)
    ask_in_vain(asked.id, other.id)
    for number in range(300):
        waiting = Running(net.native_tcp_recv_blocking, asked.id, 100, 10000)
        asked.raw.sendall(b"a")
        ask_in_vain(other.id)
        asked.raw.sendall(b"b")
        came = waiting.result()
        deadline = time.monotonic() + 10
        while came != "ab" and time.monotonic() < deadline:
            came += net.native_tcp_recv(asked.id, 100) or ""
        assert came == "ab", number


def test_a_number_that_belongs_to_another_now(server: int, dial: Dial) -> None:
    """Descriptors are reused: what was known of the last owner is not the next one's."""
    for turn in range(30):
        link = dial(server)
        if turn % 2:
            ask_in_vain(link.id)
        link.raw.sendall(b"mine")
        until_readable(link.id)
        assert net.native_tcp_recv(link.id, 100) == "mine"
        if turn % 3:
            ask_in_vain(link.id)
        net.native_tcp_close(link.id)
        link.raw.close()


def test_while_another_thread_waits(link: Link) -> None:
    ask_in_vain(link.id)
    waiter = Running(net.native_tcp_recv_blocking, link.id, 100, 10000).wait_asleep()
    ask_in_vain(link.id)
    link.raw.sendall(b"x")
    assert waiter.result() == "x"
    ask_in_vain(link.id)


def test_a_script_that_does_nothing_but_ask(ws_server: int, ws_dial: Upgrade) -> None:
    """Messages and pings, at once; and the peer, a thread of this process, gets its turn."""
    clients = [ws_dial(ws_server) for _ in range(3)]

    def talk(link: WsLink) -> None:
        for number in range(200):
            link.peer.send(PING, b"p")
            link.peer.text(f"{number}")
            assert link.peer.expect(PONG) == b"p"
            assert link.peer.message() == f"{number}"

    talking = [Running(talk, link) for link in clients]
    while any(each.is_alive() for each in talking):
        for link in clients:
            message = net.native_ws_recv(link.id)
            if message is not None:
                net.native_ws_send(link.id, message)
    for each in talking:
        each.result()


def test_pings_in_the_background(ws: WsLink) -> None:
    for _ in range(VAIN):
        assert net.native_ws_recv(ws.id) is None
    begun = time.monotonic()
    ws.peer.send(PING, b"there?")
    assert ws.peer.expect(PONG) == b"there?"
    assert time.monotonic() - begun < 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_parent_and_child_of_a_fork() -> None:
    run_script(
        """
import os, select, sys
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from support import plain_listener
import warnings
warnings.simplefilter("ignore")

def one():
    with plain_listener() as listening:
        identifier = net.native_tcp_connect("127.0.0.1", listening.getsockname()[1])
        return identifier, listening.accept()[0]

def talk(identifier, raw, times):
    for _ in range(times):
        for _ in range(20):
            assert net.native_tcp_recv(identifier, 10) is None
        raw.sendall(b"x")
        assert net.native_tcp_recv_blocking(identifier, 10, 10000) == "x"

identifier, raw = one()
talk(identifier, raw, 3)
child = os.fork()
if child == 0:
    talk(*one(), 200)
    os._exit(0)
talk(identifier, raw, 200)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
        HERE,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_NOFILE")
def test_without_a_descriptor_for_it() -> None:
    run_script(
        """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from support import plain_listener
with plain_listener() as listening:
    identifier = net.native_tcp_connect("127.0.0.1", listening.getsockname()[1])
    raw = listening.accept()[0]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for turn in range(100):
    for _ in range(20):
        assert net.native_tcp_recv(identifier, 10) is None
    raw.sendall(b"x")
    assert net.native_tcp_recv_blocking(identifier, 10, 10000) == "x"
    if turn == 50:
        for each in held:
            os.close(each)
""",
        HERE,
    )


def test_closed_while_it_is_asked(server: int, dial: Dial) -> None:
    for _ in range(20):
        link = dial(server)
        ask_in_vain(link.id)

        def ask(identifier: int = link.id) -> None:
            while True:
                try:
                    assert net.native_tcp_recv(identifier, 1) is None
                except net.IdError:
                    return

        asking = Running(ask)
        assert asking.started.wait(10)
        net.native_tcp_close(link.id)
        asking.result()
        link.raw.close()
    wait_until(lambda: not net.native_tcp_get_clients(server))
