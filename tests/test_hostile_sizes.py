"""2 GiB and more asked for: sizes, lengths and times as large as they can be said, and data larger than an int."""

from __future__ import annotations

import mmap

import pytest
from support import SOON, Link, Running, code_of, refusal, wait_until
from udp_support import bound
from ws_support import BINARY, CONTINUATION, WsLink, received_binary, said_once

import dryad_net as net

LARGEST = 2**63 - 1
SIZES = [2**31 - 1, 2**31, 2**32, LARGEST]
TOO_LARGE = [2**63, 2**64, 10**30, float(2**63)]
MORE_THAN_2_GIB = 2**31 + 4096


@pytest.fixture(scope="module")
def more_than_2_gib() -> mmap.mmap:
    """Zeros that take no memory as long as they are only read."""
    return mmap.mmap(-1, MORE_THAN_2_GIB)


@pytest.mark.parametrize("size", SIZES)
def test_sizes_of_tcp(link: Link, size: int) -> None:
    for receive in (net.native_tcp_recv, net.native_tcp_recv_bytes):
        assert receive(link.id, size) is None
    link.raw.sendall(b"abc")
    assert net.native_tcp_recv_blocking(link.id, size, size) == "abc"
    link.raw.sendall(b"abc")
    assert net.native_tcp_recv_bytes_blocking(link.id, size, -1) == b"abc"
    net.native_tcp_set_timeout(link.id, size)
    link.raw.sendall(b"line\n")
    assert net.native_tcp_recv_until(link.id, "\n") == "line\n"
    assert net.native_tcp_send(link.id, b"x") == 1


@pytest.mark.parametrize("size", SIZES)
def test_sizes_of_udp(size: int) -> None:
    ours, port = bound()
    net.native_udp_set_timeout(ours, size)
    net.native_udp_send(ours, b"abc", "127.0.0.1", port)
    assert net.native_udp_recv_from(ours, size)["data"] == "abc"


@pytest.mark.parametrize("size", TOO_LARGE)
def test_what_no_number_of_the_system_holds(link: Link, size: float) -> None:
    for call, *args in (
        (net.native_tcp_recv, size),
        (net.native_tcp_recv_blocking, size, 0),
        (net.native_tcp_set_recv_buffer_size, size),
        (net.native_tcp_set_send_buffer_size, size),
        (net.native_tcp_set_linger, True, size),
    ):
        assert code_of(call, link.id, *args) == "E3006"


def test_linger_and_buffers_beyond_an_int(link: Link) -> None:
    """setsockopt(2) takes an int: more is an error that says so, or as much as there may be."""
    for size in SIZES[1:]:
        for call, *args in (
            (net.native_tcp_set_recv_buffer_size, size),
            (net.native_tcp_set_send_buffer_size, size),
            (net.native_tcp_set_linger, True, size),
        ):
            try:
                call(link.id, *args)
            except net.DryadNetError as error:
                assert error.code in ("E3006", "E5006")  # noqa: PT017
    net.native_tcp_set_linger(link.id, False, 0)
    assert net.native_tcp_get_recv_buffer_size(link.id) > 0
    link.raw.sendall(b"abc")
    assert net.native_tcp_recv_blocking(link.id, 10, 10_000) == "abc"


def test_more_than_2_gib_to_a_peer_who_does_not_read(link: Link, more_than_2_gib: mmap.mmap) -> None:
    """The kernel takes what it takes."""
    net.native_tcp_set_timeout(link.id, 0)
    sent = net.native_tcp_send(link.id, more_than_2_gib)
    assert 0 < sent < MORE_THAN_2_GIB

    def is_full() -> bool:
        try:
            return not net.native_tcp_send(link.id, more_than_2_gib)
        except net.NetworkTimeoutError:
            return True

    wait_until(is_full)  # it takes some more first: its buffers grow


def test_more_than_2_gib_in_one_datagram(more_than_2_gib: mmap.mmap) -> None:
    ours, port = bound()
    assert "EMSGSIZE" in str(refusal(net.native_udp_send, ours, more_than_2_gib, "127.0.0.1", port))
    assert net.native_udp_get_stats(ours)["send_errors"] == 1


@pytest.mark.skipif(net.backend == "pure", reason="the pure half frames a message as a whole, in twice its memory")
def test_more_than_2_gib_in_one_message(ws_client: WsLink, more_than_2_gib: mmap.mmap) -> None:
    """The peer's end comes in the middle; nothing of it is kept for a peer who is gone."""
    sender = Running(net.native_ws_send_binary, ws_client.id, more_than_2_gib)
    first = ws_client.peer.read()
    assert first is not None
    assert (first.opcode, first.fin, len(first.payload)) == (BINARY, False, 16 << 20)
    ws_client.peer.hang_up()
    with pytest.raises(net.NetworkError):
        sender.result(SOON)


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32, 2**62])
def test_limits_set_as_high_as_they_go(ws: WsLink, length: int) -> None:
    """Whatever is announced then: only what comes is held."""
    net.native_ws_set_max_frame_size(ws.id, LARGEST)
    net.native_ws_set_max_message_size(ws.id, LARGEST)
    ws.peer.send(BINARY, b"x" * 1000, fin=False)
    ws.peer.send(CONTINUATION, b"y" * 1000)
    assert received_binary(ws.id) == b"x" * 1000 + b"y" * 1000
    ws.peer.send(BINARY, b"x" * 1000, fin=False)
    ws.peer.say(ws.peer.frame(CONTINUATION, b"z" * 1000, length=length, form=64))
    assert net.native_ws_recv_binary(ws.id) is None
    assert net.native_ws_recv_blocking(ws.id, 50) is None
    ws.peer.hang_up()
    said_once(ws.id)
