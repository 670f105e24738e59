"""No call spins, and the background thread sleeps when there is nothing to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support import Link, Running, fill

import dryad_net as net

MIB = 1024 * 1024


@contextmanager
def quiet() -> Iterator[None]:
    """At most half of the time that passes is spent computing, by all threads together."""
    begun, used = time.monotonic(), time.process_time()
    yield
    assert time.process_time() - used < 0.5 * (time.monotonic() - begun)


def test_waiting_calls(link: Link, server: int) -> None:
    link.raw.sendall(b"half a line, half a character \xe2\x82")
    net.native_tcp_set_timeout(link.id, 300)
    with quiet():
        assert net.native_tcp_recv_until(link.id, "\n") is None
    net.native_tcp_recv_all(link.id)
    with quiet():
        assert net.native_tcp_recv_blocking(link.id, 10, 300) is None
    with quiet():
        assert net.native_tcp_accept_blocking(server, 300) is None
    fill(link.id)
    net.native_tcp_set_timeout(link.id, 300)
    for size in (1, 100_000):
        sender = Running(lambda size=size: net.native_tcp_send(link.id, b"x" * size))
        with quiet():
            sender.join(5)


def test_a_queue_that_nobody_takes(server: int, dial: Callable[..., Link]) -> None:
    dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 1
    time.sleep(0.2)
    with quiet():
        time.sleep(0.4)


def test_a_close_that_is_not_finished(server: int, dial: Callable[..., Link]) -> None:
    clients = [dial(server, recv_buffer=4096) for _ in range(3)]
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 3
    clients[0].raw.shutdown(1)
    net.native_tcp_stop_server(server)
    time.sleep(0.2)
    with quiet():
        time.sleep(0.4)


def test_a_peer_that_stopped_sending_while_its_queue_waits(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 1
    client.raw.shutdown(1)
    time.sleep(0.2)
    with quiet():
        time.sleep(0.4)


def test_a_sender_that_waits_beside_a_queue(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 * MIB)) == 1
    sender = Running(net.native_tcp_send, client.id, b"x").wait_asleep()
    client.raw.shutdown(1)
    with quiet():
        time.sleep(0.4)
    net.native_tcp_close(client.id)
    with pytest.raises(net.IdError):
        sender.result()
