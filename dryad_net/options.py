"""Socket options, and how a server's hold for the clients it accepts."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .stream import Connection


class Linger(NamedTuple):
    """SO_LINGER (socket(7))."""

    enable: bool
    seconds: int


class Option(NamedTuple):
    """An int option of a socket's, as setsockopt(2) takes it."""

    level: int
    name: int


NODELAY = Option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
KEEPALIVE = Option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
REUSEADDR = Option(socket.SOL_SOCKET, socket.SO_REUSEADDR)
# Windows has no such option; setting it there is an error that says so.
REUSEPORT = Option(socket.SOL_SOCKET, getattr(socket, "SO_REUSEPORT", -1))
# Urgent data stays in the stream, in its place (RFC 6093, 5); clients of a listening socket inherit it.
OOBINLINE = Option(socket.SOL_SOCKET, socket.SO_OOBINLINE)
BROADCAST = Option(socket.SOL_SOCKET, socket.SO_BROADCAST)
RECV_BUFFER = Option(socket.SOL_SOCKET, socket.SO_RCVBUF)
SEND_BUFFER = Option(socket.SOL_SOCKET, socket.SO_SNDBUF)


class Inherited:
    """What was set on a server, to be set on each client it accepts.

    Some of it the kernel hands on by itself, but only to connections that come later; a client that
    was waiting already gets it here.
    """

    __slots__ = ("linger", "options", "timeout_ms")

    def __init__(self) -> None:
        self.options: dict[Option, int] = {}
        self.linger: Linger | None = None
        self.timeout_ms: int | None = None

    def apply(self, client: Connection) -> None:
        """Set it all on a new client. Errors: OSError."""
        for option, value in list(self.options.items()):  # another thread may set one meanwhile
            client.set_option(*option, value)
        if self.linger is not None:
            client.set_linger(*self.linger)
        if self.timeout_ms is not None:
            client.set_timeout(self.timeout_ms)
