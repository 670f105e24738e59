"""Servers: ports, accepting clients whose handshake is complete, who is in the list, stopping."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import HAS_IPV6, code_of, free_ports, plain_listener, refusal, run_script, wait_until
from ws_support import (
    TEXT,
    Peer,
    Upgrade,
    accept_of,
    header_of,
    pieces,
    received,
    request,
    status_of,
    ws_port,
)

import dryad_net as net

Knock = Callable[..., Peer]
HERE = Path(__file__).parent
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")


def test_port_0_picks_a_free_one() -> None:
    servers = [net.native_ws_listen(0), net.native_ws_listen(0), net.native_ws_bind("127.0.0.1", 0)]
    assert len({ws_port(server) for server in servers}) == 3


@pytest.mark.parametrize("ip", [None, "127.0.0.1"])
def test_a_port_in_use(ws_server: int, ip: str | None) -> None:
    port = ws_port(ws_server)
    error = refusal(net.native_ws_listen, port) if ip is None else refusal(net.native_ws_bind, ip, port)
    assert error.code == "E5006"
    assert error.errno == errno.EADDRINUSE
    assert str(port) in str(error)


def test_a_port_in_use_by_tcp(server: int) -> None:
    assert refusal(net.native_ws_listen, net.native_tcp_get_local_addr(server)["port"]).errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_listen_is_reached_over_both_families(ws_server: int, ws_knock: Knock, host: str) -> None:
    peer = ws_knock(ws_server, host)
    peer.say(request())
    accepted = accept_of(ws_server)
    info = net.native_ws_client_info(accepted)
    assert (info["ip"], info["port"]) == (host, peer.raw.getsockname()[1])
    assert net.native_ws_get_local_addr(accepted) == {"ip": host, "port": ws_port(ws_server)}


def test_bind_is_that_address_alone(ws_knock: Knock) -> None:
    server = net.native_ws_bind("127.0.0.1", *free_ports(1))
    assert net.native_ws_get_local_addr(server)["ip"] == "127.0.0.1"
    ws_knock(server).say(request())
    accept_of(server)
    if HAS_IPV6:
        assert code_of(net.native_ws_connect, f"ws://[::1]:{ws_port(server)}/") == "E5006"


def test_an_address_that_is_not_ours() -> None:
    error = refusal(net.native_ws_bind, "192.0.2.1", 0)  # TEST-NET-1 (RFC 5737)
    assert (error.code, error.errno) == ("E5006", errno.EADDRNOTAVAIL)


# ---- accept


def test_null_if_nobody_is_there(ws_server: int) -> None:
    begun = time.monotonic()
    for _ in range(100):
        assert net.native_ws_accept(ws_server) is None
    assert time.monotonic() - begun < 5


def test_null_before_the_handshake_is_complete(ws_server: int, ws_knock: Knock) -> None:
    peer = ws_knock(ws_server)
    for piece in pieces(request(), 20):
        assert net.native_ws_accept(ws_server) is None
        peer.say(piece)
    accepted = accept_of(ws_server)
    assert net.native_ws_get_state(accepted) == "open"
    assert status_of(peer.head()) == 101
    assert net.native_ws_accept(ws_server) is None


def test_the_answer(ws_server: int, ws_knock: Knock) -> None:
    """RFC 6455, section 1.3: the example's key and its answer."""
    peer = ws_knock(ws_server)
    peer.say(request(key="dGhlIHNhbXBsZSBub25jZQ=="))
    head = peer.head()  # answered in the background
    assert header_of(head, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert header_of(head, "Upgrade").lower() == "websocket"
    assert header_of(head, "Connection").lower() == "upgrade"
    assert b"Sec-WebSocket-Protocol" not in head
    assert b"Sec-WebSocket-Extensions" not in head
    accept_of(ws_server)


def test_frames_behind_the_request_are_not_lost(ws_server: int, ws_knock: Knock) -> None:
    """A client must wait for the answer; whoever does not, loses nothing."""
    peer = ws_knock(ws_server)
    peer.say(request() + peer.frame(TEXT, b"early") + peer.frame(TEXT, b"later")[:3])
    accepted = accept_of(ws_server)
    assert received(accepted) == "early"
    peer.say(peer.frame(TEXT, b"later")[3:])
    assert received(accepted) == "later"


def test_clients_that_left_before_accept(ws_server: int, ws_knock: Knock) -> None:
    """What they said is there; whoever comes after them is served."""
    gone = ws_knock(ws_server)
    gone.say(request())
    gone.head()
    gone.text("I was here")
    gone.close(1000)
    gone.closing()
    gone.hang_up()
    accepted = accept_of(ws_server)
    assert received(accepted) == "I was here"
    assert net.native_ws_recv_blocking(accepted, -1) is None
    ws_knock(ws_server).say(request())
    assert net.native_ws_get_state(accept_of(ws_server)) == "open"


def test_slow_handshakes_beside_fast_ones(ws_server: int, ws_knock: Knock) -> None:
    silent = ws_knock(ws_server)
    slow = [ws_knock(ws_server) for _ in range(10)]
    for number, peer in enumerate(slow):
        peer.say(request(path=f"/slow{number}")[: 10 + 10 * number])
    for number in range(10):
        fast = ws_knock(ws_server)
        fast.say(request(path=f"/fast{number}"))
        assert net.native_ws_client_info(accept_of(ws_server))["path"] == f"/fast{number}"
    for number, peer in enumerate(slow):
        peer.say(request(path=f"/slow{number}")[10 + 10 * number :])
        assert net.native_ws_client_info(accept_of(ws_server))["path"] == f"/slow{number}"
    silent.say(request(path="/at last"[:3]))
    assert net.native_ws_client_info(accept_of(ws_server))["path"] == "/at"


def test_accepted_ids_differ_and_serve(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(20)]
    assert len({link.id for link in links} | {ws_server}) == 21
    for link in links:
        net.native_ws_send(link.id, str(link.id))
    for link in links:
        assert link.peer.message() == str(link.id)


def test_many_servers_at_once(ws_dial: Upgrade) -> None:
    servers = [net.native_ws_listen(0) for _ in range(5)]
    links = [ws_dial(server) for server in servers]
    for server, link in zip(servers, links, strict=True):
        assert net.native_ws_get_clients(server) == [link.id]
        net.native_ws_broadcast(server, str(server))
    assert [link.peer.message() for link in links] == [str(server) for server in servers]


# ---- get_clients


def test_who_is_in_the_list(ws_server: int, ws_dial: Upgrade, ws_knock: Knock) -> None:
    assert net.native_ws_get_clients(ws_server) == []
    ws_knock(ws_server).say(request())
    first = accept_of(ws_server)
    waiting = ws_knock(ws_server)
    waiting.say(request())
    waiting.head()
    assert net.native_ws_get_clients(ws_server) == [first]  # whoever is not accepted is no client yet
    second = accept_of(ws_server)
    assert net.native_ws_get_clients(ws_server) == [first, second]
    third = ws_dial(ws_server)
    net.native_ws_close(first)
    assert net.native_ws_get_clients(ws_server) == [second, third.id]
    net.native_ws_kick_client(second)
    assert net.native_ws_get_clients(ws_server) == [third.id]


def test_a_client_with_something_unread_is_in_the_list(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server)
    link.peer.text("unread")
    link.peer.close(1000)
    link.peer.closing()
    assert net.native_ws_get_clients(ws_server) == [link.id]
    assert received(link.id) == "unread"
    wait_until(lambda: net.native_ws_get_clients(ws_server) == [])
    assert net.native_ws_client_info(link.id)["close_code"] == 1000


def test_a_client_that_has_left_is_not(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(3)]
    links[1].peer.hang_up()
    wait_until(lambda: net.native_ws_get_clients(ws_server) == [links[0].id, links[2].id])


def test_the_list_is_the_callers_own(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server)
    net.native_ws_get_clients(ws_server).clear()
    assert net.native_ws_get_clients(ws_server) == [link.id]


# ---- kinds of IDs


def test_ids_of_another_kind(ws_server: int, ws_dial: Upgrade, server: int) -> None:
    client = ws_dial(ws_server).id
    udp = net.native_udp_socket()
    with plain_listener() as listening:
        tcp = net.native_tcp_connect("127.0.0.1", listening.getsockname()[1])
    for function, wrong in (
        (net.native_ws_recv, (ws_server, server, tcp, udp)),
        (net.native_ws_ping, (ws_server, server, tcp, udp)),
        (net.native_ws_close, (server, tcp, udp)),
        (net.native_ws_get_state, (server, tcp, udp)),
        (net.native_ws_client_info, (ws_server, server, tcp, udp)),
        (net.native_ws_kick_client, (ws_server, server, tcp, udp)),
        (net.native_ws_accept, (client, server, tcp, udp)),
        (net.native_ws_get_clients, (client, server, tcp, udp)),
        (net.native_ws_stop_server, (client, server, tcp, udp)),
        (net.native_tcp_recv_all, (ws_server, client)),
        (net.native_tcp_accept, (ws_server, client)),
        (net.native_tcp_stop_server, (ws_server, client)),
        (net.native_udp_recv, (ws_server, client)),
    ):
        for identifier in wrong:
            assert code_of(function, identifier) == "E3029", (function.__name__, identifier)
    assert net.native_ws_get_state(client) == "open"


@pytest.mark.parametrize("identifier", [0, -1, 10**9, -(10**30), 1e15])
def test_ids_never_given_out(identifier: float) -> None:
    for name in ("recv", "close", "is_connected", "get_state", "ping", "accept", "get_clients", "client_info"):
        error = refusal(getattr(net, f"native_ws_{name}"), identifier)
        assert error.code == "E3029"
        assert "no such ID" in str(error)


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_NOFILE")
def test_at_most_1024_wait_to_be_accepted() -> None:
    run_script(
        """
import resource, socket, sys, time
sys.path.insert(0, sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import dryad_net as net
from support import wait_until
from ws_support import Peer, plain_client, request

server = net.native_ws_listen(0)
peers = []
for _ in range(1034):
    peer = plain_client(server)
    peer.say(request())
    peers.append(peer)
    net.native_net_wait([server], 0)
for peer in peers:
    peer.raw.setblocking(False)

def answered():
    count = 0
    for peer in peers:
        if not peer.pending:
            try:
                peer.pending += peer.raw.recv(4096)
            except BlockingIOError:
                pass
        count += bool(peer.pending)
    return count

wait_until(lambda: answered() >= 1024, 30)
time.sleep(0.5)  # whatever would be one too many has had its time
assert answered() == 1024, answered()
accepted = [wait_until(lambda: net.native_ws_accept(server)) for _ in range(10)]
wait_until(lambda: answered() == 1034, 30)
rest = [wait_until(lambda: net.native_ws_accept(server), 30) for _ in range(1024)]
assert len(set(accepted + rest)) == 1034
assert net.native_ws_accept(server) is None
assert net.native_ws_broadcast(server, "all") == 1034
""",
        HERE,
        seconds=100,
    )
