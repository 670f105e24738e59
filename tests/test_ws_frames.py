"""What a peer may do with frames (RFC 6455, sections 5.2 to 5.5): any fragmentation, any split over packets."""

from __future__ import annotations

import random

import pytest
from support import Running
from ws_support import BINARY, CONTINUATION, PING, PONG, TEXT, WsLink, masked, pieces, received, received_binary

import dryad_net as net


@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 300])
def test_every_split_of_a_frame(ws: WsLink, size: int) -> None:
    data = bytes(range(256)) * 2
    whole = ws.peer.frame(BINARY, data[:size])
    positions = [*range(1, min(len(whole), 20)), *range(20, len(whole), 37), len(whole) - 1]
    for position in filter(None, positions):
        ws.peer.say(whole[:position])
        assert net.native_ws_recv_binary(ws.id) is None
        ws.peer.say(whole[position:])
        assert received_binary(ws.id) == data[:size]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_small_pieces(ws: WsLink, size: int) -> None:
    text = "Zeichen: é€𐍈" * 15
    frames = ws.peer.frame(TEXT, text.encode()) + ws.peer.frame(BINARY, b"\0" * 130) + ws.peer.frame(PING, b"hello")
    for piece in pieces(frames, size):
        ws.peer.say(piece)
        net.native_ws_get_state(ws.id)
    assert received(ws.id) == text
    assert received_binary(ws.id) == b"\0" * 130
    assert ws.peer.expect(PONG) == b"hello"


def test_a_large_message_in_pieces_of_any_size(ws: WsLink) -> None:
    source = random.Random(4)
    data = source.randbytes(3_000_000)
    whole = ws.peer.frame(BINARY, data) + ws.peer.frame(TEXT, b"end")

    def send() -> None:
        position = 0
        while position < len(whole):
            size = source.choice([1, 2, 3, 100, 1459, 65536, 200_000])
            ws.peer.say(whole[position : position + size])
            position += size

    sender = Running(send)
    assert received_binary(ws.id) == data
    assert received(ws.id) == "end"
    sender.result()


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000])
def test_fragments(ws: WsLink, size: int) -> None:
    text = "é€𐍈!" * 200
    parts = pieces(text.encode(), size)
    for number, part in enumerate(parts):
        ws.peer.send(CONTINUATION if number else TEXT, part, fin=number == len(parts) - 1)
    assert received(ws.id) == text
    for number, part in enumerate(parts):
        ws.peer.send(CONTINUATION if number else BINARY, part, fin=number == len(parts) - 1)
    assert received_binary(ws.id) == text.encode()


def test_control_frames_between_fragments(ws: WsLink) -> None:
    peer = ws.peer
    peer.send(TEXT, b"one \xe2\x82", fin=False)
    peer.send(PING, b"between")
    peer.send(PONG, b"unasked")
    peer.send(CONTINUATION, b"\xac two", fin=False)
    peer.send(PING, b"")
    assert net.native_ws_recv_blocking(ws.id, 50) is None
    assert peer.expect(PONG) == b"between"
    assert peer.expect(PONG) == b""
    peer.send(CONTINUATION, b" three")
    assert received(ws.id) == "one € two three"


@pytest.mark.parametrize(("opcode", "empty"), [(TEXT, ""), (BINARY, b"")])
def test_empty_fragments(ws: WsLink, opcode: int, empty: str | bytes) -> None:
    peer = ws.peer
    receive = received if opcode == TEXT else received_binary
    for parts in ([b"", b""], [b"", b"x", b""], [b"x", b"", b"", b"y"], [b"", b"", b"", b"", b""], [b""] * 1000):
        for number, part in enumerate(parts):
            peer.send(CONTINUATION if number else opcode, part, fin=number == len(parts) - 1)
        message = receive(ws.id)
        assert (message.encode() if isinstance(message, str) else message) == b"".join(parts)
        assert type(message) is type(empty)


def test_a_message_of_many_fragments(ws: WsLink) -> None:
    """What it costs must not grow with the square of their number."""
    count = 100_000
    frames = [ws.peer.frame(CONTINUATION if number else BINARY, b"x", fin=False) for number in range(count)]
    sender = Running(ws.peer.say, b"".join(frames) + ws.peer.frame(CONTINUATION, b"y"))
    assert received_binary(ws.id) == b"x" * count + b"y"
    sender.result()


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\2\3\4"])
@pytest.mark.parametrize("size", [*range(20), 63, 64, 65, 127, 128, 1000])
def test_any_masking_key_at_any_size(ws_client: WsLink, key: bytes, size: int) -> None:
    data = bytes(range(256)) * 4
    ws_client.peer.send(BINARY, data[:size], mask=key)
    assert received_binary(ws_client.id) == data[:size]


def test_masking_goes_on_over_any_split(ws_client: WsLink) -> None:
    """The key's next byte depends on the position in the frame, not in the packet."""
    data = bytes(range(256))
    for cut in range(1, 80):
        whole = ws_client.peer.frame(BINARY, data, mask=b"\x11\x22\x44\x88")
        ws_client.peer.say(whole[:cut])
        assert net.native_ws_recv_binary(ws_client.id) is None
        ws_client.peer.say(whole[cut : cut + 3])
        assert net.native_ws_recv_binary(ws_client.id) is None
        ws_client.peer.say(whole[cut + 3 :])
        assert received_binary(ws_client.id) == data
    assert masked(masked(data, b"\1\2\3\4"), b"\1\2\3\4") == data


@pytest.mark.parametrize("payload", [b"", b"x", b"\0\xff" * 62, b"y" * 125])
def test_a_ping_is_answered_with_its_payload(ws: WsLink, payload: bytes) -> None:
    ws.peer.send(PING, payload)
    assert net.native_ws_recv_blocking(ws.id, 20) is None
    assert ws.peer.expect(PONG) == payload


def test_pings_are_answered_in_order(ws: WsLink) -> None:
    """All of them, or at least the latest (RFC 6455, section 5.5.3)."""
    ws.peer.say(b"".join(ws.peer.frame(PING, b"%d" % number) for number in range(50)))
    ws.peer.text("end")
    assert received(ws.id) == "end"
    answered = [int(ws.peer.expect(PONG))]
    while answered[-1] < 49:
        answered.append(int(ws.peer.expect(PONG)))
    assert answered == sorted(set(answered))


def test_pings_without_end_and_nobody_reads_the_pongs(ws: WsLink) -> None:
    """What is held for such a peer is bounded: it must not be able to make us keep its pongs."""
    ws.peer.raw.settimeout(1.0)
    pings = ws.peer.frame(PING, b"x" * 125) * 1000

    def flood() -> int:
        sent = 0
        try:
            while sent < 20_000_000:
                sent += ws.peer.raw.send(pings)
        except OSError:
            pass  # slowed down, or cut off
        return sent

    flooding = Running(flood)
    while flooding.is_alive():
        try:
            net.native_ws_recv_blocking(ws.id, 50)
        except net.NetworkError:
            break
    flooding.result(60)


def test_unasked_pongs_are_ignored(ws: WsLink) -> None:
    for payload in (b"", b"unasked", b"x" * 125):
        ws.peer.send(PONG, payload)
    ws.peer.text("after them")
    assert received(ws.id) == "after them"
    assert net.native_ws_client_info(ws.id)["latency_ms"] is None


def test_frames_of_64_bit_length(ws: WsLink) -> None:
    sender = Running(ws.peer.send, BINARY, b"z" * 70_000)
    assert received_binary(ws.id) == b"z" * 70_000
    sender.result()
