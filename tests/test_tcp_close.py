"""Closing returns at once and loses nothing that was sent before."""

from __future__ import annotations

import gc
import socket
import struct
import time
from collections.abc import Callable

import pytest
from support import Link, Running, code_of, kernel_socket, plain_listener, read_exactly, read_to_end, wait_until

import dryad_net as net
from dryad_net import service
from dryad_net.stream import Connection

MIB = 1024 * 1024
DATA = bytes(range(256)) * (4 * MIB // 256 + 1)
Closer = Callable[[int, Link], None]
CLOSERS: dict[str, Closer] = {
    "close": lambda server, client: net.native_tcp_close(client.id),
    "kick": lambda server, client: net.native_tcp_kick_client(client.id),
    "stop": lambda server, client: net.native_tcp_stop_server(server),
}


@pytest.fixture(params=CLOSERS)
def closer(request: pytest.FixtureRequest) -> Closer:
    return CLOSERS[request.param]


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def send_by_broadcast(server: int, data: bytes) -> None:
    """Hand everything over at once; most of it is queued in the library."""
    assert net.native_tcp_broadcast(server, data) == 1


def test_a_slow_reader_gets_everything_and_a_clean_end(server: int, dial: Callable[..., Link], closer: Closer) -> None:
    client = dial(server, recv_buffer=65536)
    send_by_broadcast(server, DATA)
    assert timed(lambda: closer(server, client)) < 2
    assert code_of(net.native_tcp_send, client.id, b"x") == "E3029"
    assert read_to_end(client.raw, pause=0.001) == DATA


def test_sent_data_behind_a_send_that_returned(link: Link) -> None:
    net.native_tcp_set_send_buffer_size(link.id, 4 * MIB)
    net.native_tcp_set_timeout(link.id, 0)
    sent = net.native_tcp_send(link.id, DATA)
    assert sent > 0
    assert timed(lambda: net.native_tcp_close(link.id)) < 2
    assert read_to_end(link.raw, pause=0.001) == DATA[:sent]


def test_unread_input_does_not_become_a_reset(server: int, dial: Callable[..., Link], closer: Closer) -> None:
    client = dial(server)
    client.raw.sendall(b"never read " * 1000)
    wait_until(lambda: net.native_tcp_recv(client.id, 1))  # some of it in the library, the rest in the kernel
    send_by_broadcast(server, DATA)
    closer(server, client)
    assert read_to_end(client.raw) == DATA


def test_late_input_does_not_become_a_reset(server: int, dial: Callable[..., Link], closer: Closer) -> None:
    client = dial(server, recv_buffer=65536)
    send_by_broadcast(server, DATA)
    closer(server, client)
    received = bytearray()
    while part := client.raw.recv(65536):
        received += part
        client.raw.sendall(b"late input")
        time.sleep(0.0005)
    assert received == DATA


def test_a_peer_that_sends_much_before_it_reads(server: int, dial: Callable[..., Link]) -> None:
    """What it sends has to be taken off its hands, or it never comes to reading."""
    client = dial(server, recv_buffer=65536)
    client.raw.settimeout(8)
    send_by_broadcast(server, DATA)
    net.native_tcp_close(client.id)
    client.raw.sendall(bytes(64 * MIB))
    assert read_to_end(client.raw) == DATA


def test_input_that_goes_on_after_everything_was_delivered(link: Link) -> None:
    net.native_tcp_send(link.id, b"goodbye")
    net.native_tcp_close(link.id)
    for _ in range(50):
        link.raw.sendall(b"x" * 10_000)
    assert read_to_end(link.raw) == b"goodbye"
    link.raw.sendall(b"still here")
    link.raw.shutdown(socket.SHUT_WR)


def test_the_peers_end_came_before(link: Link) -> None:
    link.raw.sendall(b"unread")
    link.raw.shutdown(socket.SHUT_WR)
    wait_until(lambda: net.native_tcp_recv(link.id, 1) == "u")
    net.native_tcp_send(link.id, b"x" * 100_000)
    net.native_tcp_close(link.id)
    assert len(read_to_end(link.raw, pause=0.001, block=1000)) == 100_000


@pytest.mark.parametrize("read", [False, True])
def test_an_idle_connection_ends_cleanly(link: Link, read: bool) -> None:
    if read:
        assert net.native_tcp_recv(link.id, 10) is None
    assert timed(lambda: net.native_tcp_close(link.id)) < 2
    assert link.raw.recv(10) == b""


def test_a_peer_that_takes_nothing_does_not_hold_the_close_up(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server, recv_buffer=4096)
    send_by_broadcast(server, DATA)
    assert timed(lambda: net.native_tcp_close(client.id)) < 2
    assert timed(lambda: net.native_tcp_stop_server(server)) < 2


def test_everybody_gets_everything_when_the_server_stops(server: int, dial: Callable[..., Link]) -> None:
    clients = [dial(server, recv_buffer=65536) for _ in range(5)]
    assert net.native_tcp_broadcast(server, DATA) == 5
    assert timed(lambda: net.native_tcp_stop_server(server)) < 2
    readers = [Running(read_to_end, client.raw) for client in clients]
    assert all(reader.result() == DATA for reader in readers)
    for client in clients:
        assert not net.native_tcp_is_connected(client.id)


def test_the_port_is_free_again_after_stop(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server)
    port = net.native_tcp_get_local_addr(server)["port"]
    net.native_tcp_stop_server(server)
    again = net.native_tcp_listen(port)
    assert net.native_tcp_get_local_addr(again)["port"] == port
    assert client.raw.recv(1) == b""


def test_close_between_both_ends_in_the_library(pair: tuple[int, int]) -> None:
    own, accepted = pair
    assert net.native_tcp_send(own, DATA[:100_000]) == 100_000
    net.native_tcp_close(own)
    received = b""
    while net.native_tcp_is_connected(accepted):
        received += net.native_tcp_recv_bytes_blocking(accepted, 65536, 10_000) or b""
    assert received == DATA[:100_000]


# ---- SO_LINGER


def test_linger_of_zero_seconds_resets(link: Link) -> None:
    net.native_tcp_set_linger(link.id, True, 0)
    net.native_tcp_close(link.id)
    with pytest.raises(ConnectionResetError):
        link.raw.recv(10)


def test_a_server_hands_linger_on(server: int, dial: Callable[..., Link]) -> None:
    net.native_tcp_set_linger(server, True, 0)
    client = dial(server)
    net.native_tcp_kick_client(client.id)
    with pytest.raises(ConnectionResetError):
        client.raw.recv(10)


def test_linger_switched_off_again(link: Link) -> None:
    net.native_tcp_set_linger(link.id, True, 0)
    net.native_tcp_set_linger(link.id, False, 0)
    net.native_tcp_send(link.id, b"all of it")
    net.native_tcp_close(link.id)
    assert read_to_end(link.raw) == b"all of it"


def kernel_linger(identifier: int) -> tuple[bool, int]:
    """SO_LINGER (socket(7)) as the kernel has it."""
    with kernel_socket(identifier) as twin:
        value = twin.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.calcsize("ii"))
    enabled, seconds = struct.unpack("ii", value)
    return bool(enabled), seconds


