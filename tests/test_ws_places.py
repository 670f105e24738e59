"""Large messages from and to wherever in memory: what is slow to copy goes another way, and comes out the same.

The compiled half copies what would lie 1 to 15 bytes further in its page than the system's copy does (copying.pxd), and
lets the system copy everything else.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator

import pytest
from support import Running
from ws_support import WsLink

import dryad_net as net

PAGE = 4096
# A server's header has 4 bytes up to 64 KiB and 10 beyond, so what begins with a page or a little before is slow.
PLACES = (0, 1, 3, 9, 10, 16, 48, 2048, PAGE - 6, PAGE - 1)


def at(place: int, content: bytes) -> memoryview:
    """These bytes, beginning so far into a page."""
    room = bytearray(len(content) + 2 * PAGE)
    first = (place - ctypes.addressof(ctypes.c_char.from_buffer(room))) % PAGE
    room[first : first + len(content)] = content
    return memoryview(room)[first : first + len(content)]


def spacers() -> Iterator[bytearray]:
    """What comes behind each in the heap begins 16 bytes further in its page."""
    for size in range(0, PAGE, 16):
        yield bytearray(2000 + size)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", [16384, 65535, 65536, 300_001])
@pytest.mark.parametrize("frame_size", [None, 20_000, 100_000])
def test_a_server_sends_from_any_place(ws_pair: tuple[int, int], place: int, size: int, frame_size: int | None) -> None:
    own, accepted = ws_pair
    if frame_size is not None:
        net.native_ws_set_max_frame_size(accepted, frame_size)
    content = random.Random(size).randbytes(size)
    arriving = Running(net.native_ws_recv_binary_blocking, own, 30_000)
    net.native_ws_send_binary(accepted, at(place, content))
    assert arriving.result() == content


@pytest.mark.parametrize("place", PLACES)
def test_what_the_system_does_not_take_at_once_follows(ws_client: WsLink, place: int) -> None:
    """Of a message larger than the queues some is sent before the peer reads, and the rest while it does."""
    content = random.Random(1).randbytes(12_000_000)
    sending = Running(net.native_ws_send_binary, ws_client.id, at(place, content)).wait_asleep()
    assert ws_client.peer.message() == content
    sending.result()


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("size", [70_000, 1 << 20, 2_500_000])
def test_a_large_message_is_received_at_any_place(ws_pair: tuple[int, int], role: str, size: int) -> None:
    receiver, sender = ws_pair if role == "client" else ws_pair[::-1]
    content = random.Random(size)
    binary = content.randbytes(size)
    text = "".join(map(chr, content.choices(range(32, 127), k=1000))) * (size // 1000)

    def read() -> list[object]:
        return [
            net.native_ws_recv_binary_blocking(receiver, 30_000) == binary
            and net.native_ws_recv_blocking(receiver, 30_000) == text
            for _spacer in spacers()
        ]

    reading = Running(read)
    for _spacer in spacers():
        net.native_ws_send_binary(sender, binary)
        net.native_ws_send(sender, text)
    assert all(reading.result())
