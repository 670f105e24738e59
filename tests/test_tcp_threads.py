"""Threads: closing wakes, sends are not cut in two, and while one waits the others run."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support import SOON, Link, Running, code_of, fill, kernel_socket, port_of, read_exactly, read_to_end

import dryad_net as net
from dryad_net.options import Inherited
from dryad_net.stream import Connection
from dryad_net.table import table

MIB = 1024 * 1024
WAITS: dict[str, Callable[[int], object]] = {
    "recv_blocking": lambda identifier: net.native_tcp_recv_blocking(identifier, 10, -1),
    "recv_bytes_blocking": lambda identifier: net.native_tcp_recv_bytes_blocking(identifier, 10, None),
    "recv_until": lambda identifier: net.native_tcp_recv_until(identifier, "\n"),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("waiting", [1, 3])
def test_closing_wakes_who_receives(link: Link, name: str, waiting: int) -> None:
    net.native_tcp_set_timeout(link.id, -1)
    threads = [Running(WAITS[name], link.id).wait_asleep() for _ in range(waiting)]
    begun = time.monotonic()
    net.native_tcp_close(link.id)
    assert time.monotonic() - begun < 2
    assert [thread.result() for thread in threads] == [None] * waiting
    assert time.monotonic() - begun < 5
    assert code_of(net.native_tcp_recv, link.id, 1) == "E3029"


def test_closing_wakes_who_waits_with_a_long_timeout(link: Link) -> None:
    thread = Running(net.native_tcp_recv_blocking, link.id, 10, 3_600_000).wait_asleep()
    net.native_tcp_close(link.id)
    assert thread.result() is None


def test_closing_wakes_who_has_half_a_line(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, -1)
    link.raw.sendall(b"half a line\xe2")
    thread = Running(net.native_tcp_recv_until, link.id, "\n").wait_asleep()
    net.native_tcp_close(link.id)
    assert thread.result() is None


@pytest.mark.parametrize("waiting", [1, 3])
def test_closing_wakes_who_sends(link: Link, waiting: int) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, -1)
    threads = [Running(code_of, net.native_tcp_send, link.id, b"x" * MIB).wait_asleep() for _ in range(waiting)]
    begun = time.monotonic()
    net.native_tcp_close(link.id)
    assert time.monotonic() - begun < 2
    assert [thread.result() for thread in threads] == ["E3029"] * waiting


def test_closing_wakes_sender_and_receiver(link: Link) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, -1)
    sender = Running(code_of, net.native_tcp_send, link.id, b"x").wait_asleep()
    receiver = Running(net.native_tcp_recv_blocking, link.id, 10, -1).wait_asleep()
    net.native_tcp_close(link.id)
    assert (sender.result(), receiver.result()) == ("E3029", None)


@pytest.mark.parametrize("stop", ["stop_server", "kick_client"])
def test_a_kicked_client_is_woken(server: int, dial: Callable[..., Link], stop: str) -> None:
    client = dial(server)
    thread = Running(net.native_tcp_recv_blocking, client.id, 10, -1).wait_asleep()
    if stop == "stop_server":
        net.native_tcp_stop_server(server)
    else:
        net.native_tcp_kick_client(client.id)
    assert thread.result() is None


def test_stopping_in_the_middle_of_an_accept(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that had waited: null, and not the ID of a client that is closed already."""
    apply = Inherited.apply

    def stopped_meanwhile(inherited: Inherited, client: Connection) -> None:
        Running(net.native_tcp_stop_server, server).result()
        apply(inherited, client)

    monkeypatch.setattr(Inherited, "apply", stopped_meanwhile)
    with socket.create_connection(("127.0.0.1", port_of(server)), SOON) as raw:
        assert net.native_tcp_accept_blocking(server, -1) is None
        assert raw.recv(1) == b""
    assert not table.objects


