"""dryad-net connect: what is typed is sent, what arrives is printed; made of nothing but native functions.

The main thread receives, since Ctrl-C reaches it there; a second one reads what is typed. Standard
output carries only what arrived.
"""

from __future__ import annotations

import contextlib
from typing import Any

import dryad_net as net

from .console import host_port, note
from .messages import closed_with, receive
from .typed import BLOCK_BYTES, Typing, show, typed, typed_lines

# Once nothing more is typed, we leave when the peer has been silent for so long.
QUIET_MS = 1000


def tcp(host: str, port: int) -> int:
    """Talk to a TCP server until it, the input or Ctrl-C ends; returns the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        connection = net.native_tcp_connect(host, port)
        try:
            note(f"connected to {host_port(net.native_tcp_get_peer_addr(connection))}, Ctrl-C ends")
            _talk_tcp(connection)
        finally:
            net.native_tcp_close(connection)
    return 0


def _talk_tcp(connection: int) -> None:
    # A peer that reads slowly holds up the typing thread, nobody else.
    net.native_tcp_set_timeout(connection, -1)
    typing = Typing(typed(), lambda data: net.native_tcp_send(connection, data))
    while True:
        last = typing.ended.is_set()
        data = net.native_tcp_recv_bytes_blocking(connection, BLOCK_BYTES, QUIET_MS)
        if data is not None:
            show(data)
        elif not net.native_tcp_is_connected(connection):
            note("closed by the peer")
            break
        elif last:
            break
    if typing.error is not None:
        raise typing.error


def udp(host: str, port: int) -> int:
    """Exchange datagrams with one peer until the input or Ctrl-C ends; returns the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        socket = net.native_udp_socket()
        try:
            net.native_udp_connect(socket, host, port)
            note(f"sending from {host_port(net.native_udp_get_local_addr(socket))}, Ctrl-C ends")
            _talk_udp(socket)
        finally:
            net.native_udp_close(socket)
    return 0


def _talk_udp(socket: int) -> None:
    typing = Typing(typed_lines(), lambda data: net.native_udp_send_connected(socket, data))
    while True:
        last = typing.ended.is_set()
        datagram = net.native_udp_recv_blocking(socket, QUIET_MS)
        if datagram is not None:
            show(str(datagram["data"]).encode("utf-8", "surrogateescape"))
        elif last:
            break
    if typing.error is not None:
        raise typing.error


def ws(
    url: str,
    headers: dict[str, str],
    subprotocol: str | None = None,
    compression: bool = False,
    tls: dict[str, Any] | None = None,
) -> int:
    """Talk to a WebSocket server until it, the input or Ctrl-C ends; returns the exit status.

    headers, subprotocol, compression: of the handshake; tls: options for native_ws_set_tls.
    """
    with contextlib.suppress(KeyboardInterrupt):
        connection = net.native_ws_connect(url)
        try:
            net.native_ws_set_headers(connection, headers)
            if subprotocol is not None:
                net.native_ws_set_subprotocol(connection, subprotocol)
            net.native_ws_set_compression(connection, compression)
            if tls:
                net.native_ws_set_tls(connection, tls)
            _complete_handshake(connection)
            _talk_ws(connection)
        finally:
            net.native_ws_close(connection)
    return 0


def _complete_handshake(connection: int) -> None:
    """Wait for the handshake and say what came of it. Errors: as native_ws_ping."""
    net.native_ws_is_connected(connection)
    info = net.native_ws_client_info(connection)
    if info["connected_at"] is None:
        # Over without success, or the time is up: a call that needs the connection says why.
        net.native_ws_set_timeout(connection, 0)
        net.native_ws_ping(connection)
    agreed = [f"subprotocol {info['subprotocol']}"] if info["subprotocol"] else []
    agreed += ["compression"] if info["compression"] else []
    details = f" ({', '.join(agreed)})" if agreed else ""
    note(f"connected to {host_port(info)}{details}, Ctrl-C ends")


def _talk_ws(connection: int) -> None:
    net.native_ws_set_timeout(connection, -1)
    typing = Typing(typed_lines(), lambda line: net.native_ws_send(connection, _message(line)))
    while True:
        last = typing.ended.is_set()
        if not net.native_net_wait([connection], QUIET_MS):
            if last:
                break
            continue
        message = receive(connection)
        if message is not None:
            show((message.encode() if isinstance(message, str) else message) + b"\n")
        elif not net.native_ws_is_connected(connection):
            note(f"closed by the peer ({closed_with(connection)})")
            break
    if typing.error is not None:
        raise typing.error


def _message(line: bytes) -> str:
    # What is not UTF-8 is no text, which the function says.
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
