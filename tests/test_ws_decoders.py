"""Which violation a decoder tells, and after which byte, on both halves: cases in which they once differed."""

from __future__ import annotations

import pytest
from core_support import HALVES, core
from ws_support import BINARY, CONTINUATION, MASK, PING, TEXT, frame

from dryad_net import deflate
from dryad_net.close_codes import INVALID_DATA, PROTOCOL_ERROR, TOO_BIG, Violation

LIMIT = 100
# What the peer sends, whether to a client, and what that is. None of it is a whole frame that is in order.
CASES = {
    "too big, and masked by a server": (frame(BINARY, bytes(LIMIT + 1), mask=MASK), True, PROTOCOL_ERROR),
    "too big, and not masked by a client": (frame(BINARY, bytes(LIMIT + 1)), False, PROTOCOL_ERROR),
    "masked by a server, as far as the second byte tells": (frame(BINARY, bytes(300), mask=MASK)[:2], True, 1002),
    "too big, and the masking key is not there yet": (frame(BINARY, bytes(300), mask=MASK)[:4], False, TOO_BIG),
    "a reserved bit, and the masking key is not there yet": (frame(TEXT, b"x", rsv=1, mask=MASK)[:2], False, 1002),
    "a continuation of nothing, by its second byte": (frame(CONTINUATION, b"x", mask=MASK)[:2], False, PROTOCOL_ERROR),
    "a control frame of 126 bytes, by its second byte": (frame(PING, bytes(126))[:2], True, PROTOCOL_ERROR),
    "half a surrogate in a text that goes on": (frame(TEXT, b"\xed\xa0", fin=False), True, INVALID_DATA),
    "half a surrogate in a frame that goes on": (frame(TEXT, b"\xed\xa0xx")[:4], True, INVALID_DATA),
    "no deflate in a message that goes on, and a new message in it": (
        frame(BINARY, b"\xff" * 9, rsv=4, fin=False) + frame(TEXT, b"", rsv=4),
        True,
        PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong(half: str, case: str) -> None:
    data, client, code = CASES[case]
    inflater = deflate.inflater(deflate.Parameters(), client) if "deflate" in case else None
    messages = core(half, "message").Messages(client, inflater)
    messages.max_frame_size = LIMIT
    messages.feed(data)
    with pytest.raises(Violation) as caught:
        messages.next_event()
    assert caught.value.code == code
