"""TCP: the 29 native functions, in the specification's order, and two extensions."""

from __future__ import annotations

from typing import Any

from ..addresses import as_ip_port
from ..checks import (
    ADDRESS,
    BACKLOG,
    BOOLEAN,
    DATA,
    DELIMITER,
    HOST,
    KERNEL_SIZE,
    LINGER,
    LISTEN_PORT,
    PORT,
    SIZE,
    TIMEOUT,
    Id,
    IdOrClosed,
)
from ..errors import IdError
from ..listener import EVERY_INTERFACE, Server, listen
from ..options import KEEPALIVE, NODELAY, RECV_BUFFER, REUSEADDR, REUSEPORT, SEND_BUFFER, Option
from ..registry import native
from ..stream import Connection, connect

CONNECTION = Id("a TCP connection", Connection)
SERVER = Id("a TCP server", Server)
EITHER = Id("a TCP connection or server", Connection, Server)
CONNECTION_OR_CLOSED = IdOrClosed("a TCP connection", Connection)
SERVER_OR_CLOSED = IdOrClosed("a TCP server", Server)


# ---- client


@native("tcp", host=HOST, port=PORT)
def native_tcp_connect(host: str, port: int) -> int:
    """Connect to a TCP server.

    host: a name, an IPv4 or an IPv6 address; all addresses of a name are tried, each with a head
    start of 250 ms (RFC 8305). port: 1 to 65535.
    Returns the ID of the connection.
    Errors: E5006 (refused, unreachable, no such name), E5007 (nobody answered within 30 s).
    """
    return connect(host, port).id


@native("tcp", method=Connection.send, socket_id=CONNECTION, data=DATA)
def native_tcp_send(connection: Connection, data: str | bytes) -> int:
    """Send bytes or text.

    socket_id: a connection. data: a string, sent as UTF-8, or an array of bytes.
    Returns how many bytes the system took: all of them, or fewer if the timeout ended the wait.
    Errors: E5007 (the timeout ended and none was taken), E5006 (the connection broke), E3029
    (closed by another thread meanwhile). See send(2).
    """


@native("tcp", method=Connection.recv, socket_id=CONNECTION, size=SIZE)
def native_tcp_recv(connection: Connection, size: int) -> str | None:
    """Receive what is there, without waiting.

    socket_id: a connection. size: the most bytes to take, at least 1.
    Returns text, or null if nothing is there or the peer has ended the stream. No character is cut
    in two; bytes that are not UTF-8 become lone surrogates, which send turns back. A character
    longer than size is returned whole.
    Errors: E5006 (the connection broke; said once). See recv(2).
    """


@native("tcp", method=Connection.recv_blocking, socket_id=CONNECTION, size=SIZE, timeout_ms=TIMEOUT)
def native_tcp_recv_blocking(connection: Connection, size: int, timeout_ms: int) -> str | None:
    """Receive, waiting for the first bytes (not for size of them).

    socket_id: a connection. size: the most bytes to take, at least 1. timeout_ms: milliseconds;
    0 does not wait, -1 or null waits without limit.
    Returns text as native_tcp_recv, or null when the time is up, at the end of the stream, or when
    another thread closes the connection.
    Errors: E5006 (the connection broke; said once). See recv(2).
    """


@native("tcp", method=Connection.recv_all, socket_id=CONNECTION)
def native_tcp_recv_all(connection: Connection) -> str:
    """Receive everything that is there now, without waiting.

    socket_id: a connection.
    Returns text, "" if nothing is there and at the end of the stream; 64 MiB at most in one call.
    Errors: E5006 (the connection broke; said once).
    """


@native("tcp", method=Connection.recv_until, socket_id=CONNECTION, delimiter=DELIMITER)
def native_tcp_recv_until(connection: Connection, delimiter: str) -> str | None:
    """Receive up to and including a delimiter, waiting for it (native_tcp_set_timeout).

    socket_id: a connection. delimiter: one or more characters.
    Returns the text with the delimiter at its end; what follows stays for the next call of any
    kind. null when the time is up or the stream has ended without a delimiter: nothing is lost, the
    other receiving functions return it.
    Errors: E5006 (64 MiB and no delimiter, the data stays readable; or the connection broke).
    """


@native("tcp", socket_id=CONNECTION_OR_CLOSED)
def native_tcp_close(connection: Connection | None) -> None:
    """Close a connection.

    socket_id: a connection; nothing happens if it is closed.
    Returns null, at once. What was sent before is delivered in the background, for up to 10 s.
    """
    if connection is not None:
        connection.close()


@native("tcp", socket_id=CONNECTION_OR_CLOSED)
def native_tcp_is_connected(connection: Connection | None) -> bool:
    """Tell whether a connection is open or still has something to read.

    socket_id: a connection.
    Returns true until the peer has closed and everything it sent has been read; false if the
    connection was closed here, or broke.
    """
    return connection is not None and connection.is_connected()