def test_setting_an_option_in_the_middle_of_an_accept(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the server, by another thread: the client has the options that were set before, at least."""
    net.native_tcp_set_nodelay(server, True)
    set_option = Connection.set_option

    def set_another(client: Connection, *option: int) -> None:
        Running(net.native_tcp_set_keepalive, server, True).result()
        set_option(client, *option)

    monkeypatch.setattr(Connection, "set_option", set_another)
    with socket.create_connection(("127.0.0.1", port_of(server)), SOON):
        client = net.native_tcp_accept_blocking(server, -1)
        with kernel_socket(client) as twin:
            assert twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("size", [1, 100, MIB])
def test_two_threads_do_not_cut_each_others_sends(link: Link, size: int) -> None:
    net.native_tcp_set_send_buffer_size(link.id, 65536)
    rounds = 5 if size == MIB else 300
    letters = (b"a", b"b", b"c")

    def send(letter: bytes) -> None:
        for _ in range(rounds):
            assert net.native_tcp_send(link.id, letter * size) == size

    threads = [Running(send, letter) for letter in letters]
    received = read_exactly(link.raw, len(letters) * rounds * size)
    for thread in threads:
        thread.result()
    messages = [received[start : start + size] for start in range(0, len(received), size)]
    assert all(message == message[:1] * size for message in messages)
    assert sorted(message[:1] for message in messages) == sorted(letters * rounds)


@pytest.fixture
def one_thread_for_long() -> Iterator[None]:
    """Who has the GIL keeps it until it waits."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("way", ["send", "broadcast"])
@pytest.mark.usefixtures("one_thread_for_long")
def test_who_has_waited_for_its_turn_has_it(server: int, dial: Callable[..., Link], way: str) -> None:
    """Also while it waits for the GIL, and the other thread, done with its own, sends on."""
    link = dial(server, recv_buffer=65536)
    net.native_tcp_set_send_buffer_size(link.id, 65536)

    def send_twice() -> None:
        assert net.native_tcp_send(link.id, b"a" * MIB) == MIB
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
        if way == "send":
            assert net.native_tcp_send(link.id, b"c" * 60_000) == 60_000
        else:
            assert net.native_tcp_broadcast(server, b"c" * 1000) == 1
            assert net.native_tcp_send(link.id, b"d" * MIB) == MIB

    first = Running(send_twice).wait_asleep()
    second = Running(net.native_tcp_send, link.id, b"b" * MIB).wait_asleep()
    received = bytearray()
    wanted = 2 * MIB + 60_000 if way == "send" else 3 * MIB + 1000
    while len(received) < wanted:
        received += link.raw.recv(20_000)
    first.result()
    assert second.result() == MIB
    runs = [letter for letter, _same in itertools.groupby(bytes(received[::100]))]
    assert len(runs) == len(set(runs)), bytes(runs)


def test_a_send_that_gets_no_turn_in_time(link: Link) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, -1)
    first = Running(net.native_tcp_send, link.id, b"first" * 100_000).wait_asleep()
    for ms in (0, 50):
        net.native_tcp_set_timeout(link.id, ms)
        assert code_of(net.native_tcp_send, link.id, b"second") == "E5007"
    net.native_tcp_close(link.id)
    with pytest.raises(net.IdError):
        first.result()


def test_two_threads_reading_lose_nothing(link: Link) -> None:
    sent = b"".join(b"%07d." % number for number in range(50_000))

    def read() -> list[bytes]:
        parts = []
        while net.native_tcp_is_connected(link.id):
            part = net.native_tcp_recv_bytes_blocking(link.id, 1000, 10_000)
            if part:
                parts.append(part)
        return parts

    readers = [Running(read) for _ in range(3)]
    link.raw.sendall(sent)
    link.raw.close()
    parts = [part for reader in readers for part in reader.result()]
    assert sum(map(len, parts)) == len(sent)
    assert sorted(b"".join(parts)) == sorted(sent)


def test_two_threads_reading_lines_get_whole_lines(link: Link) -> None:
    lines = [f"{number}:{'x' * (number % 200)}\n" for number in range(20_000)]

    def read() -> list[str]:
        found = []
        while (line := net.native_tcp_recv_until(link.id, "\n")) is not None:
            found.append(line)
        return found

    readers = [Running(read) for _ in range(3)]
    link.raw.sendall("".join(lines).encode())
    link.raw.close()
    found = [reader.result() for reader in readers]
    assert sorted(line for each in found for line in each) == sorted(lines)
    for each in found:  # what one thread reads is in order
        numbers = [int(line.partition(":")[0]) for line in each]
        assert numbers == sorted(numbers)


