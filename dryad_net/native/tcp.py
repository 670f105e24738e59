"""TCP: the native functions of clients and servers, in the specification's order, and two extensions."""

from __future__ import annotations

from typing import Any

from ..addresses import as_ip_port
from ..checks import (
    ADDRESS,
    BACKLOG,
    DATA,
    DELIMITER,
    HOST,
    LISTEN_PORT,
    PORT,
    SIZE,
    TIMEOUT,
    Id,
    IdOrClosed,
)
from ..errors import IdError
from ..listener import EVERY_INTERFACE, Server, listen
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

    host: a name, an IPv4 or an IPv6 address. All addresses of a name are tried, each with a head start
        of 250 ms.
    port: a number, 1 to 65535.
    Returns the ID of the connection.
    Errors: E3006 (wrong type or out of range), E5006 (refused, unreachable, no such name), E5007
        (nobody answered in time).
    Limits: 30 s for all of it.
    See connect(2); RFC 8305.
    """
    return connect(host, port).id


@native("tcp", method=Connection.send, socket_id=CONNECTION, data=DATA)
def native_tcp_send(connection: Connection, data: str | bytes) -> int:
    """Send bytes or text.

    socket_id: the ID of a connection.
    data: a string, sent as UTF-8, or an array of bytes.
    Returns how many bytes the system took: all of them, or fewer if the time was up before.
    Errors: E3006 (wrong type; a lone surrogate that is no escaped byte), E3029 (no such connection, or
        closed, perhaps meanwhile), E5006 (the connection broke), E5007 (the time was up and none was
        taken).
    Limits: native_tcp_set_timeout bounds the wait.
    See send(2).
    """


@native("tcp", method=Connection.recv, socket_id=CONNECTION, size=SIZE)
def native_tcp_recv(connection: Connection, size: int) -> str | None:
    """Receive what is there, without waiting.

    socket_id: the ID of a connection.
    size: the most bytes to take, a number of at least 1.
    Returns text, or null if nothing is there or the stream has ended. No character is cut in two; one
        that is longer than size is returned whole. Bytes that are not UTF-8 become lone surrogates,
        which native_tcp_send turns back.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed), E5006 (the
        connection broke; said once).
    Limits: 256 KiB a call, whatever size says.
    See recv(2); RFC 3629.
    """


@native("tcp", method=Connection.recv_blocking, socket_id=CONNECTION, size=SIZE, timeout_ms=TIMEOUT)
def native_tcp_recv_blocking(connection: Connection, size: int, timeout_ms: int) -> str | None:
    """Receive, waiting for the first bytes (not for size of them).

    socket_id: the ID of a connection.
    size: the most bytes to take, a number of at least 1.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns text, as native_tcp_recv; null when the time is up, at the end of the stream, or when
        another thread closes the connection.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed before), E5006 (the
        connection broke; said once).
    Limits: 256 KiB a call, whatever size says.
    See recv(2); poll(2).
    """


@native("tcp", method=Connection.recv_all, socket_id=CONNECTION)
def native_tcp_recv_all(connection: Connection) -> str:
    """Receive everything that is there now, without waiting.

    socket_id: the ID of a connection.
    Returns text, as native_tcp_recv; "" if nothing is there, and at the end of the stream.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed), E5006 (the connection broke; said
        once).
    Limits: about 64 MiB a call; what is left stays for the next.
    See recv(2).
    """


@native("tcp", method=Connection.recv_until, socket_id=CONNECTION, delimiter=DELIMITER)
def native_tcp_recv_until(connection: Connection, delimiter: str) -> str | None:
    """Receive up to and including a delimiter, waiting for it.

    socket_id: the ID of a connection.
    delimiter: a string of one or more characters. It may arrive split over packets.
    Returns the text with the delimiter at its end; what follows stays for the next call of any kind.
        null when the time is up or the stream ends before the delimiter: nothing is lost, the next call
        finds what has come.
    Errors: E3006 (wrong type, or an empty delimiter), E3029 (no such connection, or closed before),
        E5006 (64 MiB and no delimiter: the data stays readable; or the connection broke, said once).
    Limits: 64 MiB without a delimiter; native_tcp_set_timeout bounds the wait.
    See recv(2).
    """


@native("tcp", socket_id=CONNECTION_OR_CLOSED)
def native_tcp_close(connection: Connection | None) -> None:
    """Close a connection.

    socket_id: the ID of a connection; nothing happens if it is closed.
    Returns null, at once. What was sent before is delivered in the background; what was not read is let
        go.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    Limits: 10 s for the delivery.
    See close(2); RFC 9293, 3.6.
    """
    if connection is not None:
        connection.close()


@native("tcp", socket_id=CONNECTION_OR_CLOSED)
def native_tcp_is_connected(connection: Connection | None) -> bool:
    """Tell whether a connection is open or still has something to read.

    socket_id: the ID of a connection, perhaps closed.
    Returns true until the peer has closed and everything it sent has been read; false if the connection
        was closed here, or broke.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    """
    return connection is not None and connection.is_connected()


@native("tcp", socket_id=CONNECTION)
def native_tcp_get_peer_addr(connection: Connection) -> dict[str, str | int]:
    """Get the peer's address.

    socket_id: the ID of a connection.
    Returns an object: ip (a string) and port (a number).
    Errors: E3006 (wrong type), E3029 (no such connection, or closed).
    See getpeername(2).
    """
    return as_ip_port(connection.peer)


@native("tcp", socket_id=EITHER)
def native_tcp_get_local_addr(either: Connection | Server) -> dict[str, str | int]:
    """Get one's own address, and so the port after listening on port 0.

    socket_id: the ID of a connection or a server.
    Returns an object: ip (a string; "::" for every interface) and port (a number).
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed).
    See getsockname(2).
    """
    return as_ip_port(either.local_address())


# ---- server


@native("tcp", port=LISTEN_PORT)
def native_tcp_listen(port: int) -> int:
    """Start a server on every interface, IPv6 and IPv4.

    port: a number, up to 65535; 0 picks a free port, which native_tcp_get_local_addr tells.
    Returns the ID of the server, which clients can connect to from now on.
    Errors: E3006 (wrong type or out of range), E5006 (the port is in use, or not allowed).
    See listen(2); ipv6(7), IPV6_V6ONLY.
    """
    return listen(EVERY_INTERFACE, port).id


@native("tcp", ip=ADDRESS, port=LISTEN_PORT)
def native_tcp_bind(ip: str, port: int) -> int:
    """Start a server on one address.

    ip: an IPv4 or IPv6 address of this machine, no name; "::" is IPv6 only.
    port: a number, up to 65535; 0 picks a free port, which native_tcp_get_local_addr tells.
    Returns the ID of the server, which clients can connect to from now on.
    Errors: E3006 (wrong type, no IP address, or out of range), E5006 (the port is in use, or not
        allowed; the address is not this machine's).
    See bind(2); listen(2).
    """
    return listen(ip, port).id


@native("tcp", server_id=SERVER)
def native_tcp_accept(server: Server) -> int | None:
    """Accept a client, without waiting.

    server_id: the ID of a server.
    Returns the ID of the connection, or null if nobody is there.
    Errors: E3006 (wrong type), E3029 (no such server, or stopped), E5006 (no descriptors left; the
        client goes on waiting).
    See accept(2).
    """
    return _id_of(server.next_client(0))


@native("tcp", server_id=SERVER, timeout_ms=TIMEOUT)
def native_tcp_accept_blocking(server: Server, timeout_ms: int) -> int | None:
    """Accept a client, waiting for one.

    server_id: the ID of a server.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns the ID of the connection; null when the time is up, or when another thread stops the server.
    Errors: E3006 (wrong type or out of range), E3029 (no such server, or stopped before), E5006 (no
        descriptors left; the client goes on waiting).
    See accept(2); poll(2).
    """
    return _id_of(server.next_client(timeout_ms))


def _id_of(client: Connection | None) -> int | None:
    return None if client is None else client.id


@native("tcp", server_id=SERVER)
def native_tcp_get_clients(server: Server) -> list[int]:
    """List the clients that were accepted and are still connected (native_tcp_is_connected).

    server_id: the ID of a server.
    Returns an array of IDs, in the order they were accepted.
    Errors: E3006 (wrong type), E3029 (no such server, or stopped).
    """
    return [client.id for client in server.connected_clients()]


@native("tcp", server_id=SERVER, data=DATA)
def native_tcp_broadcast(server: Server, data: str | bytes) -> int:
    """Send to all connected clients, without waiting for any.

    server_id: the ID of a server.
    data: a string, sent as UTF-8, or an array of bytes.
    Returns how many clients it reaches. What a slow client does not take at once goes to it in the
        background, in order.
    Errors: E3006 (wrong type; a lone surrogate that is no escaped byte), E3029 (no such server, or
        stopped).
    Limits: 16 MiB waiting for one client; one who would have more is dropped, and not counted.
    See send(2).
    """
    return server.broadcast(data.encode() if isinstance(data, str) else bytes(data))


@native("tcp", server_id=SERVER_OR_CLOSED)
def native_tcp_stop_server(server: Server | None) -> None:
    """Stop a server and close all its clients.

    server_id: the ID of a server; nothing happens if it is stopped.
    Returns null, at once; as with native_tcp_close nothing sent before is lost. Who waits in an accept
        gets null.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    Limits: 10 s for the delivery.
    See close(2).
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

    client_id: the ID of a connection that a server accepted; nothing happens if it is closed.
    Returns null, at once. What was sent to it before is delivered in the background.
    Errors: E3006 (wrong type), E3029 (never given out, a server, or a connection of one's own).
    Limits: 10 s for the delivery.
    See close(2).
    """
    if client is not None:
        client.close()


@native("tcp", server_id=SERVER, backlog=BACKLOG)
def native_tcp_set_backlog(server: Server, backlog: int) -> None:
    """Set how many clients may wait to be accepted; at first it is what the system allows.

    server_id: the ID of a server.
    backlog: a number of connections, at least 1; the system may lower it.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such server, or stopped), E5006 (the system
        refuses it).
    See listen(2).
    """
    server.set_backlog(backlog)


# ---- extensions


@native("tcp", method=Connection.recv_bytes, extension=True, socket_id=CONNECTION, size=SIZE)
def native_tcp_recv_bytes(connection: Connection, size: int) -> bytes | None:
    """Receive what is there, without waiting, as bytes.

    socket_id: the ID of a connection.
    size: the most bytes to take, a number of at least 1.
    Returns an array of bytes, exactly those that came, or null if nothing is there or the stream has
        ended.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed), E5006 (the
        connection broke; said once).
    Limits: 256 KiB a call, whatever size says.
    See recv(2).
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
    """Receive, waiting for the first bytes (not for size of them), as bytes.

    socket_id: the ID of a connection.
    size: the most bytes to take, a number of at least 1.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns an array of bytes, exactly those that came; null when the time is up, at the end of the
        stream, or when another thread closes the connection.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed before), E5006 (the
        connection broke; said once).
    Limits: 256 KiB a call, whatever size says.
    See recv(2); poll(2).
    """
