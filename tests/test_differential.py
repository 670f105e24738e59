"""Both halves of the scanner and the buffer against each other and against a plain model: same bytes, same result."""

from __future__ import annotations

from typing import Any

import pytest
from core_support import HALVES, agree, core
from hypothesis import example, given, settings
from hypothesis import strategies as st

often = settings(max_examples=400)
# Few different bytes, so that delimiters overlap and characters break off.
few = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n"]), max_size=40).map(b"".join)
utf8ish = st.lists(
    st.sampled_from(
        [b"a", b"\n", "é".encode(), "€".encode(), "😀".encode(), b"\xc3", b"\xe2\x82", b"\xf0\x9f", b"\xff"]
    ),
    max_size=12,
).map(b"".join)
delimiters = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n"]), min_size=1, max_size=4).map(b"".join)


# ---- scan


@pytest.mark.parametrize("half", HALVES)
def test_find_is_what_bytes_find_says(half: str) -> None:
    find = core(half, "scan").find

    @often
    @given(few | st.binary(max_size=300), delimiters | st.binary(min_size=1, max_size=3), st.data())
    def check(data: bytes, delimiter: bytes, choices: st.DataObject) -> None:
        expected = data.find(delimiter)
        end = -1 if expected < 0 else expected + len(delimiter)
        assert find(data, delimiter) == end
        # Searched before: a prefix in which no delimiter ended.
        scanned = choices.draw(st.integers(0, len(data) if end < 0 else end - 1))
        for form in (data, bytearray(data)):
            assert find(form, delimiter, scanned) == end

    check()


@pytest.mark.parametrize("half", HALVES)
def test_find_refuses(half: str) -> None:
    find = core(half, "scan").find
    for arguments in ((b"abc", b""), (b"abc", b"a", -1)):
        with pytest.raises(ValueError, match="empty delimiter"):
            find(*arguments)


@pytest.mark.parametrize("half", HALVES)
def test_find_in_pieces(half: str) -> None:
    find = core(half, "scan").find

    @often
    @given(few, delimiters, st.lists(st.integers(0, 40), max_size=8))
    def check(data: bytes, delimiter: bytes, cuts: list[int]) -> None:
        scanned = 0
        found = -1
        for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
            found = find(data[:cut], delimiter, scanned)
            if found >= 0:
                break
            scanned = cut
        assert found == find(data, delimiter)

    check()


# ---- mask


@pytest.mark.parametrize("half", HALVES)
def test_masking(half: str) -> None:
    mask = core(half, "mask")

    @often
    @given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 9))
    def check(data: bytes, key: bytes, offset: int) -> None:
        masked = bytes(byte ^ key[(offset + place) % 4] for place, byte in enumerate(data))
        for form in (data, bytearray(data), memoryview(data)):
            assert mask.apply(form, key, offset) == masked
        assert mask.apply(masked, key, offset) == data

    check()
    with pytest.raises(ValueError, match="four bytes"):
        mask.apply(b"abc", b"12345")
    assert mask.NAME
    keys = [mask.new_key() for _ in range(2000)]  # more than are fetched at once
    assert {len(key) for key in keys} == {4}
    assert len(set(keys)) > 1990


# ---- buffer


operations = st.one_of(
    st.tuples(st.just("append"), utf8ish | st.binary(max_size=20)),
    st.tuples(st.just("take_bytes"), st.integers(1, 20)),
    st.tuples(st.just("take_text"), st.integers(1, 20), st.booleans()),
    st.tuples(
        st.just("take_text_until"), st.sampled_from([b"\n", b"a", b"\xe2\x82", b"aa", "é".encode(), b"\xff\xff"])
    ),
    st.tuples(st.just("clear")),
)


def test_the_buffers_do_the_same() -> None:
    @settings(often, max_examples=1000)
    @given(st.lists(operations, max_size=25))
    def check(steps: list[tuple[Any, ...]]) -> None:
        agree(steps)

    check()


def test_the_buffers_do_the_same_with_larger_data() -> None:
    """Over the sizes where storage is moved and given back."""
    sizes = st.sampled_from([1, 100, 30_000, 65_536, 200_000])
    large = st.one_of(
        st.tuples(st.just("append"), sizes),
        st.tuples(st.just("take_bytes"), sizes),
        st.tuples(st.just("take_text_until"), st.sampled_from([b"\n", b"x\n"])),
    )

    @settings(often, max_examples=100)
    @given(st.lists(large, max_size=15))
    @example([("append", 200_000)] * 6)
    def check(steps: list[tuple[Any, ...]]) -> None:
        # Made here of a size, and not drawn: hypothesis would write the data out.
        agree([(name, b"x" * value + b"\n\xe2\x82") if name == "append" else (name, value) for name, value in steps])

    check()


@pytest.mark.parametrize("half", HALVES)
def test_how_much_to_read_and_where_something_is(half: str) -> None:
    buffer = core(half, "buffer").Buffer()
    assert (buffer.room_for_text(7), buffer.find(b"x")) == (7, -1)
    for character in "aé€😀":
        whole = character.encode()
        for begun in range(1, len(whole)):
            buffer.append(whole[:begun])
            assert buffer.room_for_text(100) == 100 - begun
            assert buffer.room_for_text(begun) == len(whole) - begun
            buffer.clear()
    buffer.append(b"ab\r\ncd\r\n")
    assert buffer.find(b"\r\n") == 4
    buffer.take_bytes(3)
    assert (buffer.find(b"\r\n"), buffer.find(b"ab")) == (5, -1)
    assert buffer.room_for_text(3) == 1


@pytest.mark.parametrize("half", HALVES)
def test_copies_to_every_place_in_a_page(half: str) -> None:
    """How far the copy lies from what is copied, in their pages, decides how it is made (copying.pxd)."""
    data = bytes(range(128)) * 64
    for shift in range(64):
        buffer = core(half, "buffer").Buffer()
        buffer.append(data)
        assert buffer.take_bytes(shift or 1) == data[: shift or 1]
        kept = []  # so that the next ones lie elsewhere
        at = shift or 1
        while (text := buffer.take_text(2500)) is not None:
            assert text.encode() == data[at : at + 2500]
            at += len(text)
            kept.append(text)
        buffer.append(data[:5000])
        assert buffer.take_bytes(3000) == data[:3000]
        assert buffer.take_text(3000) == data[3000:5000].decode()


@pytest.mark.parametrize("half", HALVES)
def test_the_buffer_takes_any_bytes_like_object(half: str) -> None:
    buffer = core(half, "buffer").Buffer()
    for form in (b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3]):
        buffer.append(form)
    assert buffer.take_text(100) == "abcdef"
    with pytest.raises(ValueError, match="empty delimiter"):
        buffer.take_text_until(b"")
