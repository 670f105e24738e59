"""dryad-net serve: servers until Ctrl-C, each one thread that waits for all its clients with native_net_wait."""

from __future__ import annotations

import contextlib

import dryad_net as net

from . import serve_tcp, serve_ws
from .console import host_port, say


def tcp(host: str | None, port: int, chat: bool) -> int:
    """Serve TCP clients: send back what each sends or, with chat, every line to all; returns the exit status."""
    server = net.native_tcp_listen(port) if host is None else net.native_tcp_bind(host, port)
    with contextlib.suppress(KeyboardInterrupt):
        # For its clients: no call waits for one while others have something to say.
        net.native_tcp_set_timeout(server, 0)
        say(f"{'chat' if chat else 'echo'} on {host_port(net.native_tcp_get_local_addr(server))}, Ctrl-C ends")
        (serve_tcp.Chat if chat else serve_tcp.Echo)(server).run()
    net.native_tcp_stop_server(server)
    say("stopped")
    return 0


def ws(host: str | None, port: int, chat: bool, compression: bool, certificate: tuple[str, str] | None) -> int:
    """Serve WebSocket clients: send back every message or, with chat, to all; returns the exit status.

    certificate: its file and its key's, for wss on every interface.
    """
    if certificate is not None:
        server = net.native_ws_listen_tls(port, *certificate)
    else:
        server = net.native_ws_listen(port) if host is None else net.native_ws_bind(host, port)
    with contextlib.suppress(KeyboardInterrupt):
        net.native_ws_set_timeout(server, 0)
        net.native_ws_set_keepalive(server, True)
        net.native_ws_set_compression(server, compression)
        url = f"{'ws' if certificate is None else 'wss'}://{host_port(net.native_ws_get_local_addr(server))}"
        say(f"{'chat' if chat else 'echo'} on {url}, Ctrl-C ends")
        (serve_ws.Chat if chat else serve_ws.Echo)(server).run()
    net.native_ws_stop_server(server)
    say("stopped")
    return 0


def udp(host: str | None, port: int) -> int:
    """Send every datagram back to its sender; returns the exit status."""
    socket = net.native_udp_socket()
    if host is None:
        net.native_udp_bind(socket, port)
    else:
        net.native_udp_bind_addr(socket, host, port)
    with contextlib.suppress(KeyboardInterrupt):
        # An answer for which there is no room now is let go, as the network may do with any datagram.
        net.native_udp_set_timeout(socket, 0)
        say(f"echo on {host_port(net.native_udp_get_local_addr(socket))}, Ctrl-C ends")
        while True:
            net.native_net_wait([socket], -1)
            _answer(socket)
    net.native_udp_close(socket)
    say("stopped")
    return 0


def _answer(socket: int) -> None:
    try:
        datagram = net.native_udp_recv_bytes(socket)
        if datagram is not None:
            sent = net.native_udp_send(socket, datagram["data"], datagram["ip"], datagram["port"])
            say(f"{host_port(datagram)}: {sent} bytes")
    except (net.NetworkError, net.NetworkTimeoutError) as error:
        say(str(error))
