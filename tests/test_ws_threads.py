"""Threads: one receives while another sends, closing wakes everybody, and messages stay whole."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable

import pytest
from support import SOON, Running, code_of
from ws_support import BINARY, TEXT, Upgrade, WsLink, accept_of, opened, received, ws_port

import dryad_net as net
from dryad_net.table import table

MIB = 1 << 20


@pytest.mark.parametrize("waiting", [1, 3])
def test_closing_wakes_who_receives(ws: WsLink, waiting: int) -> None:
    threads = [Running(net.native_ws_recv_blocking, ws.id, ms).wait_asleep() for ms in (-1, None, 3_600_000)[:waiting]]
    begun = time.monotonic()
    net.native_ws_close(ws.id)
    assert time.monotonic() - begun < 2
    assert [thread.result() for thread in threads] == [None] * waiting


@pytest.mark.parametrize("stop", ["stop_server", "kick_client", "close_with"])
def test_any_way_of_closing_wakes(ws_server: int, ws_client: WsLink, stop: str) -> None:
    thread = Running(net.native_ws_recv_blocking, ws_client.id, -1).wait_asleep()
    if stop == "stop_server":
        net.native_ws_stop_server(ws_server)
    elif stop == "kick_client":
        net.native_ws_kick_client(ws_client.id)
    else:
        net.native_ws_close_with(ws_client.id, 4000, "bye")
    assert thread.result() is None


def test_closing_wakes_who_has_half_a_message(ws: WsLink) -> None:
    ws.peer.send(TEXT, b"half \xe2", fin=False)
    ws.peer.say(ws.peer.frame(0, b"\x82\xac")[:3])
    thread = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    net.native_ws_close(ws.id)
    assert thread.result() is None


def test_receiving_and_sending_at_the_same_time(ws: WsLink) -> None:
    def receive() -> list[str]:
        return [received(ws.id) for _ in range(2000)]

    def send() -> None:
        for number in range(2000):
            net.native_ws_send(ws.id, f"out {number}")

    def peer_reads() -> list[object]:
        return [ws.peer.message() for _ in range(2000)]

    receiver, sender, reader = Running(receive), Running(send), Running(peer_reads)
    for number in range(2000):
        ws.peer.text(f"in {number}")
    assert receiver.result() == [f"in {number}" for number in range(2000)]
    assert reader.result() == [f"out {number}" for number in range(2000)]
    sender.result()


@pytest.mark.parametrize("size", [1, 200, MIB])
def test_many_threads_send_whole_messages(ws: WsLink, size: int) -> None:
    rounds = 5 if size == MIB else 300
    letters = (b"a", b"b", b"c", b"d")

    def send(letter: bytes) -> None:
        for _ in range(rounds):
            net.native_ws_send_binary(ws.id, letter * size)

    threads = [Running(send, letter) for letter in letters]
    messages = [ws.peer.message() for _ in range(rounds * len(letters))]
    for thread in threads:
        thread.result()
    assert all(message == message[:1] * size for message in messages)
    assert sorted(message[:1] for message in messages) == sorted(letters * rounds)


def test_messages_of_many_frames_are_not_mixed(ws: WsLink) -> None:
    """Fragments of two messages must not be interleaved (RFC 6455, section 5.4)."""
    net.native_ws_set_max_frame_size(ws.id, 7)

    def send(letter: str) -> None:
        for _ in range(100):
            net.native_ws_send(ws.id, letter * 100)

    threads = [Running(send, letter) for letter in "ab"]
    messages = [ws.peer.message() for _ in range(200)]
    assert sorted(messages) == ["a" * 100] * 100 + ["b" * 100] * 100
    for thread in threads:
        thread.result()


def test_many_threads_receive_each_message_once(ws: WsLink) -> None:
    count = 5000

    def read() -> list[int]:
        found = []
        while (message := net.native_ws_recv_blocking(ws.id, -1)) is not None:
            found.append(int(message))
        return found

    readers = [Running(read) for _ in range(3)]
    for number in range(count):
        ws.peer.text(str(number))
    ws.peer.close()
    found = [reader.result() for reader in readers]
    assert sorted(number for each in found for number in each) == list(range(count))
    for each in found:  # what one thread reads is in order
        assert each == sorted(each)


def test_text_and_binary_in_two_threads(ws: WsLink) -> None:
    texts = Running(lambda: [received(ws.id) for _ in range(1000)])
    binaries = Running(lambda: [net.native_ws_recv_binary_blocking(ws.id, -1) for _ in range(1000)])
    for number in range(1000):
        ws.peer.text(str(number))
        ws.peer.send(BINARY, b"%d" % number)
    assert texts.result() == [str(number) for number in range(1000)]
    assert binaries.result() == [b"%d" % number for number in range(1000)]


def test_who_waits_for_text_does_not_hold_up_others(ws: WsLink) -> None:
    waiting = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    net.native_ws_send(ws.id, "out")
    assert ws.peer.message() == "out"
    assert net.native_ws_recv_binary(ws.id) is None
    assert net.native_ws_recv(ws.id) is None
    assert net.native_ws_get_state(ws.id) == "open"
    assert net.native_ws_is_connected(ws.id) is True
    ws.peer.send(BINARY, b"binary")
    assert net.native_ws_recv_binary_blocking(ws.id, int(SOON * 1000)) == b"binary"
    ws.peer.text("text")
    assert waiting.result() == "text"


def test_other_threads_run_while_one_waits(ws: WsLink) -> None:
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0)

    counter = Running(count)
    for wait in (
        lambda: net.native_ws_recv_blocking(ws.id, 200),
        lambda: net.native_ws_recv_binary_blocking(ws.id, 200),
    ):
        before = counted
        assert wait() is None
        assert counted - before > 100
    done.set()
    counter.result()


def test_many_connections_a_thread_each(ws_server: int) -> None:
    port = ws_port(ws_server)

    def client(number: int) -> bool:
        own = net.native_ws_connect(f"ws://127.0.0.1:{port}/{number}")
        for turn in range(50):
            net.native_ws_send(own, f"{number} {turn}")
            if received(own) != f"{number} {turn}":
                return False
        net.native_ws_close(own)
        return True

    def serve(accepted: int) -> None:
        while (message := net.native_ws_recv_blocking(accepted, -1)) is not None:
            net.native_ws_send(accepted, message)
        net.native_ws_close(accepted)

    clients = [Running(client, number) for number in range(12)]
    served = [Running(serve, accept_of(ws_server)) for _ in clients]
    assert all(each.result() for each in clients)
    for each in served:
        each.result()


def test_accepting_in_several_threads(ws_server: int) -> None:
    found: list[int] = []

    def accept() -> None:
        while len(found) < 40:
            identifier = net.native_ws_accept(ws_server)
            if identifier is None:
                time.sleep(0.001)
            else:
                found.append(identifier)

    threads = [Running(accept) for _ in range(4)]
    for _ in range(40):
        opened(net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/"))
    for thread in threads:
        thread.result()
    assert len(set(found)) == 40
    assert sorted(found) == sorted(net.native_ws_get_clients(ws_server))


def test_broadcasting_while_clients_come_and_go(ws_server: int, ws_dial: Upgrade) -> None:
    ended = threading.Event()

    def broadcast() -> int:
        count = 0
        while not ended.is_set():
            assert net.native_ws_broadcast(ws_server, "x" * 100) >= 0
            count += 1
        return count

    broadcasting = Running(broadcast)
    for turn in range(30):
        link = ws_dial(ws_server)
        assert link.peer.message() == "x" * 100
        if turn % 3 == 0:
            net.native_ws_close(link.id)
        elif turn % 3 == 1:
            net.native_ws_kick_client(link.id)
        link.peer.hang_up()
    ended.set()
    assert broadcasting.result() > 0


def test_use_and_close_at_the_same_time(ws_server: int, ws_dial: Upgrade) -> None:
    """Whatever comes first: a documented answer, and no descriptor of somebody else's is touched."""
    for turn in range(20):
        link = ws_dial(ws_server)

        def use(identifier: int = link.id, turn: int = turn) -> str | None:
            try:
                while True:
                    net.native_ws_send(identifier, "x" * 1000 * turn)
                    net.native_ws_recv(identifier)
                    net.native_ws_recv_blocking(identifier, 1)
                    net.native_ws_ping(identifier)
                    net.native_ws_client_info(identifier)
            except net.DryadNetError as error:
                return error.code

        def read(peer: object = link.peer) -> None:
            while peer.read() is not None:  # type: ignore[attr-defined]
                pass

        reader = Running(read)
        threads = [Running(use) for _ in range(2)]
        time.sleep(0.002 * (turn % 5))
        (net.native_ws_close if turn % 2 else net.native_ws_kick_client)(link.id)
        assert [thread.result() for thread in threads] == ["E3029", "E3029"]
        link.peer.raw.shutdown(1)
        reader.result()


