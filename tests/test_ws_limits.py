"""Limits of frames and messages, both ways: 1009 before the payload is read, and memory that no peer can fill."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import Running, code_of, refusal, run_script, wait_until
from ws_support import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Upgrade,
    WsLink,
    becomes,
    pieces,
    received,
    received_binary,
    said_once,
)

import dryad_net as net

MIB = 1 << 20
HERE = Path(__file__).parent


def closed_with_1009(link: WsLink) -> None:
    """The peer is told so, and so is the script, once."""
    assert link.peer.closing()[0] == 1009
    link.peer.hang_up()
    said_once(link.id)
    becomes(link.id, "closed")


@pytest.mark.parametrize("length", [16 * MIB + 1, 1 << 32, (1 << 63) - 1])
def test_the_default_limit_of_a_frame(ws: WsLink, length: int) -> None:
    """The header is enough: not one byte of the payload has been sent."""
    ws.peer.say(ws.peer.frame(BINARY, b"", length=length, form=64))
    closed_with_1009(ws)


@pytest.mark.parametrize("limit", [1, 100, 125, 126, 1000, 65535, 65536, 1_000_000])
def test_a_frame_of_the_limit_and_one_more(ws: WsLink, limit: int) -> None:
    net.native_ws_set_max_frame_size(ws.id, limit)
    sender = Running(ws.peer.send, BINARY, b"x" * limit)
    assert received_binary(ws.id) == b"x" * limit
    sender.result()
    ws.peer.say(ws.peer.frame(TEXT, b"", length=limit + 1))
    closed_with_1009(ws)


def test_a_continuation_over_the_limit(ws: WsLink) -> None:
    net.native_ws_set_max_frame_size(ws.id, 1000)
    ws.peer.send(BINARY, b"x" * 1000, fin=False)
    ws.peer.send(CONTINUATION, b"x" * 1001)
    closed_with_1009(ws)


def test_many_small_frames_are_not_over_it(ws: WsLink) -> None:
    net.native_ws_set_max_frame_size(ws.id, 100)
    for number in range(50):
        ws.peer.send(CONTINUATION if number else BINARY, b"x" * 100, fin=number == 49)
    assert received_binary(ws.id) == b"x" * 5000


def test_control_frames_are_not_bound_by_a_small_limit(ws: WsLink) -> None:
    net.native_ws_set_max_frame_size(ws.id, 1)
    ws.peer.send(PING, b"x" * 125)
    assert net.native_ws_recv_blocking(ws.id, 20) is None
    assert ws.peer.expect(PONG) == b"x" * 125
    net.native_ws_ping(ws.id)
    ws.peer.expect(PING)
    ws.peer.close(1000, "a reason")
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert net.native_ws_client_info(ws.id)["close_reason"] == "a reason"


@pytest.mark.parametrize("limit", [1, 7, 125, 126, 1000, 65536])
@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 200_000])
def test_outgoing_frames(ws: WsLink, limit: int, size: int) -> None:
    if limit == 1 and size > 10_000:
        size = 10_000
    data = bytes(range(256)) * (size // 256 + 1)
    net.native_ws_set_max_frame_size(ws.id, limit)
    reader = Running(ws.peer.frames)
    net.native_ws_send_binary(ws.id, data[:size])
    frames = reader.result()
    assert [each.payload for each in frames] == (pieces(data[:size], limit) or [b""])
    assert frames[0].opcode == BINARY


def test_outgoing_text_is_cut_anywhere(ws: WsLink) -> None:
    """A fragment need not end with a character (RFC 6455, section 5.4)."""
    net.native_ws_set_max_frame_size(ws.id, 2)
    net.native_ws_send(ws.id, "€𐍈é!")
    frames = ws.peer.frames()
    assert max(len(each.payload) for each in frames) == 2
    assert b"".join(each.payload for each in frames).decode() == "€𐍈é!"


def test_a_limit_may_be_changed(ws: WsLink) -> None:
    net.native_ws_set_max_frame_size(ws.id, 10)
    ws.peer.text("x" * 10)
    assert received(ws.id) == "x" * 10
    net.native_ws_set_max_frame_size(ws.id, 32 * MIB)
    sender = Running(ws.peer.send, BINARY, b"x" * (20 * MIB))
    assert received_binary(ws.id) == b"x" * (20 * MIB)
    sender.result()


# ---- whole messages


def test_the_default_limit_of_a_message(ws: WsLink) -> None:
    """64 MiB in frames of 16; the header of what goes beyond is enough."""

    def send() -> None:
        for number in range(4):
            ws.peer.send(CONTINUATION if number else BINARY, bytes(16 * MIB), fin=False)
        ws.peer.say(ws.peer.frame(CONTINUATION, b"", length=1))

    sender = Running(send)
    with pytest.raises(net.NetworkError, match=r"^E5006 native_ws_recv_binary_blocking: "):
        net.native_ws_recv_binary_blocking(ws.id, -1)
    sender.result()
    assert ws.peer.closing()[0] == 1009


@pytest.mark.parametrize("limit", [1, 1000, 70_000])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_message_of_the_limit_and_one_more(ws: WsLink, limit: int, parts: int) -> None:
    net.native_ws_set_max_message_size(ws.id, limit)
    for size in (limit, limit + 1):
        cut = pieces(b"x" * size, -(-size // parts))
        for number, part in enumerate(cut):
            ws.peer.send(CONTINUATION if number else TEXT, part, fin=number == len(cut) - 1)
        if size == limit:
            assert received(ws.id) == "x" * limit
    closed_with_1009(ws)


def test_pings_between_fragments_are_not_counted(ws: WsLink) -> None:
    net.native_ws_set_max_message_size(ws.id, 10)
    ws.peer.send(TEXT, b"12345", fin=False)
    ws.peer.send(PING, b"x" * 100)
    ws.peer.send(CONTINUATION, b"67890")
    assert received(ws.id) == "1234567890"


def test_a_message_limit_below_the_frame_limit(ws: WsLink) -> None:
    """A frame that alone is too much for a message is refused by its header."""
    net.native_ws_set_max_message_size(ws.id, 1000)
    ws.peer.say(ws.peer.frame(BINARY, b"", length=1001))
    closed_with_1009(ws)


@pytest.mark.parametrize("setting", ["native_ws_set_max_frame_size", "native_ws_set_max_message_size"])
def test_what_is_no_size(ws: WsLink, setting: str) -> None:
    for wrong in (0, -1, 1.5, None, "1", True):
        assert code_of(getattr(net, setting), ws.id, wrong) == "E3006"


def test_the_error_names_the_limit(ws: WsLink) -> None:
    net.native_ws_set_max_frame_size(ws.id, 12345)
    ws.peer.say(ws.peer.frame(BINARY, b"", length=99999))
    ws.peer.closing()
    assert "12345" in str(refusal(net.native_ws_recv_blocking, ws.id, -1))


def test_set_on_a_server_for_later_clients(ws_server: int, ws_dial: Upgrade) -> None:
    before = ws_dial(ws_server)
    net.native_ws_set_max_frame_size(ws_server, 10)
    net.native_ws_set_max_message_size(ws_server, 15)
    after = ws_dial(ws_server)
    before.peer.text("x" * 100)
    assert received(before.id) == "x" * 100
    after.peer.send(TEXT, b"x" * 10, fin=False)
    after.peer.send(CONTINUATION, b"x" * 5)
    assert received(after.id) == "x" * 15
    after.peer.say(after.peer.frame(TEXT, b"", length=11))
    closed_with_1009(after)


MEMORY = """
import os, resource, socket, sys, threading
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from ws_support import BINARY, CONTINUATION, Peer, accept_of, request, ws_port

