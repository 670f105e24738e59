"""Receiving: what is there, waiting for it, the end of the stream, and a peer that only stopped sending."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

import pytest
from support import SOON, Link, Running, arrived, code_of, read_to_end, receive, receive_to_end, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)

WAITING: list[Callable[[int, object], object]] = [
    lambda identifier, ms: net.native_tcp_recv_blocking(identifier, 10, ms),
    lambda identifier, ms: net.native_tcp_recv_bytes_blocking(identifier, 10, ms),
    lambda identifier, ms: (
        net.native_tcp_set_timeout(identifier, ms),
        net.native_tcp_recv_until(identifier, "\n"),
    )[1],
]


@pytest.mark.parametrize("ours", ["own", "accepted"])
def test_urgent_data_stays_in_the_stream(link: Link, server: int, dial: Callable[..., Link], ours: str) -> None:
    """RFC 6093, 5. Without SO_OOBINLINE, its last byte would be lost."""
    sender = link if ours == "own" else dial(server)
    sender.raw.sendall(b"abc")
    sender.raw.send(b"d", socket.MSG_OOB)
    sender.raw.sendall(b"efg")
    got = b""
    while len(got) < 7:
        got += net.native_tcp_recv_bytes_blocking(sender.id, 100, SOON_MS) or b""
    assert got == b"abcdefg"


def test_null_where_nothing_is_there(link: Link) -> None:
    assert net.native_tcp_recv(link.id, 10) is None
    assert net.native_tcp_recv_bytes(link.id, 10) is None
    assert net.native_tcp_recv_all(link.id) == ""
    assert net.native_tcp_is_connected(link.id) is True


def test_recv_takes_what_is_there(link: Link) -> None:
    link.raw.sendall(b"hello")
    assert wait_until(lambda: net.native_tcp_recv(link.id, 100)) == "hello"
    link.raw.sendall(b"\0\xff")
    assert wait_until(lambda: net.native_tcp_recv_bytes(link.id, 100)) == b"\0\xff"
    link.raw.sendall(b"again")
    assert wait_until(lambda: net.native_tcp_recv_all(link.id)) == "again"


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_size_is_the_most_that_comes(link: Link, size: int) -> None:
    sent = random.Random(size).randbytes(200).replace(b"\xc3", b"x")
    link.raw.sendall(sent)
    received = b""
    while len(received) < len(sent):
        part = net.native_tcp_recv_bytes_blocking(link.id, size, SOON_MS)
        assert type(part) is bytes
        assert 1 <= len(part) <= size
        received += part
    assert received == sent


def test_what_size_left_over_stays_for_the_next_call(link: Link) -> None:
    link.raw.sendall(b"abcdefghij")
    wait_until(lambda: net.native_tcp_is_connected(link.id))
    assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == "a"
    assert net.native_tcp_recv(link.id, 1) == "b"
    assert net.native_tcp_recv_bytes(link.id, 1) == b"c"
    assert receive(link.id, 7) == b"defghij"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_calls_of_one_size_get_pieces_of_that_size(link: Link, size: int) -> None:
    """Nothing is read beyond what was asked for, so no call is left with the odd rest of another."""
    link.raw.sendall(b"abcdef" * 10)
    first = net.native_tcp_recv_blocking(link.id, size, SOON_MS)
    assert [first, net.native_tcp_recv(link.id, size)] == ["abcdef"[:size], ("abcdef" * 2)[size : 2 * size]]


def test_text_and_bytes_by_turns_lose_nothing(link: Link) -> None:
    random.seed(3)
    sent = bytes(random.choices(b"ab\n\xc3\xa9\xf0\x9f\x98\x80", k=20000))
    sender = Running(lambda: (link.raw.sendall(sent), link.raw.close()))
    received = b""
    net.native_tcp_set_timeout(link.id, 1)
    takes: list[Callable[[], str | bytes | None]] = [
        lambda: net.native_tcp_recv(link.id, random.randrange(1, 500)),
        lambda: net.native_tcp_recv_blocking(link.id, random.randrange(1, 500), 5),
        lambda: net.native_tcp_recv_bytes(link.id, random.randrange(1, 500)),
        lambda: net.native_tcp_recv_bytes_blocking(link.id, random.randrange(1, 500), 5),
        lambda: net.native_tcp_recv_until(link.id, "\n"),
        lambda: net.native_tcp_recv_all(link.id) if random.random() < 0.05 else None,
    ]
    deadline = time.monotonic() + SOON
    while net.native_tcp_is_connected(link.id):
        assert time.monotonic() < deadline
        part = random.choice(takes)() or b""
        received += part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
    sender.result()
    assert received == sent


def test_recv_all_takes_everything_there(link: Link) -> None:
    sent = "é" * 100_000 + "."
    link.raw.sendall(sent.encode())
    received = ""

    def everything() -> bool:
        nonlocal received
        received += net.native_tcp_recv_all(link.id)
        return len(received) >= len(sent)

    wait_until(everything)
    assert received == sent
    assert net.native_tcp_recv_all(link.id) == ""


def test_recv_all_does_not_stop_at_one_read(pair: tuple[int, int]) -> None:
    """All that has arrived comes out of one call, however many reads that takes."""
    own, accepted = pair
    with_marker = b"x" * 300_000 + b"!"
    sent = net.native_tcp_send(own, with_marker)
    assert sent == len(with_marker)
    # Nobody can be asked whether the last byte has come without reading; the time of a loopback
    # packet is bounded generously instead, and a slower one is read by the second call.
    received = net.native_tcp_recv_blocking(accepted, 1, SOON_MS)
    deadline = time.monotonic() + SOON
    while not received.endswith("!"):
        assert time.monotonic() < deadline
        received += net.native_tcp_recv_all(accepted)
    assert len(received) == len(with_marker)


@pytest.mark.parametrize("index", range(len(WAITING)))
@pytest.mark.parametrize("ms", [0, 1, 60, 150])
def test_time_limits(link: Link, index: int, ms: int) -> None:
    begun = time.monotonic()
    assert WAITING[index](link.id, ms) is None
    assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5


@pytest.mark.parametrize("index", range(len(WAITING)))
@pytest.mark.parametrize("ms", [None, -1, -1.0, 20000])
def test_waiting_ends_with_the_first_bytes(link: Link, index: int, ms: object) -> None:
    waiting = Running(WAITING[index], link.id, ms).wait_asleep()
    link.raw.sendall(b"abc\n")
    assert waiting.result() in ("abc\n", b"abc\n")


@pytest.mark.parametrize("index", range(len(WAITING)))
def test_waiting_ends_with_the_stream(link: Link, index: int) -> None:
    waiting = Running(WAITING[index], link.id, -1).wait_asleep()
    link.raw.shutdown(socket.SHUT_WR)
    assert waiting.result() is None
    for take in WAITING:  # at once from now on
        assert take(link.id, -1) is None


def test_recv_blocking_waits_for_the_first_bytes_not_for_size(link: Link) -> None:
    link.raw.sendall(b"x")
    assert net.native_tcp_recv_blocking(link.id, 1_000_000, -1) == "x"
    link.raw.sendall(b"y")
    assert net.native_tcp_recv_bytes_blocking(link.id, 1_000_000, -1) == b"y"


def test_connected_until_everything_has_been_read(link: Link) -> None:
    link.raw.sendall(b"last words")
    link.raw.close()
    for letter in "last words":
        assert net.native_tcp_is_connected(link.id) is True
        assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == letter
    wait_until(lambda: net.native_tcp_is_connected(link.id) is False)
    assert net.native_tcp_recv(link.id, 1) is None
    assert net.native_tcp_recv_blocking(link.id, 1, -1) is None
    assert net.native_tcp_recv_bytes(link.id, 1) is None
    assert net.native_tcp_recv_bytes_blocking(link.id, 1, -1) is None
    assert net.native_tcp_recv_all(link.id) == ""
    assert net.native_tcp_recv_until(link.id, "\n") is None
    assert net.native_tcp_is_connected(link.id) is False


def test_the_loop_over_is_connected_loses_nothing(link: Link) -> None:
    sent = "".join(f"{number}é " for number in range(200_000))
    sender = Running(lambda: (link.raw.sendall(sent.encode()), link.raw.close()))
    assert receive_to_end(link.id) == sent
    sender.result()


def test_an_end_that_is_there_before_the_first_call(link: Link) -> None:
    link.raw.close()
    wait_until(lambda: arrived(link.id))
    assert net.native_tcp_recv_blocking(link.id, 10, -1) is None
    assert net.native_tcp_get_peer_addr(link.id)["ip"] == "127.0.0.1"
    assert net.native_tcp_get_local_addr(link.id)["ip"] == "127.0.0.1"


def test_a_peer_that_stopped_sending_can_still_be_answered(link: Link) -> None:
    link.raw.sendall(b"question")
    link.raw.shutdown(socket.SHUT_WR)
    assert receive_to_end(link.id) == "question"
    assert net.native_tcp_recv_blocking(link.id, 10, -1) is None
    assert net.native_tcp_send(link.id, "answer") == 6
    assert net.native_tcp_send(link.id, ".") == 1
    net.native_tcp_close(link.id)
    assert read_to_end(link.raw) == b"answer."


def test_a_peer_that_stopped_sending_gets_much(link: Link) -> None:
    link.raw.shutdown(socket.SHUT_WR)
    wait_until(lambda: arrived(link.id))
    reader = Running(read_to_end, link.raw)
    assert net.native_tcp_send(link.id, b"x" * 5_000_000) == 5_000_000
    net.native_tcp_close(link.id)
    assert len(reader.result()) == 5_000_000


def test_sending_to_a_peer_that_is_gone(link: Link) -> None:
    link.raw.close()
    wait_until(lambda: arrived(link.id))

    def failure() -> net.NetworkError | None:
        try:
            net.native_tcp_send(link.id, b"x")
        except net.NetworkError as error:
            return error
        return None

    error = wait_until(failure)
    assert error.code == "E5006"
    assert error.errno is not None
    assert code_of(net.native_tcp_send, link.id, b"x") == "E5006"
    assert net.native_tcp_recv(link.id, 10) is None
    assert net.native_tcp_is_connected(link.id) is False


def test_both_ends_in_the_library(pair: tuple[int, int]) -> None:
    own, accepted = pair
    assert net.native_tcp_send(own, "ping") == 4
    assert net.native_tcp_recv_blocking(accepted, 10, SOON_MS) == "ping"
    assert net.native_tcp_send(accepted, "pong") == 4
    assert net.native_tcp_recv_blocking(own, 10, SOON_MS) == "pong"
    net.native_tcp_close(accepted)
    assert net.native_tcp_recv_blocking(own, 10, SOON_MS) is None
    assert not net.native_tcp_is_connected(own)
