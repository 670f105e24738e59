"""A TCP server: the listening socket, its clients, and what they inherit from it."""

from __future__ import annotations

import socket

from . import log, service
from ._backend import sock
from .addresses import Resolved, read_ip
from .errors import from_os_error, join_host_port, let_through
from .options import OOBINLINE, Inherited, Linger, Option
from .stream import Connection
from .table import table
from .threads import completed

EVERY_INTERFACE = ""


class Server(sock.Listener):
    """A listening socket and the connections accepted from it.

    Owns its descriptor until stop(). ``clients`` holds the accepted connections until each is closed.
    """

    __slots__ = ("clients", "id", "inherited", "port", "reuseport")

    kind = "a TCP server"

    def __init__(self, handle: sock.Socket, identifier: int, port: int, reuseport: bool) -> None:
        super().__init__(handle)
        self.id = identifier
        self.port = port
        self.reuseport = reuseport
        self.clients: dict[int, Connection] = {}
        self.inherited = Inherited()

    def next_client(self, timeout_ms: int) -> Connection | None:
        """Accept one connection; None if there is none, the time is up, or the server was stopped."""
        client: Connection | None = self.accept(timeout_ms, self._adopt)
        if client is not None and client.is_closed() and self.is_closed():
            return None  # stopped by another thread meanwhile, which has closed this one too
        return client

    def _adopt(self, handle: sock.Socket, peer: tuple[str, int]) -> Connection:
        made: list[Connection] = []  # known from the first moment, whatever a signal's handler raises

        def make(identifier: int) -> Connection:
            made.append(Connection(handle, identifier, peer, self))
            return made[0]

        try:
            client: Connection = table.add(make)
            log.note(log.DEBUG, client, "accepted by server %d", self.id)
            self.inherited.apply(client)
            self.clients[client.id] = client
        except BaseException:
            for each in made:
                each.close()
            raise
        if self.is_closed():
            client.close()  # it was not among them when all were closed, perhaps
        if client.is_closed():
            self.clients.pop(client.id, None)  # closed before it was among them
        return client

    def set_inherited(self, option: Option, value: int) -> None:
        """Set an option on the listening socket and on every client accepted from now on."""
        self.set_option(*option, value)
        self.inherited.options[option] = value

    def set_linger(self, enable: bool, seconds: int) -> None:
        """How every client accepted from now on ends what is not delivered yet; see Connection.set_linger."""
        self.inherited.linger = Linger(enable, seconds)

    def set_timeout(self, timeout_ms: int) -> None:
        """The timeout of every client accepted from now on."""
        self.inherited.timeout_ms = timeout_ms

    def connected_clients(self) -> list[Connection]:
        """The accepted clients that are still connected, in the order they were accepted."""
        return [client for client in list(self.clients.values()) if client.is_connected()]

    def broadcast(self, data: bytes) -> int:
        """Send to every client without waiting. Returns how many it reaches."""
        return sum([client.broadcast(data) for client in list(self.clients.values())])

    def stop(self) -> None:
        """Stop listening and close every client; who waits in accept wakes."""
        with completed(self):
            if self.begin_close():
                log.note(log.DEBUG, self, "stopped")
                self.after_close()

    def after_close(self) -> None:
        """What is left to do once it is closed; where that was interrupted, all of it again."""
        table.retire(self.id)
        self.release()
        for client in list(self.clients.values()):
            client.close()


def listen(ip: str, port: int) -> Server:
    """Listen on one address, or on every interface in both families.

    ip: an IP address or EVERY_INTERFACE; port: 0 for any free one.
    Errors: NetworkError (the port is in use, the address is not this machine's, ...), ArgumentError (the scope of
        the address can be none).
    """
    shared = _reuseport_wanted(port)
    service.prepare()
    handle = open_listener(ip, port, shared)
    bound_port = handle.local_address()[1]
    server: Server = table.add(lambda identifier: Server(handle, identifier, bound_port, shared))
    log.note(log.DEBUG, server, "listening on %s", join_host_port(ip or "*", bound_port))
    return server


def open_listener(ip: str, port: int, shared: bool = False) -> sock.Socket:
    """A listening socket.

    ip, port: as listen; shared: others of this process may share the port (SO_REUSEPORT, socket(7)).
    Errors: NetworkError, ArgumentError.
    """
    try:
        return sock.adopt(_open(ip, port, shared))
    except OSError as error:
        raise from_os_error(error).about(join_host_port(ip or "*", port)) from error


def _reuseport_wanted(port: int) -> bool:
    """Does a server of this process share this port (SO_REUSEPORT, socket(7))?"""
    servers = [found for found in list(table.objects.values()) if isinstance(found, Server)]
    return any(server.reuseport and server.port == port for server in servers)


def _open(ip: str, port: int, shared: bool) -> socket.socket:
    """A listening socket."""
    if ip == EVERY_INTERFACE:
        try:
            return _open_address(Resolved(socket.AF_INET6, ("::", port)), shared, both_families=True)
        except OSError as error:
            let_through(error)
            if _has_ipv6():
                raise
            return _open_address(Resolved(socket.AF_INET, ("0.0.0.0", port)), shared)
    return _open_address(read_ip(ip, port, socket.SOCK_STREAM), shared)


def _open_address(address: Resolved, shared: bool, both_families: bool = False) -> socket.socket:
    listening = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if address.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both_families)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            # On Windows SO_REUSEADDR would let two servers share a port; this is what it means elsewhere.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.setsockopt(*OOBINLINE, 1)
        listening.bind(address.sockaddr)
        listening.listen(socket.SOMAXCONN)
    except BaseException:
        listening.close()
        raise
    return listening


def _has_ipv6() -> bool:
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        let_through(error)
        return False
    return True
