"""permessage-deflate (RFC 7692): messages in and out of it, and what is agreed on."""

from __future__ import annotations

import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dryad_net import deflate, http_headers
from dryad_net.deflate import Deflater, Inflater, InvalidDeflate, Parameters, TooBig, Unacceptable

often = settings(max_examples=300)

MANY = 1 << 20
WINDOWS = range(8, 16)
HELLO = b"Hello"


def far_apart(distance: int, size: int = 40_000) -> bytes:
    """Data that repeats itself at this distance and at no smaller one."""
    block = random.Random(distance).randbytes(distance)
    return (block * (size // distance + 1))[:size]


# ---- round trips


@pytest.mark.parametrize("bits", WINDOWS)
@pytest.mark.parametrize("no_context", [False, True])
def test_every_window_with_and_without_context(bits: int, no_context: bool) -> None:
    """RFC 7692, 7.1.1 and 7.1.2."""
    out, back = Deflater(bits, no_context), Inflater(bits, no_context)
    messages = [b"", HELLO, HELLO, b"", b"", bytes(70_000), far_apart(200), far_apart(300), far_apart(4000), HELLO]
    for message in messages:
        compressed = out.deflate(message)
        assert back.inflate(compressed, MANY, True) == message
        assert (compressed == b"\x00") == (message == b"")


@pytest.mark.parametrize("bits", WINDOWS)
def test_nothing_refers_further_back_than_the_window(bits: int) -> None:
    """RFC 7692, 7.1.2: what comes out one byte at a time cannot refer to more than the window."""
    out = Deflater(bits, False)
    window = 1 << bits
    peer = zlib.decompressobj(-bits)
    for distance in (window // 2, window - 262, window - 10, window, window + 10, 2 * window):
        message = far_apart(max(distance, 3), 3 * window + 1000)
        rest = out.deflate(message) + b"\x00\x00\xff\xff"
        inflated = bytearray()
        while rest:
            inflated += peer.decompress(rest, 1)
            rest = peer.unconsumed_tail
        inflated += peer.decompress(b"", 0)
        assert inflated == message


@often
@given(st.lists(st.binary(max_size=300), max_size=6), st.sampled_from(WINDOWS), st.booleans(), st.data())
def test_any_messages_split_anywhere(messages: list[bytes], bits: int, no_context: bool, data: st.DataObject) -> None:
    out, back = Deflater(bits, no_context), Inflater(bits, no_context)
    for message in messages:
        compressed = out.deflate(message)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(compressed)), max_size=5)))
        inflated = b""
        for start, end in zip([0, *cuts], [*cuts, len(compressed)], strict=True):
            final = end == len(compressed) and start == ([0, *cuts])[-1]
            inflated += back.inflate(memoryview(compressed)[start:end], MANY, False)
            if final:
                break
        inflated += back.inflate(b"", MANY, True)
        assert inflated == message


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_any_bytes_like_object(make: Callable[[bytes], bytes]) -> None:
    out, back = Deflater(15, False), Inflater(15, False)
    compressed = out.deflate(make(HELLO * 100))
    assert back.inflate(make(compressed), MANY, True) == HELLO * 100
    assert out.deflate(make(b"")) == b"\x00"


def test_context_makes_the_second_message_smaller() -> None:
    """RFC 7692, 7.2.3.2."""
    message = random.Random(1).randbytes(500)
    keeps, forgets = Deflater(15, False), Deflater(15, True)
    assert len(keeps.deflate(message)) > 500 > 50 > len(keeps.deflate(message))
    assert forgets.deflate(message) == forgets.deflate(message)


def test_what_is_forgotten_is_not_referred_to() -> None:
    out, back = Deflater(15, False), Inflater(15, False)
    first = out.deflate(HELLO * 50)
    out.forget()
    assert out.deflate(HELLO * 50) == first
    assert back.inflate(first, MANY, True) == back.inflate(first, MANY, True) == HELLO * 50


def test_nothing_is_held_before_the_first_message() -> None:
    tracemalloc.start()
    try:
        held = [(Deflater(15, False), Inflater(15, False)) for _ in range(100)]
        assert tracemalloc.get_traced_memory()[0] / len(held) < 1000
    finally:
        tracemalloc.stop()


# ---- the examples of RFC 7692


