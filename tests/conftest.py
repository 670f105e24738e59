"""One suite for both halves; after every test, no descriptor and no ID may be left."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import SOON, Link, close_leftovers, plain_listener, port_of, wait_until

import dryad_net as net
from dryad_net.table import table

DESCRIPTORS = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
# A close may take 10 s where the peer does not answer.
CLOSE_SECONDS = 12.0
# The background service's: the poller's, and what wakes it.
SERVICE_DESCRIPTORS = 2


def pytest_configure(config: pytest.Config) -> None:
    if net.backend == "pure" and os.environ.get("DRYAD_NET_BACKEND") != "pure":
        raise pytest.UsageError(
            "the compiled half of dryad_net was not built; DRYAD_NET_BACKEND=pure tests the pure half alone"
        )


def pytest_report_header(config: pytest.Config) -> str:
    return f"dryad_net: {net.backend} half, {Path(net.__file__).parent}"


def open_descriptors() -> dict[str, str]:
    """Every descriptor of this process and what it is."""
    found = {}
    for name in os.listdir(DESCRIPTORS):
        try:
            found[name] = os.readlink(DESCRIPTORS / name)
        except OSError:
            # Gone again (such as the one of listdir itself), or a system that shows no links.
            if sys.platform != "linux":
                found[name] = "?"
    return found


@pytest.fixture(scope="session", autouse=True)
def background_service() -> None:
    """The background service has its descriptors from the first connection on, and keeps them."""
    before = len(open_descriptors())
    server = net.native_tcp_listen(0)
    connection = net.native_tcp_connect("127.0.0.1", port_of(server))
    net.native_tcp_close(connection)
    net.native_tcp_stop_server(server)
    wait_until(lambda: len(open_descriptors()) <= before + SERVICE_DESCRIPTORS, CLOSE_SECONDS)


@pytest.fixture(autouse=True)
def nothing_left(background_service: None) -> Iterator[None]:
    """No descriptor and no ID is left by a test, at the latest when its closes are done."""
    before = open_descriptors()
    yield
    close_leftovers()
    assert not table.objects

    def new() -> dict[str, str]:
        return {name: target for name, target in open_descriptors().items() if before.get(name) != target}

    wait_until(lambda: not new(), CLOSE_SECONDS, f"closing {new()}")


@pytest.fixture
def plain_sockets() -> Iterator[list[socket.socket]]:
    """Plain sockets that are closed after the test."""
    sockets: list[socket.socket] = []
    yield sockets
    for each in sockets:
        each.close()


@pytest.fixture
def server() -> int:
    """A server on a free port of every interface."""
    return net.native_tcp_listen(0)


Dial = Callable[..., Link]


@pytest.fixture
def dial(plain_sockets: list[socket.socket]) -> Dial:
    """Make plain clients of a server: dial(server, recv_buffer=None, host="127.0.0.1")."""

    def connect(server: int, recv_buffer: int | None = None, host: str = "127.0.0.1") -> Link:
        raw = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        plain_sockets.append(raw)
        raw.settimeout(SOON)
        if recv_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer)
        raw.connect((host, port_of(server)))
        accepted = net.native_tcp_accept_blocking(server, int(SOON * 1000))
        assert accepted is not None
        return Link(accepted, raw)

    return connect


@pytest.fixture
def link(plain_sockets: list[socket.socket]) -> Link:
    """A connection of our own to a plain socket."""
    with plain_listener() as listening:
        identifier = net.native_tcp_connect("127.0.0.1", listening.getsockname()[1])
        raw = listening.accept()[0]
    raw.settimeout(SOON)
    plain_sockets.append(raw)
    return Link(identifier, raw)


@pytest.fixture
def pair(server: int) -> tuple[int, int]:
    """Both ends in the library: our own connection, and the client that the server accepted."""
    own = net.native_tcp_connect("127.0.0.1", port_of(server))
    accepted = net.native_tcp_accept_blocking(server, int(SOON * 1000))
    assert accepted is not None
    return own, accepted