def test_closing_from_many_threads_at_once(ws_server: int, ws_dial: Upgrade) -> None:
    closers: list[Callable[[int], object]] = [
        net.native_ws_close,
        net.native_ws_kick_client,
        lambda identifier: net.native_ws_close_with(identifier, 4000, ""),
        net.native_ws_get_state,
    ]
    for _ in range(10):
        link = ws_dial(ws_server)
        net.native_ws_send(link.id, "before")
        barrier = threading.Barrier(len(closers))

        def close(
            closer: Callable[[int], object], identifier: int = link.id, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait(SOON)
            closer(identifier)

        threads = [Running(close, closer) for closer in closers]
        assert link.peer.message() == "before"
        assert link.peer.answer_close()[0] in (1000, 1008, 4000)
        for thread in threads:
            thread.result()
        assert code_of(net.native_ws_recv, link.id) == "E3029"


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half looks and waits without letting others in between")
def test_what_the_background_reads_just_before_a_wait(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is read after the call has looked, and before it waits, is not waited for."""
    connection = table.objects[ws.id]
    wait = type(connection)._wait

    def late(self: object, *args: object) -> bool:
        monkeypatch.undo()
        ws.peer.text("x")
        select.select([connection.fileno()], [], [], SOON)
        Running(connection.serve).result()
        return bool(wait(self, *args))

    monkeypatch.setattr(type(connection), "_wait", late)
    assert received(ws.id) == "x"
