"""native_tcp_recv_until: delimiters in pieces, leftovers, time limits, the end, and the 64 MiB limit."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

import pytest
from support import SOON, Link, Running, arrived, refusal, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)
MIB = 1024 * 1024


@pytest.mark.parametrize("delimiter", ["\n", "\r\n", "END", "é", "😀", "\udcff", "a😀\r\n\udcffb", "\0"])
def test_a_delimiter_split_over_packets_at_every_position(link: Link, delimiter: str) -> None:
    encoded = delimiter.encode("utf-8", "surrogateescape")
    for split in range(1, len(encoded) + 1):
        for before in ("", "x", "first line "):
            link.raw.sendall(before.encode() + encoded[:split])
            net.native_tcp_set_timeout(link.id, 20)
            found = net.native_tcp_recv_until(link.id, delimiter)
            assert found == (before + delimiter if split == len(encoded) else None)
            link.raw.sendall(encoded[split:] + b"rest")
            net.native_tcp_set_timeout(link.id, 30000)
            if found is None:
                assert net.native_tcp_recv_until(link.id, delimiter) == before + delimiter
            assert net.native_tcp_recv_until(link.id, "rest") == "rest"


@pytest.mark.parametrize(
    ("sent", "delimiter", "found"),
    [
        ("aaab", "aab", "aaab"),
        ("abaaba.", "abab", None),
        ("abaababab.", "abab", "abaabab"),
        ("aaaa", "aa", "aa"),
        ("\r\r\n", "\r\n", "\r\r\n"),
        ("--bound--boundary", "--boundary", "--bound--boundary"),
    ],
)
def test_delimiters_that_overlap_themselves(link: Link, sent: str, delimiter: str, found: str | None) -> None:
    net.native_tcp_set_timeout(link.id, 20)
    link.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for pieces in ([sent], list(sent)):
        received = None
        for piece in pieces:
            link.raw.sendall(piece.encode())
            if received is None:
                received = net.native_tcp_recv_until(link.id, delimiter)
        net.native_tcp_set_timeout(link.id, 2000 if found else 20)
        assert (received or net.native_tcp_recv_until(link.id, delimiter)) == found
        # What is left is read away for the second round.
        rest = sent[len(found or "") :]
        net.native_tcp_set_timeout(link.id, SOON_MS)
        assert not rest or net.native_tcp_recv_until(link.id, rest) == rest
        net.native_tcp_set_timeout(link.id, 20)


def test_random_pieces_as_bytes_find_says(link: Link) -> None:
    random.seed(7)
    for _ in range(60):
        delimiter = "".join(random.choices("ab", k=random.randrange(1, 5)))
        text = "".join(random.choices("ab", k=random.randrange(40))) + delimiter
        expected = text.find(delimiter) + len(delimiter)
        sender = Running(send_in_pieces, link.raw, text.encode())
        assert net.native_tcp_recv_until(link.id, delimiter) == text[:expected]
        sender.result()
        assert not text[expected:] or net.native_tcp_recv_until(link.id, text[expected:]) == text[expected:]


def send_in_pieces(raw: socket.socket, data: bytes) -> None:
    while data:
        size = random.randrange(1, 8)
        raw.sendall(data[:size])
        data = data[size:]


REST: list[Callable[[int], object]] = [
    lambda identifier: net.native_tcp_recv(identifier, 100),
    lambda identifier: net.native_tcp_recv_blocking(identifier, 100, 0),
    lambda identifier: net.native_tcp_recv_all(identifier),
    lambda identifier: net.native_tcp_recv_bytes(identifier, 100).decode(),
    lambda identifier: net.native_tcp_recv_bytes_blocking(identifier, 100, 0).decode(),
    lambda identifier: net.native_tcp_recv_until(identifier, "t"),
]


@pytest.mark.parametrize("index", range(len(REST)))
def test_what_follows_is_there_for_every_other_recv(link: Link, index: int) -> None:
    link.raw.sendall(b"line\nrest")
    time_limited = net.native_tcp_recv_until(link.id, "\n")
    assert time_limited == "line\n"
    # All of it came with one packet over loopback, or comes at the latest now.
    net.native_tcp_set_timeout(link.id, 20)
    assert net.native_tcp_recv_until(link.id, "absent") is None
    assert REST[index](link.id) == "rest"
    assert net.native_tcp_recv(link.id, 10) is None


def test_many_lines_in_one_packet(link: Link) -> None:
    lines = [f"{number} {'x' * (number % 90)}\r\n" for number in range(2000)]
    sender = Running(link.raw.sendall, "".join(lines).encode())
    assert [net.native_tcp_recv_until(link.id, "\r\n") for _ in lines] == lines
    sender.result()


def test_a_line_longer_than_any_read(link: Link) -> None:
    line = "é" * 1_500_000 + "\n"
    sender = Running(link.raw.sendall, line.encode() + b"tail\n")
    assert net.native_tcp_recv_until(link.id, "\n") == line
    assert net.native_tcp_recv_until(link.id, "\n") == "tail\n"
    sender.result()


def test_another_delimiter_searches_from_the_start_again(link: Link) -> None:
    link.raw.sendall(b"one;two,three")
    net.native_tcp_set_timeout(link.id, 50)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    net.native_tcp_set_timeout(link.id, SOON_MS)
    assert net.native_tcp_recv_until(link.id, ",") == "one;two,"
    assert net.native_tcp_recv_until(link.id, "ee") == "three"


def test_a_delimiter_begun_before_a_recv_in_between(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, 50)
    link.raw.sendall(b"abcEN")
    assert net.native_tcp_recv_until(link.id, "END") is None
    assert net.native_tcp_recv_blocking(link.id, 4, SOON_MS) == "abcE"
    link.raw.sendall(b"D--END")
    net.native_tcp_set_timeout(link.id, SOON_MS)
    assert net.native_tcp_recv_until(link.id, "END") == "ND--END"


@pytest.mark.parametrize("ms", [0, 1, 50])
def test_the_time_limit_loses_nothing(link: Link, ms: int) -> None:
    net.native_tcp_set_timeout(link.id, ms)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    for piece in (b"a", b"\xc3", b"\xa9", b"b"):
        link.raw.sendall(piece)
        assert net.native_tcp_recv_until(link.id, "\n") is None
    link.raw.sendall(b"\n")
    net.native_tcp_set_timeout(link.id, None)
    assert net.native_tcp_recv_until(link.id, "\n") == "aéb\n"


def test_the_time_limit_is_for_the_whole_call(link: Link) -> None:
    """A peer that goes on sending a little does not extend it."""
    net.native_tcp_set_timeout(link.id, 300)
    waiting = Running(net.native_tcp_recv_until, link.id, "\n")
    deadline = time.monotonic() + SOON
    sent = 0
    while waiting.is_alive():
        assert time.monotonic() < deadline
        link.raw.sendall(b"x")
        sent += 1
        time.sleep(0.01)
    assert waiting.result() is None
    assert net.native_tcp_recv_blocking(link.id, 1_000_000, SOON_MS).startswith("x")


def test_no_wait_takes_what_is_there(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, 0)
    link.raw.sendall(b"line\n")
    assert wait_until(lambda: net.native_tcp_recv_until(link.id, "\n")) == "line\n"


def test_the_end_without_a_delimiter(link: Link) -> None:
    link.raw.sendall(b"line\nrest\xc3")
    link.raw.close()
    assert net.native_tcp_recv_until(link.id, "\n") == "line\n"
    for _ in range(2):
        assert net.native_tcp_recv_until(link.id, "\n") is None
        assert net.native_tcp_is_connected(link.id)
    assert net.native_tcp_recv(link.id, 4) == "rest"
    assert net.native_tcp_recv(link.id, 4) == "\udcc3"
    assert net.native_tcp_recv(link.id, 4) is None
    assert net.native_tcp_recv_until(link.id, "\n") is None
    assert arrived(link.id)


def test_the_end_right_behind_the_delimiter(link: Link) -> None:
    link.raw.sendall(b"line\n")
    link.raw.close()
    assert net.native_tcp_recv_until(link.id, "\n") == "line\n"
    assert net.native_tcp_recv_until(link.id, "\n") is None


def test_64_mib_without_a_delimiter_is_an_error_and_stays_readable(link: Link) -> None:
    size = 65 * MIB
    sender = Running(send_blocks, link.raw, size)
    net.native_tcp_set_timeout(link.id, 60000)
    for _ in range(2):
        error = refusal(net.native_tcp_recv_until, link.id, "\n")
        assert error.code == "E5006"
    assert net.native_tcp_is_connected(link.id)
    received = 0
    while received < size:
        part = net.native_tcp_recv_blocking(link.id, 8 * MIB, SOON_MS)
        assert part.count("x") == len(part)
        received += len(part)
    sender.result()
    assert received == size
    link.raw.sendall(b"line\n")
    assert net.native_tcp_recv_until(link.id, "\n") == "line\n"


def send_blocks(raw: socket.socket, size: int) -> None:
    raw.settimeout(60)
    for _ in range(size // MIB):
        raw.sendall(b"x" * MIB)


def test_just_under_64_mib_is_fine(link: Link) -> None:
    sender = Running(lambda: (send_blocks(link.raw, 63 * MIB), link.raw.sendall(b"\n")))
    net.native_tcp_set_timeout(link.id, 60000)
    line = net.native_tcp_recv_until(link.id, "\n")
    assert len(line) == 63 * MIB + 1
    assert line.endswith("x\n")
    sender.result()
