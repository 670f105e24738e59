"""Binding, sharing ports, buffers, multicast settings, statistics."""

from __future__ import annotations

import errno
import socket
import sys

import pytest
from support import HAS_IPV6, kernel_socket, refusal
from udp_support import bound, free_port, local_port, plain, receive

import dryad_net as net

STATS = {
    "bytes_sent": 0,
    "bytes_received": 0,
    "packets_sent": 0,
    "packets_received": 0,
    "packets_lost": 0,
    "packets_truncated": 0,
    "send_errors": 0,
}


def test_a_port_in_use() -> None:
    _ours, port = bound("")
    for function, arguments in (
        (net.native_udp_bind, [port]),
        (net.native_udp_bind_addr, ["0.0.0.0", port]),
        (net.native_udp_bind_addr, ["127.0.0.1", port]),
    ):
        second = net.native_udp_socket()
        error = refusal(function, second, *arguments)
        assert (error.code, error.errno) == ("E5006", errno.EADDRINUSE)
        assert "in use" in str(error)
        assert str(port) in str(error)
        # The socket is none the worse for it.
        net.native_udp_bind(second, 0)
        assert local_port(second) != port


def test_a_port_in_use_by_ipv4_alone() -> None:
    with plain() as raw:
        error = refusal(net.native_udp_bind, net.native_udp_socket(), raw.getsockname()[1])
        assert error.errno == errno.EADDRINUSE


def test_binding_twice() -> None:
    ours, port = bound("")
    for function, arguments in ((net.native_udp_bind, [0]), (net.native_udp_bind_addr, ["127.0.0.1", 0])):
        error = refusal(function, ours, *arguments)
        assert error.code == "E5006"
        assert "bound" in str(error)
    assert local_port(ours) == port
    net.native_udp_send(ours, "x", "127.0.0.1", port)
    assert receive(ours)["data"] == "x"


def test_a_closed_sockets_port_is_free_again() -> None:
    ours, port = bound("")
    net.native_udp_close(ours)
    second = net.native_udp_socket()
    net.native_udp_bind(second, port)
    assert local_port(second) == port


@pytest.mark.parametrize("share", [net.native_udp_set_reuseaddr, net.native_udp_set_reuseport])
def test_sharing_a_port(share: object) -> None:
    assert callable(share)
    first, second, third = (net.native_udp_socket() for _ in range(3))
    for identifier in (first, second):
        assert share(identifier, True) is None
    net.native_udp_bind(first, 0)
    port = local_port(first)
    net.native_udp_bind(second, port)
    assert local_port(second) == port
    # One that does not ask for it is not let in, nor one that has changed its mind.
    share(third, True)
    share(third, False)
    assert refusal(net.native_udp_bind, third, port).errno == errno.EADDRINUSE


@pytest.mark.skipif(sys.platform != "linux", reason="sharing out datagrams is Linux's SO_REUSEPORT")
def test_sockets_that_share_a_port_share_its_datagrams() -> None:
    first, second = net.native_udp_socket(), net.native_udp_socket()
    for identifier in (first, second):
        net.native_udp_set_reuseport(identifier, True)
    net.native_udp_bind(first, 0)
    net.native_udp_bind(second, local_port(first))
    for number in range(64):
        with plain() as raw:
            raw.sendto(str(number).encode(), ("127.0.0.1", local_port(first)))
    got: list[list[int]] = [[], []]
    for identifier, share in zip((first, second), got, strict=True):
        while (datagram := net.native_udp_recv(identifier)) is not None:
            share.append(int(datagram["data"]))
    assert sorted(got[0] + got[1]) == list(range(64))
    assert all(got)


@pytest.mark.parametrize(
    ("setter", "getter", "option"),
    [
        (net.native_udp_set_recv_buffer_size, net.native_udp_get_recv_buffer_size, socket.SO_RCVBUF),
        (net.native_udp_set_send_buffer_size, net.native_udp_get_send_buffer_size, socket.SO_SNDBUF),
    ],
)
def test_buffers(setter: object, getter: object, option: int) -> None:
    assert callable(setter)
    assert callable(getter)
    ours = net.native_udp_socket()
    before = getter(ours)
    assert type(before) is int
    assert before > 0
    for size in (16384, 32768, 100000.0):
        assert setter(ours, size) is None
        with kernel_socket(ours) as twin:
            assert getter(ours) == twin.getsockopt(socket.SOL_SOCKET, option) >= size
    for extreme in (1, 2**31 - 1):
        setter(ours, extreme)
        assert getter(ours) > 0


