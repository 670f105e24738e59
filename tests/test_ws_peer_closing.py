"""The closing handshake with other implementations of WebSocket, begun by either side."""

from __future__ import annotations

import pytest
from peer_support import SOON_MS, Kind, Meet, Meeting, peers_that
from peers.conversation import Opening
from support import code_of, wait_until

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

# The longest reason: 125 bytes of a control frame but for the code (RFC 6455, section 5.5).
LONGEST = "ç" * 61 + "!"


@peers_that()
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (3000, "até logo"), (4999, LONGEST)])
def test_the_peer_closes(meeting: Meeting, peer_kind: Kind, code: int, reason: str) -> None:
    meeting.other.send("before")
    meeting.other.close(code, reason)
    wait_until(lambda: net.native_ws_get_state(meeting.id) == "closed")
    # What came before the close stays readable, and the script learns why.
    assert net.native_ws_is_connected(meeting.id)
    assert meeting.receive("") == "before"
    assert not net.native_ws_is_connected(meeting.id)
    assert net.native_ws_recv_blocking(meeting.id, SOON_MS) is None
    info = net.native_ws_client_info(meeting.id)
    assert (info["state"], info["close_code"], info["close_reason"]) == ("closed", code, reason)
    assert code_of(net.native_ws_send, meeting.id, "after") == "E5006"
    # The answer has the same code; aiohttp's server does not tell which it had.
    if peer_kind != Kind("aiohttp", "server"):
        assert meeting.other.closed().code == code


@peers_that()
@pytest.mark.parametrize(("code", "reason"), [(1000, "até logo"), (1001, ""), (3000, ""), (4999, LONGEST)])
def test_the_library_closes(meeting: Meeting, code: int, reason: str) -> None:
    meeting.send("before")
    net.native_ws_close_with(meeting.id, code, reason)
    assert meeting.other.receive(1) == ["before"]
    assert meeting.other.closed() == (code, reason)
    assert net.native_ws_get_state(meeting.id) in ("closing", "closed")
    wait_until(lambda: net.native_ws_get_state(meeting.id) == "closed")


@peers_that()
def test_a_plain_close(meeting: Meeting) -> None:
    net.native_ws_close(meeting.id)
    assert meeting.other.closed() == (1000, "")


@peers_that()
@pytest.mark.parametrize("deflate", [None, {}], ids=["plain", "compressed"])
def test_nothing_is_lost_by_a_close(meet: Meet, peer_kind: Kind, deflate: dict[str, bool | int] | None) -> None:
    """Closing at once after sending; the peer is slow for the library, which has long gone on."""
    opening = Opening(deflate=deflate)
    meeting = meet(opening, opening if peer_kind.peer != "libcurl" else Opening())
    messages = [f"{number}: " + "x" * 10_000 for number in range(100)]
    meeting.send(*messages)
    net.native_ws_close(meeting.id)
    assert meeting.other.receive(100) == messages
    assert meeting.other.closed() == (1000, "")


@peers_that()
def test_nothing_is_lost_that_the_peer_sent_before_its_close(meeting: Meeting) -> None:
    messages = [f"{number}: " + "x" * 1000 for number in range(200)]
    meeting.other.send(*messages)
    meeting.other.close(4000, "done")
    received = []
    while net.native_ws_is_connected(meeting.id):
        received.append(net.native_ws_recv_blocking(meeting.id, SOON_MS))
    # Connected until the Close had come, perhaps while waiting for one more message.
    assert [message for message in received if message is not None] == messages
    assert net.native_ws_client_info(meeting.id)["close_code"] == 4000


@peers_that(role="client")
def test_kicked(meeting: Meeting) -> None:
    net.native_ws_kick_client(meeting.id)
    assert meeting.other.closed().code == 1008


@peers_that(role="client")
def test_the_server_stops(meeting: Meeting) -> None:
    assert meeting.server is not None
    meeting.send("before")
    net.native_ws_stop_server(meeting.server)
    assert meeting.other.receive(1) == ["before"]
    assert meeting.other.closed().code == 1001


@peers_that()
def test_a_message_that_is_too_big(meeting: Meeting) -> None:
    net.native_ws_set_max_message_size(meeting.id, 1000)
    meeting.other.send("x" * 1000)
    assert meeting.receive("") == "x" * 1000
    meeting.other.send("x" * 1001)
    assert meeting.other.closed().code == 1009
    assert code_of(net.native_ws_recv_blocking, meeting.id, SOON_MS) == "E5006"
    assert net.native_ws_recv_blocking(meeting.id, SOON_MS) is None