EXAMPLES = [
    pytest.param(["f2 48 cd c9 c9 07 00"], HELLO, id="7.2.3.1: one compressed block"),
    pytest.param(["f2 48 cd", "c9 c9 07 00"], HELLO, id="7.2.3.1: in fragments"),
    pytest.param(["00 05 00 fa ff 48 65 6c 6c 6f 00"], HELLO, id="7.2.3.3: a block without compression"),
    pytest.param(["f3 48 cd c9 c9 07 00 00"], HELLO, id="7.2.3.4: a block with BFINAL"),
    pytest.param(["f2 48 05 00 00 00 ff ff ca c9 c9 07 00"], HELLO, id="7.2.3.5: two blocks in a message"),
    pytest.param(["00"], b"", id="7.2.3.6: an empty message"),
    pytest.param(["02 00"], b"", id="7.2.3.6: an empty message, in a compressed block"),
    pytest.param(["f3 48 cd c9 c9 07 00"], HELLO, id="BFINAL and nothing after it"),
    pytest.param([""], b"", id="no bytes at all"),
    pytest.param(["f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00"], HELLO * 2, id="BFINAL twice"),
    pytest.param(["f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00"], HELLO * 2, id="data after BFINAL"),
    pytest.param(["f3 48 cd c9 c9 07", "00", "f3 48", "cd c9 c9 07 00", "", "00"], HELLO * 2, id="BFINAL in fragments"),
]


@pytest.mark.parametrize(("pieces", "message"), EXAMPLES)
def test_the_examples(pieces: list[str], message: bytes) -> None:
    for no_context in (False, True):
        back = Inflater(15, no_context)
        for _ in range(2):  # and nothing of it is left for the next message
            parts = [bytes.fromhex(piece) for piece in pieces]
            inflated = b"".join(back.inflate(part, MANY, False) for part in parts[:-1])
            assert inflated + back.inflate(parts[-1], MANY, True) == message


def test_the_second_message_may_refer_to_the_first() -> None:
    """RFC 7692, 7.2.3.2."""
    back = Inflater(15, False)
    assert back.inflate(bytes.fromhex("f2 48 cd c9 c9 07 00"), MANY, True) == HELLO
    assert back.inflate(bytes.fromhex("f2 00 11 00 00"), MANY, True) == HELLO


def test_without_context_it_may_not() -> None:
    """RFC 7692, 7.1.1."""
    back = Inflater(15, True)
    assert back.inflate(bytes.fromhex("f2 48 cd c9 c9 07 00"), MANY, True) == HELLO
    with pytest.raises(InvalidDeflate):
        back.inflate(bytes.fromhex("f2 00 11 00 00"), MANY, True)


def test_what_we_send_is_what_the_rfc_shows() -> None:
    assert Deflater(15, False).deflate(HELLO) == bytes.fromhex("f2 48 cd c9 c9 07 00")
    assert Deflater(15, False).deflate(b"") == b"\x00"


# ---- limits and rubbish


@pytest.mark.parametrize("final", [False, True])
def test_the_limit_is_exact(final: bool) -> None:
    for size in (0, 1, 1000, 100_000):
        compressed = Deflater(15, True).deflate(bytes(size))
        assert Inflater(15, True).inflate(compressed, size, True) == bytes(size)
        if size:
            with pytest.raises(TooBig):
                Inflater(15, True).inflate(compressed, size - 1, final)


@pytest.mark.parametrize("limit", [sys.maxsize - 1, sys.maxsize])
@pytest.mark.parametrize("compressed", ["f2 48 cd c9 c9 07 00", "f3 48 cd c9 c9 07 00 00"], ids=["flushed", "bfinal"])
def test_the_largest_limit_is_a_limit(compressed: str, limit: int) -> None:
    """Of the pieces before and behind a block with BFINAL too."""
    again = Inflater(15, False)
    for _ in range(2):
        assert again.inflate(bytes.fromhex(compressed), limit, True) == HELLO
    assert again.inflate(bytes.fromhex("f3 48 cd c9 c9 07 00" * 2), limit, True) == HELLO * 2


