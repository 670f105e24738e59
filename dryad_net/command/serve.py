"""dryad-net serve: servers made of nothing but native functions, until Ctrl-C.

One thread a client, each waiting in a receiving call: the functions of the specification wait for
one connection at a time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import dryad_net as net

from .console import host_port, say

BLOCK_BYTES = 65536
# After an error that may come again at once, such as having no descriptors left.
PAUSE_SECONDS = 0.5


def tcp(host: str | None, port: int, chat: bool) -> int:
    """Serve TCP clients: send back what each sends or, with chat, every line to all; returns the exit status."""
    server = net.native_tcp_listen(port) if host is None else net.native_tcp_bind(host, port)
    with contextlib.suppress(KeyboardInterrupt):
        say(f"{'chat' if chat else 'echo'} on {host_port(net.native_tcp_get_local_addr(server))}, Ctrl-C ends")
        _accept_all(server, _chat if chat else _echo)
    # The clients' threads wait in receiving calls, and this wakes them.
    net.native_tcp_stop_server(server)
    say("stopped")
    return 0


def _accept_all(server: int, talk: Callable[[int, int], None]) -> None:
    while True:
        try:
            client = net.native_tcp_accept_blocking(server, -1)
        except net.NetworkError as error:
            say(str(error))
            time.sleep(PAUSE_SECONDS)
            continue
        if client is not None:
            threading.Thread(target=_attend, args=(server, client, talk), name=f"client {client}").start()


def _attend(server: int, client: int, talk: Callable[[int, int], None]) -> None:
    """One client from its arrival to its end."""
    try:
        say(f"{client}: connected from {host_port(net.native_tcp_get_peer_addr(client))}")
        talk(server, client)
        say(f"{client}: disconnected")
    except net.IdError:
        say(f"{client}: closed, the server stops")
    except net.DryadNetError as error:
        say(f"{client}: {error}")
    finally:
        net.native_tcp_close(client)


def _echo(_server: int, client: int) -> None:
    while (data := net.native_tcp_recv_bytes_blocking(client, BLOCK_BYTES, -1)) is not None:
        say(f"{client}: {len(data)} bytes")
        if net.native_tcp_send(client, data) < len(data):
            raise net.NetworkTimeoutError("does not read what it is sent")


def _chat(server: int, client: int) -> None:
    # recv_until has no timeout argument, and people think before they type.
    net.native_tcp_set_timeout(client, -1)
    while (line := net.native_tcp_recv_until(client, "\n")) is not None:
        _pass_on(server, client, line)
    rest = net.native_tcp_recv_all(client)
    if rest:
        _pass_on(server, client, rest + "\n")


def _pass_on(server: int, client: int, line: str) -> None:
    reached = net.native_tcp_broadcast(server, line)
    say(f"{client}: {line!r} to {reached} clients")


def udp(host: str | None, port: int) -> int:
    """Send every datagram back to its sender; returns the exit status."""
    socket = net.native_udp_socket()
    if host is None:
        net.native_udp_bind(socket, port)
    else:
        net.native_udp_bind_addr(socket, host, port)
    with contextlib.suppress(KeyboardInterrupt):
        say(f"echo on {host_port(net.native_udp_get_local_addr(socket))}, Ctrl-C ends")
        while True:
            _answer(socket)
    net.native_udp_close(socket)
    say("stopped")
    return 0


def _answer(socket: int) -> None:
    try:
        datagram = net.native_udp_recv_blocking(socket, -1)
        if datagram is not None:
            sent = net.native_udp_send(socket, datagram["data"], datagram["ip"], datagram["port"])
            say(f"{host_port(datagram)}: {sent} bytes")
    except (net.NetworkError, net.NetworkTimeoutError) as error:
        say(str(error))
        time.sleep(PAUSE_SECONDS)
