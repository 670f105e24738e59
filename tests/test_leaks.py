"""Nothing is left of a connection, however it lived: memory, references and descriptors after many of each kind.

DRYAD_NET_LEAK_CYCLES says how many of each; .ci/long leaks takes 10,000.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator

import pytest
from conftest import open_descriptors
from memory_support import MIB, Held, held
from support import Running, plain_listener, port_of, reset, wait_until
from tls_support import FILES
from ws_support import SOON_MS, accept_of, plain_client, request, ws_port
from ws_support import frame as ws_frame

import dryad_net as net
from dryad_net import service

CYCLES = int(os.environ.get("DRYAD_NET_LEAK_CYCLES", "300"))
# A close may take 10 s; what is begun at once is to be done before it is looked what is left.
CLOSED_SECONDS = 15.0
# What the second half of the cycles may add to what the first has left: of Python's blocks (a connection has about
# ten, and some wait for the collector or their deadline) and of the C library's heap (a deflater has 256 KiB).
BLOCKS = 3000
HEAP = 8 * MIB

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or sys.implementation.name != "cpython",
        reason="blocks are CPython's, memory is in /proc",
    ),
    pytest.mark.timeout(max(180, CYCLES // 5)),
]


class Servers:
    """What the cycles connect to: our servers, and a plain listening socket. Owned by the fixture."""

    def __init__(self) -> None:
        self.tcp = net.native_tcp_bind("127.0.0.1", 0)
        self.ws = net.native_ws_bind("127.0.0.1", 0)
        self.compressed = net.native_ws_bind("127.0.0.1", 0)
        net.native_ws_set_compression(self.compressed, True)
        self.tls = net.native_ws_listen_tls(0, FILES.cert, FILES.key)
        self.plain = plain_listener(backlog=128)

    def close(self) -> None:
        net.native_tcp_stop_server(self.tcp)
        for server in (self.ws, self.compressed, self.tls):
            net.native_ws_stop_server(server)
        self.plain.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


# ---- the kinds of lives


def tcp_pair(servers: Servers) -> tuple[int, int]:
    own = net.native_tcp_connect("127.0.0.1", port_of(servers.tcp))
    accepted = net.native_tcp_accept_blocking(servers.tcp, SOON_MS)
    assert accepted is not None
    return own, accepted


def tcp_echo(servers: Servers) -> None:
    own, accepted = tcp_pair(servers)
    net.native_tcp_send(own, "line\nand é")
    assert net.native_tcp_recv_until(accepted, "\n") == "line\n"
    net.native_tcp_broadcast(servers.tcp, b"x" * 1000)
    assert net.native_tcp_recv_blocking(own, 10, SOON_MS) == "x" * 10
    net.native_net_wait([own, accepted, servers.tcp], 0)
    net.native_tcp_close(own)
    net.native_tcp_close(accepted)


def tcp_kicked(servers: Servers) -> None:
    own, accepted = tcp_pair(servers)
    net.native_tcp_kick_client(accepted)
    assert net.native_tcp_recv_blocking(own, 10, SOON_MS) is None
    net.native_tcp_close(own)


def tcp_reset(servers: Servers) -> None:
    raw = socket.create_connection(("127.0.0.1", port_of(servers.tcp)))
    accepted = net.native_tcp_accept_blocking(servers.tcp, SOON_MS)
    raw.sendall(b"unread")
    reset(raw)
    wait_until(lambda: broken(net.native_tcp_recv, accepted, 100))
    net.native_tcp_close(accepted)


def broken(receive: Callable[..., object], *args: object) -> bool:
    try:
        receive(*args)
    except net.NetworkError:
        return True
    return False


def tcp_refused(servers: Servers) -> None:
    assert broken(net.native_tcp_connect, "127.0.0.1", 1)


def tcp_listening(servers: Servers) -> None:
    net.native_tcp_stop_server(net.native_tcp_listen(0))


def tcp_timeout(servers: Servers) -> None:
    own, accepted = tcp_pair(servers)
    assert net.native_tcp_recv_blocking(own, 10, 0) is None
    net.native_tcp_set_timeout(own, 0)
    assert net.native_tcp_recv_until(own, "\n") is None
    net.native_tcp_close(accepted)
    net.native_tcp_close(own)


def tcp_closed_in_a_wait(servers: Servers) -> None:
    own, accepted = tcp_pair(servers)
    waiting = Running(net.native_tcp_recv_blocking, own, 10, SOON_MS)
    net.native_tcp_close(own)
    with contextlib.suppress(net.IdError):  # where it had not begun to wait yet
        assert waiting.result() is None
    net.native_tcp_close(accepted)


def udp(servers: Servers) -> None:
    one, other = net.native_udp_socket(), net.native_udp_socket()
    net.native_udp_bind_addr(one, "127.0.0.1", 0)
    port = net.native_udp_get_local_addr(one)["port"]
    for _ in range(3):
        net.native_udp_send(other, "datagram", "127.0.0.1", port)
        assert net.native_udp_recv_blocking(one, SOON_MS)["data"] == "datagram"
    net.native_udp_join_multicast(other, "239.255.70.71")
    net.native_net_wait([one, other], 0)
    net.native_udp_close(one)
    net.native_udp_close(other)


def ws_pair(server: int, scheme: str = "ws", **how: bool) -> tuple[int, int]:
    own = net.native_ws_connect(f"{scheme}://127.0.0.1:{ws_port(server)}/path?query")
    net.native_ws_set_compression(own, how.get("compressed", False))
    net.native_ws_set_headers(own, {"X-Name": "value"})
    if scheme == "wss":
        net.native_ws_set_tls(own, {"ca_file": FILES.ca})
    assert net.native_ws_is_connected(own)
    return own, accept_of(server)


def ws_talk(own: int, accepted: int) -> None:
    net.native_ws_send(own, "text é")
    net.native_ws_send_binary(own, b"binary" * 1000)
    assert net.native_ws_recv_blocking(accepted, SOON_MS) == "text é"
    assert net.native_ws_recv_binary_blocking(accepted, SOON_MS) == b"binary" * 1000
    net.native_ws_ping(accepted)
    net.native_ws_send(accepted, "back")
    assert net.native_ws_recv_blocking(own, SOON_MS) == "back"
    net.native_ws_client_info(accepted)
    net.native_net_wait([own, accepted], 0)


def ws_end(own: int, accepted: int) -> None:
    net.native_ws_close(own)
    assert net.native_ws_recv_blocking(accepted, SOON_MS) is None
    net.native_ws_close(accepted)


def ws_echo(servers: Servers) -> None:
    pair = ws_pair(servers.ws)
    ws_talk(*pair)
    net.native_ws_broadcast(servers.ws, "x" * 1000)
    ws_end(*pair)


def ws_compressed(servers: Servers) -> None:
    pair = ws_pair(servers.compressed, compressed=True)
    ws_talk(*pair)
    ws_end(*pair)


def wss(servers: Servers) -> None:
    pair = ws_pair(servers.tls, "wss")
    ws_talk(*pair)
    ws_end(*pair)


def ws_kicked(servers: Servers) -> None:
    own, accepted = ws_pair(servers.ws)
    net.native_ws_send(own, "unread")
    net.native_ws_kick_client(accepted)
    assert net.native_ws_recv_blocking(own, SOON_MS) is None
    net.native_ws_close(own)


def ws_violated(servers: Servers) -> None:
    peer = plain_client(servers.ws)
    peer.say(request() + ws_frame(1, b"x", rsv=2, mask=b"abcd"))
    accepted = accept_of(servers.ws)
    wait_until(lambda: broken(net.native_ws_recv_blocking, accepted, SOON_MS))
    peer.hang_up()
    net.native_ws_close(accepted)


def ws_reset(servers: Servers) -> None:
    peer = plain_client(servers.ws)
    peer.say(request())
    accepted = accept_of(servers.ws)
    peer.say(ws_frame(2, bytes(1000), mask=b"abcd")[:500])
    reset(peer.raw)
    wait_until(lambda: broken(net.native_ws_recv, accepted))
    net.native_ws_close(accepted)


def ws_bad_request(servers: Servers) -> None:
    peer = plain_client(servers.ws)
    peer.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert peer.head().startswith(b"HTTP/1.1 426 ")
    peer.hang_up()


def ws_bad_answer(servers: Servers) -> None:
    own = net.native_ws_connect(f"ws://127.0.0.1:{servers.plain.getsockname()[1]}/")
    with servers.plain.accept()[0] as raw:
        net.native_ws_recv(own)
        raw.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    assert broken(net.native_ws_send, own, "x")
    net.native_ws_close(own)


def ws_listening(servers: Servers) -> None:
    net.native_ws_stop_server(net.native_ws_listen(0))


LIVES = (
    *(tcp_echo, tcp_kicked, tcp_reset, tcp_refused, tcp_listening, tcp_timeout, tcp_closed_in_a_wait),
    *(udp, ws_echo, ws_compressed, wss, ws_kicked, ws_violated, ws_reset, ws_bad_request, ws_bad_answer, ws_listening),
)


def settled(servers: Servers, descriptors: int) -> Held:
    """How many blocks Python has and how much memory the process, when all closes are done."""

    def closed() -> bool:
        # The three WebSocket servers stay.
        return service.service.task_count() <= 3 and len(open_descriptors()) <= descriptors

    wait_until(closed, CLOSED_SECONDS, "the closes")
    # Deadlines that were met are forgotten when the background thread does something the next time.
    tcp_kicked(servers)
    wait_until(closed, CLOSED_SECONDS, "one more")
    return held()


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_nothing_is_left(life: Callable[[Servers], None], servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "dryad_net")  # pytest keeps every record
    descriptors = len(open_descriptors()) + 2  # the background thread's, and what net_wait keeps
    measured = []
    for _half in range(2):
        for _ in range(CYCLES // 2):
            life(servers)
        measured.append(settled(servers, descriptors))
    before, after = measured
    assert after.blocks - before.blocks <= BLOCKS
    assert after.heap - before.heap <= HEAP
