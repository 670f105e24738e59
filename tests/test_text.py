"""Decoding beside bytes.decode, whose every answer and every refusal is ours too, wherever blocks of bytes end."""

from __future__ import annotations

import itertools
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import finish, preloaded, script
from ws_support import CONTINUATION, TEXT, frame

import dryad_net as net
from dryad_net import _backend
from dryad_net.close_codes import Violation

PORTUGUESE = "Não há razão para preocupação, disse o capitão às três da manhã. "
CHINESE = "世界各地的人们都在使用网络。速度很重要。"
EMOJI = "🌳🚀😀👩‍👧"
MIXED = PORTUGUESE + CHINESE + EMOJI
# The first and the last character of every length, and those beside the surrogates.
BOUNDARIES = [0, 0x7F, 0x80, 0xBF, 0xC0, 0xFF, 0x100, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000]
BOUNDARIES += [0xFFFD, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF]
# RFC 3629, 3 and 4: overlong forms, surrogates, beyond U+10FFFF, continuations without a lead, leads without them.
WRONG = [
    *[b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2x", b"\xc2\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf"],
    *[
        b"\xe0\xa0",
        b"\xe2\x82x",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xef\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
    ],
    *[b"\xf0\x90\x80", b"\xf1\x80\x80x", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff"],
    *[b"\xe4\xb8\x96\x80", b"\xf0\x9f\x98\x80\x80", b"\xc3\xa9\xa9", b"\xed\xa0\xbd\xed\xb8\x80"],
]
FILLERS = ["x", "é", "ж", "世", "😀"]
# One block of 64 bytes, one more, and what may begin in one and end in the next.
OFFSETS = range(140)


def outcome(decode: object, *arguments: object) -> object:
    """A string, or what a refusal says."""
    assert callable(decode)
    try:
        return decode(*arguments)
    except UnicodeDecodeError as error:
        return error.start, error.end, error.reason


def assert_same(data: bytes) -> None:
    expected = outcome(bytes.decode, data)
    found = outcome(_backend.text.decode, data)
    assert found == expected
    # Equal strings in different storage would still be different dictionary keys.
    assert hash(found) == hash(expected)


def filled(filler: str, size: int) -> bytes:
    """So many bytes: characters of one length, and ASCII for what they leave."""
    return (filler * (size // len(filler.encode()))).encode().ljust(size, b"x")


def test_the_name_says_what_decodes() -> None:
    assert _backend.text.NAME in (("avx2", "plain") if _backend.backend == "compiled" else ("Python",))


@pytest.mark.parametrize("data", [b"", b"x" * 100, MIXED.encode() * 3], ids=len)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes(kind: type, data: bytes) -> None:
    assert _backend.text.decode(kind(data)) == data.decode()


def test_every_character() -> None:
    everything = "".join(map(chr, itertools.chain(range(0xD800), range(0xE000, 0x110000))))
    for offset in range(67):
        assert_same(b"x" * offset + everything.encode())
    for most in (0x80, 0x100, 0x800, 0xD800):
        assert_same(everything[:most].encode() * 3)


@pytest.mark.parametrize("filler", FILLERS)
def test_boundaries_at_every_offset(filler: str) -> None:
    for code, offset in itertools.product(BOUNDARIES, OFFSETS):
        for behind in (0, 5, 100):
            assert_same(filled(filler, offset) + chr(code).encode() + filled(filler, behind))


@pytest.mark.parametrize("filler", FILLERS)
def test_refusals_at_every_offset(filler: str) -> None:
    for wrong, offset in itertools.product(WRONG, OFFSETS):
        for behind in (0, 3, 100):
            assert_same(filled(filler, offset) + wrong + filled(filler, behind))


def test_every_pair_of_bytes() -> None:
    for first, second in itertools.product(range(0x80, 0x100), range(0x100)):
        for offset in (31, 62, 63):
            assert_same(b"x" * offset + bytes((first, second)) + b"\x80\x80" + b"x" * 64)
            assert_same(b"x" * offset + bytes((first, second)) + b"x" * 64)


@pytest.mark.parametrize("text", [PORTUGUESE, CHINESE, EMOJI, MIXED], ids=["pt", "zh", "emoji", "mixed"])
def test_every_piece_of_a_text(text: str) -> None:
    data = (text * 6).encode()
    for start in range(70):
        for size in range(201):
            assert_same(data[start : start + size])


pieces = st.one_of(
    st.text(max_size=80).map(str.encode),
    st.sampled_from([*WRONG, *(text.encode() * 2 for text in (PORTUGUESE, CHINESE, EMOJI))]),
    st.integers(0, 150).map(lambda size: b"x" * size),
    st.binary(max_size=4),
)
often = settings(max_examples=300, deadline=None, database=None)


@often
@given(st.lists(pieces, max_size=8).map(b"".join))
def test_whatever_comes(data: bytes) -> None:
    assert_same(data)


@often
@given(st.lists(pieces, max_size=8).map(b"".join), st.integers(1, 400))
def test_text_of_a_stream(data: bytes, size: int) -> None:
    buffer = _backend.buffer.Buffer()
    buffer.append(data)
    taken = "".join(iter(lambda: buffer.take_text(size, True), None))
    assert taken == data.decode("utf-8", "surrogateescape")


# ---- messages whose text comes in pieces


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """In pieces of these sizes; the last takes the rest."""
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


def fragments(parts: list[bytes]) -> bytes:
    """A message of these fragments."""
    last = len(parts) - 1
    return b"".join(frame(CONTINUATION if place else TEXT, part, fin=place == last) for place, part in enumerate(parts))


def message_in(data: bytes, packets: Iterable[int]) -> object:
    """What a client makes of bytes that arrive in such packets: its message, or the code it closes with."""
    messages = _backend.message.Messages(True)
    found = None
    try:
        for part in cut(data, packets):
            messages.feed(part)
            found = messages.next_event() or found
    except Violation as violation:
        return violation.code
    return found


def wanted(data: bytes) -> object:
    try:
        return TEXT, data.decode()
    except UnicodeDecodeError:
        return 1007


def test_a_message_cut_anywhere() -> None:
    data = (MIXED * 2).encode()
    for where in range(len(data) + 1):
        assert message_in(fragments([data[:where], data[where:]]), []) == wanted(data)
        assert message_in(fragments([data]), [where]) == wanted(data)


@often
@given(
    st.lists(pieces, max_size=6).map(b"".join),
    st.lists(st.integers(0, 200), max_size=5),
    st.lists(st.integers(0, 200), max_size=5),
)
def test_a_message_in_fragments_and_packets(data: bytes, parts: list[int], packets: list[int]) -> None:
    assert message_in(fragments(list(cut(data, parts))), packets) == wanted(data)


@pytest.mark.parametrize("wrong", [b"\x80", b"\xc0", b"\xff", b"\xf5"])
def test_a_message_is_refused_at_the_first_wrong_byte(wrong: bytes) -> None:
    text = MIXED.encode()
    for offset in range(len(text)):
        messages = _backend.message.Messages(True)
        messages.feed(frame(TEXT, length=10_000)[:4] + text[:offset])
        assert messages.next_event() is None
        if wrong == b"\x80" and not is_whole(text[:offset]):
            continue
        messages.feed(wrong)
        with pytest.raises(Violation):
            messages.next_event()


def is_whole(data: bytes) -> bool:
    """Does no character go on behind it?"""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.skipif(
    sys.platform != "linux" or net.backend != "compiled" or not sysconfig.get_config_var("Py_ENABLE_SHARED"),
    reason="LD_PRELOAD, and what it can replace",
)
def test_a_decoder_that_does_not_say_how_much_it_took(tmp_path: Path) -> None:
    """Python 3.11.2's, of ASCII: five bytes came out one by one."""
    shim = preloaded(Path(__file__).parent / "text" / "forgetful.c", tmp_path)
    text = """
import ctypes
from dryad_net._compiled.buffer import Buffer
said = ctypes.c_ssize_t(-1)
decode = ctypes.pythonapi.PyUnicode_DecodeUTF8Stateful
decode.restype = ctypes.py_object
assert decode(b"hello", ctypes.c_ssize_t(5), None, ctypes.byref(said)) == "hello"
assert said.value == -1, "it does say"
for text in "hello", "hé", "h", "seven77", "eight888":
    for rest in b"", b"\\xc3":
        buffer = Buffer()
        buffer.append(text.encode() + rest)
        assert buffer.take_text(100) == text
        assert len(buffer) == len(rest)
"""
    assert finish(script(text, environment={"LD_PRELOAD": shim})) == ""
