"""Closing by the peer: what it sent stays readable, and what it said is known until the script closes."""

from __future__ import annotations

import pytest
from background_support import background_held_up
from support import Running, arrives, code_of, refusal, reset, reset_arrives, wait_until
from ws_support import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    Upgrade,
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


def test_the_close_is_answered_and_the_connection_ended(ws: WsLink) -> None:
    ws.peer.close(1000, "bye")
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert ws.peer.closing()[0] == 1000
    ws.peer.raw.shutdown(1)
    assert ws.peer.ended()
    becomes(ws.id, "closed")
    broken(ws.id)


def test_no_code_is_1005(ws: WsLink) -> None:
    """RFC 6455, section 7.1.5."""
    ws.peer.close(None)
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert ws.peer.expect(CLOSE) in (b"", close_payload(1000))
    info = net.native_ws_client_info(ws.id)
    assert (info["close_code"], info["close_reason"]) == (1005, "")


def test_what_was_sent_before_stays_readable(ws: WsLink) -> None:
    for number in range(10):
        ws.peer.text(f"text {number}")
        ws.peer.send(BINARY, b"%d" % number)
    ws.peer.close(4001, "done")
    ws.peer.closing()
    ws.peer.hang_up()
    becomes(ws.id, "closed")
    for number in range(10):
        assert net.native_ws_is_connected(ws.id) is True
        assert net.native_ws_recv(ws.id) == f"text {number}"
    for number in range(10):
        assert net.native_ws_is_connected(ws.id) is True
        assert net.native_ws_recv_binary_blocking(ws.id, -1) == b"%d" % number
    broken(ws.id)
    assert net.native_ws_client_info(ws.id)["close_code"] == 4001


def test_the_loop_that_loses_nothing(ws: WsLink) -> None:
    def send() -> None:
        for number in range(2000):
            ws.peer.text(f"{number}:" + "x" * (number % 300))
        ws.peer.close()
        ws.peer.closing()
        ws.peer.hang_up()

    sender = Running(send)
    numbers = []
    while net.native_ws_is_connected(ws.id):
        message = net.native_ws_recv_blocking(ws.id, 10_000)
        if message is not None:
            numbers.append(int(message.partition(":")[0]))
    assert numbers == list(range(2000))
    sender.result()


def test_sending_after_the_peers_close_raises(ws: WsLink) -> None:
    ws.peer.close(1000)
    ws.peer.closing()
    becomes(ws.id, "closed")
    for function, *values in (
        (net.native_ws_send, "x"),
        (net.native_ws_send_binary, b"x"),
        (net.native_ws_ping,),
        (net.native_ws_pong,),
    ):
        assert code_of(function, ws.id, *values) == "E5006"


def test_data_after_the_close_is_ignored(ws: WsLink) -> None:
    """RFC 6455, section 5.5.1: nothing may follow it."""
    peer = ws.peer
    peer.say(peer.frame(TEXT, b"before") + peer.frame(CLOSE, close_payload(1000)) + peer.frame(TEXT, b"after"))
    peer.say(peer.frame(PING, b"after"), peer.frame(3))
    assert received(ws.id) == "before"
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert peer.read() == (CLOSE, close_payload(1000), True, 0)
    assert net.native_ws_client_info(ws.id)["close_code"] == 1000
    broken(ws.id)


def test_a_close_inside_a_message(ws: WsLink) -> None:
    ws.peer.send(TEXT, b"never ", fin=False)
    ws.peer.close(1001, "in the middle")
    assert net.native_ws_recv_blocking(ws.id, -1) is None
    assert ws.peer.closing()[0] == 1001
    assert net.native_ws_client_info(ws.id)["close_reason"] == "in the middle"


def test_closing_what_the_peer_has_closed(ws: WsLink) -> None:
    ws.peer.text("unread")
    ws.peer.close(1000)
    ws.peer.closing()
    ws.peer.hang_up()
    becomes(ws.id, "closed")
    net.native_ws_close(ws.id)
    assert net.native_ws_get_state(ws.id) == "closed"
    assert code_of(net.native_ws_recv, ws.id) == "E3029"
    assert code_of(net.native_ws_client_info, ws.id) == "E3029"


def test_the_descriptor_is_given_back_before_the_script_closes(ws: WsLink) -> None:
    """The peer sees the end though the script has not looked at the connection since."""
    ws.peer.close(1000)
    ws.peer.closing()
    ws.peer.raw.shutdown(1)
    assert ws.peer.ended()


def test_there_is_no_local_address_then(ws: WsLink) -> None:
    """The descriptor is given back in the background: what would have told it is not."""
    assert net.native_ws_get_local_addr(ws.id)["port"] > 0
    ws.peer.close(1000)
    ws.peer.closing()
    ws.peer.hang_up()
    wait_until(lambda: table.objects[ws.id].fileno() < 0)
    for _ in range(2):
        error = refusal(net.native_ws_get_local_addr, ws.id)
        assert str(error) == (
            f"E5006 native_ws_get_local_addr: {ws.id}: not connected: the connection was closed (1000)"
        )
    net.native_ws_close(ws.id)
    assert code_of(net.native_ws_get_local_addr, ws.id) == "E3029"


# ---- without a Close frame


