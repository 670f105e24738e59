"""Bytes to text and back: no character is cut, no byte is lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from support import SOON, Link, read_exactly, receive_to_end, refusal, wait_until

import dryad_net as net

SAMPLE = "aé€😀z"
SOON_MS = int(SOON * 1000)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def collect(identifier: int, size: int, take: Callable[[], str | None]) -> list[str]:
    """Pieces of text until they make up so many bytes."""
    pieces: list[str] = []

    def enough() -> bool:
        piece = take()
        if piece:
            pieces.append(piece)
        return len(as_bytes("".join(pieces))) >= size

    wait_until(enough)
    return pieces


@pytest.mark.parametrize("split", range(1, len(SAMPLE.encode())))
def test_a_character_split_over_packets_comes_whole(link: Link, split: int) -> None:
    sent = SAMPLE.encode()
    takes: list[Callable[[], str | None]] = [
        lambda: net.native_tcp_recv_blocking(link.id, 100, 20),
        lambda: net.native_tcp_recv(link.id, 100),
        lambda: net.native_tcp_recv_all(link.id),
    ]
    for take in takes:
        link.raw.sendall(sent[:split])
        whole = sent[:split].decode(errors="ignore")
        first = collect(link.id, len(whole.encode()), take)
        assert not take()  # an incomplete character waits
        assert net.native_tcp_is_connected(link.id)
        link.raw.sendall(sent[split:])
        rest = collect(link.id, len(sent) - len(whole.encode()), take)
        assert "".join(first) == whole
        assert "".join(rest) == SAMPLE[len(whole) :]


def test_byte_by_byte(link: Link) -> None:
    received = ""
    for byte in SAMPLE.encode():
        link.raw.sendall(bytes([byte]))
        received += net.native_tcp_recv_blocking(link.id, 100, 20) or ""
    while received != SAMPLE:
        received += net.native_tcp_recv_blocking(link.id, 100, SOON_MS) or pytest.fail(received)


def test_waiting_with_half_a_character_gives_null_when_the_time_is_up(link: Link) -> None:
    link.raw.sendall(b"\xe2\x82")
    wait_until(lambda: net.native_tcp_is_connected(link.id))
    assert net.native_tcp_recv_blocking(link.id, 10, 100) is None
    assert net.native_tcp_recv(link.id, 10) is None
    assert net.native_tcp_recv_all(link.id) == ""
    link.raw.sendall(b"\xac")
    assert net.native_tcp_recv_blocking(link.id, 10, SOON_MS) == "€"


def test_every_byte_value_survives(link: Link) -> None:
    samples = [bytes(range(256)), bytes(reversed(range(256))), b"\xff" * 100, b"\xc3\xc3\xa9\xed\xa0\x80\xf5\x80"]
    random.seed(20)
    samples += [random.randbytes(random.randrange(1, 3000)) for _ in range(30)]
    samples += [bytes(random.choices(b"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff", k=500)) for _ in range(30)]
    for sample in samples:
        # The full stop ends a character that the random bytes have begun.
        link.raw.sendall(sample + b".")
        text = "".join(collect(link.id, len(sample) + 1, lambda: net.native_tcp_recv_blocking(link.id, 65536, SOON_MS)))
        assert as_bytes(text) == sample + b"."
        assert text == (sample + b".").decode("utf-8", "surrogateescape")
        assert net.native_tcp_send(link.id, text) == len(sample) + 1
        assert read_exactly(link.raw, len(sample) + 1) == sample + b"."


@pytest.mark.parametrize("sent", [b"\xed\xa0", b"\xed\xbf", b"a\xed\xa0"])
def test_half_a_surrogate_waits_for_nothing(link: Link, sent: bytes) -> None:
    """Whatever follows, it is no UTF-8 (RFC 3629, 4): it is no incomplete character, but wrong bytes."""
    link.raw.sendall(sent)
    assert net.native_net_wait([link.id], SOON_MS) == [link.id]
    assert "".join(collect(link.id, len(sent), lambda: net.native_tcp_recv(link.id, 100))) == sent.decode(
        "utf-8", "surrogateescape"
    )


def test_invalid_bytes_become_lone_surrogates(link: Link) -> None:
    link.raw.sendall(b"a\xffb")
    assert net.native_tcp_recv_blocking(link.id, 3, SOON_MS) == "a\udcffb"


@pytest.mark.parametrize("size", range(1, 13))
def test_size_caps_the_bytes_of_one_call(link: Link, size: int) -> None:
    text = "aé€😀zz😀€éaé😀😀\0b" * 3
    link.raw.sendall(text.encode())
    pieces = collect(link.id, len(text.encode()), lambda: net.native_tcp_recv_blocking(link.id, size, SOON_MS))
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= size or len(piece) == 1 for piece in pieces)


@pytest.mark.parametrize("size", range(1, 6))
def test_size_caps_bytes_that_are_not_utf8(link: Link, size: int) -> None:
    sent = b"\xe2\x82A\xf0\x9f\x98B\xc3\xe2\x82\xac\xff\xfe\xf0\x90\xe2."
    link.raw.sendall(sent)
    pieces = collect(link.id, len(sent), lambda: net.native_tcp_recv_blocking(link.id, size, SOON_MS))
    assert "".join(pieces) == sent.decode("utf-8", "surrogateescape")
    assert all(len(as_bytes(piece)) <= size or len(piece) == 1 for piece in pieces)


def test_a_character_longer_than_size_is_returned_alone(link: Link) -> None:
    link.raw.sendall("😀€éa".encode())
    wait_until(lambda: net.native_tcp_is_connected(link.id))
    for expected in "😀€éa":
        assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == expected
    link.raw.sendall("é😀".encode())
    assert net.native_tcp_recv_blocking(link.id, 3, SOON_MS) == "é"
    assert net.native_tcp_recv_blocking(link.id, 3, SOON_MS) == "😀"


@pytest.mark.parametrize("tail", [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0\x9f\x98"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_an_incomplete_character_at_the_end_comes_out_escaped(link: Link, tail: bytes, size: int) -> None:
    link.raw.sendall(b"ab" + tail)
    link.raw.close()
    received = []
    while net.native_tcp_is_connected(link.id):
        received.append(net.native_tcp_recv_blocking(link.id, size, SOON_MS) or "")
    assert as_bytes("".join(received)) == b"ab" + tail
    assert "".join(received) == (b"ab" + tail).decode("utf-8", "surrogateescape")
    assert net.native_tcp_recv_blocking(link.id, size, SOON_MS) is None


def test_recv_all_at_the_end_with_an_incomplete_character(link: Link) -> None:
    link.raw.sendall(b"ab\xe2\x82")
    link.raw.close()
    received = ""

    def at_end() -> bool:
        nonlocal received
        received += net.native_tcp_recv_all(link.id)
        return not net.native_tcp_is_connected(link.id)

    wait_until(at_end)
    assert received == "ab\udce2\udc82"
    assert net.native_tcp_recv_all(link.id) == ""


def test_bytes_out_of_the_middle_of_a_character(link: Link) -> None:
    link.raw.sendall("€€".encode())
    link.raw.close()
    assert net.native_tcp_recv_bytes_blocking(link.id, 1, SOON_MS) == b"\xe2"
    assert as_bytes(receive_to_end(link.id)) == "€€".encode()[1:]


def test_recv_bytes_takes_what_recv_could_not_decode_yet(link: Link) -> None:
    link.raw.sendall(b"\xf0\x9f")
    received = b""
    while len(received) < 2:
        assert net.native_tcp_recv(link.id, 10) is None
        received += net.native_tcp_recv_bytes(link.id, 10) or b""
    assert received == b"\xf0\x9f"


def test_sent_strings_are_utf8(link: Link) -> None:
    assert net.native_tcp_send(link.id, SAMPLE) == len(SAMPLE.encode())
    assert net.native_tcp_send(link.id, "\udcff\udc80") == 2
    assert net.native_tcp_send(link.id, "\0") == 1
    assert read_exactly(link.raw, len(SAMPLE.encode()) + 3) == SAMPLE.encode() + b"\xff\x80\0"


def test_a_surrogate_that_is_no_escaped_byte(link: Link) -> None:
    error = refusal(net.native_tcp_send, link.id, "abc\ud83d")
    assert error.code == "E3006"
    assert "surrogate" in str(error)
