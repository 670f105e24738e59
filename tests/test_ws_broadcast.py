"""Broadcasts: to the accepted, open clients, never waiting for a slow one, dropping who is too slow."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable

import pytest
from support import Running, code_of, refusal, wait_until
from ws_support import BINARY, TEXT, Peer, Upgrade, WsLink, request

import dryad_net as net

MIB = 1 << 20


def test_everybody_gets_it(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(10)]
    assert net.native_ws_broadcast(ws_server, "text é") == 10
    assert net.native_ws_broadcast_binary(ws_server, b"\0\xff") == 10
    assert net.native_ws_broadcast_binary(ws_server, [1, 2.0, 255]) == 10
    for link in links:
        assert link.peer.message() == "text é"
        assert link.peer.message() == b"\0\xff"
        assert link.peer.message() == b"\1\2\xff"


def test_nobody_is_there(ws_server: int) -> None:
    assert net.native_ws_broadcast(ws_server, "hello?") == 0
    assert net.native_ws_broadcast_binary(ws_server, b"hello?") == 0


@pytest.mark.parametrize("message", ["", "x" * 125, "é" * 100, "x" * 70_000, "x" * (3 * MIB)], ids=len)
def test_messages_of_any_size(ws_server: int, ws_dial: Upgrade, message: str) -> None:
    links = [ws_dial(ws_server) for _ in range(3)]
    readers = [Running(link.peer.message) for link in links]
    assert net.native_ws_broadcast(ws_server, message) == 3
    assert [reader.result() for reader in readers] == [message] * 3


def test_only_whom_the_script_has_accepted(
    ws_server: int, ws_dial: Upgrade, ws_knock: Callable[..., Peer], ws_call: Upgrade
) -> None:
    link = ws_dial(ws_server)
    unaccepted = ws_knock(ws_server)
    unaccepted.say(request())
    unaccepted.head()
    ws_knock(ws_server).say(request()[:20])
    assert net.native_ws_broadcast(ws_server, "to one") == 1
    assert link.peer.message() == "to one"
    accepted = wait_until(lambda: net.native_ws_accept(ws_server))
    net.native_ws_send(accepted, "your first")
    assert unaccepted.message() == "your first"


def test_not_whom_it_has_closed_or_who_has_left(ws_server: int, ws_dial: Upgrade) -> None:
    stays, closed, kicked, left = (ws_dial(ws_server) for _ in range(4))
    net.native_ws_close(closed.id)
    net.native_ws_kick_client(kicked.id)
    left.peer.close(1000)
    left.peer.closing()
    wait_until(lambda: net.native_ws_get_state(left.id) == "closed")
    assert net.native_ws_broadcast(ws_server, "rest") == 1
    assert stays.peer.message() == "rest"


def test_in_order_with_other_messages(ws_server: int, ws_dial: Upgrade) -> None:
    link = ws_dial(ws_server)
    for number in range(200):
        net.native_ws_broadcast(ws_server, f"broadcast {number}")
        net.native_ws_send(link.id, f"send {number}")
    for number in range(200):
        assert link.peer.message() == f"broadcast {number}"
        assert link.peer.message() == f"send {number}"


# ---- except


def test_except_one(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(3)]
    assert net.native_ws_broadcast_except(ws_server, links[1].id, "to the others") == 2
    net.native_ws_broadcast(ws_server, "to all")
    assert [link.peer.message() for link in links] == ["to the others", "to all", "to the others"]


def test_except_one_that_is_closed_excludes_nobody(ws_server: int, ws_dial: Upgrade) -> None:
    links = [ws_dial(ws_server) for _ in range(2)]
    gone = ws_dial(ws_server)
    net.native_ws_close(gone.id)
    assert net.native_ws_broadcast_except(ws_server, gone.id, "to both") == 2
    assert [link.peer.message() for link in links] == ["to both"] * 2


def test_except_one_never_given_out(ws_server: int, ws_dial: Upgrade) -> None:
    ws_dial(ws_server)
    for identifier in (0, -1, 10**9):
        assert code_of(net.native_ws_broadcast_except, ws_server, identifier, "x") == "E3029"


def test_except_a_server(ws_server: int, ws_dial: Upgrade) -> None:
    """However the server itself is given, and whatever the call before was given."""
    link = ws_dial(ws_server)
    net.native_ws_broadcast_except(ws_server, link.id, "x")
    for given in (ws_server, float(ws_server)):
        error = refusal(net.native_ws_broadcast_except, given, ws_server, "x")
        assert error.code == "E3029"
        assert error.detail == "a WebSocket server, not a WebSocket connection"


def test_except_one_of_another_server(ws_server: int, ws_dial: Upgrade) -> None:
    other = ws_dial(net.native_ws_listen(0))
    link = ws_dial(ws_server)
    assert net.native_ws_broadcast_except(ws_server, other.id, "to mine") == 1
    assert link.peer.message() == "to mine"


def test_messages_that_nobody_may_send(ws_server: int, ws_client: WsLink) -> None:
    assert code_of(net.native_ws_broadcast, ws_server, "\ud800") == "E3006"
    assert code_of(net.native_ws_broadcast_except, ws_server, ws_client.id, "\udc80") == "E3006"
    assert code_of(net.native_ws_broadcast_binary, ws_server, [256]) == "E3006"
    assert code_of(net.native_ws_broadcast_binary, ws_server, "text") == code_of(
        net.native_ws_send_binary, ws_client.id, "text"
    )


# ---- slow clients


def test_a_slow_client_is_not_waited_for(ws_server: int, ws_dial: Upgrade) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    fast = ws_dial(ws_server)
    begun = time.monotonic()
    for number in range(8):
        reader = Running(fast.peer.message)
        assert net.native_ws_broadcast_binary(ws_server, bytes([number]) * MIB) == 2
        assert reader.result() == bytes([number]) * MIB
    assert time.monotonic() - begun < 10
    net.native_ws_set_timeout(slow.id, 0)
    for number in range(8):  # flushed in the background as it reads
        assert slow.peer.message() == bytes([number]) * MIB
    net.native_ws_send(fast.id, "end")
    assert fast.peer.message() == "end"


@pytest.mark.parametrize("size", [1000, 60_000])
def test_small_messages_are_neither_cut_nor_lost_nor_counted_twice(ws_server: int, ws_dial: Upgrade, size: int) -> None:
    """Of one of them the kernel takes a part; those behind it are queued."""
    slow = ws_dial(ws_server, recv_buffer=4096)
    count = 8 * MIB // size
    for number in range(count):
        assert net.native_ws_broadcast_binary(ws_server, number.to_bytes(4, "big") + bytes(size - 4)) == 1
    info = net.native_ws_client_info(slow.id)
    assert (info["messages_sent"], info["bytes_sent"]) == (count, count * size)
    for number in range(count):
        assert slow.peer.message() == number.to_bytes(4, "big") + bytes(size - 4)


def test_queued_before_what_is_sent_later(ws_server: int, ws_dial: Upgrade) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, b"x" * (4 * MIB))
    sender = Running(net.native_ws_send, slow.id, "behind it").wait_asleep()
    assert slow.peer.message() == b"x" * (4 * MIB)
    assert slow.peer.message() == "behind it"
    sender.result()


def test_over_the_limit_is_dropped_and_not_counted(ws_server: int, ws_dial: Upgrade) -> None:
    """16 MiB may be queued for a client."""
    slow = ws_dial(ws_server, recv_buffer=4096)
    fast = ws_dial(ws_server)
    counts = []
    for _ in range(40):
        reader = Running(fast.peer.message)
        counts.append(net.native_ws_broadcast_binary(ws_server, bytes(MIB)))
        reader.result()
    assert counts[:12] == [2] * 12
    assert counts[-10:] == [1] * 10
    assert net.native_ws_get_clients(ws_server) == [fast.id]
    assert net.native_ws_is_connected(slow.id) is False
    with pytest.raises(net.NetworkError):
        net.native_ws_send(slow.id, "x")
    assert net.native_ws_recv(slow.id) is None


def test_one_message_over_the_limit(ws_server: int, ws_dial: Upgrade) -> None:
    ws_dial(ws_server, recv_buffer=4096)
    assert net.native_ws_broadcast_binary(ws_server, bytes(40 * MIB)) == 0


def test_what_was_queued_arrives_after_a_close(ws_server: int, ws_dial: Upgrade) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, b"q" * (4 * MIB))
    net.native_ws_close(slow.id)
    assert slow.peer.message() == b"q" * (4 * MIB)
    assert slow.peer.answer_close() == (1000, "")


def test_what_was_queued_arrives_after_stop_server(ws_server: int, ws_dial: Upgrade) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    net.native_ws_broadcast_binary(ws_server, b"q" * (4 * MIB))
    net.native_ws_stop_server(ws_server)
    assert slow.peer.message() == b"q" * (4 * MIB)
    assert slow.peer.answer_close()[0] == 1001


def test_a_broadcast_never_goes_into_the_middle_of_a_send(ws_server: int, ws_dial: Upgrade) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    sender = Running(net.native_ws_send_binary, slow.id, b"s" * (4 * MIB)).wait_asleep()
    for number in range(10):
        assert net.native_ws_broadcast(ws_server, str(number)) == 1
    assert slow.peer.message() == b"s" * (4 * MIB)
    assert [slow.peer.message() for _ in range(10)] == list(map(str, range(10)))
    sender.result()


def test_in_fragments_of_each_clients_size(ws_server: int, ws_dial: Upgrade) -> None:
    whole, cut = ws_dial(ws_server), ws_dial(ws_server)
    net.native_ws_set_max_frame_size(cut.id, 10)
    assert net.native_ws_broadcast(ws_server, "x" * 25) == 2
    assert net.native_ws_broadcast_binary(ws_server, b"y" * 25) == 2
    for opcode in (TEXT, BINARY):
        assert [len(each.payload) for each in whole.peer.frames()] == [25]
        frames = cut.peer.frames()
        assert frames[0].opcode == opcode
        assert [len(each.payload) for each in frames] == [10, 10, 5]


@pytest.mark.parametrize("offer", [(), ("Sec-WebSocket-Extensions: permessage-deflate",)], ids=["plain", "compressed"])
def test_what_a_send_of_ones_own_has_queued_is_no_slow_client(
    ws_server: int, ws_dial: Upgrade, offer: tuple[str, ...]
) -> None:
    """A message of more than may wait for a client is on its way when another thread tells everybody something."""
    net.native_ws_set_compression(ws_server, bool(offer))
    link = ws_dial(ws_server, *offer, recv_buffer=65536)
    net.native_ws_set_timeout(link.id, -1)
    large = random.Random(1).randbytes(24 * MIB)
    sender = Running(net.native_ws_send_binary, link.id, large).wait_asleep()
    assert net.native_ws_broadcast(ws_server, "beside it") == 1
    inflate = zlib.decompressobj(-15).decompress
    for message in (large, b"beside it"):
        payload = b"".join(frame.payload for frame in link.peer.frames())
        # RFC 7692, 7.2.2: what its sender has taken off.
        assert (inflate(payload + b"\0\0\xff\xff") if offer else payload) == message
    sender.result()
