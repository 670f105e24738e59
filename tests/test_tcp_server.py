"""Servers: ports and addresses, accepting, the list of clients, stopping."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable

import pytest
from support import HAS_IPV6, SOON, Link, Running, arrived, code_of, free_ports, port_of, refusal, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)
Dial = Callable[..., Link]
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")


def test_port_0_picks_a_free_one() -> None:
    servers = [net.native_tcp_listen(0), net.native_tcp_listen(0), net.native_tcp_bind("127.0.0.1", 0)]
    ports = [port_of(server) for server in servers]
    assert len(set(ports)) == 3
    assert all(1 <= port <= 65535 for port in ports)


def test_a_chosen_port(server: int) -> None:
    port = port_of(server)
    net.native_tcp_stop_server(server)
    again = net.native_tcp_listen(port)
    assert port_of(again) == port


@pytest.mark.parametrize("ip", [None, "127.0.0.1"])
def test_a_port_in_use(server: int, ip: str | None) -> None:
    port = port_of(server)
    error = refusal(net.native_tcp_listen, port) if ip is None else refusal(net.native_tcp_bind, ip, port)
    assert error.code == "E5006"
    assert error.errno == errno.EADDRINUSE
    assert "in use" in str(error)
    assert str(port) in str(error)


def test_an_address_that_is_not_ours() -> None:
    error = refusal(net.native_tcp_bind, "192.0.2.1", 0)  # TEST-NET-1 (RFC 5737)
    assert error.code == "E5006"
    assert error.errno == errno.EADDRNOTAVAIL
    assert "192.0.2.1" in str(error)


def test_listen_is_reached_over_ipv4(server: int, dial: Dial) -> None:
    client = dial(server)
    host, port = client.raw.getsockname()
    assert net.native_tcp_get_peer_addr(client.id) == {"ip": "127.0.0.1", "port": port}
    assert net.native_tcp_get_local_addr(client.id) == {"ip": "127.0.0.1", "port": port_of(server)}
    assert host == "127.0.0.1"


@needs_ipv6
def test_listen_is_reached_over_ipv6(server: int, dial: Dial) -> None:
    client = dial(server, host="::1")
    assert net.native_tcp_get_peer_addr(client.id) == {"ip": "::1", "port": client.raw.getsockname()[1]}
    assert net.native_tcp_get_local_addr(client.id) == {"ip": "::1", "port": port_of(server)}


def test_addresses_of_our_own_connections(pair: tuple[int, int], server: int) -> None:
    own, accepted = pair
    assert net.native_tcp_get_peer_addr(own) == {"ip": "127.0.0.1", "port": port_of(server)}
    assert net.native_tcp_get_local_addr(own) == net.native_tcp_get_peer_addr(accepted)
    assert net.native_tcp_get_local_addr(own)["ip"] == "127.0.0.1"
    assert type(net.native_tcp_get_peer_addr(own)["port"]) is int


def test_bind_is_that_address_alone(dial: Dial) -> None:
    server = net.native_tcp_bind("127.0.0.1", *free_ports(1))
    assert net.native_tcp_get_local_addr(server)["ip"] == "127.0.0.1"
    assert net.native_tcp_get_peer_addr(dial(server).id)["ip"] == "127.0.0.1"
    if HAS_IPV6:
        assert code_of(net.native_tcp_connect, "::1", port_of(server)) == "E5006"


@needs_ipv6
def test_bind_to_ipv6(dial: Dial) -> None:
    server = net.native_tcp_bind("::1", *free_ports(1, "::1"))
    assert net.native_tcp_get_local_addr(server)["ip"] == "::1"
    assert net.native_tcp_get_peer_addr(dial(server, host="::1").id)["ip"] == "::1"
    assert code_of(net.native_tcp_connect, "127.0.0.1", port_of(server)) == "E5006"


def test_addresses_are_plain() -> None:
    server = net.native_tcp_bind("::ffff:127.0.0.1", 0)
    assert net.native_tcp_get_local_addr(server)["ip"] == "127.0.0.1"
    own = net.native_tcp_connect("127.0.0.1", port_of(server))
    accepted = net.native_tcp_accept_blocking(server, SOON_MS)
    assert net.native_tcp_get_peer_addr(own)["ip"] == "127.0.0.1"
    assert net.native_tcp_get_peer_addr(accepted)["ip"] == "127.0.0.1"


@needs_ipv6
def test_a_mapped_address_to_connect_to_is_reported_plainly(server: int) -> None:
    own = net.native_tcp_connect("::ffff:127.0.0.1", port_of(server))
    assert net.native_tcp_get_peer_addr(own)["ip"] == "127.0.0.1"
    assert net.native_tcp_get_local_addr(own)["ip"] == "127.0.0.1"


# ---- accept


def test_null_if_nobody_waits(server: int) -> None:
    assert net.native_tcp_accept(server) is None
    assert net.native_tcp_accept_blocking(server, 0) is None
    begun = time.monotonic()
    assert net.native_tcp_accept_blocking(server, 60) is None
    assert 0.058 <= time.monotonic() - begun < 5


def test_accept_without_waiting(server: int) -> None:
    own = net.native_tcp_connect("127.0.0.1", port_of(server))
    accepted = wait_until(lambda: net.native_tcp_accept(server))
    assert accepted != own
    assert net.native_tcp_accept(server) is None


@pytest.mark.parametrize("ms", [None, -1, 20000])
def test_accept_waits_for_a_client(server: int, ms: int | None) -> None:
    waiting = Running(net.native_tcp_accept_blocking, server, ms).wait_asleep()
    own = net.native_tcp_connect("127.0.0.1", port_of(server))
    net.native_tcp_send(waiting.result(), "welcome")
    assert net.native_tcp_recv_blocking(own, 100, SOON_MS) == "welcome"


def test_clients_are_accepted_in_the_order_they_came(server: int, plain_sockets: list[socket.socket]) -> None:
    for _ in range(20):
        plain_sockets.append(socket.create_connection(("127.0.0.1", port_of(server)), SOON))
    accepted = [net.native_tcp_accept_blocking(server, SOON_MS) for _ in plain_sockets]
    assert [net.native_tcp_get_peer_addr(each)["port"] for each in accepted] == [
        raw.getsockname()[1] for raw in plain_sockets
    ]
    assert net.native_tcp_get_clients(server) == accepted


def test_a_client_that_left_before_it_was_accepted(server: int) -> None:
    raw = socket.create_connection(("127.0.0.1", port_of(server)), SOON)
    raw.sendall(b"and gone")
    raw.close()
    accepted = net.native_tcp_accept_blocking(server, SOON_MS)
    assert net.native_tcp_recv_blocking(accepted, 100, SOON_MS) == "and gone"
    assert net.native_tcp_recv_blocking(accepted, 100, SOON_MS) is None


def test_many_clients_wait_at_once(server: int, plain_sockets: list[socket.socket]) -> None:
    for _ in range(120):
        plain_sockets.append(socket.create_connection(("127.0.0.1", port_of(server)), SOON))
    assert len({net.native_tcp_accept_blocking(server, SOON_MS) for _ in plain_sockets}) == 120


@pytest.mark.parametrize("backlog", [1, 5, 100_000, 2**31 - 1])
def test_backlog(server: int, backlog: int, dial: Dial) -> None:
    assert net.native_tcp_set_backlog(server, backlog) is None
    assert net.native_tcp_is_connected(dial(server).id)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="nothing tells the backlog here")
def test_the_backlog_is_really_set(server: int, plain_sockets: list[socket.socket]) -> None:
    """With room for few, others are not even connected: Linux leaves them without an answer."""
    net.native_tcp_set_backlog(server, 1)
    connected = 0
    for _ in range(4):
        raw = socket.socket()
        plain_sockets.append(raw)
        raw.settimeout(0.2)
        try:
            raw.connect(("127.0.0.1", port_of(server)))
            connected += 1
        except TimeoutError:
            break
    assert connected <= 3


# ---- clients


def test_get_clients(server: int, dial: Dial) -> None:
    assert net.native_tcp_get_clients(server) == []
    first, second, third = dial(server), dial(server), dial(server)
    assert net.native_tcp_get_clients(server) == [first.id, second.id, third.id]
    net.native_tcp_close(second.id)
    assert net.native_tcp_get_clients(server) == [first.id, third.id]
    net.native_tcp_kick_client(first.id)
    assert net.native_tcp_get_clients(server) == [third.id]
    assert first.raw.recv(1) == second.raw.recv(1) == b""
    assert net.native_tcp_get_clients(net.native_tcp_listen(0)) == []


def test_a_client_stays_in_the_list_until_everything_was_read(server: int, dial: Dial) -> None:
    client = dial(server)
    client.raw.sendall(b"ab")
    client.raw.close()
    assert net.native_tcp_recv_blocking(client.id, 1, SOON_MS) == "a"
    assert net.native_tcp_get_clients(server) == [client.id]
    assert net.native_tcp_recv_blocking(client.id, 1, SOON_MS) == "b"
    wait_until(lambda: net.native_tcp_get_clients(server) == [])
    assert net.native_tcp_recv(client.id, 1) is None  # the ID is known until it is closed here


def test_the_list_is_the_callers_own(server: int, dial: Dial) -> None:
    client = dial(server)
    net.native_tcp_get_clients(server).clear()
    assert net.native_tcp_get_clients(server) == [client.id]


# ---- stop


def test_stop_closes_the_server_and_its_clients(server: int, dial: Dial, link: Link) -> None:
    clients = [dial(server) for _ in range(3)]
    port = port_of(server)
    assert net.native_tcp_stop_server(server) is None
    for client in clients:
        assert client.raw.recv(1) == b""
        assert code_of(net.native_tcp_send, client.id, b"x") == "E3029"
        assert net.native_tcp_is_connected(client.id) is False
    assert code_of(net.native_tcp_accept, server) == "E3029"
    assert net.native_tcp_is_connected(link.id)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), SOON)


def test_stop_wakes_everybody_who_accepts(server: int) -> None:
    waiting = [Running(net.native_tcp_accept_blocking, server, -1).wait_asleep() for _ in range(3)]
    net.native_tcp_stop_server(server)
    assert [each.result() for each in waiting] == [None, None, None]


def test_stop_disconnects_who_was_not_accepted_yet(server: int, plain_sockets: list[socket.socket]) -> None:
    raw = socket.create_connection(("127.0.0.1", port_of(server)), SOON)
    plain_sockets.append(raw)
    net.native_tcp_stop_server(server)
    with contextlib.suppress(ConnectionResetError):
        assert raw.recv(1) == b""


def test_own_connections_survive_the_server(server: int, pair: tuple[int, int]) -> None:
    own, _accepted = pair
    net.native_tcp_stop_server(server)
    wait_until(lambda: arrived(own))
    assert net.native_tcp_recv(own, 1) is None
    assert net.native_tcp_get_peer_addr(own)["ip"] == "127.0.0.1"
