"""Both halves of the scanner and the buffer against each other and against a plain model: same bytes, same result."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

HALVES = ["pure", "compiled"]
if importlib.util.find_spec("dryad_net._compiled.buffer") is None and os.environ.get("DRYAD_NET_BACKEND") == "pure":
    HALVES.remove("compiled")

often = settings(max_examples=400, deadline=None, database=None)
# Few different bytes, so that delimiters overlap and characters break off.
few = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n"]), max_size=40).map(b"".join)
utf8ish = st.lists(
    st.sampled_from(
        [b"a", b"\n", "é".encode(), "€".encode(), "😀".encode(), b"\xc3", b"\xe2\x82", b"\xf0\x9f", b"\xff"]
    ),
    max_size=12,
).map(b"".join)
delimiters = st.lists(st.sampled_from([b"a", b"b", b"\r", b"\n"]), min_size=1, max_size=4).map(b"".join)


def core(half: str, name: str) -> Any:
    return importlib.import_module(f"dryad_net._{half}.{name}")


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


# ---- buffer


class Model:
    """What a Buffer does, in the plainest words."""

    def __init__(self) -> None:
        self.data = b""

    def append(self, data: bytes) -> None:
        self.data += data

    def _take(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def take_bytes(self, size: int) -> bytes | None:
        return self._take(size) or None

    def take_text(self, size: int, final: bool) -> str | None:
        size = min(size, len(self.data))
        if not size:
            return None
        whole = sum(character_lengths(self.data[:size], final and size == len(self.data)))
        if not whole:
            # One character that is longer than size; or the beginning of one that never comes.
            whole = next(iter(character_lengths(self.data, False)), size if final else 0)
        return self._take(whole).decode("utf-8", "surrogateescape") if whole else None

    def take_text_until(self, delimiter: bytes) -> str | None:
        begin = self.data.find(delimiter)
        return None if begin < 0 else self._take(begin + len(delimiter)).decode("utf-8", "surrogateescape")

    def clear(self) -> None:
        self.data = b""


def character_lengths(data: bytes, final: bool) -> list[int]:
    """How many bytes each character takes, up to one that is not whole yet; a bad byte is one of its own."""
    lengths = []
    start = 0
    while start < len(data):
        for length in (1, 2, 3, 4):
            try:
                data[start : start + length].decode()
            except UnicodeDecodeError as error:
                if "unexpected end" in error.reason and start + length >= len(data) and not final:
                    return lengths
                continue
            lengths.append(length)
            break
        else:
            lengths.append(1)
        start += lengths[-1]
    return lengths


operations = st.one_of(
    st.tuples(st.just("append"), utf8ish | st.binary(max_size=20)),
    st.tuples(st.just("take_bytes"), st.integers(1, 20)),
    st.tuples(st.just("take_text"), st.integers(1, 20), st.booleans()),
    st.tuples(
        st.just("take_text_until"), st.sampled_from([b"\n", b"a", b"\xe2\x82", b"aa", "é".encode(), b"\xff\xff"])
    ),
    st.tuples(st.just("clear")),
)


def agree(steps: list[tuple[Any, ...]]) -> None:
    """Run the same steps on every half and on the model."""
    model = Model()
    buffers = {half: core(half, "buffer").Buffer() for half in HALVES}
    for name, *arguments in steps:
        before = model.data
        expected = getattr(model, name)(*arguments)
        for half, buffer in buffers.items():
            result = getattr(buffer, name)(*arguments)
            assert result == expected, (half, name, arguments, before)
            assert type(result) is type(expected)
            assert len(buffer) == len(model.data), (half, name, arguments, before)
    rest = model.data or None
    for half, buffer in buffers.items():
        assert buffer.take_bytes(1 << 20) == rest, half


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
    def check(steps: list[tuple[Any, ...]]) -> None:
        # Made here of a size, and not drawn: hypothesis would write the data out.
        agree([(name, b"x" * value + b"\n\xe2\x82") if name == "append" else (name, value) for name, value in steps])

    check()


@pytest.mark.parametrize("half", HALVES)
def test_the_buffer_takes_any_bytes_like_object(half: str) -> None:
    buffer = core(half, "buffer").Buffer()
    for form in (b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3]):
        buffer.append(form)
    assert buffer.take_text(100) == "abcdef"
    with pytest.raises(ValueError, match="empty delimiter"):
        buffer.take_text_until(b"")
