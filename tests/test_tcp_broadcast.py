"""Broadcast: to everybody, waiting for nobody, in order with everything else."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from support import Link, Running, arrived, code_of, fill, read_exactly, read_to_end, refusal, reset, wait_until

import dryad_net as net

MIB = 1024 * 1024
Dial = Callable[..., Link]


def test_everybody_gets_it(server: int, dial: Dial) -> None:
    clients = [dial(server) for _ in range(20)]
    assert net.native_tcp_broadcast(server, "to all: é") == 20
    assert net.native_tcp_broadcast(server, [1, 2.0, 255]) == 20
    expected = "to all: é".encode() + b"\1\2\xff"
    assert all(read_exactly(client.raw, len(expected)) == expected for client in clients)


def test_nobody_there(server: int) -> None:
    assert net.native_tcp_broadcast(server, b"anybody?") == 0


def test_only_accepted_clients_get_it(server: int, dial: Dial, plain_sockets: list[socket.socket]) -> None:
    accepted = dial(server)
    port = net.native_tcp_get_local_addr(server)["port"]
    waiting = socket.create_connection(("127.0.0.1", port), 10)
    plain_sockets.append(waiting)
    assert net.native_tcp_broadcast(server, b"one") == 1
    assert net.native_tcp_accept_blocking(server, 10_000) is not None
    assert net.native_tcp_broadcast(server, b"two") == 2
    assert read_exactly(accepted.raw, 6) == b"onetwo"
    assert read_exactly(waiting, 3) == b"two"


def test_servers_do_not_mix(server: int, dial: Dial) -> None:
    other = net.native_tcp_listen(0)
    here, there = dial(server), dial(other)
    assert net.native_tcp_broadcast(server, b"here") == 1
    assert net.native_tcp_broadcast(other, b"there") == 1
    assert read_exactly(here.raw, 4) == b"here"
    assert read_exactly(there.raw, 5) == b"there"


def test_own_connections_get_nothing(server: int, pair: tuple[int, int], link: Link) -> None:
    own, _accepted = pair
    assert net.native_tcp_broadcast(server, b"x") == 1
    assert net.native_tcp_recv_blocking(own, 10, 10_000) == "x"
    net.native_tcp_close(link.id)
    assert read_to_end(link.raw) == b""


def test_in_order_with_send(server: int, dial: Dial) -> None:
    """Whatever the kernel takes at once and whatever is queued."""
    client = dial(server, recv_buffer=65536)
    expected = bytearray()
    reader = Running(read_to_end, client.raw, 0.0005, 65536)
    for number in range(60):
        piece = bytes([number]) * (1 if number % 3 else 300_000)
        if number % 2:
            assert net.native_tcp_send(client.id, piece) == len(piece)
        else:
            assert net.native_tcp_broadcast(server, piece) == 1
        expected += piece
    net.native_tcp_close(client.id)
    assert reader.result() == expected


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_send_behind_a_queue_is_sent_behind_it(server: int, dial: Dial, size: int) -> None:
    client = dial(server, recv_buffer=65536)
    net.native_tcp_set_send_buffer_size(client.id, 65536)
    assert net.native_tcp_broadcast(server, b"q" * (4 * MIB)) == 1
    net.native_tcp_set_timeout(client.id, 0)
    assert code_of(net.native_tcp_send, client.id, b"s" * size) == "E5007"
    net.native_tcp_set_timeout(client.id, -1)
    sender = Running(net.native_tcp_send, client.id, b"s" * size)
    assert read_exactly(client.raw, 4 * MIB + size) == b"q" * (4 * MIB) + b"s" * size
    assert sender.result() == size


def test_a_broadcast_does_not_cut_a_send_in_two(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=65536)
    net.native_tcp_set_send_buffer_size(client.id, 65536)
    net.native_tcp_set_timeout(client.id, -1)
    sender = Running(net.native_tcp_send, client.id, b"s" * (4 * MIB)).wait_asleep()
    assert net.native_tcp_broadcast(server, b"b" * 1000) == 1
    received = read_exactly(client.raw, 4 * MIB + 1000)
    assert sender.result() == 4 * MIB
    assert received.strip(b"s") == b"b" * 1000
    assert received.index(b"b") in (0, 4 * MIB)


def test_a_slow_client_delays_nobody(server: int, dial: Dial) -> None:
    slow, quick = dial(server, recv_buffer=4096), dial(server)
    net.native_tcp_set_timeout(server, -1)
    reader = Running(read_exactly, quick.raw, 10 * MIB)
    begun = time.monotonic()
    for _ in range(10):
        assert net.native_tcp_broadcast(server, b"x" * MIB) == 2
    assert time.monotonic() - begun < 5
    assert len(reader.result()) == 10 * MIB
    # It gets everything too, in its own time and without any call of ours.
    assert len(read_exactly(slow.raw, 10 * MIB)) == 10 * MIB


def test_what_is_queued_goes_out_while_the_script_does_something_else(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=65536)
    data = bytes(range(256)) * (8 * MIB // 256)
    for start in range(0, len(data), 100_000):
        assert net.native_tcp_broadcast(server, data[start : start + 100_000]) == 1
    assert read_exactly(client.raw, len(data)) == data


def test_over_the_limit_a_client_is_dropped(server: int, dial: Dial) -> None:
    slow, quick = dial(server, recv_buffer=4096), dial(server)
    net.native_tcp_set_send_buffer_size(slow.id, 65536)
    reached = []
    for _ in range(24):
        reached.append(net.native_tcp_broadcast(server, b"x" * MIB))
        read_exactly(quick.raw, MIB)
    assert reached == sorted(reached, reverse=True)
    assert reached[:14] == [2] * 14
    assert reached[-1] == 1
    assert not net.native_tcp_is_connected(slow.id)
    assert net.native_tcp_get_clients(server) == [quick.id]
    error = refusal(net.native_tcp_recv, slow.id, 10)
    assert error.code == "E5006"
    assert "dropped" in str(error)
    assert net.native_tcp_recv(slow.id, 10) is None
    assert net.native_tcp_recv_blocking(slow.id, 10, -1) is None
    assert code_of(net.native_tcp_send, slow.id, b"x") == "E5006"


def test_one_broadcast_over_the_limit(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=4096)
    net.native_tcp_set_send_buffer_size(client.id, 65536)
    assert net.native_tcp_broadcast(server, bytes(20 * MIB)) == 0
    assert code_of(net.native_tcp_send, client.id, b"x") == "E5006"
    assert net.native_tcp_recv(client.id, 10) is None
    assert net.native_tcp_broadcast(server, b"x") == 0


def test_what_a_dropped_client_sent_before_stays_readable(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=4096)
    client.raw.sendall(b"before")
    assert net.native_tcp_recv_blocking(client.id, 1, 10_000) == "b"
    net.native_tcp_set_send_buffer_size(client.id, 65536)
    assert net.native_tcp_broadcast(server, bytes(20 * MIB)) == 0
    received = ""
    while net.native_tcp_is_connected(client.id):
        received += net.native_tcp_recv(client.id, 100) or ""
    assert received == "efore"
    assert code_of(net.native_tcp_recv, client.id, 1) == "E5006"


def test_clients_that_are_gone_do_not_count(server: int, dial: Dial) -> None:
    stays, closed, broken, kicked = (dial(server) for _ in range(4))
    closed.raw.close()
    reset(broken.raw)
    net.native_tcp_kick_client(kicked.id)
    wait_until(lambda: arrived(closed.id) and arrived(broken.id))
    for _ in range(3):
        assert net.native_tcp_broadcast(server, b"x") == 1
    assert read_exactly(stays.raw, 3) == b"xxx"


def test_a_client_that_goes_away_with_a_queue(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 1
    client.raw.close()  # with unread data: a reset
    wait_until(lambda: arrived(client.id))
    assert net.native_tcp_broadcast(server, b"x") == 0
    assert code_of(net.native_tcp_send, client.id, b"x") == "E5006"


def test_broadcast_ignores_the_timeout(server: int, dial: Dial) -> None:
    client = dial(server)
    filled = fill(client.id)
    for ms in (0, -1):
        net.native_tcp_set_timeout(client.id, ms)
        begun = time.monotonic()
        assert net.native_tcp_broadcast(server, b"late") == 1
        assert time.monotonic() - begun < 5
    assert read_exactly(client.raw, filled + 8).endswith(b"latelate")


def test_receiving_goes_on_beside_a_queue(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 1
    client.raw.sendall(b"line\n")
    assert net.native_tcp_recv_until(client.id, "\n") == "line\n"
    assert read_exactly(client.raw, 4 * MIB) == bytes(4 * MIB)
