"""The 26 WebSocket functions, in the specification's order: nothing but arguments in, values out."""

from __future__ import annotations

from typing import Any

from ..checks import BOOLEAN, BYTES, LISTEN_PORT, MESSAGE, SIZE, TIMEOUT
from ..errors import ArgumentError
from ..listener import EVERY_INTERFACE
from ..opening import ClientOpening
from ..registry import native
from ..websocket import Connection, connect
from ..websocket_server import Server, listen
from .ws_kinds import (
    CLIENT_OR_CLOSED,
    CLOSING_OR_CLOSED,
    CONNECTION,
    CONNECTION_OR_CLOSED,
    EITHER,
    HEADERS,
    SERVER,
    SERVER_OR_CLOSED,
    SUBPROTOCOL,
    URL,
    handshake_settings,
)

_TEXT = 1  # RFC 6455, 5.2
_BINARY = 2
_PONG = 10


# ---- client


@native("websocket", url=URL)
def native_ws_connect(url: str) -> int:
    """Connect to a WebSocket server.

    url: a string, ws:// or wss://. The certificate is verified against the system's store
        (SSL_CERT_FILE is honoured); user:password@ becomes Basic authorization.
    Returns the ID of the connection. It is open for TCP. Every call on it but those that set something
        and native_ws_get_local_addr begins the handshake, and so does the background after 100 ms;
        settings made at once apply to it.
    Errors: E3006 (no such URL), E5006 (refused, unreachable, no such name), E5007 (nobody answered in
        time).
    Limits: 30 s for TCP; a URL of 6 KiB.
    See RFC 6455, 3, 4.1.
    """
    return connect(url).id


@native("websocket", method=Connection.send_text, socket_id=CONNECTION, message=MESSAGE)
def native_ws_send(connection: Connection, message: str) -> None:
    """Send a text message; the handshake is completed first.

    socket_id: the ID of a connection.
    message: a string, perhaps empty.
    Returns null when the system has taken the message. If the time is up in the middle, the rest goes
        out in the background, before anything else.
    Errors: E3006 (wrong type; a lone surrogate: text is strict UTF-8), E3029 (no such connection, or
        closed, perhaps meanwhile), E5006 (the peer has closed, the connection broke, the handshake was
        refused), E5007 (the time was up: nothing of the message goes out, later neither).
    Limits: native_ws_set_timeout bounds the wait; frames of native_ws_set_max_frame_size at most.
    See RFC 6455, 5.6.
    """


@native("websocket", method=Connection.recv_text, socket_id=CONNECTION)
def native_ws_recv(connection: Connection) -> str | None:
    """Receive the next text message, without waiting; binary ones wait for native_ws_recv_binary.

    socket_id: the ID of a connection.
    Returns a string, or null if none is there or the peer has closed.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed), E5006 (why the connection broke
        or was refused, said once; too much is unread of the other kind).
    Limits: 16 MiB of unread messages, then nothing more is read from the peer;
        native_ws_set_max_frame_size; native_ws_set_max_message_size.
    See RFC 6455, 6.2.
    """


@native("websocket", method=Connection.recv_text_blocking, socket_id=CONNECTION, timeout_ms=TIMEOUT)
def native_ws_recv_blocking(connection: Connection, timeout_ms: int) -> str | None:
    """Receive the next text message, waiting for it; the handshake is completed first.

    socket_id: the ID of a connection.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns a string; null when the time is up, the peer has closed, or another thread closes the
        connection.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection, or closed before), E5006 (why
        the connection broke or was refused, said once; too much is unread of the other kind).
    Limits: 16 MiB of unread messages, then nothing more is read from the peer;
        native_ws_set_max_frame_size; native_ws_set_max_message_size.
    See RFC 6455, 6.2.
    """


@native("websocket", socket_id=CONNECTION_OR_CLOSED)
def native_ws_close(connection: Connection | None) -> None:
    """Close a connection (code 1000).

    socket_id: the ID of a connection; nothing happens if it is closed.
    Returns null, at once. What was sent before is delivered and the closing handshake is done in the
        background; messages that were not read are let go.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    Limits: 10 s for the delivery and the peer's answer.
    See RFC 6455, 7.
    """
    if connection is not None:
        connection.close()


