"""Records of a size that the compiled half gathers where they can stay, and streams that it reads ahead."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator

import pytest
from support import SOON, Link, Running, refusal

import dryad_net as net

SOON_MS = int(SOON * 1000)
KIB = 1024
# What is put into the middle of records: nothing, characters of every width, bytes that are none.
FILLERS = ["", "é", "€", "🌳", "\udcff", "\udced\udca0"]


def wire(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def sent_in_pieces(raw: socket.socket, data: bytes, sizes: Iterator[int]) -> Running:
    """A thread that sends it, so many bytes at a time."""

    def send() -> None:
        at = 0
        while at < len(data):
            size = next(sizes)
            raw.sendall(data[at : at + size])
            at += size

    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.settimeout(60)
    return Running(send)


def sizes_up_to(most: int, seed: int) -> Iterator[int]:
    chosen = random.Random(seed)
    while True:
        yield chosen.randrange(1, most)


def records(delimiter: str, seed: int) -> list[str]:
    """Many of about a size, some a little larger or smaller, and short ones among them."""
    chosen = random.Random(seed)
    made = []
    for _ in range(24):
        size = chosen.choice([300 * KIB, 300 * KIB, 300 * KIB + 1, 299 * KIB, 700 * KIB, 130 * KIB, 10, 0])
        filler = chosen.choice(FILLERS)
        at = chosen.randrange(size + 1)
        made.append("x" * at + filler + "y" * (size - at) + delimiter)
    return made


@pytest.mark.parametrize("delimiter", ["\n", "\r\n", "--end--", "é", "\udcff\n"])
@pytest.mark.parametrize("most", [2_000_000, 100_000])
def test_records_of_many_sizes(link: Link, delimiter: str, most: int) -> None:
    expected = [one.replace("\udcff", "z") if "\udcff" in delimiter else one for one in records("", 11)]
    expected = [one.replace("é", "e") if delimiter == "é" else one for one in expected]
    expected = [one + delimiter for one in expected]
    sender = sent_in_pieces(link.raw, wire("".join(expected)), sizes_up_to(most, 5))
    for one in expected:
        found = net.native_tcp_recv_until(link.id, delimiter)
        assert found == one
    sender.result()
    assert net.native_tcp_recv(link.id, 10) is None


def test_a_record_is_a_string_like_any_other(link: Link) -> None:
    """It has its own hash, ends where it ends, and can be a key, grown and joined."""
    sender = sent_in_pieces(link.raw, (b"x" * 400_000 + b"\n") * 3, sizes_up_to(90_000, 1))
    found = [net.native_tcp_recv_until(link.id, "\n") for _ in range(3)]
    sender.result()
    made = "x" * 400_000 + "\n"
    assert [hash(one) for one in found] == [hash(made)] * 3
    assert set(found) == {made}
    assert all(one.isascii() and one.endswith("x\n") and one.encode() == made.encode() for one in found)
    assert found[0] + "€" == made + "€"


TAKING: dict[str, Callable[[int], str]] = {
    "recv": lambda identifier: net.native_tcp_recv(identifier, 100),
    "recv_blocking": lambda identifier: net.native_tcp_recv_blocking(identifier, 100, 0),
    "recv_all": net.native_tcp_recv_all,
    "recv_bytes": lambda identifier: net.native_tcp_recv_bytes(identifier, 100).decode(),
    "recv_until": lambda identifier: net.native_tcp_recv_until(identifier, "y" * 50),
}


@pytest.mark.parametrize("taking", TAKING)
@pytest.mark.parametrize("size", [200 * KIB, 600 * KIB])
def test_the_time_limit_loses_nothing_of_a_large_record(link: Link, taking: str, size: int) -> None:
    """Nor does what takes some of it meanwhile, which is then not part of the record."""
    begun = "x" * size + "y" * 100
    for _ in range(2):  # the second record is foreseen to be as large as the first
        sender = Running(link.raw.sendall, begun.encode())
        net.native_tcp_set_timeout(link.id, 30)
        for _ in range(5):
            assert net.native_tcp_recv_until(link.id, "\n") is None
        sender.result()
        net.native_tcp_set_timeout(link.id, 0)
        assert net.native_tcp_recv_until(link.id, "\n") is None
        assert net.native_tcp_is_connected(link.id)
        assert net.native_net_wait([link.id], 0) == [link.id]
        link.raw.sendall(b"z" * 100 + b"\n")
        net.native_tcp_set_timeout(link.id, SOON_MS)
        assert net.native_tcp_recv_until(link.id, "\n") == begun + "z" * 100 + "\n"
    sender = Running(link.raw.sendall, begun.encode())
    net.native_tcp_set_timeout(link.id, 50)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    sender.result()
    net.native_tcp_set_timeout(link.id, 50)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    taken = TAKING[taking](link.id)
    assert taken == begun[: len(taken)]
    assert len(taken) == {"recv_all": size + 100, "recv_until": size + 50}.get(taking, 100)
    link.raw.sendall(b"\nmore\n")
    net.native_tcp_set_timeout(link.id, SOON_MS)
    assert net.native_tcp_recv_until(link.id, "\n") == begun[len(taken) :] + "\n"
    assert net.native_tcp_recv_until(link.id, "\n") == "more\n"


def test_a_large_record_and_the_end(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, SOON_MS)
    sender = Running(link.raw.sendall, b"x" * 500_000 + b"\n" + b"y" * 500_000)
    assert net.native_tcp_recv_until(link.id, "\n") == "x" * 500_000 + "\n"
    sender.result()
    link.raw.shutdown(socket.SHUT_WR)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    assert net.native_tcp_is_connected(link.id)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    assert net.native_tcp_recv_all(link.id) == "y" * 500_000
    assert not net.native_tcp_is_connected(link.id)
    assert net.native_tcp_recv_until(link.id, "\n") is None


def test_closing_wakes_who_waits_for_the_rest_of_a_large_record(link: Link) -> None:
    sender = Running(link.raw.sendall, b"x" * 400_000 + b"\n" + b"y" * 400_000)
    assert net.native_tcp_recv_until(link.id, "\n") == "x" * 400_000 + "\n"
    sender.result()
    waiting = Running(net.native_tcp_recv_until, link.id, "\n").wait_asleep()
    net.native_tcp_close(link.id)
    assert waiting.result() is None
    assert refusal(net.native_tcp_recv, link.id, 1).code == "E3029"


def test_two_threads_and_large_records(link: Link) -> None:
    """Each gets whole records, whoever reads them."""
    count = 40
    sender = Running(link.raw.sendall, b"".join(b"%05d" % i + b"x" * 200_000 + b"\n" for i in range(count)))
    net.native_tcp_set_timeout(link.id, SOON_MS)

    def take() -> list[str]:
        return [net.native_tcp_recv_until(link.id, "\n") for _ in range(count // 2)]

    one, two = Running(take), Running(take)
    found = one.result(60) + two.result(60)
    sender.result()
    assert sorted(int(record[:5]) for record in found) == list(range(count))
    assert {record[5:] for record in found} == {"x" * 200_000 + "\n"}


# ---- streams that have more than is asked for


@pytest.mark.parametrize("size", [1, 3, 7, 100, 1024, 5000, 16_383, 16_384, 65_536, 300_000])
@pytest.mark.parametrize("kind", ["ascii", "mixed", "bytes", "in turn"])
def test_a_stream_in_pieces_of_any_size(link: Link, size: int, kind: str) -> None:
    """What is read ahead comes in its order, and no character is cut."""
    whole = {"ascii": "0123456789abcdef" * 8, "mixed": "aé€🌳\udcff-" * 16}.get(kind, "0aé€🌳z" * 10)
    whole *= max(2000 * min(size, 64) // len(whole), 300_000 // len(whole) if size > 1000 else 1)
    sender = sent_in_pieces(link.raw, wire(whole), sizes_up_to(70_000, size))
    got = b""
    number = 0
    total = len(wire(whole))
    while len(got) < total:
        number += 1
        as_bytes = kind == "bytes" or (kind == "in turn" and number % 3 == 0 and size >= 4)
        if as_bytes:
            part = net.native_tcp_recv_bytes_blocking(link.id, size, SOON_MS)
            assert 0 < len(part) <= size
            got += part
        else:
            text = net.native_tcp_recv_blocking(link.id, size, SOON_MS)
            encoded = wire(text)
            assert 0 < len(encoded) <= size or len(text) == 1
            if kind == "mixed":
                assert text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text
                assert not set(text) - set("aé€🌳\udcff-")
            got += encoded
    assert got == wire(whole)
    assert net.native_tcp_recv(link.id, size) is None
    sender.result()


@pytest.mark.parametrize("after", ["recv_all", "until", "blocking", "bytes"])
def test_what_was_read_ahead_is_there_for_every_other_recv(link: Link, after: str) -> None:
    link.raw.sendall(b"x" * 3000 + b"rest\n")
    for _ in range(30):
        assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) == "x" * 100
    assert net.native_net_wait([link.id], 0) == [link.id]
    assert net.native_tcp_is_connected(link.id)
    if after == "recv_all":
        assert net.native_tcp_recv_all(link.id) == "rest\n"
    elif after == "until":
        assert net.native_tcp_recv_until(link.id, "\n") == "rest\n"
    elif after == "blocking":
        assert net.native_tcp_recv_blocking(link.id, 1000, 0) == "rest\n"
    else:
        assert net.native_tcp_recv_bytes(link.id, 1000) == b"rest\n"
    assert net.native_net_wait([link.id], 0) == []
    assert net.native_tcp_recv(link.id, 100) is None


def test_a_stream_that_ends_behind_what_was_read_ahead(link: Link) -> None:
    link.raw.sendall(b"x" * 1000)
    link.raw.close()
    for _ in range(10):
        assert net.native_tcp_is_connected(link.id)
        assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) == "x" * 100
    assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) is None
    assert not net.native_tcp_is_connected(link.id)


def test_another_thread_gets_what_was_read_ahead(link: Link) -> None:
    link.raw.sendall(b"x" * 200)
    assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) == "x" * 100
    assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) == "x" * 100
    waiting = Running(net.native_tcp_recv_blocking, link.id, 100, -1).wait_asleep()
    link.raw.sendall(b"y" * 150)
    assert waiting.result() == "y" * 100
    assert net.native_tcp_recv_blocking(link.id, 100, SOON_MS) == "y" * 50
