"""Fixtures of the tests against real peers; a plugin of pytest's, because the test modules share what was started."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from peer_support import NOTHING, Kind, Meet, Meeting, call, listen, load, port_of
from peers.certificates import Certificates
from peers.conversation import Opening, Peer, Server
from support import Running, close_leftovers
from ws_support import accept_of

import dryad_net as net


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates for the tests of TLS."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def peer_kind(request: pytest.FixtureRequest) -> Kind:
    """The peer and its role: the parameter of the test."""
    found: Kind = request.param
    return found


def start(request: pytest.FixtureRequest, name: str) -> Peer:
    """Start a peer."""
    made = load(name)
    return made(request.getfixturevalue("certificates").server_public_key) if name == "chromium" else made()


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest, peer_kind: Kind) -> Iterator[Peer]:
    """The peer of the test, started once for all tests in a row that need it."""
    started = start(request, peer_kind.peer)
    yield started
    started.stop()


@pytest.fixture
def meet(peer: Peer, peer_kind: Kind) -> Iterator[Meet]:
    """Make connections with the peer: meet(ours, theirs, path="/")."""
    meetings: list[Meeting] = []
    servers: list[Server] = []
    ours_listening: list[int] = []

    def with_their_client(ours: Opening, theirs: Opening, path: str) -> Meeting:
        listening = listen(ours)
        ours_listening.append(listening)
        place = f"wss://localhost:{port_of(listening)}" if ours.tls else f"ws://127.0.0.1:{port_of(listening)}"
        connecting = Running(peer.connect, place + path, theirs)
        return Meeting(accept_of(listening), connecting.result(), listening)

    def with_their_server(ours: Opening, theirs: Opening, path: str) -> Meeting:
        server = peer.serve(theirs)
        servers.append(server)
        place = f"wss://localhost:{server.port}" if theirs.tls else f"ws://127.0.0.1:{server.port}"
        identifier = call(place + path, ours)
        return Meeting(identifier, server.accept())

    def make(ours: Opening = NOTHING, theirs: Opening = NOTHING, path: str = "/") -> Meeting:
        made = (with_their_client if peer_kind.role == "client" else with_their_server)(ours, theirs, path)
        meetings.append(made)
        return made

    yield make
    for meeting in meetings:
        net.native_ws_close(meeting.id)
    for listening in ours_listening:
        net.native_ws_stop_server(listening)
    for meeting in meetings:
        meeting.other.closed()
    for server in servers:
        server.stop()


@pytest.fixture
def meeting(meet: Meet) -> Meeting:
    """One connection with the peer, nothing asked for."""
    return meet()


@pytest.fixture
def serve(peer: Peer) -> Iterator[Callable[[Opening], Server]]:
    """Start servers of the peer, which are stopped after the test."""
    servers: list[Server] = []

    def start(opening: Opening) -> Server:
        servers.append(peer.serve(opening))
        return servers[-1]

    yield start
    close_leftovers()
    for server in servers:
        server.stop()
