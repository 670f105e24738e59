"""What no peer may do: each violation closes with the code of RFC 6455, section 7.4.1, and is said once."""

from __future__ import annotations

import contextlib

import pytest
from support import Running, refusal, wait_until
from ws_support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    WsLink,
    becomes,
    broken,
    close_payload,
    received,
    received_binary,
    said_once,
)

import dryad_net as net
from dryad_net.table import table
from dryad_net.websocket import Connection

LEGAL_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
# 1004 to 1006 and 1015 are never sent; the rest is not assigned (RFC 6455, section 7.4.2).
ILLEGAL_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]

# Frames as (opcode, payload, options of Peer.frame), and the code that we close with.
Frames = list[tuple[int, bytes, dict[str, object]]]
VIOLATIONS: dict[str, tuple[int, Frames]] = {
    **{f"RSV {rsv} on text": (1002, [(TEXT, b"x", {"rsv": rsv})]) for rsv in (1, 2, 3, 4, 5, 6, 7)},
    **{f"RSV {rsv} on ping": (1002, [(PING, b"", {"rsv": rsv})]) for rsv in (1, 2, 4)},
    **{f"RSV {rsv} on close": (1002, [(CLOSE, b"", {"rsv": rsv})]) for rsv in (1, 4)},
    "RSV on a continuation": (1002, [(TEXT, b"x", {"fin": False}), (CONTINUATION, b"x", {"rsv": 4})]),
    **{f"opcode {opcode}": (1002, [(opcode, b"", {})]) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"opcode {opcode} with data": (1002, [(opcode, b"data", {})]) for opcode in (3, 15)},
    **{f"control {opcode} of 126 bytes": (1002, [(opcode, b"\x03\xe8" * 63, {})]) for opcode in (CLOSE, PING, PONG)},
    **{f"control {opcode} of 64 KiB": (1002, [(opcode, b"\x03\xe8" * 32768, {})]) for opcode in (PING, PONG)},
    **{f"control {opcode} in fragments": (1002, [(opcode, b"", {"fin": False})]) for opcode in (CLOSE, PING, PONG)},
    **{f"control {opcode}, length said in 16 bits": (1002, [(opcode, b"", {"form": 16})]) for opcode in (PING, CLOSE)},
    "a ping continued": (1002, [(PING, b"a", {"fin": False}), (CONTINUATION, b"b", {})]),
    "a continuation of nothing": (1002, [(CONTINUATION, b"x", {})]),
    "a continuation of nothing, more to come": (1002, [(CONTINUATION, b"x", {"fin": False})]),
    "a continuation of a whole message": (1002, [(TEXT, b"x", {}), (CONTINUATION, b"y", {})]),
    "text inside a message": (1002, [(TEXT, b"x", {"fin": False}), (TEXT, b"y", {})]),
    "binary inside a message": (1002, [(TEXT, b"x", {"fin": False}), (BINARY, b"y", {})]),
    "text inside a binary message": (1002, [(BINARY, b"x", {"fin": False}), (TEXT, b"y", {})]),
    "5 bytes, length said in 16 bits": (1002, [(TEXT, b"hello", {"form": 16})]),
    "125 bytes, length said in 16 bits": (1002, [(TEXT, b"x" * 125, {"form": 16})]),
    "126 bytes, length said in 64 bits": (1002, [(TEXT, b"x" * 126, {"form": 64})]),
    "65535 bytes, length said in 64 bits": (1002, [(BINARY, b"x" * 65535, {"form": 64})]),
    "a length of 2**63": (1002, [(BINARY, b"", {"form": 64, "length": 1 << 63})]),
    "a close of 1 byte": (1002, [(CLOSE, b"\x03", {})]),
    **{f"close code {code}": (1002, [(CLOSE, close_payload(code), {})]) for code in ILLEGAL_CODES},
    "a close reason that is no UTF-8": (1007, [(CLOSE, close_payload(1000, b"\xff\xfe"), {})]),
    "a close reason that is cut off": (1007, [(CLOSE, close_payload(1000, "€".encode()[:2]), {})]),
}
NO_UTF8 = {
    "a continuation byte": b"\x80",
    "a byte that never occurs": b"\xff",
    "overlong, 2 bytes": b"\xc0\xaf",
    "overlong, 3 bytes": b"\xe0\x80\xaf",
    "overlong, 4 bytes": b"\xf0\x80\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "5 bytes": b"\xf8\x88\x80\x80\x80",
    "cut off by ASCII": b"\xe2\x82x",
    "cut off by another": b"\xe2\x82\xe2\x82\xac",
    "Latin-1": b"caf\xe9!",
}


