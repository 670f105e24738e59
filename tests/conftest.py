"""One suite for both halves; after every test, no descriptor and no ID may be left."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import through_proxy
from support import SOON, Link, close_leftovers, open_what_stays, plain_listener, port_of, wait_until
from ws_support import Peer, Upgrade, WsLink, accept_of, opened, plain_client, plain_server, request, response, url_of

import dryad_net as net
from dryad_net import websocket
from dryad_net.table import table

# How long examples take to make says how busy the machine is.
hypothesis.settings.register_profile(
    "suite", deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")

DESCRIPTORS = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
# A close may take 10 s where the peer does not answer.
CLOSE_SECONDS = 12.0
# The background service's: the poller's, and what wakes it (a pipe, which is two, where there is no eventfd);
# those that native_net_wait keeps; the one that tells of connections that are asked in vain.
SERVICE_DESCRIPTORS = 7


def pytest_addoption(parser: pytest.Parser) -> None:
    through_proxy.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    through_proxy.configure(config)
    if net.backend == "pure" and os.environ.get("DRYAD_NET_BACKEND") != "pure":
        raise pytest.UsageError(
            "the compiled half of dryad_net was not built; DRYAD_NET_BACKEND=pure tests the pure half alone"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    through_proxy.leave_out(config, items)


def pytest_report_header(config: pytest.Config) -> str:
    return f"dryad_net: {net.backend} half, {Path(net.__file__).parent}"


def open_descriptors() -> dict[str, str]:
    """Every descriptor of this process and what it is."""
    found: dict[str, str] = {}
    if sys.platform == "win32":
        return found  # nothing lists them there
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
    """The background service and native_net_wait have their descriptors from the first use on, and keep them."""
    before = len(open_descriptors())
    open_what_stays()
    wait_until(lambda: len(open_descriptors()) <= before + SERVICE_DESCRIPTORS, CLOSE_SECONDS)


LAZY_SECONDS = websocket.LAZY_SECONDS


@pytest.fixture(scope="session", autouse=True)
def no_handshake_between_two_lines() -> None:
    """A busy machine may take 100 ms from connecting to what is set then."""
    websocket.LAZY_SECONDS = 1.0


@pytest.fixture
def handshakes_begin_when_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users have it: after 100 ms in which the script does nothing."""
    monkeypatch.setattr(websocket, "LAZY_SECONDS", LAZY_SECONDS)


@pytest.fixture(autouse=True)
def nothing_left(background_service: None) -> Iterator[None]:
    """No descriptor and no ID is left by a test, at the latest when its closes are done."""
    before = open_descriptors()
    yield
    try:
        close_leftovers()
    finally:
        left = dict(table.objects)
        table.objects.clear()  # so that the next test is not blamed
    assert not left

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


# ---- WebSocket


@pytest.fixture
def ws_server() -> int:
    """A WebSocket server on a free port of every interface."""
    return net.native_ws_listen(0)


@pytest.fixture
def ws_knock(plain_sockets: list[socket.socket]) -> Callable[..., Peer]:
    """Connect to a WebSocket server and say nothing yet: ws_knock(server, host="127.0.0.1", recv_buffer=None)."""

    def connect(server: int, host: str = "127.0.0.1", recv_buffer: int | None = None) -> Peer:
        peer = plain_client(server, host, recv_buffer)
        plain_sockets.append(peer.raw)
        return peer

    return connect


@pytest.fixture
def ws_dial(ws_knock: Callable[..., Peer]) -> Upgrade:
    """Make clients of a WebSocket server: ws_dial(server, *headers, path="/", recv_buffer=None)."""

    def connect(server: int, *headers: str, path: str = "/", recv_buffer: int | None = None) -> WsLink:
        peer = ws_knock(server, recv_buffer=recv_buffer)
        peer.say(request(*headers, path=path))
        accepted = accept_of(server)
        assert peer.head().startswith(b"HTTP/1.1 101 ")
        return WsLink(accepted, peer)

    return connect


@pytest.fixture
def ws_call(plain_sockets: list[socket.socket]) -> Upgrade:
    """Connections of our own whose handshake has not begun: ws_call(path="/")."""

    def connect(path: str = "/") -> WsLink:
        with plain_listener() as listening:
            identifier = net.native_ws_connect(url_of(listening, path))
            peer = plain_server(listening)
        plain_sockets.append(peer.raw)
        return WsLink(identifier, peer)

    return connect


@pytest.fixture
def ws_link(ws_call: Upgrade) -> WsLink:
    """An open connection of our own to the tests' server."""
    link = ws_call()
    net.native_ws_recv(link.id)
    link.peer.say(response(link.peer.head()))
    opened(link.id)
    return link


@pytest.fixture
def ws_client(ws_server: int, ws_dial: Upgrade) -> WsLink:
    """A client that our server has accepted."""
    return ws_dial(ws_server)


@pytest.fixture(params=["our_client", "our_server"])
def ws(request: pytest.FixtureRequest) -> WsLink:
    """An open connection, with the library in either role."""
    link: WsLink = request.getfixturevalue("ws_link" if request.param == "our_client" else "ws_client")
    return link


@pytest.fixture
def ws_pair(ws_server: int) -> tuple[int, int]:
    """Both ends in the library: our own connection, and the client that the server accepted."""
    own = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(ws_server)['port']}/")
    net.native_ws_recv(own)
    accepted = accept_of(ws_server)
    return opened(own), accepted