server = net.native_ws_listen(0)

def dial():
    peer = Peer(socket.create_connection(("127.0.0.1", ws_port(server))), True)
    peer.say(request())
    identifier = accept_of(server)
    peer.head()
    return identifier, peer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
def test_a_header_alone_reserves_nothing_large() -> None:
    """A peer that says 16 MiB and sends nothing must not make us hold 16 MiB."""
    run_script(
        MEMORY
        + """
links = [dial() for _ in range(40)]
before = peak()
for identifier, peer in links:
    peer.say(peer.frame(BINARY, b"", length=1 << 24))
for identifier, peer in links:
    for _ in range(20):
        assert net.native_ws_recv_binary_blocking(identifier, 5) is None
assert peak() - before < 100 << 20, peak() - before
""",
        HERE,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
def test_unread_messages_are_bounded() -> None:
    """A peer that sends for ever to a script that never reads is slowed down, not hoarded."""
    run_script(
        MEMORY
        + """
identifier, peer = dial()
block = peer.frame(BINARY, bytes(100_000))
before = peak()
peer.raw.settimeout(1)
sent = 0
try:
    while sent < 1 << 30:
        try:
            net.native_ws_recv(identifier)   # nobody takes the binaries
        except net.NetworkError as error:
            assert "unread" in str(error), error
        peer.raw.sendall(block)
        sent += len(block)
except TimeoutError:
    pass
assert sent < 512 << 20, sent
assert peak() - before < 256 << 20, (peak() - before, sent)
""",
        HERE,
    )


def test_one_message_of_the_other_kind_is_never_too_much(ws: WsLink) -> None:
    """However large it is: a script that asks for text first finds the binary message afterwards."""
    sender = Running(ws.peer.send, BINARY, bytes(16 * MIB))
    wait_until(lambda: net.native_net_wait([ws.id], 100))
    assert net.native_ws_recv(ws.id) is None
    assert received_binary(ws.id) == bytes(16 * MIB)
    sender.result()
