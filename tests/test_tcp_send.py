"""Sending: every form of data, whole or as far as the timeout allows."""

from __future__ import annotations

import array
import ctypes
import mmap
import time
from typing import Any

import pytest
from support import SOON, Link, Running, code_of, fill, read_exactly, read_to_end, refusal

import dryad_net as net

FORMS: list[tuple[Any, bytes]] = [
    (b"bytes", b"bytes"),
    (bytearray(b"array"), b"array"),
    (memoryview(b"a view")[2:], b"view"),
    (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
    (array.array("B", [1, 2, 255]), b"\1\2\xff"),
    (array.array("H", [0x4141, 0x4242]), b"AABB"),
    (array.array("d", [0.0]), bytes(8)),
    ((ctypes.c_ubyte * 3)(7, 8, 9), b"\7\x08\t"),
    ([0, 1.0, 255, 255.0, -0.0], b"\0\1\xff\xff\0"),
    (list(range(256)), bytes(range(256))),
    ("ascii", b"ascii"),
    ("é€😀", "é€😀".encode()),
    ("a\udcff\udc80\udcc3", b"a\xff\x80\xc3"),
]
EMPTY: list[Any] = ["", b"", bytearray(), [], memoryview(b""), array.array("d")]


class Text(str):
    """A string as libraries subclass it."""

    __slots__ = ()


@pytest.mark.parametrize("index", range(len(FORMS)))
def test_forms_of_data(link: Link, server: int, dial: Any, index: int) -> None:
    data, expected = FORMS[index]
    assert net.native_tcp_send(link.id, data) == len(expected)
    assert read_exactly(link.raw, len(expected)) == expected
    client = dial(server)
    assert net.native_tcp_broadcast(server, data) == 1
    assert read_exactly(client.raw, len(expected)) == expected


def test_nothing_is_sent_for_empty_data(link: Link) -> None:
    for empty in EMPTY:
        assert net.native_tcp_send(link.id, empty) == 0
    net.native_tcp_close(link.id)
    assert read_to_end(link.raw) == b""


def test_subclasses_of_str_and_bytes(link: Link) -> None:
    assert net.native_tcp_send(link.id, Text("plain")) == 5
    assert net.native_tcp_send(link.id, Text("é")) == 2
    assert net.native_tcp_send(link.id, type("Octets", (bytes,), {})(b"plain")) == 5
    assert read_exactly(link.raw, 12) == "plainéplain".encode()


def test_a_buffer_is_free_again_afterwards(link: Link) -> None:
    data = bytearray(b"x" * 100)
    net.native_tcp_send(link.id, data)
    data += b"y"  # BufferError if it were still held
    with mmap.mmap(-1, 4096) as mapped:
        assert net.native_tcp_send(link.id, mapped) == 4096
    assert len(read_exactly(link.raw, 4196)) == 4196


@pytest.mark.parametrize("form", ["bytes", "ascii", "text", "list"])
def test_large_data_arrives_whole(link: Link, form: str) -> None:
    size = 6_000_000
    pattern = bytes(range(97, 123)) * (size // 26 + 1)
    data: Any = pattern[:size]
    expected = data
    if form == "ascii":
        data = data.decode()
    elif form == "text":
        data = "é" + data.decode()
        expected = data.encode()
    elif form == "list":
        expected = data[:400_000]
        data = list(expected)
    reader = Running(read_exactly, link.raw, len(expected))
    assert net.native_tcp_send(link.id, data) == len(expected)
    assert reader.result() == expected


def test_a_slow_reader_gets_everything(link: Link) -> None:
    net.native_tcp_set_send_buffer_size(link.id, 16384)
    data = bytes(range(256)) * 4096
    reader = Running(read_to_end, link.raw, 0.002, 16384)
    assert net.native_tcp_send(link.id, data) == len(data)
    net.native_tcp_close(link.id)
    assert reader.result() == data


@pytest.mark.parametrize("ms", [0, 1, 100])
def test_the_timeout_ends_a_send_and_says_how_much_was_taken(link: Link, ms: int) -> None:
    data = bytes(range(256)) * (64 * 4096)
    net.native_tcp_set_timeout(link.id, ms)
    begun = time.monotonic()
    sent = net.native_tcp_send(link.id, data)
    assert time.monotonic() - begun < 5 + ms / 1000
    assert 0 < sent < len(data)
    assert read_exactly(link.raw, sent) == data[:sent]
    net.native_tcp_close(link.id)
    assert read_to_end(link.raw) == b""


@pytest.mark.parametrize("ms", [0, 100])
@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_nothing_taken_in_time_is_e5007(link: Link, ms: int, size: int) -> None:
    filled = fill(link.id)
    net.native_tcp_set_timeout(link.id, ms)
    begun = time.monotonic()
    error = refusal(net.native_tcp_send, link.id, b"n" * size)
    assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5
    assert error.code == "E5007"
    assert isinstance(error, net.NetworkTimeoutError)
    assert read_exactly(link.raw, filled) == b"f" * filled
    # And the connection goes on as if nothing had been tried.
    net.native_tcp_set_timeout(link.id, int(SOON * 1000))
    assert net.native_tcp_send(link.id, "after") == 5
    assert read_exactly(link.raw, 5) == b"after"


@pytest.mark.parametrize("ms", [-1, None, 60000])
def test_a_send_waits_for_room(link: Link, ms: int | None) -> None:
    filled = fill(link.id)
    net.native_tcp_set_timeout(link.id, ms)
    sender = Running(net.native_tcp_send, link.id, b"late").wait_asleep()
    assert sender.is_alive()
    assert read_exactly(link.raw, filled + 4).endswith(b"late")
    assert sender.result() == 4


def test_an_empty_send_does_not_wait(link: Link) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, 0)
    assert net.native_tcp_send(link.id, b"") == 0


def test_a_peer_that_goes_away_ends_the_wait(link: Link) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, -1)
    sender = Running(code_of, net.native_tcp_send, link.id, b"x" * 1000).wait_asleep()
    link.raw.close()  # with unread data: a reset
    assert sender.result() == "E5006"
