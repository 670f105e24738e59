"""Our extensions to the WebSocket functions."""

from __future__ import annotations

from ..addresses import as_ip_port
from ..checks import ADDRESS, LISTEN_PORT, SIZE, TIMEOUT
from ..listener import EVERY_INTERFACE
from ..opening import ClientOpening
from ..registry import native
from ..tls import TlsOptions, server_context
from ..websocket import Connection
from ..websocket_server import Server, listen
from .ws_kinds import (
    CODE,
    CONNECTION,
    CONNECTION_OR_CLOSED,
    EITHER,
    ORIGINS,
    PATH,
    REASON,
    SERVER,
    TLS_OPTIONS,
    handshake_settings,
)


@native("websocket", extension=True, ip=ADDRESS, port=LISTEN_PORT)
def native_ws_bind(ip: str, port: int) -> int:
    """Start a server on one address.

    ip: an IPv4 or IPv6 address of this machine. port: 0 picks a free one.
    Returns the ID of the server. Errors: E5006 (the port is in use, the address is not this machine's).
    """
    return listen(ip, port).id


@native("websocket", extension=True, port=LISTEN_PORT, cert_file=PATH, key_file=PATH)
def native_ws_listen_tls(port: int, cert_file: str, key_file: str) -> int:
    """Start a server for wss:// on every interface.

    port: 0 picks a free one. cert_file: the certificate with its chain, PEM. key_file: its private
    key, PEM.
    Returns the ID of the server. Errors: E5006 (the port is in use; a file cannot be read or used).
    """
    return listen(EVERY_INTERFACE, port, server_context(cert_file, key_file)).id


@native("websocket", extension=True, socket_id=EITHER)
def native_ws_get_local_addr(either: Connection | Server) -> dict[str, str | int]:
    """Tell our own address.

    socket_id: a connection or a server.
    Returns an object: ip, port. Errors: E5006 (the connection is closed). See getsockname(2).
    """
    return as_ip_port(either.local_address())


@native("websocket", extension=True, socket_id=CONNECTION, options=TLS_OPTIONS)
def native_ws_set_tls(connection: Connection, options: TlsOptions) -> None:
    """Set how wss:// is secured.

    socket_id: a connection of our own, before its handshake. options: an object; ca_file: trust the
    certificates in this PEM file instead of the system's; cert_file, key_file: our own certificate;
    verify: false accepts any certificate, which is for tests only.
    Returns null. Errors: E3006 (no such option), E5006 (the handshake has begun).
    """
    handshake_settings(connection)
    assert isinstance(connection.opening, ClientOpening)
    connection.opening.tls_options = options


@native("websocket", extension=True, server_id=SERVER, origins=ORIGINS)
def native_ws_set_origins(server: Server, origins: frozenset[str]) -> None:
    """Accept browsers from these sites only.

    server_id: a server. origins: an array of strings such as "https://example.org". A page from
    elsewhere gets 403; requests without Origin, which are not a browser's, pass.
    Returns null. Errors: E3006 (not an origin). See RFC 6455, 10.2.
    """
    server.settings.origins = origins


@native(
    "websocket",
    method=Connection.recv_binary_blocking,
    extension=True,
    socket_id=CONNECTION,
    timeout_ms=TIMEOUT,
)
def native_ws_recv_binary_blocking(connection: Connection, timeout_ms: int) -> bytes | None:
    """Receive the next binary message, waiting for it.

    As native_ws_recv_blocking, for binary messages: an array of bytes, or null.
    """


@native("websocket", extension=True, socket_id=CONNECTION_OR_CLOSED, code=CODE, reason=REASON)
def native_ws_close_with(connection: Connection | None, code: int, reason: str) -> None:
    """Close a connection, saying why.

    socket_id: a connection; nothing happens if it is closed. code: 1000 to 1003, 1007 to 1014, or
    3000 to 4999. reason: a string of at most 123 bytes.
    Returns null, as native_ws_close. Errors: E3006. See RFC 6455, 7.4.
    """
    if connection is not None:
        connection.close(code, reason)


@native("websocket", extension=True, socket_id=EITHER, size=SIZE)
def native_ws_set_max_message_size(either: Connection | Server, size: int) -> None:
    """Limit the size of messages; 64 MiB at first.

    socket_id: a connection; or a server, for the clients it accepts from now on. size: bytes, after
    decompression. A larger message from the peer closes the connection (1009).
    Returns null. See RFC 6455, 10.4.
    """
    if isinstance(either, Server):
        either.max_message_size = size
    else:
        either.set_max_message_size(size)
