"""Timeouts, waking, threads that share a socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import SOON, Running, code_of, refusal, wait_until
from udp_support import SOON_MS, bound

import dryad_net as net


def by_timeout(identifier: int, ms: int | float | None) -> Any:
    """recv_from within a timeout."""
    net.native_udp_set_timeout(identifier, ms)
    return net.native_udp_recv_from(identifier, 100)


waits = pytest.mark.parametrize("receive", [net.native_udp_recv_blocking, by_timeout])


@waits
def test_zero_does_not_wait(receive: Callable[..., Any]) -> None:
    ours, port = bound()
    assert receive(ours, 0) is None
    net.native_udp_send(ours, "x", "127.0.0.1", port)
    assert receive(ours, 0) == {"data": "x", "ip": "127.0.0.1", "port": port}
    assert receive(ours, 0) is None


@waits
@pytest.mark.parametrize("ms", [1, 10, 150])
def test_null_when_the_time_is_up(receive: Callable[..., Any], ms: int) -> None:
    ours, _port = bound()
    begin = time.monotonic()
    assert receive(ours, ms) is None
    assert ms / 1000 * 0.9 <= time.monotonic() - begin < SOON


@waits
@pytest.mark.parametrize("ms", [-1, None, -1.0, SOON_MS])
def test_waiting_ends_when_a_datagram_comes(receive: Callable[..., Any], ms: float | None) -> None:
    ours, port = bound()
    waiting = Running(receive, ours, ms).wait_asleep()
    begin = time.monotonic()
    net.native_udp_send(net.native_udp_socket(), "at last", "127.0.0.1", port)
    assert waiting.result()["data"] == "at last"
    assert time.monotonic() - begin < SOON / 2


@waits
@pytest.mark.parametrize("ms", [-1, 60_000])
@pytest.mark.parametrize("after", ["at once", "asleep"])
def test_closing_wakes_the_receiver(receive: Callable[..., Any], ms: int, after: str) -> None:
    ours, _port = bound()
    waiting = [Running(receive, ours, ms) for _ in range(3)]
    for each in waiting:
        assert each.started.wait(SOON)
        if after == "asleep":
            each.wait_asleep()
    begin = time.monotonic()
    net.native_udp_close(ours)
    for each in waiting:
        try:
            assert each.result() is None
        except net.IdError:
            assert after == "at once"  # closed before that thread came to call
    assert time.monotonic() - begin < SOON / 2
    assert code_of(net.native_udp_recv, ours) == "E3029"


@waits
def test_waiting_costs_nothing(receive: Callable[..., Any]) -> None:
    ours, _port = bound()

    def measure() -> float:
        begin = time.thread_time()
        assert receive(ours, 600) is None
        return time.thread_time() - begin

    assert Running(measure).result() < 0.15


def test_the_default_timeout_waits() -> None:
    ours, port = bound()
    waiting = Running(net.native_udp_recv_from, ours, 10).wait_asleep()
    net.native_udp_send(ours, "x", "127.0.0.1", port)
    assert waiting.result()["data"] == "x"


def test_an_explicit_timeout_goes_before_the_sockets() -> None:
    ours, port = bound()
    net.native_udp_set_timeout(ours, 0)
    waiting = Running(net.native_udp_recv_blocking, ours, SOON_MS).wait_asleep()
    net.native_udp_send(ours, "x", "127.0.0.1", port)
    assert waiting.result()["data"] == "x"
    net.native_udp_set_timeout(ours, -1)
    assert net.native_udp_recv_blocking(ours, 0) is None


def test_other_threads_send_while_one_waits() -> None:
    ours, port = bound()
    other, other_port = bound()
    waiting = Running(net.native_udp_recv_blocking, ours, -1).wait_asleep()
    for _ in range(10):
        assert net.native_udp_send(ours, "out", "127.0.0.1", other_port) == 3
        assert net.native_udp_recv_blocking(other, SOON_MS)["port"] == port
    assert waiting.is_alive()
    net.native_udp_close(ours)
    assert waiting.result() is None


def test_many_threads_on_one_socket() -> None:
    """Every datagram reaches one thread, whole; what the kernel had no room for is counted."""
    senders, each = 4, 500
    ours, port = bound("")
    net.native_udp_set_recv_buffer_size(ours, 1 << 20)
    out = net.native_udp_socket()
    received: list[str] = []
    stop = threading.Event()

    def receive() -> None:
        while not stop.is_set():
            datagram = net.native_udp_recv_blocking(ours, 50)
            if datagram is not None:
                received.append(datagram["data"])

    def send(number: int) -> None:
        for count in range(each):
            host = ("127.0.0.1", "localhost")[number % 2]
            text = f"{number}:{count}:" + chr(97 + number) * (count % 300)
            assert net.native_udp_send(out, text, host, port) == len(text)

    receivers = [Running(receive) for _ in range(4)]
    for sender in [Running(send, number) for number in range(senders)]:
        sender.result()

    def all_there() -> bool:
        return len(received) + int(net.native_udp_get_stats(ours)["packets_lost"]) >= senders * each

    wait_until(all_there)
    stop.set()
    for receiver in receivers:
        receiver.result()
    assert len(set(received)) == len(received)
    for text in received:
        number, count, rest = text.split(":")
        assert rest == chr(97 + int(number)) * (int(count) % 300)
    stats = net.native_udp_get_stats(ours)
    assert stats["packets_received"] == len(received)
    assert stats["packets_received"] + stats["packets_lost"] == senders * each
    assert net.native_udp_get_stats(out)["packets_sent"] == senders * each


def test_threads_that_send_to_different_peers() -> None:
    """No datagram goes to the peer of another thread."""
    out = net.native_udp_socket()
    peers = [bound() for _ in range(4)]

    def send(number: int) -> None:
        identifier, port = peers[number]
        for count in range(300):
            net.native_udp_send(out, f"{number}.{count}", "127.0.0.1", port)
            assert net.native_udp_recv_blocking(identifier, SOON_MS)["data"] == f"{number}.{count}"

    for sender in [Running(send, number) for number in range(4)]:
        sender.result(60.0)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that answers when the event is set, and knows nothing then."""
    answer = threading.Event()
    numeric = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if named.get("flags", 0) & socket.AI_NUMERICHOST:
            return numeric(host, port, *args, **named)
        answer.wait(2 * SOON)
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield answer
    answer.set()