@native("tcp", socket_id=CONNECTION)
def native_tcp_get_peer_addr(connection: Connection) -> dict[str, str | int]:
    """Get the peer's address.

    socket_id: a connection.
    Returns an object with "ip" and "port".
    """
    return as_ip_port(connection.peer)


@native("tcp", socket_id=EITHER)
def native_tcp_get_local_addr(either: Connection | Server) -> dict[str, str | int]:
    """Get one's own address.

    socket_id: a connection or a server; this is how to learn the port after listening on port 0.
    Returns an object with "ip" and "port". See getsockname(2).
    """
    return as_ip_port(either.local_address())


# ---- server


@native("tcp", port=LISTEN_PORT)
def native_tcp_listen(port: int) -> int:
    """Start a server on every interface, IPv6 and IPv4.

    port: 0 picks a free one, which native_tcp_get_local_addr tells.
    Returns the ID of the server, which clients can connect to from now on.
    Errors: E5006 (the port is in use, or not allowed). See listen(2).
    """
    return listen(EVERY_INTERFACE, port).id


@native("tcp", ip=ADDRESS, port=LISTEN_PORT)
def native_tcp_bind(ip: str, port: int) -> int:
    """Start a server on one address.

    ip: an IPv4 or IPv6 address of this machine. port: 0 picks a free one.
    Returns the ID of the server, which clients can connect to from now on.
    Errors: E5006 (the port is in use, the address is not this machine's). See bind(2).
    """
    return listen(ip, port).id


@native("tcp", server_id=SERVER)
def native_tcp_accept(server: Server) -> int | None:
    """Accept a client, without waiting.

    server_id: a server.
    Returns the ID of the connection, or null if nobody is there.
    Errors: E5006 (no descriptors left; the client goes on waiting). See accept(2).
    """
    return _id_of(server.next_client(0))


@native("tcp", server_id=SERVER, timeout_ms=TIMEOUT)
def native_tcp_accept_blocking(server: Server, timeout_ms: int) -> int | None:
    """Accept a client, waiting for one.

    server_id: a server. timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns the ID of the connection, or null when the time is up or the server is stopped meanwhile.
    Errors: E5006 (no descriptors left; the client goes on waiting). See accept(2).
    """
    return _id_of(server.next_client(timeout_ms))


def _id_of(client: Connection | None) -> int | None:
    return None if client is None else client.id


@native("tcp", server_id=SERVER)
def native_tcp_get_clients(server: Server) -> list[int]:
    """List the clients that were accepted and are still connected (native_tcp_is_connected).

    server_id: a server.
    Returns an array of IDs, in the order they were accepted.
    """
    return [client.id for client in server.connected_clients()]


@native("tcp", server_id=SERVER, data=DATA)
def native_tcp_broadcast(server: Server, data: str | bytes) -> int:
    """Send to all connected clients, without waiting for any.

    server_id: a server. data: a string, sent as UTF-8, or an array of bytes.
    Returns how many clients it reaches. What a slow client does not take at once goes to it in the
    background, in order; one with more than 16 MiB waiting is dropped, and not counted.
    """
    return server.broadcast(data.encode() if isinstance(data, str) else bytes(data))


@native("tcp", server_id=SERVER_OR_CLOSED)
def native_tcp_stop_server(server: Server | None) -> None:
    """Stop a server and close all its clients.

    server_id: a server; nothing happens if it is closed. Whoever waits in accept gets null.
    Returns null, at once; as with native_tcp_close nothing sent before is lost.
    """
    if server is not None:
        server.stop()


class _ClientOrClosed(IdOrClosed):
    """A connection that a server accepted."""

    fast = 0

    def check(self, value: Any, parameter: str) -> Any:
        found = super().check(value, parameter)
        if found is not None and found.server is None:
            raise IdError(f"{found.kind} of our own, not {self.name}").about(found.id)
        return found


@native("tcp", client_id=_ClientOrClosed("a client of a TCP server", Connection))
def native_tcp_kick_client(client: Connection | None) -> None:
    """Disconnect a client.

    client_id: a connection that a server accepted; nothing happens if it is closed.
    Returns null, at once. What was sent to it before is delivered in the background.
    Errors: E3029 (a connection of our own making, a server).
    """
    if client is not None:
        client.close()


@native("tcp", server_id=SERVER, backlog=BACKLOG)
def native_tcp_set_backlog(server: Server, backlog: int) -> None:
    """Set how many clients may wait to be accepted.

    server_id: a server. backlog: a number of connections, at least 1; the system may lower it.
    Returns null. See listen(2).
    """
    server.set_backlog(backlog)


# ---- settings


