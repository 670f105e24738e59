"""What the tests against real peers share: finding the peers, and connections between them and the library."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from typing import NamedTuple

import pytest
from peers.conversation import Conversation, Message, Opening, Peer, Server
from peers.table import PEERS
from support import NOTHING_MISSING, SOON, Running

import dryad_net as net

SOON_MS = int(SOON * 1000)
NOTHING = Opening()


class Kind(NamedTuple):
    """A peer and the role that it plays."""

    peer: str
    role: str

    def __str__(self) -> str:
        return f"{self.peer} {self.role}"


KINDS = [
    *(Kind(name, "client") for name in PEERS),
    *(Kind(name, "server") for name, about in PEERS.items() if about.serves),
]


def missing(name: str) -> None:
    """A peer is not there: an error where all are to be."""
    if NOTHING_MISSING:
        pytest.fail(f"peer {name} is not installed")
    pytest.skip(f"peer {name} is not installed")


def program(name: str) -> str:
    """The path of a program that is a peer; Debian has servers in folders that are not on everybody's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        missing(name)
    assert found is not None
    return found


def load(name: str) -> type[Peer]:
    """The class of a peer that is installed."""
    module, _, attribute = PEERS[name].made_by.partition(".")
    try:
        loaded = importlib.import_module(f"peers.{module}")
    except ModuleNotFoundError:
        missing(name)
    package = PEERS[name].package
    if package:
        if shutil.which("node") is None or not (loaded.MODULES / package / "package.json").exists():
            missing(name)
        if name == "chromium":
            program(name)
    found: type[Peer] = getattr(loaded, attribute)
    return found


class Meeting(NamedTuple):
    """A connection between the library and a peer."""

    id: int
    other: Conversation
    server: int | None = None

    def send(self, *messages: Message) -> None:
        """Let the library send messages."""
        for message in messages:
            if isinstance(message, str):
                net.native_ws_send(self.id, message)
            else:
                net.native_ws_send_binary(self.id, message)

    def receive(self, like: Message) -> Message | None:
        """The next message that the library received, of the same type as another."""
        if isinstance(like, str):
            return net.native_ws_recv_blocking(self.id, SOON_MS)
        return net.native_ws_recv_binary_blocking(self.id, SOON_MS)

    def exchange(self, *messages: Message) -> None:
        """Messages of one type go to the library and back, and arrive as they were sent."""
        sending = Running(self.other.send, *messages)
        for message in messages:
            assert same(self.receive(message), message)
        sending.result()
        sending = Running(self.send, *messages)
        received = self.other.receive(len(messages))
        sending.result()
        assert all(map(same, received, messages))


def same(received: Message | None, sent: Message) -> bool:
    """Are two messages equal? If not, say so shortly: they may be long."""
    if received == sent:
        return True
    size = None if received is None else len(received)
    pytest.fail(f"sent {len(sent)} of {type(sent)}: {sent[:20]!r}; received {size}: {received and received[:20]!r}")


# Start a server of the peer's with what it is to ask for.
Serve = Callable[[Opening], Server]
# Meet with what the library asks for (ours) and what the peer asks for (theirs).
Meet = Callable[..., Meeting]


def prepare(identifier: int, opening: Opening) -> None:
    """Set on a connection or server of the library's what it is to ask for in the handshake."""
    if opening.subprotocols:
        net.native_ws_set_subprotocol(identifier, ", ".join(opening.subprotocols))
    if opening.headers:
        net.native_ws_set_headers(identifier, dict(opening.headers))
    if opening.deflate is not None:
        net.native_ws_set_compression(identifier, True)


def listen(opening: Opening) -> int:
    """A server of the library's on loopback (on every interface with TLS), with what it is to ask for."""
    if opening.tls:
        listening = net.native_ws_listen_tls(0, opening.tls, opening.tls)
    else:
        listening = net.native_ws_bind("127.0.0.1", 0)
    prepare(listening, opening)
    return int(listening)


def call(url: str, opening: Opening) -> int:
    """A connection of the library's, its handshake complete, with what it asked for."""
    identifier = net.native_ws_connect(url)
    prepare(identifier, opening)
    if opening.tls:
        net.native_ws_set_tls(identifier, {"ca_file": opening.tls})
    assert net.native_ws_is_connected(identifier)
    return int(identifier)


def port_of(identifier: int) -> int:
    """The port of a server of the library's."""
    return int(net.native_ws_get_local_addr(identifier)["port"])


def peers_that(*needed: str, role: str = "") -> pytest.MarkDecorator:
    """Run a test with all peers that can do something, in one role or both."""
    able = {name for name, about in PEERS.items() if about.can.issuperset(needed)}
    kinds = [each for each in KINDS if each.peer in able and role in ("", each.role)]
    return pytest.mark.parametrize("peer_kind", kinds, indirect=True, ids=str)
