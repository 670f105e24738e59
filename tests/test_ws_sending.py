"""Sending to a peer that does not read: whole or not at all, how long it waits, and what is queued."""

from __future__ import annotations

import contextlib
import socket
import time

import hostile_proxy
import pytest
from support import Running, code_of, kernel_socket, refusal
from ws_support import BINARY, PING, PONG, TEXT, Upgrade, WsLink, becomes

import dryad_net as net
from dryad_net.table import table

MIB = 1 << 20


@pytest.fixture(params=["our_client", "our_server"])
def slow(request: pytest.FixtureRequest, ws_link: WsLink, ws_server: int, ws_dial: Upgrade) -> WsLink:
    """A connection whose peer takes little before somebody reads."""
    return ws_link if request.param == "our_client" else ws_dial(ws_server, recv_buffer=4096)


def fill(identifier: int) -> int:
    """Send messages of 64 KiB until none is taken any more. Returns how many were taken."""
    with kernel_socket(identifier) as twin:  # a size that was set is not tuned any more: full stays full
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    net.native_ws_set_timeout(identifier, 100)
    count = refused = 0
    while refused < 3:
        try:
            net.native_ws_send_binary(identifier, count.to_bytes(4, "big") + bytes(65536))
            count += 1
            refused = 0
        except net.NetworkTimeoutError:
            refused += 1
            hostile_proxy.rest()
    return count


