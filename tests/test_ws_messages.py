"""Messages of every size and kind, out and in: whole, in order, text apart from binary."""

from __future__ import annotations

import array
import time

import pytest
from support import Running, refusal
from ws_support import BINARY, PING, PONG, SOON_MS, TEXT, WsLink, received, received_binary

import dryad_net as net

MIB = 1 << 20
SIZES = [0, 1, 2, 3, 4, 7, 8, 9, 124, 125, 126, 127, 128, 4095, 8192, 65534, 65535, 65536, 65537, MIB, 17 * MIB]
UNICODE = [
    "",
    "a",
    "plain ASCII",
    "\0\x01\x7f",
    "é",
    "ÀÿĀ߿",
    "ࠀ￿퟿",
    "𐀀\U0010ffff😀",
    "日本語 Ελληνικά עברית हिन्दी 👩‍👩‍👧‍👦",
    "\ufeffbyte order mark",
    "￾￿",
    "e\u0301",
    "\r\n\t",
    "".join(map(chr, range(0xD800))),
    "".join(map(chr, range(0xE000, 0x11000))),
]
LONE_SURROGATES = ["\ud800", "a\udfffb", "\udc80", "\udcff", "\ud83d\ude00", "x" * 10_000 + "\ud800"]


def data_of(size: int) -> bytes:
    """Bytes that are nowhere the same as near by."""
    return (b"".join(number.to_bytes(4, "big") for number in range(size // 4 % 65536 + 1)) * (size // 262144 + 1))[
        :size
    ]


@pytest.mark.parametrize("size", SIZES)
def test_binary_out(ws: WsLink, size: int) -> None:
    data = data_of(size)
    reader = Running(ws.peer.message)
    assert net.native_ws_send_binary(ws.id, data) is None
    assert reader.result() == data


@pytest.mark.parametrize("size", SIZES)
def test_text_out(ws: WsLink, size: int) -> None:
    reader = Running(ws.peer.message)
    assert net.native_ws_send(ws.id, "x" * size) is None
    assert reader.result() == "x" * size


@pytest.mark.parametrize("size", SIZES[:-1])
def test_binary_in(ws: WsLink, size: int) -> None:
    data = data_of(size)
    sender = Running(ws.peer.send, BINARY, data)
    message = received_binary(ws.id)
    assert type(message) is bytes
    assert message == data
    sender.result()


@pytest.mark.parametrize("size", SIZES[:-1])
def test_text_in(ws: WsLink, size: int) -> None:
    sender = Running(ws.peer.send, TEXT, b"x" * size)
    assert received(ws.id) == "x" * size
    sender.result()


@pytest.mark.parametrize("size", [17 * MIB, 64 * MIB])
def test_a_message_larger_than_a_frame_in(ws: WsLink, size: int) -> None:
    """A frame may have 16 MiB, a message 64 MiB."""
    data = data_of(size)

    def send() -> None:
        for start in range(0, size, 16 * MIB):
            last = start + 16 * MIB >= size
            ws.peer.send(BINARY if start == 0 else 0, data[start : start + 16 * MIB], fin=last)

    sender = Running(send)
    assert received_binary(ws.id) == data
    sender.result()


@pytest.mark.parametrize("size", [17 * MIB, 64 * MIB])
def test_a_message_larger_than_a_frame_out(ws: WsLink, size: int) -> None:
    data = data_of(size)
    reader = Running(ws.peer.frames)
    net.native_ws_send_binary(ws.id, data)
    frames = reader.result()
    assert all(len(each.payload) <= 16 * MIB for each in frames)
    assert b"".join(each.payload for each in frames) == data


@pytest.mark.parametrize("text", UNICODE, ids=ascii)
def test_unicode(ws: WsLink, text: str) -> None:
    reader = Running(ws.peer.message)
    net.native_ws_send(ws.id, text)
    assert reader.result() == text
    sender = Running(ws.peer.text, text)
    assert received(ws.id) == text
    sender.result()


def test_all_of_unicode_in_one_message(ws: WsLink) -> None:
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    reader = Running(ws.peer.message)
    net.native_ws_send(ws.id, text)
    assert reader.result() == text
    sender = Running(ws.peer.text, text)
    assert received(ws.id) == text
    sender.result()


@pytest.mark.parametrize("position", range(0, 70, 3))
def test_a_wide_character_anywhere_in_ascii(ws: WsLink, position: int) -> None:
    """What finds the first byte that is not ASCII looks at several bytes at once."""
    for wide in ("é", "€", "𐍈"):
        text = "a" * position + wide + "b" * (69 - position)
        net.native_ws_send(ws.id, text)
        assert ws.peer.message() == text
        ws.peer.text(text)
        assert received(ws.id) == text


@pytest.mark.parametrize("text", LONE_SURROGATES, ids=ascii)
def test_lone_surrogates_are_no_text(ws: WsLink, text: str) -> None:
    """Not even an escaped byte: text is strict UTF-8 both ways (RFC 6455, section 5.6)."""
    error = refusal(net.native_ws_send, ws.id, text)
    assert error.code == "E3006"
    assert "surrogate" in str(error)
    net.native_ws_send(ws.id, "next")
    assert ws.peer.message() == "next"


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)),
        bytearray(range(256)),
        memoryview(bytes(range(256))),
        list(range(256)),
        [float(number) for number in range(256)],
        tuple(range(256)),
        array.array("B", range(256)),
        array.array("I", range(64)),
    ],
    ids=lambda data: type(data).__name__,
)
def test_byte_arrays_in_any_form(ws: WsLink, data: object) -> None:
    expected = bytes(range(256)) if not hasattr(data, "tobytes") else data.tobytes()
    net.native_ws_send_binary(ws.id, data)
    assert ws.peer.message() == expected


