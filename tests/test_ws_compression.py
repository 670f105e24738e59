"""permessage-deflate (RFC 7692) on the wire: both roles, on and off, fragments, bombs, and bad data."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Running, code_of, run_script
from ws_support import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    PING,
    PONG,
    TEXT,
    Peer,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    deflated,
    header_of,
    headers_of,
    opened,
    pieces,
    received,
    received_binary,
    request,
    response,
    said_once,
    ws_port,
)

import dryad_net as net

HERE = Path(__file__).parent
MIB = 1 << 20
TEXT_OF_ALL_KINDS = "compressible compressible é€𐍈 " * 300


class Compressing:
    """The peer's end of permessage-deflate, with context takeover both ways."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._deflater = zlib.compressobj(wbits=-15)
        self._inflater = zlib.decompressobj(wbits=-15)

    def deflate(self, payload: bytes) -> bytes:
        return (self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def send(self, opcode: int, payload: bytes) -> None:
        self.peer.send(opcode, self.deflate(payload), rsv=4)

    def message(self) -> tuple[bool, str | bytes]:
        """Was the next message compressed, and what is in it?"""
        frames = self.peer.frames()
        payload = b"".join(each.payload for each in frames)
        compressed = frames[0].rsv == 4
        if compressed:
            payload = self._inflater.decompress(payload + b"\0\0\xff\xff")
        return compressed, payload.decode() if frames[0].opcode == TEXT else payload


@pytest.fixture(params=["our_client", "our_server"])
def deflating(request: pytest.FixtureRequest, ws_call: Upgrade, ws_server: int, ws_dial: Upgrade) -> WsLink:
    """A connection with permessage-deflate, the library in either role."""
    if request.param == "our_server":
        net.native_ws_set_compression(ws_server, True)
        return ws_dial(ws_server, DEFLATE)
    link = ws_call()
    net.native_ws_set_compression(link.id, True)
    net.native_ws_recv(link.id)
    link.peer.say(response(link.peer.head(), DEFLATE))
    opened(link.id)
    return link


@pytest.mark.parametrize("size", [1, 100, 10_000, 3 * MIB])
def test_both_ways(deflating: WsLink, size: int) -> None:
    peer = Compressing(deflating.peer)
    for data in (b"a" * size, os.urandom(size)):
        for _ in range(3):
            sender = Running(peer.send, BINARY, data)
            assert received_binary(deflating.id) == data
            sender.result()
            reader = Running(peer.message)
            net.native_ws_send_binary(deflating.id, data)
            assert reader.result()[1] == data


def test_text_and_empty_messages(deflating: WsLink) -> None:
    peer = Compressing(deflating.peer)
    for text in ("", TEXT_OF_ALL_KINDS, "x", "", TEXT_OF_ALL_KINDS):
        peer.send(TEXT, text.encode())
        assert received(deflating.id) == text
        net.native_ws_send(deflating.id, text)
        assert peer.message()[1] == text


def test_it_does_compress(deflating: WsLink) -> None:
    net.native_ws_send(deflating.id, TEXT_OF_ALL_KINDS)
    frames = deflating.peer.frames()
    assert frames[0].rsv == 4
    assert sum(len(each.payload) for each in frames) < 500


def test_uncompressed_messages_are_fine(deflating: WsLink) -> None:
    """RFC 7692, section 6: each message as its sender likes."""
    peer = Compressing(deflating.peer)
    peer.send(TEXT, b"compressed")
    deflating.peer.text("plain")
    peer.send(TEXT, b"compressed")
    assert [received(deflating.id) for _ in range(3)] == ["compressed", "plain", "compressed"]


def test_switched_off_and_on_afterwards(deflating: WsLink) -> None:
    peer = Compressing(deflating.peer)
    for enable in (True, False, True, False, False, True):
        assert net.native_ws_set_compression(deflating.id, enable) is None
        net.native_ws_send(deflating.id, TEXT_OF_ALL_KINDS)
        assert peer.message() == (enable, TEXT_OF_ALL_KINDS)
        peer.send(TEXT, TEXT_OF_ALL_KINDS.encode())  # what the peer sends is its own affair
        assert received(deflating.id) == TEXT_OF_ALL_KINDS


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_fragmented(deflating: WsLink, size: int) -> None:
    """RFC 7692, section 6.1: the bit is on the first frame alone, and control frames may come between."""
    peer = Compressing(deflating.peer)
    for _ in range(3):
        parts = pieces(peer.deflate(TEXT_OF_ALL_KINDS.encode()), size)
        for number, part in enumerate(parts):
            deflating.peer.send(
                CONTINUATION if number else TEXT, part, rsv=0 if number else 4, fin=number == len(parts) - 1
            )
            if number == 0:
                deflating.peer.send(PING, b"between")
        assert received(deflating.id) == TEXT_OF_ALL_KINDS
        assert deflating.peer.expect(PONG) == b"between"


def test_an_empty_last_fragment(deflating: WsLink) -> None:
    deflating.peer.send(TEXT, deflated(b"all of it"), rsv=4, fin=False)
    deflating.peer.send(CONTINUATION, b"", fin=False)
    deflating.peer.send(CONTINUATION, b"")
    assert received(deflating.id) == "all of it"


def test_sent_in_fragments(deflating: WsLink) -> None:
    """The limit of a frame is counted on the wire."""
    net.native_ws_set_max_frame_size(deflating.id, 1000)
    data = os.urandom(10_000)
    peer = Compressing(deflating.peer)
    net.native_ws_send_binary(deflating.id, data)
    frames = deflating.peer.frames()
    assert max(len(each.payload) for each in frames) <= 1000
    payload = b"".join(each.payload for each in frames)
    assert zlib.decompressobj(wbits=-15).decompress(payload + b"\0\0\xff\xff") == data
    assert frames[0].rsv == 4
    peer.send(BINARY, b"a" * 100_000)  # inflated it may be larger
    assert received_binary(deflating.id) == b"a" * 100_000


@pytest.mark.parametrize("block", ["stored", "fixed", "final"])
def test_any_kind_of_block(deflating: WsLink, block: str) -> None:
    """RFC 7692, section 7.2.3."""
    data = b"Hello" * 10
    if block == "stored":
        compressor = zlib.compressobj(0, wbits=-15)
        payload = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    elif block == "fixed":
        compressor = zlib.compressobj(wbits=-15, strategy=zlib.Z_FIXED)
        payload = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    else:
        compressor = zlib.compressobj(wbits=-15)
        payload = compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b"\0"
    deflating.peer.send(BINARY, payload, rsv=4)
    assert received_binary(deflating.id) == data
    deflating.peer.send(BINARY, deflated(b"and on"), rsv=4)
    assert received_binary(deflating.id) == b"and on"


def test_broadcasts(ws_server: int, ws_dial: Upgrade) -> None:
    """To those who compress and those who do not, at once."""
    net.native_ws_set_compression(ws_server, True)
    compressing, plain = ws_dial(ws_server, DEFLATE), ws_dial(ws_server)
    peer = Compressing(compressing.peer)
    for _ in range(3):
        assert net.native_ws_broadcast(ws_server, TEXT_OF_ALL_KINDS) == 2
        assert plain.peer.message() == TEXT_OF_ALL_KINDS
        assert peer.message()[1] == TEXT_OF_ALL_KINDS
        net.native_ws_send(compressing.id, TEXT_OF_ALL_KINDS)
        assert peer.message()[1] == TEXT_OF_ALL_KINDS


# ---- what is wrong


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x07", b"garbage that is no deflate"])
def test_bad_data(deflating: WsLink, opcode: int, payload: bytes) -> None:
    deflating.peer.send(opcode, payload, rsv=4)
    assert deflating.peer.closing()[0] in (1002, 1007)
    deflating.peer.hang_up()
    said_once(deflating.id)


def test_text_that_is_no_utf8_inside(deflating: WsLink) -> None:
    deflating.peer.send(TEXT, deflated(b"caf\xe9!"), rsv=4)
    assert deflating.peer.closing()[0] == 1007
    deflating.peer.hang_up()
    said_once(deflating.id)


@pytest.mark.parametrize(
    ("opcode", "options"),
    [(TEXT, {"rsv": 2}), (TEXT, {"rsv": 6}), (PING, {"rsv": 4}), (8, {"rsv": 4}), (CONTINUATION, {"rsv": 4})],
)
def test_reserved_bits_where_they_do_not_belong(deflating: WsLink, opcode: int, options: dict[str, int]) -> None:
    if opcode == CONTINUATION:
        deflating.peer.send(TEXT, b"first", fin=False)
    deflating.peer.send(opcode, b"", **options)
    assert deflating.peer.closing()[0] == 1002
    deflating.peer.hang_up()
    said_once(deflating.id)


def test_a_message_over_the_limit_when_inflated(deflating: WsLink) -> None:
    net.native_ws_set_max_message_size(deflating.id, 1000)
    deflating.peer.send(BINARY, deflated(b"a" * 1000), rsv=4)
    assert received_binary(deflating.id) == b"a" * 1000
    deflating.peer.send(BINARY, deflated(b"a" * 1001), rsv=4)
    assert deflating.peer.closing()[0] == 1009
    deflating.peer.hang_up()
    said_once(deflating.id)
    becomes(deflating.id, "closed")


@pytest.mark.parametrize("limit", [2**62, sys.maxsize])
def test_messages_under_the_largest_limit(deflating: WsLink, limit: int) -> None:
    net.native_ws_set_max_message_size(deflating.id, limit)
    peer = Compressing(deflating.peer)
    for message in (b"hello", b"x" * MIB):
        sender = Running(peer.send, BINARY, message)
        assert received_binary(deflating.id) == message
        sender.result()


def test_counted_over_all_fragments(deflating: WsLink) -> None:
    net.native_ws_set_max_message_size(deflating.id, 1000)
    peer = Compressing(deflating.peer)
    deflating.peer.send(BINARY, peer.deflate(b"a" * 600) + b"\0\0\xff\xff", rsv=4, fin=False)
    deflating.peer.send(CONTINUATION, peer.deflate(b"b" * 600))
    assert deflating.peer.closing()[0] == 1009


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
@pytest.mark.parametrize("fragmented", [False, True])
def test_a_bomb(fragmented: bool) -> None:
    """16 GiB in 16 MiB: refused at the message limit, with memory for the limit and not much more."""
    run_script(
        """
import resource, sys, threading, zlib
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from ws_support import BINARY, CONTINUATION, DEFLATE, accept_of, plain_client, request
server = net.native_ws_listen(0)
net.native_ws_set_compression(server, True)
peer = plain_client(server)
peer.say(request(DEFLATE))
identifier = accept_of(server)
peer.head()
compressor = zlib.compressobj(9, wbits=-15)
block = compressor.compress(bytes(1 << 24)) + compressor.flush(zlib.Z_SYNC_FLUSH)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = [block] * 500 if int(sys.argv[2]) else [block * 500]
def send():
    try:
        for number, each in enumerate(frames):
            opcode = CONTINUATION if number else BINARY
            peer.send(opcode, each, rsv=0 if number else 4, fin=number == len(frames) - 1)
    except OSError:
        pass
sender = threading.Thread(target=send)
sender.start()
try:
    net.native_ws_recv_binary_blocking(identifier, -1)
except net.NetworkError as error:
    print(error.code)
assert peer.closing()[0] == 1009
peer.hang_up()
sender.join()
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert used < 280 * 1024, used
""",
        HERE,
        int(fragmented),
        seconds=100,
    )


# ---- negotiation as a user sees it


def test_not_offered_unless_asked_for(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_recv(link.id)
    assert headers_of(link.peer.head(), "Sec-WebSocket-Extensions") == []


def test_a_server_that_declines(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_compression(link.id, True)
    net.native_ws_recv(link.id)
    link.peer.say(response(link.peer.head()))
    opened(link.id)
    assert not net.native_ws_client_info(link.id)["compression"]
    net.native_ws_send(link.id, TEXT_OF_ALL_KINDS)
    assert link.peer.message() == TEXT_OF_ALL_KINDS
    assert code_of(net.native_ws_set_compression, link.id, True) == "E3006"


@pytest.mark.parametrize(
    "parameters",
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10",
        "client_max_window_bits=9; server_max_window_bits=9",
        "client_max_window_bits",
    ],
)
def test_with_every_parameter(ws_server: int, ws_knock: Callable[..., Peer], parameters: str) -> None:
    net.native_ws_set_compression(ws_server, True)
    peer = ws_knock(ws_server)
    peer.say(request(f"{DEFLATE}; {parameters}"))
    accepted = accept_of(ws_server)
    answer = header_of(peer.head(), "Sec-WebSocket-Extensions")
    assert answer.startswith("permessage-deflate")
    for wanted in ("server_no_context_takeover", "server_max_window_bits"):
        assert (wanted in answer) >= (wanted in parameters)
    window = 9 if "client_max_window_bits=9" in parameters else 15
    data = os.urandom(2000) * 20
    for _ in range(3):
        compressor = zlib.compressobj(wbits=-window)
        payload = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        peer.send(BINARY, payload, rsv=4)
        assert received_binary(accepted) == data
    inflater = zlib.decompressobj(wbits=-9 if "server_max_window_bits=9" in parameters else -15)
    for _ in range(3):
        net.native_ws_send_binary(accepted, data)
        payload = b"".join(each.payload for each in peer.frames())
        if "server_no_context_takeover" in parameters:
            inflater = zlib.decompressobj(wbits=-15)
        assert inflater.decompress(payload + b"\0\0\xff\xff") == data


def test_both_ends_ours(ws_server: int) -> None:
    net.native_ws_set_compression(ws_server, True)
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    net.native_ws_set_compression(own, True)
    net.native_ws_recv(own)
    accepted = accept_of(ws_server)
    for size in (0, 1, 1000, 100_000, 5 * MIB):
        sender = Running(net.native_ws_send, own, "é" * size)
        assert received(accepted) == "é" * size
        sender.result()
        sender = Running(net.native_ws_send, accepted, "x" * size)
        assert received(own) == "x" * size
        sender.result()