@pytest.fixture
def name() -> str:
    """A name that nobody has asked for yet: an answer that nobody waited for is kept for a while."""
    return f"slow-{time.monotonic_ns()}.invalid"


@pytest.mark.usefixtures("answer")
def test_a_name_that_takes_too_long(name: str) -> None:
    ours = net.native_udp_socket()
    net.native_udp_set_timeout(ours, 100)
    begin = time.monotonic()
    error = refusal(net.native_udp_send, ours, "x", name, 9)
    assert (error.code, time.monotonic() - begin < SOON / 2) == ("E5007", True)


# Both end for want of a name, where closing does not end them.
waits_for_a_name = pytest.mark.parametrize(
    "call",
    [
        lambda ours, name: net.native_udp_send(ours, "x", name, 9),
        lambda ours, name: net.native_udp_connect(ours, name, 9),
    ],
    ids=["send", "connect"],
)


@waits_for_a_name
@pytest.mark.parametrize("ms", [-1, 60_000])
def test_closing_wakes_who_waits_for_a_name(
    call: Callable[[int, str], Any], ms: int, name: str, answer: threading.Event
) -> None:
    ours = net.native_udp_socket()
    net.native_udp_set_timeout(ours, ms)
    waiting = Running(call, ours, name).wait_asleep()
    net.native_udp_close(ours)
    with pytest.raises(net.IdError, match=rf"^E3029 native_udp_(send|connect): {ours}: closed$"):
        waiting.result()
    assert not answer.is_set()


@waits_for_a_name
def test_a_socket_closed_while_a_name_is_found(
    call: Callable[[int, str], Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = net.native_udp_socket()
    numeric = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host != name:
            return numeric(host, port, *args, **named)
        if named.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        net.native_udp_close(ours)
        return numeric("127.0.0.1", port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(net.IdError, match=rf"^E3029 native_udp_(send|connect): {ours}: closed$"):
        call(ours, name)