@native("websocket", socket_id=CONNECTION_OR_CLOSED)
def native_ws_is_connected(connection: Connection | None) -> bool:
    """Tell whether a connection is open or has messages to read; the handshake is completed first.

    socket_id: the ID of a connection, perhaps closed.
    Returns false once it is closed, by whomever, and everything received was read; else true.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    Limits: native_ws_set_timeout bounds the wait for the handshake.
    """
    return connection is not None and connection.is_connected()


@native("websocket", socket_id=CLOSING_OR_CLOSED)
def native_ws_get_state(connection: Connection | None) -> str:
    """Tell where a connection stands, without waiting; a handshake that is due begins.

    socket_id: the ID of a connection, perhaps closed.
    Returns "connecting", "open", "closing" (closed by us, the peer has not answered yet) or "closed".
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    See RFC 6455, 4.1, 7.1.
    """
    return "closed" if connection is None else connection.get_state()


@native("websocket", method=Connection.ping, socket_id=CONNECTION)
def native_ws_ping(connection: Connection) -> None:
    """Ask the peer for a sign of life; the answer tells the latency (native_ws_client_info).

    socket_id: the ID of a connection; the handshake is completed first.
    Returns null, without waiting for the answer.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed), E5006 (the peer has closed, the
        connection broke, the handshake was refused), E5007 (not sent in time).
    Limits: native_ws_set_timeout bounds the wait.
    See RFC 6455, 5.5.2.
    """


@native("websocket", socket_id=CONNECTION)
def native_ws_pong(connection: Connection) -> None:
    """Give a sign of life that was not asked for; pings are answered by themselves.

    socket_id: the ID of a connection; the handshake is completed first.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed), E5006 (the peer has closed, the
        connection broke, the handshake was refused), E5007 (not sent in time).
    Limits: native_ws_set_timeout bounds the wait.
    See RFC 6455, 5.5.3.
    """
    connection.send_frame(_PONG, b"")


@native("websocket", method=Connection.send_binary, socket_id=CONNECTION, data=BYTES)
def native_ws_send_binary(connection: Connection, data: bytes) -> None:
    """Send a binary message; the handshake is completed first.

    socket_id: the ID of a connection.
    data: an array of bytes, perhaps empty; a string is refused.
    Returns null when the system has taken the message. If the time is up in the middle, the rest goes
        out in the background, before anything else.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed, perhaps meanwhile), E5006 (the
        peer has closed, the connection broke, the handshake was refused), E5007 (the time was up:
        nothing of the message goes out, later neither).
    Limits: native_ws_set_timeout bounds the wait; frames of native_ws_set_max_frame_size at most.
    See RFC 6455, 5.6.
    """


@native("websocket", method=Connection.recv_binary, socket_id=CONNECTION)
def native_ws_recv_binary(connection: Connection) -> bytes | None:
    """Receive the next binary message, without waiting; text waits for native_ws_recv.

    socket_id: the ID of a connection.
    Returns an array of bytes, or null if none is there or the peer has closed.
    Errors: E3006 (wrong type), E3029 (no such connection, or closed), E5006 (why the connection broke
        or was refused, said once; too much is unread of the other kind).
    Limits: 16 MiB of unread messages, then nothing more is read from the peer;
        native_ws_set_max_frame_size; native_ws_set_max_message_size.
    See RFC 6455, 6.2.
    """


# ---- server


@native("websocket", port=LISTEN_PORT)
def native_ws_listen(port: int) -> int:
    """Start a server on every interface, for IPv4 and IPv6.

    port: a number, up to 65535; 0 picks a free port, which native_ws_get_local_addr tells.
    Returns the ID of the server; handshakes are answered in the background from now on.
    Errors: E3006 (wrong type or out of range), E5006 (the port is in use, or not allowed).
    Limits: 10 s and 16 KiB of headers for a handshake; 2,048 clients between their connection and their
        accept.
    See RFC 6455, 4.2; listen(2).
    """
    return listen(EVERY_INTERFACE, port).id


@native("websocket", server_id=SERVER)
def native_ws_accept(server: Server) -> int | None:
    """Take the next client whose handshake is complete, without waiting.

    server_id: the ID of a server.
    Returns the ID of the connection, or null if there is none.
    Errors: E3006 (wrong type), E3029 (no such server, or stopped).
    Limits: 1,024 clients wait to be accepted; then no further handshakes are begun.
    See RFC 6455, 4.2.
    """
    client = server.next_client()
    return None if client is None else client.id