@pytest.mark.parametrize("empty", [b"", bytearray(), [], memoryview(b"")], ids=lambda data: type(data).__name__)
def test_an_empty_binary_message(ws: WsLink, empty: object) -> None:
    net.native_ws_send_binary(ws.id, empty)
    assert ws.peer.message() == b""
    ws.peer.send(BINARY, b"")
    assert received_binary(ws.id) == b""


def test_an_empty_text_message_is_no_null(ws: WsLink) -> None:
    net.native_ws_send(ws.id, "")
    assert ws.peer.message() == ""
    ws.peer.text("")
    assert net.native_ws_recv_blocking(ws.id, SOON_MS) == ""


def test_text_is_sent_as_text_and_binary_as_binary(ws: WsLink) -> None:
    net.native_ws_send(ws.id, "text")
    net.native_ws_send_binary(ws.id, b"text")
    assert ws.peer.message() == "text"
    assert ws.peer.message() == b"text"


def test_order_is_kept(ws: WsLink) -> None:
    for number in range(500):
        net.native_ws_send(ws.id, str(number))
        net.native_ws_send_binary(ws.id, b"%d" % number)
    for number in range(500):
        assert ws.peer.message() == str(number)
        assert ws.peer.message() == b"%d" % number


def test_a_buffer_may_be_reused_after_sending(ws: WsLink) -> None:
    data = bytearray(b"first")
    net.native_ws_send_binary(ws.id, data)
    data[:] = b"other"
    data.extend(b"!")
    net.native_ws_send_binary(ws.id, data)
    assert ws.peer.message() == b"first"
    assert ws.peer.message() == b"other!"


def test_a_string_is_not_changed_by_sending(ws: WsLink) -> None:
    """Masking must not happen in the caller's own bytes."""
    text, data = "unchanged" * 100, b"unchanged" * 100
    net.native_ws_send(ws.id, text)
    net.native_ws_send_binary(ws.id, data)
    assert (text, data) == ("unchanged" * 100, b"unchanged" * 100)


def test_masking_keys_differ(ws_link: WsLink) -> None:
    """RFC 6455, section 10.3: a fresh key for each frame, not predictable from the last."""
    keys = set()
    for _ in range(1000):
        net.native_ws_send(ws_link.id, "")
    for _ in range(1000):
        assert ws_link.peer.exactly(2) == b"\x81\x80"
        keys.add(ws_link.peer.exactly(4))
    assert len(keys) > 990
    assert len({key[0] for key in keys}) > 200


def test_ping_and_pong(ws: WsLink) -> None:
    assert net.native_ws_ping(ws.id) is None
    payload = ws.peer.expect(PING)
    assert net.native_ws_pong(ws.id) is None
    ws.peer.expect(PONG)
    ws.peer.send(PONG, payload)
    ws.peer.text("after it")
    assert received(ws.id) == "after it"
    assert 0 <= net.native_ws_client_info(ws.id)["latency_ms"] < 60_000


def test_messages_of_a_burst_in_one_packet(ws: WsLink) -> None:
    ws.peer.say(b"".join(ws.peer.frame(TEXT, b"%d" % number) for number in range(5000)))
    for number in range(5000):
        assert received(ws.id) == str(number)


def test_echo_over_both_ends_of_ours(ws_pair: tuple[int, int]) -> None:
    own, accepted = ws_pair
    for size in (0, 125, 126, 65535, 65536, MIB):
        data = data_of(size)
        sender = Running(net.native_ws_send_binary, own, data)
        assert received_binary(accepted) == data
        sender.result()
        sender = Running(net.native_ws_send, accepted, "ü" * size)
        assert received(own) == "ü" * size
        sender.result()


def test_sending_is_prompt(ws_pair: tuple[int, int]) -> None:
    """No small message waits for another one (Nagle's algorithm, tcp(7))."""
    own, accepted = ws_pair
    begun = time.monotonic()
    for _ in range(100):
        net.native_ws_send(own, "one")
        net.native_ws_send(own, "two")
        assert (received(accepted), received(accepted)) == ("one", "two")
        net.native_ws_send(accepted, "three")
        assert received(own) == "three"
    assert time.monotonic() - begun < 3