@pytest.mark.parametrize("bfinal", [False, True])
def test_a_bomb_is_not_inflated(bfinal: bool) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(compressor.compress(bytes(MANY)) for _ in range(200)) + compressor.flush()
    bomb = bytes.fromhex("f3 48 cd c9 c9 07 00") + bomb if bfinal else bomb
    tracemalloc.start()
    try:
        with pytest.raises(TooBig):
            Inflater(15, False).inflate(bomb, 100_000, True)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(bomb) + 10 * 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("rubbish", ["ff", "ff ff ff ff ff ff", "00 05 00 00 00 48", "07", "f2 00 ff 00 00"])
def test_what_is_no_deflate(rubbish: str, final: bool) -> None:
    with pytest.raises(InvalidDeflate):
        Inflater(15, False).inflate(bytes.fromhex(rubbish) + bytes(10), MANY, final)


def test_a_distance_beyond_the_window_is_no_deflate() -> None:
    """What was agreed on holds for the peer as well."""
    message = far_apart(20_000)
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    compressed = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater(9, False)

    def byte_by_byte() -> None:
        for byte in compressed:
            inflater.inflate(bytes([byte]), MANY, False)

    with pytest.raises(InvalidDeflate):
        byte_by_byte()


def test_final_blocks_without_end_are_no_deflate() -> None:
    """Each costs the receiver far more than the sender."""
    empty = bytes.fromhex("03 00")
    assert Inflater(15, False).inflate(empty * 500, MANY, True) == b""
    with pytest.raises(InvalidDeflate):
        Inflater(15, False).inflate(empty * (8 << 20), MANY, True)
    patient = Inflater(15, False)
    for _ in range(3):
        assert patient.inflate(empty * 900, MANY, True) == b""


@often
@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.sampled_from(WINDOWS), st.integers(0, 100))
def test_any_bytes_are_inflated_or_refused(pieces: list[bytes], bits: int, limit: int) -> None:
    back = Inflater(bits, False)
    try:
        for index, piece in enumerate(pieces):
            assert len(back.inflate(piece, limit, index == len(pieces) - 1)) <= limit
    except (InvalidDeflate, TooBig):
        pass


# ---- what is agreed on


def parsed(value: str) -> list[tuple[str, http_headers.Parameters]]:
    return http_headers.extensions(value)


NAME = "permessage-deflate"
SERVER_NO, CLIENT_NO = "server_no_context_takeover", "client_no_context_takeover"
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
OFFERS = [
    pytest.param(NAME, "", Parameters(), id="7.1.3: no parameters"),
    pytest.param(f"{NAME}; {SERVER_NO}", SERVER_NO, Parameters(True), id="7.1.1.1: it MUST be answered"),
    pytest.param(f"{NAME}; {CLIENT_NO}", CLIENT_NO, Parameters(False, True), id="7.1.1.2: a hint, taken"),
    pytest.param(
        f"{NAME}; {SERVER_BITS}=10", f"{SERVER_BITS}=10", Parameters(False, False, 10), id="7.1.2.1: the same"
    ),
    pytest.param(f"{NAME}; {SERVER_BITS}=8", f"{SERVER_BITS}=8", Parameters(False, False, 8), id="7.1.2.1: 8"),
    pytest.param(f"{NAME}; {SERVER_BITS}=15", f"{SERVER_BITS}=15", Parameters(), id="7.1.2.1: 15"),
    pytest.param(f'{NAME}; {SERVER_BITS}="10"', f"{SERVER_BITS}=10", Parameters(False, False, 10), id="9.1: quoted"),
    pytest.param(f"{NAME}; {CLIENT_BITS}", f"{CLIENT_BITS}=12", Parameters(False, False, 15, 12), id="7.1.2.2: none"),
    pytest.param(f"{NAME}; {CLIENT_BITS}=15", f"{CLIENT_BITS}=12", Parameters(False, False, 15, 12), id="7.1.2.2: 15"),
    pytest.param(
        f"{NAME}; {CLIENT_BITS}=8", f"{CLIENT_BITS}=8", Parameters(False, False, 15, 8), id="7.1.2.2: smaller"
    ),
    pytest.param(
        f"{NAME};{CLIENT_BITS} = 9 ;{SERVER_BITS}=11;{CLIENT_NO};{SERVER_NO}",
        f"{SERVER_NO}; {CLIENT_NO}; {SERVER_BITS}=11; {CLIENT_BITS}=9",
        Parameters(True, True, 11, 9),
        id="all four",
    ),
    pytest.param(f"foo, {NAME}; {SERVER_NO}, {NAME}", SERVER_NO, Parameters(True), id="7.1: the first that will do"),
    pytest.param(f"{NAME}; {SERVER_BITS}=7, {NAME}", "", Parameters(), id="7.1: a declined one, then another"),
]