def _payload(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


@native("websocket", server_id=SERVER, message=MESSAGE)
def native_ws_broadcast(server: Server, message: str | bytes) -> int:
    """Send a text message to all accepted, open clients, without waiting for any.

    server_id: the ID of a server.
    message: a string, perhaps empty.
    Returns how many clients it reaches. What a slow client does not take at once goes to it in the
        background, in order.
    Errors: E3006 (wrong type; a lone surrogate: text is strict UTF-8), E3029 (no such server, or
        stopped).
    Limits: 16 MiB waiting for one client; one who would have more is dropped, and not counted.
    See RFC 6455, 5.6.
    """
    return server.broadcast(_TEXT, _payload(message))


@native("websocket", server_id=SERVER, except_id=CONNECTION_OR_CLOSED, message=MESSAGE)
def native_ws_broadcast_except(server: Server, excepted: Connection | None, message: str | bytes) -> int:
    """Send a text message to all accepted, open clients but one, without waiting for any.

    server_id: the ID of a server.
    except_id: the ID of a connection; if it is closed, nobody is excluded.
    message: a string, perhaps empty.
    Returns how many clients it reaches. What a slow client does not take at once goes to it in the
        background, in order.
    Errors: E3006 (wrong type; a lone surrogate: text is strict UTF-8), E3029 (no such server, or
        stopped; an except_id never given out, or of another kind).
    Limits: 16 MiB waiting for one client; one who would have more is dropped, and not counted.
    See RFC 6455, 5.6.
    """
    return server.broadcast(_TEXT, _payload(message), None if excepted is None else excepted.id)


@native("websocket", server_id=SERVER, data=BYTES)
def native_ws_broadcast_binary(server: Server, data: bytes) -> int:
    """Send a binary message to all accepted, open clients, without waiting for any.

    server_id: the ID of a server.
    data: an array of bytes, perhaps empty; a string is refused.
    Returns how many clients it reaches. What a slow client does not take at once goes to it in the
        background, in order.
    Errors: E3006 (wrong type), E3029 (no such server, or stopped).
    Limits: 16 MiB waiting for one client; one who would have more is dropped, and not counted.
    See RFC 6455, 5.6.
    """
    return server.broadcast(_BINARY, _payload(data))


@native("websocket", server_id=SERVER)
def native_ws_get_clients(server: Server) -> list[int]:
    """List the clients that were accepted and are still connected (native_ws_is_connected).

    server_id: the ID of a server.
    Returns an array of IDs, in the order they were accepted.
    Errors: E3006 (wrong type), E3029 (no such server, or stopped).
    """
    return [client.id for client in server.connected_clients()]


@native("websocket", client_id=CONNECTION)
def native_ws_client_info(connection: Connection) -> dict[str, Any]:
    """Tell what is known of a connection, a server's client or our own; a handshake that is due begins.

    client_id: the ID of a connection; also one that the peer has closed.
    Returns an object: ip, port, path (the request target with its query), headers (of the request; an
        object, names in lower case), subprotocol (or null), compression (a boolean), state, close_code
        and close_reason (or null), connected_at (seconds since the epoch; null before the handshake is
        complete), bytes_sent, bytes_received (of payload), messages_sent, messages_received, latency_ms
        (milliseconds of the last ping that was answered, or null).
    Errors: E3006 (wrong type), E3029 (no such connection, or closed by us).
    See RFC 6455, 4.2, 7.4.
    """
    return connection.info()


@native("websocket", client_id=CLIENT_OR_CLOSED)
def native_ws_kick_client(client: Connection | None) -> None:
    """Disconnect a client (code 1008), without waiting for its answer.

    client_id: the ID of a connection that a server accepted; nothing happens if it is closed.
    Returns null, at once. What was sent to it before is delivered in the background.
    Errors: E3006 (wrong type), E3029 (never given out, a server, or a connection of one's own).
    Limits: 10 s for the delivery.
    See RFC 6455, 7.4.1.
    """
    if client is not None:
        client.kick()


@native("websocket", server_id=SERVER_OR_CLOSED)
def native_ws_stop_server(server: Server | None) -> None:
    """Stop a server and close all its clients (code 1001).

    server_id: the ID of a server; nothing happens if it is stopped.
    Returns null, at once; as with native_ws_close nothing sent before is lost.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    Limits: 10 s for the delivery and the peers' answers.
    See RFC 6455, 7.4.1.
    """
    if server is not None:
        server.stop()


# ---- settings


@native("websocket", socket_id=EITHER, ms=TIMEOUT)
def native_ws_set_timeout(either: Connection | Server, ms: int) -> None:
    """Bound the calls that may wait and have no timeout argument: sends, pings and the handshake.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    ms: milliseconds, 30,000 at first; 0 does not wait, -1 or null waits without limit.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed).
    """
    if isinstance(either, Server):
        either.timeout_ms = ms
    else:
        either.set_timeout(ms)
        either.put_off_handshake()


@native("websocket", socket_id=EITHER, enable=BOOLEAN)
def native_ws_set_keepalive(either: Connection | Server, enable: bool) -> None:
    """Find out whether a silent peer is still there; off at first.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    enable: a boolean; true sends a ping after 20 s of silence, and closes (1011) after 20 s without an
        answer. TCP's keepalive is switched with it.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed).
    See RFC 6455, 5.5.2; socket(7), SO_KEEPALIVE.
    """
    if isinstance(either, Server):
        either.keeps_alive = enable
    else:
        either.set_keepalive(enable)
        either.put_off_handshake()


@native("websocket", socket_id=EITHER, size=SIZE)
def native_ws_set_max_frame_size(either: Connection | Server, size: int) -> None:
    """Limit the size of frames; 16 MiB at first.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    size: bytes of payload, as they are on the wire, a number of at least 1. A larger frame from the
        peer closes the connection (1009) before its payload is read; our messages are split into frames
        of at most this size.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed).
    See RFC 6455, 5.4, 10.4.
    """
    if isinstance(either, Server):
        either.max_frame_size = size
    else:
        either.set_max_frame_size(size)
        either.put_off_handshake()


@native("websocket", socket_id=EITHER, enable=BOOLEAN)
def native_ws_set_compression(either: Connection | Server, enable: bool) -> None:
    """Switch permessage-deflate on or off; off at first.

    socket_id: the ID of a connection; or of a server, for the handshakes that come.
    enable: a boolean; true, before the handshake, offers it (a server accepts it). Afterwards false
        stops compressing what we send, and true goes on.
    Returns null.
    Errors: E3006 (wrong type; true, where it was not agreed on), E3029 (no such connection or server,
        or closed), E5006 (the handshake is under way).
    Limits: a window of 4 KiB; native_ws_set_max_message_size counts what was inflated.
    See RFC 7692.
    """
    if isinstance(either, Server):
        either.settings.compression = enable
    elif isinstance(either.opening, ClientOpening):
        with handshake_settings(either) as settings:
            settings.compression = enable
    elif enable and either.compression is None:
        raise ArgumentError("enable: compression was not negotiated in the handshake, which is over")
    else:
        either.set_compressing(enable)


@native("websocket", socket_id=EITHER, headers=HEADERS)
def native_ws_set_headers(either: Connection | Server, headers: dict[str, str]) -> None:
    """Set headers to be sent with the handshake, instead of those set before.

    socket_id: the ID of a connection, before its handshake; or of a server, for the answers it gives
        from now on.
    headers: an object of strings. Not those of the handshake itself: Upgrade, Connection,
        Sec-WebSocket-*, Content-Length, Transfer-Encoding.
    Returns null.
    Errors: E3006 (wrong type; a name or value that is not allowed; too long), E3029 (no such connection
        or server, or closed), E5006 (the handshake has begun).
    Limits: 8 KiB in all.
    See RFC 9110, 5; RFC 6455, 4.1.
    """
    with handshake_settings(either) as settings:
        settings.headers = headers


@native("websocket", socket_id=EITHER, protocol=SUBPROTOCOL)
def native_ws_set_subprotocol(either: Connection | Server, protocol: tuple[str, ...]) -> None:
    """Set the subprotocol to ask for, or that a server speaks.

    socket_id: the ID of a connection, before its handshake; or of a server, for the handshakes that
        come.
    protocol: a name, or several separated by commas, the preferred one first. Which one was agreed on
        native_ws_client_info tells.
    Returns null.
    Errors: E3006 (wrong type; not a token), E3029 (no such connection or server, or closed), E5006 (the
        handshake has begun).
    Limits: 1 KiB.
    See RFC 6455, 1.9.
    """
    with handshake_settings(either) as settings:
        settings.subprotocols = protocol