@native("tcp", socket_id=EITHER, ms=TIMEOUT)
def native_tcp_set_timeout(either: Connection | Server, ms: int) -> None:
    """Bound the calls that may wait and have no timeout argument: send and recv_until.

    socket_id: a connection; or a server, for the clients it accepts from now on. ms: milliseconds,
    30,000 at first; 0 does not wait, -1 or null waits without limit.
    Returns null.
    """
    either.set_timeout(ms)


def _set(either: Connection | Server, option: Option, value: int) -> None:
    if isinstance(either, Server):
        either.set_inherited(option, value)
    else:
        either.set_option(*option, value)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_nodelay(either: Connection | Server, enable: bool) -> None:
    """Switch Nagle's algorithm off (true) or on (false).

    socket_id: a connection; or a server, for the clients it accepts from now on.
    Returns null. See TCP_NODELAY in tcp(7).
    """
    _set(either, NODELAY, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_keepalive(either: Connection | Server, enable: bool) -> None:
    """Have the system find out whether a silent peer is still there.

    socket_id: a connection; or a server, for the clients it accepts from now on.
    Returns null. See SO_KEEPALIVE in socket(7).
    """
    _set(either, KEEPALIVE, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_reuseaddr(either: Connection | Server, enable: bool) -> None:
    """Let a port be listened on again while old connections of it linger (on for servers at first).

    socket_id: a connection or a server.
    Returns null. See SO_REUSEADDR in socket(7).
    """
    _set(either, REUSEADDR, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_reuseport(either: Connection | Server, enable: bool) -> None:
    """Let servers share a port.

    socket_id: a connection; or a server, which a later listen on its port in this process then joins:
    the system spreads new clients over both.
    Returns null. Errors: E5006 (a system without it). See SO_REUSEPORT in socket(7).
    """
    _set(either, REUSEPORT, enable)
    if isinstance(either, Server):
        either.reuseport = enable


@native("tcp", socket_id=EITHER, enable=BOOLEAN, timeout=LINGER)
def native_tcp_set_linger(either: Connection | Server, enable: bool, timeout: int) -> None:
    """Set how a close ends a connection that still has something to send.

    socket_id: a connection; or a server, for the clients it accepts from now on. enable: false is
    what holds at first: close delivers everything, in the background, within 10 s. timeout: with
    enable, the seconds to deliver (10 at most); 0 resets the connection at once.
    Returns null. See SO_LINGER in socket(7); unlike there, no close waits.
    """
    either.set_linger(enable, timeout)


@native("tcp", socket_id=EITHER, size=KERNEL_SIZE)
def native_tcp_set_recv_buffer_size(either: Connection | Server, size: int) -> None:
    """Set the size of the system's receive buffer.

    socket_id: a connection; or a server, for the clients it accepts from now on. size: bytes; the
    system may round it, and Linux doubles it.
    Returns null. See SO_RCVBUF in socket(7).
    """
    _set(either, RECV_BUFFER, size)


@native("tcp", socket_id=EITHER, size=KERNEL_SIZE)
def native_tcp_set_send_buffer_size(either: Connection | Server, size: int) -> None:
    """Set the size of the system's send buffer.

    socket_id: a connection; or a server, for the clients it accepts from now on. size: bytes; the
    system may round it, and Linux doubles it.
    Returns null. See SO_SNDBUF in socket(7).
    """
    _set(either, SEND_BUFFER, size)


@native("tcp", socket_id=EITHER)
def native_tcp_get_recv_buffer_size(either: Connection | Server) -> int:
    """Get the size of the system's receive buffer.

    socket_id: a connection or a server.
    Returns bytes, as the system says. See SO_RCVBUF in socket(7).
    """
    return either.get_option(*RECV_BUFFER)


@native("tcp", socket_id=EITHER)
def native_tcp_get_send_buffer_size(either: Connection | Server) -> int:
    """Get the size of the system's send buffer.

    socket_id: a connection or a server.
    Returns bytes, as the system says. See SO_SNDBUF in socket(7).
    """
    return either.get_option(*SEND_BUFFER)


# ---- extensions


@native("tcp", method=Connection.recv_bytes, extension=True, socket_id=CONNECTION, size=SIZE)
def native_tcp_recv_bytes(connection: Connection, size: int) -> bytes | None:
    """Receive what is there, without waiting, as bytes.

    As native_tcp_recv, but undecoded: exactly the bytes that came, at most size of them.
    """


@native(
    "tcp",
    method=Connection.recv_bytes_blocking,
    extension=True,
    socket_id=CONNECTION,
    size=SIZE,
    timeout_ms=TIMEOUT,
)
def native_tcp_recv_bytes_blocking(connection: Connection, size: int, timeout_ms: int) -> bytes | None:
    """Receive, waiting for the first bytes, as bytes.

    As native_tcp_recv_blocking, but undecoded: exactly the bytes that came, at most size of them.
    """