@pytest.mark.parametrize(("offers", "answered", "agreed"), OFFERS)
def test_the_server_answers_the_first_acceptable_offer(offers: str, answered: str, agreed: Parameters) -> None:
    assert deflate.choose(parsed(offers)) == (agreed, answered)


DECLINED = [
    *["foo", "x-webkit-deflate-frame", "Permessage-Deflate", f"{NAME}x"],
    *[f"{NAME}; unknown", f"{NAME}; unknown=1", f"{NAME}; Server_No_Context_Takeover"],
    *[f"{NAME}; {each}=1" for each in (SERVER_NO, CLIENT_NO)],
    *[f"{NAME}; {each}; {each}" for each in (SERVER_NO, CLIENT_NO, CLIENT_BITS)],
    *[
        f"{NAME}; {each}={bits}"
        for each in (SERVER_BITS, CLIENT_BITS)
        for bits in ("7", "16", "08", "x", "1", "+9", "015")
    ],
    *[f"{NAME}; {each}=9; {each}=9" for each in (SERVER_BITS, CLIENT_BITS)],
    f"{NAME}; {SERVER_BITS}",
]


@pytest.mark.parametrize("offers", DECLINED)
def test_the_server_declines_what_it_must(offers: str) -> None:
    """RFC 7692, 7.1: unknown parameters, wrong values, the same one twice."""
    assert deflate.choose(parsed(offers)) is None


ANSWERS = [
    ("", Parameters()),
    (SERVER_NO, Parameters(True)),
    (CLIENT_NO, Parameters(False, True)),
    (f"{SERVER_BITS}=8", Parameters(False, False, 8)),
    (f"{CLIENT_BITS}=8", Parameters(False, False, 15, 8)),
    (f"{CLIENT_BITS}=15; {SERVER_BITS}=15; {SERVER_NO}; {CLIENT_NO}", Parameters(True, True)),
]


@pytest.mark.parametrize(("answered", "agreed"), ANSWERS)
def test_the_client_takes_what_it_may_be_answered(answered: str, agreed: Parameters) -> None:
    """RFC 7692, 7.1: the server may ask for more than was offered, but for the client's window, which we offer."""
    [(_name, parameters)] = parsed(f"{NAME}; {answered}" if answered else NAME)
    assert deflate.agree(parameters) == agreed
    assert CLIENT_BITS in deflate.offer()


@pytest.mark.parametrize(
    "answered",
    [
        *[
            "unknown",
            "unknown=1",
            f"{SERVER_NO}=1",
            f"{CLIENT_NO}=1",
            f"{SERVER_NO}; {SERVER_NO}",
            SERVER_BITS,
            CLIENT_BITS,
        ],
        *[f"{each}={bits}" for each in (SERVER_BITS, CLIENT_BITS) for bits in ("7", "16", "08", "x")],
        *[f"{each}=9; {each}=10" for each in (SERVER_BITS, CLIENT_BITS)],
    ],
)
def test_the_client_takes_nothing_else(answered: str) -> None:
    """RFC 7692, 7.1: the connection MUST fail."""
    [(_name, parameters)] = parsed(f"{NAME}; {answered}")
    with pytest.raises(Unacceptable):
        deflate.agree(parameters)


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("bits", [(8, 15), (15, 8), (9, 12)])
@pytest.mark.parametrize("context", [(False, True), (True, False)])
def test_each_side_goes_by_its_own_parameters(client: bool, bits: tuple[int, int], context: tuple[bool, bool]) -> None:
    agreed = Parameters(*context, *bits)
    out, back = deflate.deflater(agreed, client), deflate.inflater(agreed, not client)
    for _ in range(3):
        assert back.inflate(out.deflate(far_apart(3000)), MANY, True) == far_apart(3000)
    assert (out.deflate(HELLO) == out.deflate(HELLO)) == context[client]