@pytest.mark.parametrize("ms", [0, 50, 300])
def test_e5007_means_that_nothing_was_sent(slow: WsLink, ms: int) -> None:
    count = fill(slow.id)
    net.native_ws_set_timeout(slow.id, ms)
    begun = time.monotonic()
    error = refusal(net.native_ws_send, slow.id, "never sent")
    assert error.code == "E5007"
    assert ms / 1000 - 0.002 <= time.monotonic() - begun < ms / 1000 + 5
    assert code_of(net.native_ws_send_binary, slow.id, b"never sent" * 100_000) == "E5007"
    net.native_ws_set_timeout(slow.id, 30_000)

    def read() -> object:
        for number in range(count):
            assert slow.peer.message()[:4] == number.to_bytes(4, "big")
        return slow.peer.message()

    reader = Running(read)
    net.native_ws_send(slow.id, "sent")
    assert reader.result() == "sent"


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half sends before it queues")
def test_what_was_queued_and_not_begun_is_taken_back(slow: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another thread's message had been queued between the wait for the turn and the queueing."""
    count = fill(slow.id)
    queued = table.objects[slow.id].outgoing_size
    net.native_ws_set_timeout(slow.id, 50)
    with monkeypatch.context() as there:
        there.setattr(type(table.objects[slow.id]), "_wait_for_turn", lambda *_given: None)
        assert refusal(net.native_ws_send, slow.id, "never sent").code == "E5007"
    assert table.objects[slow.id].outgoing_size == queued
    net.native_ws_set_timeout(slow.id, 30_000)
    last = Running(net.native_ws_send, slow.id, "sent")
    for number in range(count):
        assert slow.peer.message()[:4] == number.to_bytes(4, "big")
    assert slow.peer.message() == "sent"
    last.result()


def test_a_message_is_taken_whole(slow: WsLink) -> None:
    """The time runs out in the middle: the call returns, and the rest goes out in the background."""
    net.native_ws_set_timeout(slow.id, 100)
    begun = time.monotonic()
    assert net.native_ws_send_binary(slow.id, b"w" * (12 * MIB)) is None
    assert 0.098 <= time.monotonic() - begun < 8
    assert Running(slow.peer.message).result() == b"w" * (12 * MIB)


def test_the_rest_goes_out_before_anything_else(slow: WsLink) -> None:
    net.native_ws_set_timeout(slow.id, 0)
    net.native_ws_send_binary(slow.id, b"w" * (12 * MIB))
    net.native_ws_set_timeout(slow.id, -1)
    sender = Running(net.native_ws_send, slow.id, "after it")
    assert slow.peer.message() == b"w" * (12 * MIB)
    assert slow.peer.message() == "after it"
    sender.result()


def test_a_ping_is_never_in_the_middle_of_a_frame(slow: WsLink) -> None:
    """Nor is the answer to one."""
    net.native_ws_set_timeout(slow.id, 0)
    net.native_ws_send_binary(slow.id, b"w" * (8 * MIB))
    net.native_ws_set_timeout(slow.id, 2000)
    slow.peer.send(PING, b"?")
    pinging = Running(net.native_ws_ping, slow.id)
    frames = [slow.peer.read() for _ in range(3)]
    pinging.result()
    assert frames[0] == (BINARY, b"w" * (8 * MIB), True, 0)
    assert sorted(each.opcode for each in frames[1:]) == [PING, PONG]


def test_waiting_sends_go_out_when_the_peer_reads(slow: WsLink) -> None:
    count = fill(slow.id)
    net.native_ws_set_timeout(slow.id, -1)
    sender = Running(net.native_ws_send, slow.id, "x" * MIB).wait_asleep()
    for _ in range(count):
        slow.peer.message()
    assert slow.peer.message() == "x" * MIB
    sender.result()


def test_receiving_goes_on_while_sending_waits(slow: WsLink) -> None:
    """An echo server and its client, both sending before they read, must not block each other for ever."""
    fill(slow.id)
    net.native_ws_set_timeout(slow.id, -1)
    sender = Running(net.native_ws_send, slow.id, "x" * MIB).wait_asleep()
    for number in range(50):
        slow.peer.send(TEXT, b"%d" % number * 1000)
    for number in range(50):
        assert net.native_ws_recv_blocking(slow.id, 10_000) == f"{number}" * 1000
    net.native_ws_close(slow.id)
    with pytest.raises(net.IdError):
        sender.result()


def test_two_that_only_send_do_not_lock_each_other_up(ws_pair: tuple[int, int]) -> None:
    own, accepted = ws_pair

    def send(identifier: int) -> None:
        for _ in range(30):
            net.native_ws_send_binary(identifier, bytes(200_000))

    senders = [Running(send, identifier) for identifier in ws_pair]
    for sender in senders:
        sender.result(60)
    for _ in range(30):
        assert len(net.native_ws_recv_binary_blocking(own, 10_000)) == 200_000
        assert len(net.native_ws_recv_binary_blocking(accepted, 10_000)) == 200_000


def test_what_is_queued_is_bounded(slow: WsLink) -> None:
    """Whatever the script does, a peer that does not read makes us hold no more than the limit and a message."""
    net.native_ws_set_timeout(slow.id, 0)
    taken = 0
    for _ in range(200):
        try:
            net.native_ws_send_binary(slow.id, bytes(MIB))
            taken += 1
        except net.NetworkTimeoutError:
            pass
    assert taken < 60


def test_a_peer_that_leaves_while_a_send_waits(slow: WsLink) -> None:
    fill(slow.id)
    net.native_ws_set_timeout(slow.id, -1)
    sender = Running(net.native_ws_send, slow.id, "x" * MIB).wait_asleep()
    slow.peer.hang_up()
    with pytest.raises(net.NetworkError, match=r"^E5006 native_ws_send: "):
        sender.result()
    becomes(slow.id, "closed")


def test_closing_while_a_send_waits(slow: WsLink) -> None:
    """What waits was not taken; what was taken arrives, in whole frames."""
    count = fill(slow.id)
    net.native_ws_set_timeout(slow.id, -1)
    senders = [Running(code_of, net.native_ws_send, slow.id, "late" * MIB).wait_asleep() for _ in range(2)]
    begun = time.monotonic()
    net.native_ws_close(slow.id)
    assert time.monotonic() - begun < 2
    assert [sender.result() for sender in senders] == ["E3029"] * 2
    for number in range(count):
        assert slow.peer.message()[:4] == number.to_bytes(4, "big")


def test_a_small_message_waits_for_room(slow: WsLink) -> None:
    count = fill(slow.id)
    net.native_ws_set_timeout(slow.id, 10_000)

    def read() -> None:
        for _ in range(count):
            slow.peer.message()

    reader = Running(read)
    net.native_ws_send(slow.id, "in the end")
    reader.result()
    assert slow.peer.message() == "in the end"


@pytest.mark.parametrize("ms", [0, 30])
@pytest.mark.parametrize("size", [1000, 9001, 60_000])
def test_the_kernel_takes_the_beginning_of_a_message(slow: WsLink, size: int, ms: int) -> None:
    """Those before the first that is refused come whole, wherever the kernel's room ended."""
    with kernel_socket(slow.id) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    net.native_ws_set_timeout(slow.id, ms)
    sent = read = 0
    for _ in range(10):
        with contextlib.suppress(net.NetworkTimeoutError):
            while True:
                net.native_ws_send(slow.id, f"{sent:4}" * (size // 4))
                sent += 1
        while read < sent - 3:  # a little room again, and not all
            assert slow.peer.message() == f"{read:4}" * (size // 4)
            read += 1
    while read < sent:
        assert slow.peer.message() == f"{read:4}" * (size // 4)
        read += 1
    assert net.native_ws_client_info(slow.id)["messages_sent"] == sent
    net.native_ws_send(slow.id, "the last")
    assert slow.peer.message() == "the last"


def test_a_queue_that_nobody_takes_does_not_hold_up_the_end(slow: WsLink) -> None:
    net.native_ws_set_timeout(slow.id, 0)
    net.native_ws_send_binary(slow.id, bytes(12 * MIB))
    net.native_ws_close(slow.id)
    slow.peer.hang_up()
    becomes(slow.id, "closed")
