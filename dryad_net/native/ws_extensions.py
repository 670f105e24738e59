"""Our extensions to the WebSocket functions."""

from __future__ import annotations

from ..addresses import as_ip_port
from ..checks import ADDRESS, LISTEN_PORT, SIZE, TIMEOUT
from ..listener import EVERY_INTERFACE
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
    before_handshake,
)


@native("websocket", extension=True, ip=ADDRESS, port=LISTEN_PORT)
def native_ws_bind(ip: str, port: int) -> int:
    """Start a server on one address.

    ip: an IPv4 or IPv6 address of this machine, no name; "::" is IPv6 only.
    port: a number, up to 65535; 0 picks a free port, which native_ws_get_local_addr tells.
    Returns the ID of the server; handshakes are answered in the background from now on.
    Errors: E3006 (wrong type, no IP address, or out of range), E5006 (the port is in use, or not
        allowed; the address is not this machine's).
    Limits: as native_ws_listen.
    See bind(2); RFC 6455, 4.2.
    """
    return listen(ip, port).id


@native("websocket", extension=True, port=LISTEN_PORT, cert_file=PATH, key_file=PATH)
def native_ws_listen_tls(port: int, cert_file: str, key_file: str) -> int:
    """Start a server for wss:// on every interface.

    port: a number, up to 65535; 0 picks a free port, which native_ws_get_local_addr tells.
    cert_file: the name of a PEM file, with the certificate and its chain.
    key_file: the name of a PEM file, with the private key, not encrypted.
    Returns the ID of the server; handshakes are answered in the background from now on.
    Errors: E3006 (wrong type or out of range), E5006 (the port is in use, or not allowed; a file cannot
        be read or used).
    Limits: as native_ws_listen.
    See RFC 6455, 10.6; RFC 8446.
    """
    return listen(EVERY_INTERFACE, port, server_context(cert_file, key_file)).id


@native("websocket", extension=True, socket_id=EITHER)
def native_ws_get_local_addr(either: Connection | Server) -> dict[str, str | int]:
    """Get one's own address, and so the port after listening on port 0.

    socket_id: the ID of a connection or a server.
    Returns an object: ip (a string; "::" for every interface) and port (a number).
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed by us), E5006 (the peer
        has closed).
    See getsockname(2).
    """
    return as_ip_port(either.local_address())


@native("websocket", extension=True, socket_id=CONNECTION, options=TLS_OPTIONS)
def native_ws_set_tls(connection: Connection, options: TlsOptions) -> None:
    """Set how wss:// is secured.

    socket_id: the ID of a connection of one's own, before its handshake.
    options: an object. ca_file: trust the certificates in this PEM file instead of the system's;
        cert_file, key_file: our own certificate; verify: false accepts any certificate, which is for
        tests only.
    Returns null.
    Errors: E3006 (wrong type; no such option; a key_file without a cert_file), E3029 (no such
        connection, or closed), E5006 (the handshake has begun; a server's client).
    See RFC 8446, 4.4; RFC 9525.
    """
    with before_handshake(connection) as opening:
        opening.tls_options = options


@native("websocket", extension=True, server_id=SERVER, origins=ORIGINS)
def native_ws_set_origins(server: Server, origins: frozenset[str]) -> None:
    """Accept browsers from these sites only; from all at first.

    server_id: the ID of a server.
    origins: an array of strings such as "https://example.org". A page from elsewhere gets 403; requests
        without Origin, which are not a browser's, pass.
    Returns null.
    Errors: E3006 (wrong type; not an origin), E3029 (no such server, or stopped).
    See RFC 6455, 10.2; RFC 6454.
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
    """Receive the next binary message, waiting for it; the handshake is completed first.

    socket_id: the ID of a connection.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns an array of bytes; null when the time is up, the peer has closed, or another thread closes
        the connection.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed before), E5006 (why
        the connection broke or was refused, said once; too much is unread of the other kind).
    Limits: 16 MiB of unread messages, then nothing more is read from the peer;
        native_ws_set_max_frame_size; native_ws_set_max_message_size.
    See RFC 6455, 6.2.
    """


@native("websocket", extension=True, socket_id=CONNECTION_OR_CLOSED, code=CODE, reason=REASON)
def native_ws_close_with(connection: Connection | None, code: int, reason: str) -> None:
    """Close a connection, saying why.

    socket_id: the ID of a connection; nothing happens if it is closed.
    code: a number, 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    reason: a string, perhaps empty.
    Returns null, at once, as native_ws_close.
    Errors: E3006 (wrong type; a code that may not be sent; a reason that is too long), E3029 (never
        given out, or of another kind).
    Limits: 123 bytes of reason; 10 s for the delivery and the peer's answer.
    See RFC 6455, 5.5.1, 7.4.
    """
    if connection is not None:
        connection.close(code, reason)


@native("websocket", extension=True, socket_id=EITHER, size=SIZE)
def native_ws_set_max_message_size(either: Connection | Server, size: int) -> None:
    """Limit the size of messages; 64 MiB at first.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    size: bytes, after decompression, a number of at least 1. A larger message from the peer closes the
        connection (1009).
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed).
    See RFC 6455, 10.4.
    """
    if isinstance(either, Server):
        either.max_message_size = size
    else:
        either.set_max_message_size(size)
        either.put_off_handshake()
