"""The client's upgrade waits for the first call that needs it: what applies to it until then, and who completes it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable

import pytest
from support import SOON, Running, code_of, refusal, wait_until
from ws_support import (
    DEFLATE,
    INFO,
    TEXT,
    Upgrade,
    WsLink,
    deflated,
    header_of,
    headers_of,
    opened,
    received,
    received_binary,
    response,
)

import dryad_net as net
from dryad_net.table import table
from dryad_net.websocket import Connection

PUSHING: dict[str, tuple[Callable[[int], object], object]] = {
    "recv": (lambda identifier: net.native_ws_recv(identifier), None),
    "recv_binary": (lambda identifier: net.native_ws_recv_binary(identifier), None),
    "get_state": (lambda identifier: net.native_ws_get_state(identifier), "connecting"),
}
COMPLETING: dict[str, tuple[Callable[[int], object], object]] = {
    "send": (lambda identifier: net.native_ws_send(identifier, "x"), None),
    "send_binary": (lambda identifier: net.native_ws_send_binary(identifier, b"x"), None),
    "recv_blocking": (lambda identifier: net.native_ws_recv_blocking(identifier, int(SOON * 1000)), "greeting"),
    "ping": (lambda identifier: net.native_ws_ping(identifier), None),
    "is_connected": (lambda identifier: net.native_ws_is_connected(identifier), True),
}

VALUES: dict[str, tuple[object]] = {"send": ("x",), "send_binary": (b"x",)}


@pytest.mark.parametrize("name", PUSHING)
def test_pushed_forward_without_waiting(ws_call: Upgrade, name: str) -> None:
    call, nothing_yet = PUSHING[name]
    link = ws_call()
    begun = time.monotonic()
    assert call(link.id) == nothing_yet
    assert time.monotonic() - begun < 5
    head = link.peer.head()  # it has been sent
    assert call(link.id) == nothing_yet
    link.peer.say(response(head))
    opened(link.id)


@pytest.mark.parametrize("name", [*PUSHING, "client_info", "net_wait"])
def test_whoever_asks_has_begun_it(ws_call: Upgrade, name: str) -> None:
    asking: dict[str, Callable[[int], object]] = {name: call for name, (call, _) in PUSHING.items()}
    asking["client_info"] = lambda identifier: net.native_ws_client_info(identifier)
    asking["net_wait"] = lambda identifier: net.native_net_wait([identifier], 0)
    link = ws_call()
    asking[name](link.id)
    assert link.peer.head()
    for setting, value in ((net.native_ws_set_headers, {"X": "y"}), (net.native_ws_set_subprotocol, "chat")):
        assert str(refusal(setting, link.id, value)).endswith(": too late: the handshake has begun")


SETTING: dict[str, Callable[[int], object]] = {
    "headers": lambda identifier: net.native_ws_set_headers(identifier, {"X-One": "1"}),
    "subprotocol": lambda identifier: net.native_ws_set_subprotocol(identifier, "chat"),
    "compression": lambda identifier: net.native_ws_set_compression(identifier, True),
    "tls": lambda identifier: net.native_ws_set_tls(identifier, {}),
}
OTHER_SETTINGS: dict[str, Callable[[int], object]] = {
    "timeout": lambda identifier: net.native_ws_set_timeout(identifier, 30000),
    "keepalive": lambda identifier: net.native_ws_set_keepalive(identifier, True),
    "frame size": lambda identifier: net.native_ws_set_max_frame_size(identifier, 1000),
    "message size": lambda identifier: net.native_ws_set_max_message_size(identifier, 1000),
}

IN_THE_REQUEST = {
    "headers": ["X-One"],
    "subprotocol": ["Sec-WebSocket-Protocol"],
    "compression": ["Sec-WebSocket-Extensions"],
    "tls": [],
}


@pytest.mark.parametrize("name", [*SETTING, *OTHER_SETTINGS])
def test_what_sets_something_puts_it_off(ws_call: Upgrade, name: str) -> None:
    link = ws_call()
    connection = table.objects[link.id]
    at_first = connection.deadline
    (SETTING | OTHER_SETTINGS)[name](link.id)
    assert connection.deadline > at_first
    assert link.peer.head()  # all the same


@pytest.mark.parametrize("name", SETTING)
def test_it_does_not_begin_while_something_is_set_for_it(ws_call: Upgrade, name: str) -> None:
    """What has been accepted is not too late then."""
    link = ws_call()
    opening = table.objects[link.id].opening
    with opening.changing:
        asking = Running(net.native_ws_get_state, link.id).wait_asleep()
        assert not opening.started
        SETTING[name](link.id)
    assert asking.result() == "connecting"
    head = link.peer.head()
    for header in IN_THE_REQUEST[name]:
        assert header_of(head, header)
    with pytest.raises(net.NetworkError, match="too late"):
        SETTING[name](link.id)


@pytest.mark.parametrize("name", COMPLETING)
def test_completed_by_a_call_that_needs_it(ws_call: Upgrade, name: str) -> None:
    call, result = COMPLETING[name]
    link = ws_call()

    def serve() -> None:
        link.peer.say(response(link.peer.head()))
        link.peer.text("greeting")

    server = Running(serve)
    assert call(link.id) == result
    assert net.native_ws_get_state(link.id) == "open"
    server.result()


@pytest.mark.parametrize("ms", [2**62, sys.maxsize - 1, sys.maxsize])
@pytest.mark.parametrize("argument", [False, True], ids=["set before", "given"])
def test_completed_within_a_very_long_time(ws_call: Upgrade, argument: bool, ms: int) -> None:
    link = ws_call()

    def serve() -> str | bytes:
        link.peer.say(response(link.peer.head()))
        link.peer.text("greeting")
        return link.peer.message()

    server = Running(serve)
    if argument:
        assert net.native_ws_recv_blocking(link.id, ms) == "greeting"
    else:
        net.native_ws_set_timeout(link.id, ms)
    net.native_ws_send(link.id, "x")
    assert server.result() == "x"


@pytest.mark.parametrize("name", ["send", "send_binary", "ping", "pong"])
def test_it_is_part_of_the_time_of_a_send(ws_call: Upgrade, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Which then finds another thread sending, to a peer that does not read."""
    complete = Connection.complete_handshake
    others: list[Running] = []
    completed: list[float] = []

    def send_more_than_fits() -> None:
        with contextlib.suppress(net.DryadNetError):
            net.native_ws_send_binary(link.id, bytes(1 << 26))

    def complete_and_block(connection: Connection, timeout_ms: int) -> bool:
        is_over = complete(connection, timeout_ms)
        if is_over:
            if not others:  # whoever comes first, since the background may be the one to complete it
                others.append(Running(send_more_than_fits))
            others[0].wait_asleep()
            completed.append(time.monotonic())
        return is_over

    monkeypatch.setattr(Connection, "complete_handshake", complete_and_block)
    link = ws_call()
    net.native_ws_set_timeout(link.id, 4000)

    def serve() -> None:
        head = link.peer.head()
        time.sleep(3)
        link.peer.say(response(head))

    server = Running(serve)
    begun = time.monotonic()
    error = refusal(getattr(net, f"native_ws_{name}"), link.id, *VALUES.get(name, ()))
    assert (error.code, error.detail) == ("E5007", "nothing was sent before the time was up")
    ended = time.monotonic()
    assert ended - begun > 3.9
    assert ended - completed[-1] < 3.5  # and not the whole 4 s once more
    server.result()
    net.native_ws_close(link.id)
    others[0].result()