def test_a_reader_does_not_hold_a_sender_up(link: Link) -> None:
    reader = Running(net.native_tcp_recv_blocking, link.id, 100, -1).wait_asleep()
    assert net.native_tcp_send(link.id, b"ping") == 4
    assert read_exactly(link.raw, 4) == b"ping"
    assert net.native_tcp_recv(link.id, 100) is None
    assert net.native_tcp_recv_all(link.id) == ""
    assert net.native_tcp_is_connected(link.id)
    link.raw.sendall(b"pong")
    assert reader.result() == "pong"


def test_other_threads_run_while_one_waits(link: Link, server: int) -> None:
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0)

    counter = Running(count)
    net.native_tcp_set_timeout(link.id, 200)
    for wait in (
        lambda: net.native_tcp_recv_blocking(link.id, 10, 200),
        lambda: net.native_tcp_recv_until(link.id, "\n"),
        lambda: net.native_tcp_accept_blocking(server, 200),
    ):
        before = counted
        assert wait() is None
        assert counted - before > 100
    done.set()
    counter.result()


def test_many_threads_with_a_connection_each(server: int) -> None:
    port = port_of(server)

    def client(number: int) -> bool:
        own = net.native_tcp_connect("127.0.0.1", port)
        for turn in range(50):
            net.native_tcp_send(own, f"{number} {turn}\n")
            if net.native_tcp_recv_until(own, "\n") != f"{number} {turn}\n":
                return False
        net.native_tcp_close(own)
        return True

    def serve(accepted: int) -> None:
        while (line := net.native_tcp_recv_until(accepted, "\n")) is not None:
            net.native_tcp_send(accepted, line)
        net.native_tcp_close(accepted)

    clients = [Running(client, number) for number in range(12)]
    served = [Running(serve, net.native_tcp_accept_blocking(server, int(SOON * 1000))) for _ in clients]
    assert all(each.result() for each in clients)
    for each in served:
        each.result()


def test_accepting_in_several_threads(server: int) -> None:
    threads = [Running(net.native_tcp_accept_blocking, server, -1).wait_asleep() for _ in range(4)]
    for _ in threads:
        net.native_tcp_connect("127.0.0.1", port_of(server))
    accepted = [thread.result() for thread in threads]
    assert len(set(accepted)) == 4
    assert sorted(accepted) == sorted(net.native_tcp_get_clients(server))


def test_closing_from_many_threads_at_once(server: int, dial: Callable[..., Link]) -> None:
    for _ in range(10):
        client = dial(server)
        assert net.native_tcp_broadcast(server, b"x" * 100_000) == 1
        barrier = threading.Barrier(4)

        def close(identifier: int = client.id, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(SOON)
            net.native_tcp_close(identifier)

        threads = [Running(close) for _ in range(4)]
        assert len(read_to_end(client.raw)) == 100_000
        for thread in threads:
            thread.result()


def test_use_and_close_at_the_same_time(server: int, dial: Callable[..., Link]) -> None:
    """Whatever comes first: a documented answer, and no descriptor of somebody else's is touched."""
    for turn in range(20):
        client = dial(server)

        def use(identifier: int = client.id, turn: int = turn) -> str | None:
            try:
                while True:
                    net.native_tcp_send(identifier, b"x" * 1000 * turn)
                    net.native_tcp_recv(identifier, 10)
                    net.native_tcp_recv_blocking(identifier, 10, 1)
                    net.native_tcp_is_connected(identifier)
                    net.native_tcp_get_local_addr(identifier)
            except net.DryadNetError as error:
                return error.code

        reader = Running(read_to_end, client.raw)
        threads = [Running(use) for _ in range(2)]
        time.sleep(0.002 * (turn % 5))
        net.native_tcp_close(client.id)
        assert [thread.result() for thread in threads] == ["E3029", "E3029"]
        reader.result()


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half looks and waits without letting others in between")
def test_what_another_thread_leaves_just_before_a_wait(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read and left after the call has looked, and before it waits, is not waited for."""
    connection = table.objects[link.id]
    wait = type(connection)._wait

    def late(self: object, *args: object) -> bool:
        monkeypatch.undo()
        link.raw.sendall(b"line\nrest")
        assert Running(net.native_tcp_recv_until, link.id, "\n").result() == "line\n"
        return bool(wait(self, *args))

    monkeypatch.setattr(type(connection), "_wait", late)
    assert net.native_tcp_recv_blocking(link.id, 100, int(SOON * 1000)) == "rest"
