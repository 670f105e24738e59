"""Connected sockets, and what ICMP says on them."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
from support import HAS_IPV6, Running, kernel_socket, refusal, wait_until
from udp_support import LOOPBACKS, SOON_MS, bound, free_port, local_port, plain, receive

import dryad_net as net

needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")
ip_of_both = pytest.mark.parametrize("ip", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])


def connected(ip: str, port: int) -> int:
    identifier = net.native_udp_socket()
    assert net.native_udp_connect(identifier, ip, port) is None
    return identifier


def assert_refused(function: Callable[..., Any], *args: Any) -> None:
    error = refusal(function, *args)
    assert (error.code, error.errno) == ("E5006", errno.ECONNREFUSED)
    assert isinstance(error, net.NetworkError)


@ip_of_both
def test_send_connected(ip: str) -> None:
    peer, port = bound(ip)
    ours = connected(ip, port)
    assert net.native_udp_get_local_addr(ours)["ip"] == ip
    for text in ("one", "dois é", ""):
        assert net.native_udp_send_connected(ours, text) == len(text.encode())
        assert receive(peer) == {"data": text, "ip": ip, "port": local_port(ours)}
    net.native_udp_send(peer, "back", ip, local_port(ours))
    assert receive(ours) == {"data": "back", "ip": ip, "port": port}


@ip_of_both
def test_only_the_peers_datagrams_are_received(ip: str) -> None:
    peer, port = bound(ip)
    ours = connected(ip, port)
    stranger, _port = bound(ip)
    net.native_udp_send(stranger, "not for you", ip, local_port(ours))
    net.native_udp_send(peer, "for you", ip, local_port(ours))
    assert receive(ours)["data"] == "for you"
    assert net.native_udp_recv(ours) is None


def test_send_connected_without_a_peer() -> None:
    ours, _port = bound()
    error = refusal(net.native_udp_send_connected, ours, "x")
    assert error.code == "E5006"
    assert "not connected" in str(error)


def test_connecting_does_not_send() -> None:
    with plain() as raw:
        ours = connected(*raw.getsockname())
        net.native_udp_send_connected(ours, "first")
        assert raw.recv(100) == b"first"


def test_a_connected_socket_can_be_bound_before() -> None:
    ours, port = bound()
    peer, peer_port = bound()
    net.native_udp_connect(ours, "127.0.0.1", peer_port)
    assert net.native_udp_send_connected(ours, "x") == 1
    assert receive(peer)["port"] == port


@pytest.mark.parametrize(
    "ips",
    [
        ("127.0.0.1", "127.0.0.1"),
        pytest.param(("::1", "::1"), marks=needs_ipv6),
        pytest.param(("127.0.0.1", "::1"), marks=needs_ipv6),
        pytest.param(("::1", "127.0.0.1"), marks=needs_ipv6),
    ],
    ids="-".join,
)
def test_another_peer_can_be_chosen(ips: tuple[str, str]) -> None:
    ours = net.native_udp_socket()
    first, first_port = bound(ips[0])
    second, second_port = bound(ips[1])
    net.native_udp_connect(ours, ips[0], first_port)
    net.native_udp_send_connected(ours, "one")
    assert receive(first)["data"] == "one"
    net.native_udp_connect(ours, ips[1], second_port)
    net.native_udp_send_connected(ours, "two")
    received = receive(second)
    assert received["data"] == "two"
    assert net.native_udp_recv(first) is None
    net.native_udp_send(second, "back", received["ip"], received["port"])
    assert receive(ours)["data"] == "back"


@pytest.mark.parametrize("ip", ["127.0.0.2", pytest.param("::1", marks=needs_ipv6)])
def test_an_address_that_was_bound_is_kept_from_peer_to_peer(ip: str) -> None:
    ours, port = bound(ip)
    own = net.native_udp_get_local_addr(ours)
    near, unreachable = ("::1", "fe80::1") if ip == "::1" else ("127.0.0.1", "255.255.255.255")
    net.native_udp_set_broadcast(ours, False)
    for _ in range(3):
        peer, peer_port = bound(near)
        net.native_udp_connect(ours, near, peer_port)
        net.native_udp_send_connected(ours, "x")
        assert receive(peer) == {"data": "x", "ip": ip, "port": port}
        # A peer that cannot be had does not open the socket to the network.
        refusal(net.native_udp_connect, ours, unreachable, 9)
        assert net.native_udp_get_local_addr(ours) == own


def test_connecting_to_a_name() -> None:
    peer, port = bound("")
    ours = connected("localhost", port)
    net.native_udp_send_connected(ours, "x")
    assert receive(peer)["ip"] in LOOPBACKS


# ---- ICMP


@ip_of_both
@pytest.mark.parametrize(
    "receiver",
    [
        lambda identifier: net.native_udp_recv(identifier),
        lambda identifier: net.native_udp_recv_bytes(identifier),
        lambda identifier: net.native_udp_recv_blocking(identifier, SOON_MS),
        lambda identifier: net.native_udp_recv_from(identifier, 10),
    ],
    ids=["recv", "recv_bytes", "recv_blocking", "recv_from"],
)
def test_nobody_there_is_said_once_by_a_receive(ip: str, receiver: Callable[[int], Any]) -> None:
    ours = connected(ip, free_port(ip))
    for _ in range(2):
        net.native_udp_send_connected(ours, "anybody?")
        with pytest.raises(net.NetworkError, match=r"^E5006 native_udp_recv\w*: .*refused") as caught:
            receiver(ours)
        assert caught.value.errno == errno.ECONNREFUSED
        assert net.native_udp_recv(ours) is None
        assert net.native_udp_recv_blocking(ours, 10) is None


@ip_of_both
def test_nobody_there_is_said_once_by_a_send(ip: str) -> None:
    ours = connected(ip, free_port(ip))
    for _ in range(3):
        assert net.native_udp_send_connected(ours, "x") == 1
        assert_refused(net.native_udp_send_connected, ours, "x")
    assert net.native_udp_recv(ours) is None


@ip_of_both
def test_the_socket_goes_on_working(ip: str) -> None:
    ours = connected(ip, free_port(ip))
    net.native_udp_send_connected(ours, "x")
    assert_refused(net.native_udp_recv, ours)
    peer, peer_port = bound(ip)
    net.native_udp_connect(ours, ip, peer_port)
    port = local_port(ours)
    for _ in range(3):
        assert net.native_udp_send_connected(ours, "now") == 3
        received = receive(peer)
        assert received == {"data": "now", "ip": ip, "port": port}
        net.native_udp_send(peer, "yes", ip, port)
        assert receive(ours)["data"] == "yes"


def test_the_peer_comes_later() -> None:
    port = free_port()
    ours = connected("127.0.0.1", port)
    net.native_udp_send_connected(ours, "x")
    assert_refused(net.native_udp_recv, ours)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.settimeout(10)
        raw.bind(("127.0.0.1", port))
        net.native_udp_send_connected(ours, "y")
        data, sender = raw.recvfrom(10)
        raw.sendto(data * 2, sender)
        assert receive(ours)["data"] == "yy"


@ip_of_both
def test_what_one_peer_refused_is_not_the_next_ones(ip: str) -> None:
    ours = connected(ip, free_port(ip))
    net.native_udp_send_connected(ours, "x")
    with kernel_socket(ours) as twin:  # poll(2) shows the error without taking it
        wait_until(lambda: select.select([twin], [], [], 0)[0])
    peer, peer_port = bound(ip)
    net.native_udp_connect(ours, ip, peer_port)
    assert net.native_udp_send_connected(ours, "hello") == 5
    assert receive(peer)["data"] == "hello"
    assert net.native_udp_recv(ours) is None


def test_a_waiting_receiver_is_told() -> None:
    ours = connected("127.0.0.1", free_port())
    waiting = Running(net.native_udp_recv_blocking, ours, -1).wait_asleep()
    net.native_udp_send_connected(ours, "x")
    with pytest.raises(net.NetworkError, match=r"^E5006 native_udp_recv_blocking: .*refused"):
        waiting.result()
    assert net.native_udp_recv(ours) is None


def test_what_came_before_is_not_lost() -> None:
    with plain() as raw:
        ours = connected(*raw.getsockname())
        raw.sendto(b"farewell", ("127.0.0.1", local_port(ours)))
    net.native_udp_send_connected(ours, "x")
    got, refusals = [], 0
    for _ in range(4):
        try:
            got.append(net.native_udp_recv(ours))
        except net.NetworkError:
            refusals += 1
    assert refusals == 1
    assert [each["data"] for each in got if each is not None] == ["farewell"]


def test_a_socket_that_is_not_connected_is_told_nothing() -> None:
    ours, port = bound()
    nobody = free_port()
    for _ in range(3):
        assert net.native_udp_send(ours, "x", "127.0.0.1", nobody) == 1
    assert net.native_udp_recv(ours) is None
    net.native_udp_send(ours, "y", "127.0.0.1", port)
    assert receive(ours)["data"] == "y"