def test_multicast_settings() -> None:
    ours = net.native_udp_socket()
    four = (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL), (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP)
    six = (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS), (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP)
    with kernel_socket(ours) as twin:
        assert [twin.getsockopt(*four[0]), twin.getsockopt(*four[1])] == [1, 1]
        for ttl in (0, 1, 32, 255):
            assert net.native_udp_set_multicast_ttl(ours, ttl) is None
            assert twin.getsockopt(*four[0]) == ttl
            if HAS_IPV6:
                assert twin.getsockopt(*six[0]) == ttl
        for enable in (False, True):
            assert net.native_udp_set_multicast_loop(ours, enable) is None
            assert twin.getsockopt(*four[1]) == enable
            if HAS_IPV6:
                assert twin.getsockopt(*six[1]) == enable


def test_broadcast_setting() -> None:
    ours = net.native_udp_socket()
    with kernel_socket(ours) as twin:
        assert twin.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        for enable in (False, True):
            assert net.native_udp_set_broadcast(ours, enable) is None
            assert bool(twin.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)) is enable


def test_a_broadcast_that_is_switched_off() -> None:
    ours = net.native_udp_socket()
    net.native_udp_set_broadcast(ours, False)
    error = refusal(net.native_udp_broadcast, ours, "x", 9)
    assert (error.code, error.errno) == ("E5006", errno.EACCES)
    said = "broadcast is switched off (EACCES)"
    assert str(error) == f"E5006 native_udp_broadcast: 255.255.255.255:9: {said}"


def test_a_group_joined_twice_or_left_in_vain() -> None:
    ours = net.native_udp_socket()
    group = "239.1.2.3"
    for _ in range(2):
        error = refusal(net.native_udp_leave_multicast, ours, group)
        assert str(error) == f"E5006 native_udp_leave_multicast: {group}: not joined ({_name(error)})"
        net.native_udp_join_multicast(ours, group)
        error = refusal(net.native_udp_join_multicast, ours, group)
        assert str(error) == f"E5006 native_udp_join_multicast: {group}: joined already ({_name(error)})"
        net.native_udp_leave_multicast(ours, group)


def _name(error: net.DryadNetError) -> str:
    assert error.errno is not None
    return errno.errorcode[error.errno]


# ---- statistics


def test_statistics_count_what_goes_through() -> None:
    ours, port = bound()
    assert net.native_udp_get_stats(ours) == STATS
    peer = net.native_udp_socket()
    net.native_udp_send(peer, "12345", "127.0.0.1", port)
    net.native_udp_connect(peer, "127.0.0.1", port)
    net.native_udp_send_connected(peer, "é")
    net.native_udp_send_connected(peer, b"")
    net.native_udp_send_connected(peer, b"123456789")
    assert net.native_udp_get_stats(peer) == {**STATS, "bytes_sent": 16, "packets_sent": 4}
    # Not received before it has been read.
    assert net.native_udp_get_stats(ours) == STATS
    net.native_udp_recv(ours)
    net.native_udp_recv_bytes(ours)
    net.native_udp_recv_blocking(ours, 0)
    net.native_udp_recv_from(ours, 4)
    expected = {**STATS, "bytes_received": 11, "packets_received": 4, "packets_truncated": 1}
    assert net.native_udp_get_stats(ours) == expected
    assert net.native_udp_recv(ours) is None
    assert net.native_udp_recv_blocking(ours, 1) is None
    stats = net.native_udp_get_stats(ours)
    assert stats == expected
    assert all(type(value) is int for value in stats.values())


def test_send_errors_are_counted() -> None:
    ours, port = bound()
    refusal(net.native_udp_send, ours, b"x" * 65508, "127.0.0.1", port)
    refusal(net.native_udp_send, ours, b"x" * 70000, "127.0.0.1", port)
    assert net.native_udp_get_stats(ours) == {**STATS, "send_errors": 2}
    net.native_udp_connect(ours, "127.0.0.1", free_port())
    net.native_udp_send_connected(ours, "x")
    refusal(net.native_udp_send_connected, ours, "x")
    assert net.native_udp_get_stats(ours) == {**STATS, "send_errors": 3, "packets_sent": 1, "bytes_sent": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a socket's drops")
@pytest.mark.parametrize(
    "ip", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not HAS_IPV6, reason="IPv6"))]
)
def test_lost_datagrams_are_the_kernels_count(ip: str) -> None:
    ours, port = bound(ip)
    net.native_udp_set_recv_buffer_size(ours, 4096)
    out = net.native_udp_socket()
    sent = 0
    for round_size in (200, 1, 300):
        for _ in range(round_size):
            net.native_udp_send(out, b"x" * 200, ip, port)
        sent += round_size
        while net.native_udp_recv(ours) is not None:
            pass
        stats = net.native_udp_get_stats(ours)
        assert stats["packets_received"] + stats["packets_lost"] == sent
    assert 0 < stats["packets_received"] < sent
    assert net.native_udp_get_stats(out)["packets_sent"] == sent
    assert net.native_udp_get_stats(out)["packets_lost"] == 0
