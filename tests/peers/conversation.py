"""What a peer can do: connect to us or serve us, and hold a conversation over one connection."""

from __future__ import annotations

import abc
import queue
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

# How long a peer may take for one step: generous, for machines that are busy.
SOON = 20.0

Message = str | bytes
# The parameters of permessage-deflate by their names in RFC 7692, section 7.1.
Deflate = dict[str, bool | int]


class Opening(NamedTuple):
    """What one side of a connection asks for in the opening handshake.

    `deflate` is None without compression, {} for it with the peer's own choice of parameters.
    A client's `tls` is the file of the authority that it trusts, a server's that of its certificate and key.
    """

    subprotocols: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    deflate: Deflate | None = None
    tls: str | None = None


class Closed(NamedTuple):
    """How a conversation ended, as the peer saw it; 1006 where no Close frame came (RFC 6455, section 7.1.5)."""

    code: int
    reason: str


class Conversation(abc.ABC):
    """One WebSocket connection, as the peer sees it; messages and pongs are collected all the time."""

    def __init__(
        self, subprotocol: str | None = None, headers: Iterable[tuple[str, str]] = (), path: str | None = None
    ) -> None:
        """Start with what the handshake gave: the other side's headers, and its path if the peer is the server."""
        self.subprotocol = subprotocol or None
        self.headers = {name.lower(): value for name, value in headers}
        self.path = path
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.pongs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.end: Future[Closed] = Future()

    @abc.abstractmethod
    def send(self, *messages: Message) -> None:
        """Send messages, in their order."""

    def send_fragments(self, *parts: Message) -> None:
        """Send one message in fragments."""
        raise NotImplementedError

    def ping(self, payload: bytes) -> bytes:
        """Send a ping; return the payload of its pong."""
        raise NotImplementedError

    @abc.abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""

    def receive(self, count: int) -> list[Message]:
        """The next so many messages."""
        return [self.messages.get(timeout=SOON) for _ in range(count)]

    def closed(self) -> Closed:
        """Wait until the connection is closed, by whichever side."""
        return self.end.result(SOON)


class Server(abc.ABC):
    """A WebSocket server of the peer's on 127.0.0.1."""

    port: int

    def __init__(self) -> None:
        self.arrived: queue.SimpleQueue[Conversation] = queue.SimpleQueue()

    def accept(self) -> Conversation:
        """The next connection whose handshake is complete."""
        return self.arrived.get(timeout=SOON)

    @abc.abstractmethod
    def stop(self) -> None:
        """Give the port back; the conversations have ended."""


class Peer(abc.ABC):
    """An implementation of WebSocket that is not ours."""

    @abc.abstractmethod
    def connect(self, url: str, opening: Opening) -> Conversation:
        """Connect to our server; raises what the peer raises when it is refused."""

    def serve(self, opening: Opening) -> Server:
        """Start a server for our client."""
        raise NotImplementedError

    @abc.abstractmethod
    def stop(self) -> None:
        """End the peer and everything that belongs to it."""