def test_an_end_of_stream(ws: WsLink) -> None:
    """RFC 6455, section 7.1.5: the code is then 1006."""
    ws.peer.text("before")
    ws.peer.send(BINARY, b"before")
    ws.peer.hang_up()
    assert received(ws.id) == "before"
    assert received_binary(ws.id) == b"before"
    over(ws.id)
    assert net.native_ws_client_info(ws.id)["close_code"] == 1006


def over(identifier: int) -> None:
    """No more to read: null, or first the reason, once."""

    def ended() -> bool:
        try:
            assert net.native_ws_recv(identifier) is None
        except net.NetworkError:
            return True
        return net.native_ws_get_state(identifier) == "closed"

    wait_until(ended)
    try:
        net.native_ws_recv(identifier)
    except net.NetworkError:
        net.native_ws_recv(identifier)
    broken(identifier)


@pytest.mark.parametrize("cut", [1, 2, 5, 6, 50])
def test_an_end_of_stream_inside_a_frame(ws: WsLink, cut: int) -> None:
    ws.peer.text("before")
    ws.peer.say(ws.peer.frame(TEXT, b"x" * 100)[:cut])
    ws.peer.hang_up()
    assert received(ws.id) == "before"
    over(ws.id)


def test_an_end_of_stream_inside_a_message(ws: WsLink) -> None:
    ws.peer.send(TEXT, b"half", fin=False)
    ws.peer.hang_up()
    over(ws.id)
    assert net.native_ws_client_info(ws.id)["close_code"] == 1006


@pytest.mark.parametrize("unread", [False, True])
def test_a_reset(ws: WsLink, unread: bool) -> None:
    if unread:
        ws.peer.text("arrived before")
        wait_until(lambda: net.native_net_wait([ws.id], 0))
        net.native_ws_recv_binary(ws.id)  # it is ours now, whatever happens to the socket
    reset(ws.peer.raw)
    if unread:
        assert received(ws.id) == "arrived before"
    assert "reset" in said_once(ws.id)
    assert net.native_ws_get_state(ws.id) == "closed"
    assert net.native_ws_client_info(ws.id)["close_code"] == 1006


def test_a_reset_said_to_who_waits(ws: WsLink) -> None:
    waiting = Running(net.native_ws_recv_blocking, ws.id, -1).wait_asleep()
    reset(ws.peer.raw)
    with pytest.raises(net.NetworkError, match=r"^E5006 native_ws_recv_blocking: .*reset"):
        waiting.result()
    broken(ws.id)


def test_a_reset_found_by_sending(ws: WsLink) -> None:
    reset(ws.peer.raw)
    codes = [refusal(net.native_ws_send, ws.id, "x").code for _ in range(3)]
    assert codes == ["E5006"] * 3
    broken(ws.id)


@pytest.mark.parametrize("size", [10, 30_000])
def test_a_send_that_broke_shows_in_the_state(ws: WsLink, size: int) -> None:
    """Also where the system still holds what came before, which nobody had read yet."""
    messages = ws.peer.frame(BINARY, b"x" * size) * 2
    with background_held_up(ws):
        ws.peer.say(messages)
        arrives(ws.id, len(messages))
        reset(ws.peer.raw)
        reset_arrives(ws.id)
        assert "reset" in refusal(net.native_ws_ping, ws.id).detail
        assert net.native_ws_get_state(ws.id) == "closed"
        assert net.native_ws_client_info(ws.id)["close_code"] == 1006
    assert [received_binary(ws.id) for _ in range(2)] == [b"x" * size] * 2
    broken(ws.id)


def test_a_send_that_broke_shows_in_the_list_of_clients(ws_server: int, ws_dial: Upgrade) -> None:
    """Also where a ping had come before, which nobody had answered yet."""
    gone = ws_dial(ws_server)
    with background_held_up(gone):
        gone.peer.send(PING, b"you there?")
        reset(gone.peer.raw)
        reset_arrives(gone.id)
        assert "reset" in refusal(net.native_ws_send, gone.id, "x").detail
        assert net.native_ws_get_clients(ws_server) == []
        assert net.native_ws_is_connected(gone.id) is False
    broken(gone.id)


def test_a_reset_disturbs_no_other_client(ws_server: int, ws_dial: Upgrade) -> None:
    gone, stays = ws_dial(ws_server), ws_dial(ws_server)
    reset(gone.peer.raw)
    assert net.native_ws_broadcast(ws_server, "to whom it may concern") in (1, 2)
    assert stays.peer.message() == "to whom it may concern"
    said_once(gone.id)
    assert net.native_ws_get_clients(ws_server) == [stays.id]


def test_the_state_tells_of_a_close_behind_unread_messages(ws: WsLink) -> None:
    """A script that only asks for the state, again and again, learns of it too."""
    ws.peer.text("before")
    ws.peer.close(1000)
    becomes(ws.id, "closed")
    assert received(ws.id) == "before"


def test_the_state_tells_of_a_violation_behind_unread_messages(ws: WsLink) -> None:
    ws.peer.text("before")
    ws.peer.send(11, b"")
    becomes(ws.id, "closed")
    assert ws.peer.closing()[0] == 1002
    assert received(ws.id) == "before"
