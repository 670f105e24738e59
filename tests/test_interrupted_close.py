"""Ctrl-C in the middle of a close or an accept: nothing is left behind, whichever call it has come after."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from interrupt_support import EVERY, interrupted
from support import SOON, plain_listener, port_of, wait_until
from ws_support import SOON_MS, opened, plain_client, plain_server, request, response, shorten, url_of

import dryad_net as net
from dryad_net.table import table

# Where Python runs on the way from a native function to the descriptor that is given back.
CLOSING = (
    *("close", "_close", "stop", "kick", "_after_close", "ending", "_finish", "leave_table", "_leave_table"),
    *("begin_close", "begin_closing", "_let_go", "send_close", "build", "finish", "finish_close"),
    *("retire", "withdraw", "hand_over", "after_close", "completed"),
)

# The same for a client on its way to an ID.
ACCEPTING = (
    *("next_client", "_name", "_apply_settings", "_adopt", "make", "add", "apply", "note"),
    *("_go_on", "_close_if_stopped"),
)


def udp() -> Iterator[list[int]]:
    identifier = net.native_udp_socket()
    net.native_udp_bind(identifier, 0)
    yield [identifier]


def tcp() -> Iterator[list[int]]:
    with plain_listener() as listening:
        identifier = net.native_tcp_connect(*listening.getsockname())
        with listening.accept()[0]:
            yield [identifier]


def tcp_server() -> Iterator[list[int]]:
    server = net.native_tcp_listen(0)
    address = ("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
    own = [net.native_tcp_connect(*address) for _ in range(2)]
    yield [server, *(net.native_tcp_accept_blocking(server, -1) for _ in own)]
    for each in own:
        net.native_tcp_close(each)


def websocket() -> Iterator[list[int]]:
    with plain_listener() as listening:
        identifier = net.native_ws_connect(url_of(listening))
        peer = plain_server(listening)
    with peer.raw:
        net.native_ws_recv(identifier)
        peer.say(response(peer.head()))
        yield [opened(identifier)]


def websocket_server() -> Iterator[list[int]]:
    server = net.native_ws_listen(0)
    url = f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/"
    own = [net.native_ws_connect(url) for _ in range(2)]
    for each in own:
        net.native_ws_recv(each)
    yield [server, *(wait_until(lambda: net.native_ws_accept(server)) for _ in own)]
    for each in own:
        net.native_ws_close(each)


CLOSES: dict[str, tuple[Callable[[], Iterator[list[int]]], Callable[[int], object]]] = {
    "udp": (udp, net.native_udp_close),
    "tcp": (tcp, net.native_tcp_close),
    "tcp server": (tcp_server, net.native_tcp_stop_server),
    "websocket": (websocket, net.native_ws_close),
    "websocket server": (websocket_server, net.native_ws_stop_server),
}


@pytest.mark.parametrize("kind", CLOSES)
def test_closing_once_more_leaves_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script's ``finally`` does it; what the interrupted call has begun is at its end by then."""
    shorten(monkeypatch, CLOSE_SECONDS=0.2)
    make, close = CLOSES[kind]
    for step in itertools.count():
        making = make()
        identifiers = next(making)
        closed: list[Any] = [table.objects[identifier] for identifier in identifiers]
        # Python 3.12 tells of a function's instructions from the second call on.
        came = interrupted(step or sys.maxsize, CLOSING, lambda: close(identifiers[0]))  # noqa: B023
        close(identifiers[0])
        for each, identifier in zip(closed, identifiers, strict=True):
            assert identifier not in table.objects, step
            wait_until(lambda: each.fileno() < 0, what=f"the descriptor to be given back, {step=}")  # noqa: B023
        list(making)
        if step and not came:
            break
    assert step > 3


WAITS: dict[str, Callable[[int], object]] = {
    "udp": lambda identifier: net.native_udp_recv_blocking(identifier, 5),
    "tcp": lambda identifier: net.native_tcp_recv_blocking(identifier, 10, 5),
}


# What other threads would have woken it with is closed by its object.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("kind", WAITS)
def test_closing_after_a_wait_that_was_interrupted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is taken to be waiting any more."""
    shorten(monkeypatch, CLOSE_SECONDS=0.2)
    make, close = CLOSES[kind]
    for step in itertools.count():
        making = make()
        identifier = next(making)[0]
        closed: Any = table.objects[identifier]
        came = interrupted(step or sys.maxsize, EVERY, lambda: WAITS[kind](identifier))  # noqa: B023
        close(identifier)
        list(making)  # whose peer ends
        wait_until(lambda: closed.fileno() < 0, what=f"the descriptor to be given back, {step=}")  # noqa: B023
        if step and not came:
            break


# What was interrupted between accept(2) and its ID is closed by its object, as Python's own sockets are.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("kind", ["tcp", "websocket"])
def test_a_stopped_server_has_no_clients(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also none that an interrupted accept had in hand."""
    shorten(monkeypatch, CLOSE_SECONDS=0.2)
    for step in itertools.count():
        if kind == "tcp":
            server = net.native_tcp_listen(0)
            raw = socket.create_connection(("127.0.0.1", port_of(server)))
            accept, stop = net.native_tcp_accept, net.native_tcp_stop_server
        else:
            server = net.native_ws_listen(0)
            peer = plain_client(server)
            peer.say(request())
            peer.head()
            raw = peer.raw
            accept, stop = net.native_ws_accept, net.native_ws_stop_server
        raw.settimeout(SOON)
        with raw:
            assert net.native_net_wait([server], SOON_MS) == [server]
            came = interrupted(step or sys.maxsize, ACCEPTING, lambda: accept(server))  # noqa: B023
            stop(server)
            try:
                while raw.recv(1000):
                    pass
            except TimeoutError:
                pytest.fail(f"the client is still there, {step=}")
        assert not table.objects
        if step and not came:
            break
    assert step > 3