def fails(link: WsLink, code: int) -> str:
    """The connection must be failed with this code, and say so once; returns what it said."""
    assert link.peer.closing()[0] == code
    link.peer.hang_up()
    said = said_once(link.id)
    becomes(link.id, "closed")
    return said


def say(peer: Peer, frames: Frames) -> None:
    """Send frames in one packet."""
    peer.say(b"".join(peer.frame(opcode, payload, **options) for opcode, payload, options in frames))


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation(ws: WsLink, name: str) -> None:
    code, frames = VIOLATIONS[name]
    say(ws.peer, [(TEXT, b"before", {})])
    say(ws.peer, frames)
    assert received(ws.id) == "before"
    if name == "a continuation of a whole message":
        assert received(ws.id) == "x"
    fails(ws, code)


def test_a_client_that_does_not_mask(ws_client: WsLink) -> None:
    """RFC 6455, section 5.1."""
    ws_client.peer.send(TEXT, b"plain", mask=None)
    assert "mask" in fails(ws_client, 1002)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_that_is_not_masked(ws_client: WsLink, opcode: int) -> None:
    ws_client.peer.send(opcode, b"", mask=None)
    assert "mask" in fails(ws_client, 1002)


@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
def test_a_server_that_masks(ws_link: WsLink, opcode: int) -> None:
    ws_link.peer.send(opcode, b"", mask=b"\1\2\3\4")
    assert "mask" in fails(ws_link, 1002)


# ---- text


@pytest.mark.parametrize("name", NO_UTF8)
@pytest.mark.parametrize("before", [b"", b"text ", "é€𐍈".encode(), b"a" * 100])
def test_text_that_is_no_utf8(ws: WsLink, name: str, before: bytes) -> None:
    ws.peer.send(TEXT, before + NO_UTF8[name] + b" after")
    assert "UTF-8" in fails(ws, 1007)


@pytest.mark.parametrize("name", NO_UTF8)
def test_split_over_fragments(ws: WsLink, name: str) -> None:
    parts = [NO_UTF8[name][position : position + 1] for position in range(len(NO_UTF8[name]))]
    ws.peer.send(TEXT, "€".encode(), fin=False)
    with contextlib.suppress(OSError):  # it may end as soon as the text cannot become UTF-8 any more
        for part in parts:
            ws.peer.send(CONTINUATION, part, fin=False)
        ws.peer.send(CONTINUATION, b"end")
    fails(ws, 1007)


@pytest.mark.parametrize("cut", ["€".encode()[:1], "€".encode()[:2], "𐍈".encode()[:3]])
@pytest.mark.parametrize("fragmented", [False, True])
def test_a_character_cut_off_by_the_end(ws: WsLink, cut: bytes, fragmented: bool) -> None:
    ws.peer.send(TEXT, b"text " + cut, fin=not fragmented)
    if fragmented:
        ws.peer.send(CONTINUATION, b"")
    fails(ws, 1007)


def test_failing_fast_between_fragments(ws: WsLink) -> None:
    """RFC 6455, section 8.1: the message need not be waited for."""
    ws.peer.send(TEXT, b"fine so far \xc3\xa9", fin=False)
    assert net.native_ws_recv(ws.id) is None
    ws.peer.send(CONTINUATION, b"bad \xff", fin=False)
    fails(ws, 1007)


def test_binary_is_no_text(ws: WsLink) -> None:
    ws.peer.send(BINARY, b"\xff\xfe\x80")
    assert received_binary(ws.id) == b"\xff\xfe\x80"


# ---- how it is said