def test_linger_with_seconds_delivers_and_does_not_wait(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server, recv_buffer=65536)
    net.native_tcp_set_linger(client.id, True, 8)
    # The background does the waiting; with the option on, every close(2) would, also that of the interpreter's exit.
    assert kernel_linger(client.id) == (False, 0)
    send_by_broadcast(server, DATA)
    assert timed(lambda: net.native_tcp_close(client.id)) < 2
    assert read_to_end(client.raw) == DATA


def test_the_kernel_knows_of_a_linger_that_resets_only(server: int, dial: Callable[..., Link]) -> None:
    net.native_tcp_set_linger(server, True, 0)
    assert kernel_linger(server) == (False, 0)  # accept(2) would hand it on behind the library's back
    client = dial(server)
    assert kernel_linger(client.id) == (True, 0)
    for enable, seconds, expected in ((True, 2**31 - 1, False), (True, 0, True), (False, 5, False), (True, 1, False)):
        net.native_tcp_set_linger(client.id, enable, seconds)
        assert kernel_linger(client.id)[0] is expected


def test_a_reset_by_the_peer_ends_the_background_work(server: int, dial: Callable[..., Link]) -> None:
    client = dial(server, recv_buffer=4096)
    send_by_broadcast(server, DATA)
    net.native_tcp_close(client.id)
    read_exactly(client.raw, 100)
    client.raw.close()  # with unread data: a reset; the descriptor check sees that the other end follows


def test_closing_says_nothing_about_a_broken_connection(link: Link) -> None:
    link.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.raw.close()
    assert net.native_tcp_close(link.id) is None
    assert code_of(net.native_tcp_recv, link.id, 1) == "E3029"


def test_a_reset_leaves_nothing_with_the_background(server: int, dial: Callable[..., Link]) -> None:
    """Its queue had been handed over; nothing will ever be ready on a descriptor that is gone."""
    client = dial(server, recv_buffer=65536)
    send_by_broadcast(server, DATA)
    wait_until(lambda: service.service.task_count() == 1)
    net.native_tcp_set_linger(client.id, True, 0)
    net.native_tcp_close(client.id)
    assert service.service.task_count() == 0


def test_closes_that_are_done_leave_nothing_behind() -> None:
    """The 10 s that they might have taken are no reason to keep them for so long."""
    closed: list[int] = []
    with plain_listener() as listening:
        for _ in range(5):
            closed.append(net.native_tcp_connect("127.0.0.1", listening.getsockname()[1]))
            with listening.accept()[0] as raw:
                net.native_tcp_close(closed[-1])
                assert not read_to_end(raw)

    def kept() -> int:
        # By its type: isinstance() asks a proxy for what it stands for, which may be gone.
        return sum(issubclass(type(each), Connection) and each.id in closed for each in gc.get_objects())

    # A native function may hold on to the connection that it was called with last.
    wait_until(lambda: kept() <= 1, 5)
