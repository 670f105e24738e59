"""Datagrams that the compiled half reads ahead: order, senders, cutting and counting stay right."""

from __future__ import annotations

import socket
import sys

from support import Running, wait_until

import dryad_net as net


def opened() -> tuple[int, int]:
    ours = net.native_udp_socket()
    net.native_udp_bind_addr(ours, "127.0.0.1", 0)
    return ours, int(net.native_udp_get_local_addr(ours)["port"])


def test_order_senders_and_counts_of_many() -> None:
    ours, port = opened()
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for sender in (one, two):
            sender.bind(("127.0.0.1", 0))
        for number in range(100):
            (one if number % 3 else two).sendto(b"%d" % number, ("127.0.0.1", port))
        for number in range(100):
            received = net.native_udp_recv_blocking(ours, 5000)
            assert received == {
                "data": str(number),
                "ip": "127.0.0.1",
                "port": (one if number % 3 else two).getsockname()[1],
            }
            assert net.native_udp_get_stats(ours)["packets_received"] == number + 1
        assert net.native_udp_recv(ours) is None
    assert net.native_udp_get_stats(ours)["bytes_received"] == sum(len(str(number)) for number in range(100))
    net.native_udp_close(ours)


def test_what_was_read_ahead_is_cut_as_it_is_asked_for() -> None:
    ours, port = opened()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for size in (1, 20_000, 0, 3) * 5:
            sender.sendto(b"x" * size, ("127.0.0.1", port))
        sizes = []
        for number in range(20):
            received = net.native_udp_recv_from(ours, 2) if number % 2 else net.native_udp_recv_bytes(ours)
            assert received is not None
            sizes.append(len(received["data"]))
    assert sizes == [1, 2, 0, 2] * 5
    stats = net.native_udp_get_stats(ours)
    assert (stats["packets_truncated"], stats["bytes_received"]) == (10, 25)
    net.native_udp_close(ours)


def test_closing_lets_go_of_what_was_read_ahead() -> None:
    for _ in range(20):
        ours, port = opened()
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for _ in range(10):
                sender.sendto(b"x" * 5_000, ("127.0.0.1", port))
            for _ in range(6):
                assert net.native_udp_recv(ours) is not None
        net.native_udp_close(ours)


def test_an_error_of_the_network_between_datagrams_is_said_once() -> None:
    ours, port = opened()
    peer = socket.socket(type=socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer_port = peer.getsockname()[1]
    net.native_udp_connect(ours, "127.0.0.1", peer_port)
    for number in range(12):
        peer.sendto(b"%d" % number, ("127.0.0.1", port))
    got = [net.native_udp_recv_blocking(ours, 5000) for _ in range(6)]
    peer.close()
    net.native_udp_send_connected(ours, "anybody?")
    errors = []

    def rest() -> bool:
        try:
            received = net.native_udp_recv(ours)
        except net.NetworkError as error:
            errors.append(error)
        else:
            if received is not None:
                got.append(received)
        return len(got) == 12 and len(errors) == 1

    wait_until(rest)
    assert [received["data"] for received in got if received] == [str(number) for number in range(12)]
    assert net.native_udp_recv(ours) is None
    net.native_udp_close(ours)


def test_many_after_a_peer_that_answers() -> None:
    """Reading ahead, which is in vain there, begins again when there is more."""
    ours, port = opened()
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        net.native_udp_connect(ours, *peer.getsockname())
        for number in range(300):
            net.native_udp_send_connected(ours, b"%d" % number)
            peer.sendto(peer.recv(100), ("127.0.0.1", port))
            received = net.native_udp_recv_blocking(ours, 5000)
            assert received is not None
            assert received["data"] == str(number)
        for number in range(200):
            peer.sendto(b"%d" % number, ("127.0.0.1", port))
        for number in range(200):
            received = net.native_udp_recv(ours)
            assert received is not None
            assert received["data"] == str(number)
        assert net.native_udp_recv(ours) is None
    net.native_udp_close(ours)


def test_who_waits_on_many_sees_what_was_read_ahead() -> None:
    ours, port = opened()
    assert net.native_net_wait([ours], 0) == []
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for number in range(10):
            sender.sendto(b"%d" % number, ("127.0.0.1", port))
    for number in range(10):
        # Every second one without having been told: what the last wait said is not what the next one knows.
        if number % 2:
            assert net.native_net_wait([ours], 5000) == [ours]
        received = net.native_udp_recv(ours)
        assert received is not None
        assert received["data"] == str(number)
    assert net.native_net_wait([ours], 0) == []
    net.native_udp_close(ours)


def test_nothing_is_read_ahead_of_who_waits() -> None:
    """It would wait for what is there, or be given what came later."""
    ours, port = opened()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"first", ("127.0.0.1", port))
        assert net.native_udp_recv_blocking(ours, 5000) is not None
        waiting = Running(net.native_udp_recv_blocking, ours, 20_000).wait_asleep()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1)
        for number in range(12):
            sender.sendto(b"%02d" % number, ("127.0.0.1", port))
        received = [net.native_udp_recv(ours) for _ in range(6)]
        sys.setswitchinterval(interval)
        received.append(waiting.result())
        received += [net.native_udp_recv(ours) for _ in range(5)]
    assert sorted(each["data"] for each in received if each is not None) == [f"{number:02}" for number in range(12)]
    assert [each["data"] for each in received[-5:] if each is not None] == ["07", "08", "09", "10", "11"]
    net.native_udp_close(ours)