def test_said_by_whoever_asks_first(ws: WsLink) -> None:
    ws.peer.send(3)
    ws.peer.closing()
    becomes(ws.id, "closed")
    assert refusal(net.native_ws_send, ws.id, "x").code == "E5006"
    broken(ws.id)


def test_said_to_who_waits(ws: WsLink) -> None:
    waiting = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    ws.peer.send(3)
    with pytest.raises(net.NetworkError, match=r"^E5006 native_ws_recv_blocking: "):
        waiting.result()
    broken(ws.id)


def test_everything_before_it_comes_first(ws: WsLink) -> None:
    for number in range(10):
        ws.peer.text(str(number))
        ws.peer.send(BINARY, b"%d" % number)
    ws.peer.send(TEXT, b"\xff")
    assert ws.peer.closing()[0] == 1007
    becomes(ws.id, "closed")
    assert [net.native_ws_recv(ws.id) for _ in range(10)] == [str(number) for number in range(10)]
    assert [net.native_ws_recv_binary(ws.id) for _ in range(10)] == [b"%d" % number for number in range(10)]
    said_once(ws.id)


@pytest.mark.parametrize("looks", [1, 2])
def test_what_came_before_it_can_still_be_answered(ws: WsLink, looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the background looks at the connection between the script's receive and its send."""
    connection = table.objects[ws.id]
    assert isinstance(connection, Connection)
    monkeypatch.setattr(Connection, "work", lambda self: 0)  # this test is the background
    say(ws.peer, [(TEXT, b"question", {}), (3, b"", {})])
    assert received(ws.id) == "question"
    for _ in range(looks):
        connection.serve()
        connection.take_touched()
    net.native_ws_send(ws.id, "answer")
    monkeypatch.undo()
    connection.resumed()  # the real one may have looked meanwhile, and been told that there was nothing to do
    assert ws.peer.message() == "answer"
    fails(ws, 1002)


def test_what_comes_after_it_is_ignored(ws: WsLink) -> None:
    peer = ws.peer
    peer.say(peer.frame(3) + peer.frame(TEXT, b"after") + peer.frame(PING, b"after") + peer.frame(CLOSE, b""))
    assert peer.read().opcode == CLOSE
    said_once(ws.id)
    peer.raw.shutdown(1)
    assert peer.ended()


def test_the_close_arrives_though_the_peer_goes_on(ws: WsLink) -> None:
    """Unread input must not turn it into a reset, which would destroy the Close frame."""

    def flood() -> None:
        try:
            ws.peer.send(3)
            for _ in range(100):
                ws.peer.send(BINARY, b"x" * 65536)
        except OSError:
            pass  # it may end while we are still talking

    flooding = Running(flood)
    assert ws.peer.closing()[0] == 1002
    flooding.result()


def test_client_info_after_a_violation(ws: WsLink) -> None:
    ws.peer.send(3)
    fails(ws, 1002)
    assert net.native_ws_client_info(ws.id)["close_code"] in (1002, 1006)
    assert net.native_ws_client_info(ws.id)["state"] == "closed"


@pytest.mark.parametrize("code", LEGAL_CODES)
@pytest.mark.parametrize("reason", ["", "because: é€", "x" * 123])
def test_legal_close_codes(ws: WsLink, code: int, reason: str) -> None:
    ws.peer.close(code, reason)
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert ws.peer.closing() in ((code, ""), (code, reason))
    ws.peer.hang_up()
    info = net.native_ws_client_info(ws.id)
    assert (info["close_code"], info["close_reason"]) == (code, reason)


def test_what_is_told_while_the_end_is_finished_is_told_once(ws: WsLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a call of another thread's, in the middle of a step of the background's."""
    told: list[str] = []
    finish_close = Connection.finish_close

    def finish(connection: Connection) -> int:
        if connection.id == ws.id:
            told.append(str(refusal(net.native_ws_send, ws.id, "x")))
        return finish_close(connection)

    monkeypatch.setattr(Connection, "finish_close", finish)
    ws.peer.send(3)
    becomes(ws.id, "closed")
    wait_until(lambda: told)
    assert "1002" in told[0]
    broken(ws.id)
