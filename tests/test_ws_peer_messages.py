"""Messages of every kind between the library and other implementations of WebSocket, in both roles."""

from __future__ import annotations

import random
import time

from peer_support import Kind, Meet, Meeting, peers_that, port_of, same
from peers.conversation import Opening, Peer
from support import Running, wait_until
from ws_support import accept_of

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

# Around every border of the payload length's three forms (RFC 6455, section 5.2), and long.
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]
# Both ends of each plane's part that is not reserved, every length in UTF-8, and what is combined of several.
PLANES = "".join(chr(plane << 16 | offset) for plane in range(17) for offset in (0x21, 0x7FF, 0x800, 0xD7FF, 0xFFFD))
FAMILY = "\N{WOMAN}\u200d\N{WOMAN}\u200d\N{GIRL}\u200d\N{BOY}"
TEXTS = ["", "\0", "olá, mundo", "日本語", FAMILY, "e\u0301", PLANES, PLANES * 500]


@peers_that()
def test_binary_of_every_size(meeting: Meeting) -> None:
    source = random.Random(1)
    meeting.exchange(*(source.randbytes(size) for size in SIZES))


@peers_that()
def test_text_of_every_size(meeting: Meeting) -> None:
    meeting.exchange(*("ç" * (size // 2) + "x" * (size % 2) for size in SIZES))


@peers_that()
def test_text_of_all_of_unicode(meeting: Meeting) -> None:
    meeting.exchange(*TEXTS)


@peers_that()
def test_a_byte_order_mark_is_text(meeting: Meeting, peer_kind: Kind) -> None:
    text = "\ufeffmarked"
    meeting.other.send(text)
    assert meeting.receive(text) == text
    meeting.send(text)
    # undici takes it away, as the decoder of the Encoding Standard does that it uses.
    assert meeting.other.receive(1) == ["marked" if peer_kind.peer == "undici" else text]


@peers_that()
def test_text_and_binary_stay_apart(meeting: Meeting) -> None:
    meeting.other.send("one", b"1", "two", b"2")
    assert [meeting.receive(b"") for _ in range(2)] == [b"1", b"2"]
    assert [meeting.receive("") for _ in range(2)] == ["one", "two"]
    meeting.send("one", b"1", "two", b"2")
    assert meeting.other.receive(4) == ["one", b"1", "two", b"2"]


@peers_that()
def test_a_burst_of_messages(meeting: Meeting) -> None:
    meeting.exchange(*(f"message {number}" for number in range(2000)))


@peers_that()
def test_both_send_at_once(meeting: Meeting) -> None:
    block = random.Random(2).randbytes(100_000)
    ours = Running(meeting.send, *[block] * 20)
    theirs = Running(meeting.other.send, *[block] * 20)
    for _ in range(20):
        assert same(meeting.receive(block), block)
    assert all(same(received, block) for received in meeting.other.receive(20))
    ours.result()
    theirs.result()


@peers_that("fragments")
def test_fragments_from_the_peer(meeting: Meeting) -> None:
    for parts in (["a", "b"], ["", "ol", "", "á, mun", "do", ""], list(PLANES), ["x" * 70_000, "y" * 70_000]):
        meeting.other.send_fragments(*parts)
        assert meeting.receive("") == "".join(parts)
    blocks = [b"", b"1", b"2" * 126, b"3" * 65536]
    meeting.other.send_fragments(*blocks)
    assert meeting.receive(b"") == b"".join(blocks)


@peers_that()
def test_fragments_from_the_library(meeting: Meeting) -> None:
    """Frames of a size that was set, which cuts characters in two."""
    for size, count in ((1, 100), (125, 2000), (1021, 300_000)):
        net.native_ws_set_max_frame_size(meeting.id, size)
        text = "aé日👩" * (count // 10)
        meeting.send(text, text.encode(), "")
        received = meeting.other.receive(3)
        assert same(received[0], text)
        assert same(received[1], text.encode())
        assert received[2] == ""


@peers_that("ping")
def test_the_peer_pings(meeting: Meeting) -> None:
    for payload in (b"", b"still there?", bytes(range(125))):
        assert meeting.other.ping(payload) == payload


@peers_that()
def test_the_library_pings(meeting: Meeting) -> None:
    net.native_ws_ping(meeting.id)
    # libcurl's pong waits until it sends a message, and of those only for one sent after it has read the ping.
    meeting.send("behind the ping")
    assert meeting.other.receive(1) == ["behind the ping"]
    meeting.other.send("after the ping")
    assert meeting.receive("") == "after the ping"
    latency = wait_until(lambda: net.native_ws_client_info(meeting.id)["latency_ms"])
    assert 0 < latency < 10_000


@peers_that()
def test_a_pong_that_nobody_asked_for(meeting: Meeting) -> None:
    net.native_ws_pong(meeting.id)
    meeting.exchange("after it")


@peers_that()
def test_many_connections_at_once(meet: Meet) -> None:
    meetings = [meet(path=f"/{number}") for number in range(20)]
    for number, each in enumerate(meetings):
        each.other.send(f"from {number}")
        each.send(f"to {number}")
    for number, each in enumerate(meetings):
        assert each.receive("") == f"from {number}"
        assert each.other.receive(1) == [f"to {number}"]


@peers_that(role="client")
def test_broadcast(meet: Meet, peer: Peer) -> None:
    first = meet()
    assert first.server is not None
    url = f"ws://127.0.0.1:{port_of(first.server)}/"
    everybody = [first]
    for _ in range(5):
        connecting = Running(peer.connect, url, Opening())
        everybody.append(Meeting(accept_of(first.server), connecting.result()))
    text, data = "a todos: olá" * 100, bytes(range(256)) * 300
    assert net.native_ws_broadcast(first.server, text) == 6
    assert net.native_ws_broadcast_binary(first.server, data) == 6
    assert net.native_ws_broadcast_except(first.server, everybody[3].id, "not to everybody") == 5
    for number, each in enumerate(everybody):
        assert each.other.receive(2) == [text, data]
        if number != 3:
            assert each.other.receive(1) == ["not to everybody"]
    net.native_ws_stop_server(first.server)
    for each in everybody:
        assert each.other.closed().code == 1001


@peers_that("ping")
def test_the_peer_pings_while_the_library_does_nothing(meeting: Meeting) -> None:
    """The background work answers, within 250 ms; here within ten times of it, for machines that are busy."""
    start = time.monotonic()
    meeting.other.ping(b"1")
    meeting.other.ping(b"2")
    assert time.monotonic() - start < 2.5
