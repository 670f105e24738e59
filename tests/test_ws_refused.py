"""An upgrade that the server refuses, answers wrongly, or never answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from support import Running, refusal, reset
from ws_support import TEXT, Upgrade, WsLink, becomes, broken, header_of, opened, received, response, shorten

import dryad_net as net

Ask = Callable[[int], object]
BODY = b"no entry for you\n"
NEEDING: dict[str, Ask] = {
    "send": lambda identifier: net.native_ws_send(identifier, "x"),
    "recv_blocking": lambda identifier: net.native_ws_recv_blocking(identifier, -1),
    "ping": lambda identifier: net.native_ws_ping(identifier),
}


def asked(link: WsLink) -> bytes:
    """Have the request sent; returns its head."""
    net.native_ws_recv(link.id)
    return link.peer.head()


def error_of(call: Ask, identifier: int) -> net.DryadNetError:
    """The error of a call that must fail with E5006."""
    with pytest.raises(net.NetworkError) as caught:
        call(identifier)
    assert caught.value.code == "E5006"
    assert len(str(caught.value)) < 600
    return caught.value


@pytest.mark.parametrize("name", NEEDING)
@pytest.mark.parametrize("framing", ["length", "chunked", "end of stream", "no body"])
def test_refused_with_status_and_body(ws_call: Upgrade, name: str, framing: str) -> None:
    link = ws_call()
    asked(link)
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n"
    if framing == "length":
        answer = head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    elif framing == "chunked":
        answer = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    elif framing == "no body":
        answer = head + b"Content-Length: 0\r\n\r\n"
    else:
        answer = head + b"\r\n" + BODY
    link.peer.say(answer)
    if framing == "end of stream":
        link.peer.hang_up()
    said = str(error_of(NEEDING[name], link.id))
    assert "403" in said
    assert "Forbidden" in said
    assert ("no entry for you" in said) is (framing != "no body")
    broken(link.id)
    assert net.native_ws_get_state(link.id) == "closed"


def test_recv_says_it_too(ws_call: Upgrade) -> None:
    link = ws_call()
    asked(link)
    link.peer.say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nhere")
    becomes(link.id, "closed")
    assert "404" in str(refusal(net.native_ws_recv, link.id))
    broken(link.id)


def test_is_connected_is_false(ws_call: Upgrade) -> None:
    link = ws_call()
    asked(link)
    link.peer.say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert net.native_ws_is_connected(link.id) is False
    assert "404" in str(refusal(net.native_ws_send, link.id, "x"))
    broken(link.id)


@pytest.mark.parametrize("status", [200, 301, 307, 400, 401, 426, 429, 500, 503])
def test_any_other_status(ws_call: Upgrade, status: int) -> None:
    """RFC 6455, section 4.1: what is not 101 is HTTP; we follow no redirects."""
    link = ws_call()
    asked(link)
    link.peer.say(b"HTTP/1.1 %d Some Words\r\nLocation: ws://other.example/\r\nContent-Length: 0\r\n\r\n" % status)
    assert str(status) in str(error_of(NEEDING["send"], link.id))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="nothing but the status"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="no HTTP"),
        pytest.param(b"\x88\x02\x03\xe8\r\n\r\n", id="a frame"),
        pytest.param(b"\0" * 20000, id="zeros"),
        pytest.param(b"HTTP/1.1 101 x\r\n" + b"X: y\r\n" * 4000, id="no end of headers"),
        pytest.param(b"HTTP/1.1 101 x\r\nX: " + b"y" * 20000, id="a header without end"),
        pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 101 x\r\nUpgrade: \xff\xfe\r\n\r\n", id="not ASCII"),
        pytest.param(b"", id="an end of stream"),
        pytest.param(b"HTTP/1.1 101 Swi", id="half an answer and an end"),
    ],
)
def test_an_answer_that_is_none(ws_call: Upgrade, answer: bytes) -> None:
    link = ws_call()
    asked(link)
    link.peer.say(answer)
    link.peer.raw.shutdown(1)
    error_of(NEEDING["send"], link.id)
    becomes(link.id, "closed")
    broken(link.id)


@pytest.mark.parametrize("line", ["Upgrade", "Connection", "Sec-WebSocket-Accept"])
def test_a_header_is_missing_or_wrong(ws_call: Upgrade, line: str) -> None:
    for wrong in (b"", line.encode() + b": something else\r\n"):
        link = ws_call()
        lines = response(asked(link)).splitlines(keepends=True)
        kept = [wrong if each.lower().startswith(line.lower().encode() + b":") else each for each in lines]
        link.peer.say(b"".join(kept))
        error_of(NEEDING["send"], link.id)
        broken(link.id)


@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate"])
def test_what_was_not_asked_for(ws_call: Upgrade, header: str) -> None:
    link = ws_call()
    link.peer.say(response(asked(link), header))
    error_of(NEEDING["send"], link.id)
    broken(link.id)


def test_reset_instead_of_an_answer(ws_call: Upgrade) -> None:
    link = ws_call()
    asked(link)
    reset(link.peer.raw)
    assert "reset" in str(error_of(NEEDING["send"], link.id))
    broken(link.id)


# ---- slow servers


@pytest.mark.parametrize("ms", [0, 50, 300])
def test_never_answered_is_e5007(ws_call: Upgrade, ms: int) -> None:
    link = ws_call()
    net.native_ws_set_timeout(link.id, ms)
    for call in (lambda: net.native_ws_send(link.id, "x"), lambda: net.native_ws_ping(link.id)):
        begun = time.monotonic()
        with pytest.raises(net.NetworkTimeoutError, match=r"^E5007 native_ws_"):
            call()
        assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5 + ms / 1000
    assert net.native_ws_get_state(link.id) == "connecting"


def test_nothing_is_sent_by_what_was_too_late(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_timeout(link.id, 50)
    with pytest.raises(net.NetworkTimeoutError):
        net.native_ws_send(link.id, "too late")
    link.peer.say(response(link.peer.head()))
    opened(link.id)
    net.native_ws_send(link.id, "in time")
    assert link.peer.message() == "in time"


def test_recv_blocking_has_its_own_time(ws_call: Upgrade) -> None:
    link = ws_call()
    for ms in (0, 60):
        begun = time.monotonic()
        assert net.native_ws_recv_blocking(link.id, ms) is None
        assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5
    link.peer.say(response(link.peer.head()) + link.peer.frame(TEXT, b"hello"))
    assert received(link.id) == "hello"


def test_a_slow_answer_is_waited_for(ws_call: Upgrade) -> None:
    link = ws_call()

    def serve() -> None:
        whole = response(link.peer.head())
        for position in range(len(whole)):
            time.sleep(0.002)  # a slow server, not a race
            link.peer.say(whole[position : position + 1])

    server = Running(serve)
    net.native_ws_send(link.id, "at last")
    server.result()
    assert link.peer.message() == "at last"


def test_a_body_that_never_ends(ws_call: Upgrade) -> None:
    link = ws_call()
    asked(link)
    net.native_ws_set_timeout(link.id, 300)
    link.peer.say(b"HTTP/1.1 500 Internal Server Error\r\n\r\n" + b"sorry " * 5000)
    with pytest.raises((net.NetworkError, net.NetworkTimeoutError), match=r"500|time"):
        net.native_ws_send(link.id, "x")


@pytest.mark.parametrize("begun_by", ["a call", "the background"])
def test_a_body_that_never_ends_while_nobody_calls(
    ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch, begun_by: str
) -> None:
    """The background does not wait for it for ever."""
    shorten(monkeypatch, BODY_SECONDS=0.3)
    link = ws_call()
    if begun_by == "a call":
        assert net.native_ws_get_state(link.id) == "connecting"
    link.peer.head()
    link.peer.say(b"HTTP/1.1 500 Internal Server Error\r\n\r\nsorry ")
    if begun_by == "a call":
        assert net.native_ws_recv_blocking(link.id, 50) is None
    assert link.peer.ended()
    assert "500 Internal Server Error: sorry" in str(refusal(net.native_ws_send, link.id, "x"))
    broken(link.id)


def test_the_key_is_answered_not_repeated(ws_call: Upgrade) -> None:
    """RFC 6455, section 4.1: the Accept value is computed; the key itself is none."""
    link = ws_call()
    head = asked(link)
    lines = response(head).splitlines(keepends=True)
    key = header_of(head, "Sec-WebSocket-Key").encode()
    wrong = [b"Sec-WebSocket-Accept: " + key + b"\r\n" if each.startswith(b"Sec-") else each for each in lines]
    link.peer.say(b"".join(wrong))
    error_of(NEEDING["recv_blocking"], link.id)
    broken(link.id)


def test_no_frame_is_sent_on_a_refused_connection(ws_call: Upgrade) -> None:
    """Not even a Close: it was never a WebSocket connection."""
    link = ws_call()
    asked(link)
    link.peer.say(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    error_of(NEEDING["send"], link.id)
    net.native_ws_close(link.id)
    assert link.peer.body() == b""