@pytest.mark.usefixtures("handshakes_begin_when_promised")
def test_completed_in_the_background(ws_call: Upgrade) -> None:
    """After 100 ms in which the script does nothing."""
    link = ws_call()
    link.peer.say(response(link.peer.head()))
    link.peer.text("early")
    assert received(link.id) == "early"


def test_the_background_leaves_time_for_settings(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_subprotocol(link.id, "chat")
    assert header_of(link.peer.head(), "Sec-WebSocket-Protocol") == "chat"


def test_what_is_set_right_after_connect_applies(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_headers(link.id, {"X-One": "1", "Cookie": "a=b", "Origin": "http://a.example", "Host": "other"})
    net.native_ws_set_subprotocol(link.id, "chat, superchat")
    net.native_ws_set_compression(link.id, True)
    net.native_ws_recv(link.id)
    head = link.peer.head()
    assert header_of(head, "X-One") == "1"
    assert header_of(head, "Cookie") == "a=b"
    assert header_of(head, "Origin") == "http://a.example"
    assert header_of(head, "Host") == "other"
    offered = ",".join(headers_of(head, "Sec-WebSocket-Protocol"))
    assert [each.strip() for each in offered.split(",")] == ["chat", "superchat"]
    assert header_of(head, "Sec-WebSocket-Extensions").startswith("permessage-deflate")
    link.peer.say(response(head, "Sec-WebSocket-Protocol: superchat", DEFLATE))
    opened(link.id)
    info = net.native_ws_client_info(link.id)
    assert info["subprotocol"] == "superchat"
    assert info["compression"]
    link.peer.send(TEXT, deflated(b"small" * 20), rsv=4)
    assert received(link.id) == "small" * 20


def test_what_was_set_last_applies(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_headers(link.id, {"X-One": "1", "X-Two": "2"})
    net.native_ws_set_headers(link.id, {"X-One": "3"})
    net.native_ws_set_subprotocol(link.id, "first")
    net.native_ws_set_subprotocol(link.id, "second")
    net.native_ws_set_compression(link.id, True)
    net.native_ws_set_compression(link.id, False)
    net.native_ws_recv(link.id)
    head = link.peer.head()
    assert header_of(head, "X-One") == "3"
    assert header_of(head, "Sec-WebSocket-Protocol") == "second"
    assert headers_of(head, "Sec-WebSocket-Extensions") == []


def test_an_authorization_header_wins_over_the_url(ws_server: int) -> None:
    port = net.native_ws_get_local_addr(ws_server)["port"]
    own = net.native_ws_connect(f"ws://user:password@127.0.0.1:{port}/")
    net.native_ws_set_headers(own, {"Authorization": "Bearer token"})
    net.native_ws_get_state(own)
    accepted = wait_until(lambda: net.native_ws_accept(ws_server))
    headers = {name.lower(): value for name, value in net.native_ws_client_info(accepted)["headers"].items()}
    assert headers["authorization"] == "Bearer token"


def test_limits_set_before_apply_to_the_first_frames(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_max_frame_size(link.id, 100)
    net.native_ws_recv(link.id)
    head = link.peer.head()
    link.peer.say(response(head) + link.peer.frame(TEXT, b"x" * 101))
    wait_until(lambda: net.native_ws_get_state(link.id) in ("closing", "closed"))
    assert link.peer.closing()[0] == 1009
    assert "100" in str(refusal(net.native_ws_recv, link.id))


def test_outgoing_frames_of_the_size_set_before(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_max_frame_size(link.id, 100)
    net.native_ws_recv(link.id)
    link.peer.say(response(link.peer.head()))
    net.native_ws_send(link.id, "x" * 250)
    assert [len(each.payload) for each in link.peer.frames()] == [100, 100, 50]


@pytest.mark.parametrize("split", [1, 7, 10_000])
def test_frames_behind_the_answer_are_not_lost(ws_call: Upgrade, split: int) -> None:
    """RFC 6455, section 4.1: the server may speak as soon as it has answered."""
    link = ws_call()
    net.native_ws_recv(link.id)
    answer = response(link.peer.head())
    peer = link.peer
    peer.say(answer + peer.frame(TEXT, "früh".encode()) + peer.frame(2, b"\0\1") + peer.frame(TEXT, b"later")[:split])
    assert received(link.id) == "früh"
    assert received_binary(link.id) == b"\0\1"
    peer.say(peer.frame(TEXT, b"later")[split:])
    assert received(link.id) == "later"


def test_a_close_behind_the_answer(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_recv(link.id)
    peer = link.peer
    peer.say(response(peer.head()) + peer.frame(TEXT, b"bye") + peer.frame(8, b"\x03\xe8away"))
    assert received(link.id) == "bye"
    assert net.native_ws_recv_blocking(link.id, -1) is None
    assert net.native_ws_client_info(link.id)["close_reason"] == "away"


def test_an_answer_byte_by_byte(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_recv(link.id)
    whole = response(link.peer.head()) + link.peer.frame(TEXT, b"hello")
    for position in range(len(whole)):
        link.peer.say(whole[position : position + 1])
        if position < len(whole) - 10:
            assert net.native_ws_recv(link.id) is None
    assert received(link.id) == "hello"


def test_settings_after_the_handshake_say_so(ws_link: WsLink) -> None:
    for function, value in (
        (net.native_ws_set_headers, {"X-One": "1"}),
        (net.native_ws_set_subprotocol, "chat"),
        (net.native_ws_set_tls, {"verify": False}),
    ):
        error = refusal(function, ws_link.id, value)
        assert error.code in ("E3006", "E5006")
        assert "handshake" in str(error)


def test_client_info_while_connecting(ws_call: Upgrade) -> None:
    link = ws_call("/path?query")
    info = net.native_ws_client_info(link.id)
    assert set(info) == INFO
    assert (info["state"], info["path"], info["ip"]) == ("connecting", "/path?query", "127.0.0.1")
    assert info["close_code"] is info["close_reason"] is info["latency_ms"] is None


def test_closing_before_the_upgrade(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_close(link.id)
    wait_until(lambda: net.native_ws_get_state(link.id) == "closed", what="closed")
    assert net.native_ws_is_connected(link.id) is False
    assert code_of(net.native_ws_recv, link.id) == "E3029"


def test_closing_during_the_upgrade(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_recv(link.id)
    link.peer.head()
    begun = time.monotonic()
    net.native_ws_close(link.id)
    assert time.monotonic() - begun < 5
    assert net.native_ws_get_state(link.id) in ("closing", "closed")
    assert code_of(net.native_ws_send, link.id, "x") == "E3029"


def test_closing_wakes_who_completes_the_upgrade(ws_call: Upgrade) -> None:
    link = ws_call()
    net.native_ws_set_timeout(link.id, -1)
    sender = Running(code_of, net.native_ws_send, link.id, "x").wait_asleep()
    receiver = Running(net.native_ws_recv_blocking, link.id, -1).wait_asleep()
    net.native_ws_close(link.id)
    assert sender.result() == "E3029"
    assert receiver.result() is None


def test_many_threads_complete_one_upgrade(ws_call: Upgrade) -> None:
    link = ws_call()
    ready = threading.Barrier(4)

    def send(text: str) -> None:
        ready.wait(SOON)
        net.native_ws_send(link.id, text)

    threads = [Running(send, str(number)) for number in range(4)]
    link.peer.say(response(link.peer.head()))
    assert sorted(str(link.peer.message()) for _ in threads) == ["0", "1", "2", "3"]
    for thread in threads:
        thread.result()
