"""native_net_wait over TCP, UDP and servers: ready is what recv or accept would not answer with null."""

from __future__ import annotations

import random
import select
import socket
import time
from collections.abc import Callable

import pytest
from support import SOON, Link, Running, code_of, fill, kernel_socket, refusal, reset, wait_until
from udp_support import bound, plain
from ws_support import ws_port

import dryad_net as net

SOON_MS = int(SOON * 1000)
Dial = Callable[..., Link]


def ready(*ids: int) -> list[int]:
    """Which are ready right now?"""
    return net.native_net_wait(list(ids), 0)


def becomes_ready(identifier: int) -> None:
    assert net.native_net_wait([identifier], SOON_MS) == [identifier]


def is_readable(identifier: int) -> bool:
    """Does the system have something for it?"""
    with kernel_socket(identifier) as twin:
        return bool(select.select([twin], [], [], 0)[0])


def test_nothing_is_ready(link: Link, server: int, ws_server: int) -> None:
    udp, _ = bound()
    assert ready(link.id, server, ws_server, udp) == []


def test_many_with_half_a_character_do_not_end_a_wait(server: int, dial: Dial) -> None:
    halves = [dial(server) for _ in range(70)]
    ids = [link.id for link in halves]
    assert ready(*ids) == []
    for half in halves:
        half.raw.sendall(b"\xe2\x82")
    wait_until(lambda: all(map(is_readable, ids)))
    begun = time.monotonic()
    assert net.native_net_wait(ids, 300) == []
    assert time.monotonic() - begun > 0.298


def test_one_that_is_ready_beside_many_that_have_half_a_character(server: int, dial: Dial) -> None:
    """More of them than a poller reports at once."""
    halves = [dial(server) for _ in range(150)]
    whole = dial(server)
    ids = [link.id for link in [*halves, whole]]
    assert ready(*ids) == []
    for half in halves:
        half.raw.sendall(b"\xe2\x82")
    wait_until(lambda: all(map(is_readable, ids[:-1])))
    whole.raw.sendall(b"x")
    wait_until(lambda: is_readable(whole.id))
    assert ready(*ids) == [whole.id]
    assert net.native_tcp_recv(whole.id, 10) == "x"


@pytest.mark.parametrize("ms", [0, 1, 50, 300, 50.0])
def test_empty_when_the_time_is_up(link: Link, ms: float) -> None:
    begun = time.monotonic()
    assert net.native_net_wait([link.id], ms) == []
    assert ms / 1000 - 0.002 <= time.monotonic() - begun < 5 + ms / 1000


@pytest.mark.parametrize("ms", [-1, None, 3_600_000, float(2**53)])
def test_waiting_for_the_first(link: Link, server: int, ms: object) -> None:
    waiting = Running(net.native_net_wait, [server, link.id], ms).wait_asleep()
    link.raw.sendall(b"x")
    assert waiting.result() == [link.id]


def test_no_ids() -> None:
    begun = time.monotonic()
    assert net.native_net_wait([], 0) == []
    assert net.native_net_wait([], 50) == []
    assert 0.048 <= time.monotonic() - begun < 5


@pytest.mark.parametrize("form", [list, tuple])
def test_the_callers_array_stays_his_own(link: Link, form: type) -> None:
    link.raw.sendall(b"x")
    ids = form([link.id])
    becomes_ready(link.id)
    result = net.native_net_wait(ids, SOON_MS)
    assert result == [link.id]
    assert result is not ids
    assert type(result) is list
    result.clear()
    assert ids == form([link.id])
    assert all(type(each) is int for each in net.native_net_wait([float(link.id)], SOON_MS))


def test_in_the_order_of_ids(server: int, dial: Dial) -> None:
    links = [dial(server) for _ in range(20)]
    for link in links:
        link.raw.sendall(b"x")
        becomes_ready(link.id)
    ids = [link.id for link in links]
    for seed in range(10):
        random.Random(seed).shuffle(ids)
        assert ready(*ids) == ids
        assert ready(*ids[:7], server) == ids[:7]


def test_given_twice(link: Link) -> None:
    assert ready(link.id, link.id) == []
    link.raw.sendall(b"x")
    becomes_ready(link.id)
    assert set(ready(link.id, link.id)) == {link.id}
    assert net.native_tcp_recv_all(link.id) == "x"
    assert ready(link.id, link.id) == []


# ---- TCP


def test_ready_until_it_is_read(link: Link) -> None:
    link.raw.sendall(b"abc")
    becomes_ready(link.id)
    assert ready(link.id) == [link.id]  # level, not edge
    assert net.native_tcp_recv(link.id, 2) == "ab"
    assert ready(link.id) == [link.id]
    assert net.native_tcp_recv(link.id, 2) == "c"
    assert ready(link.id) == []


def test_part_of_a_character_is_nothing_yet(link: Link) -> None:
    """recv would give null."""
    link.raw.sendall(b"\xe2\x82")
    assert net.native_net_wait([link.id], 100) == []
    assert net.native_tcp_recv(link.id, 10) is None
    waiting = Running(net.native_net_wait, [link.id], SOON_MS).wait_asleep()
    link.raw.sendall(b"\xac")
    assert waiting.result() == [link.id]
    assert net.native_tcp_recv(link.id, 10) == "€"


def test_waiting_beside_part_of_a_character_does_not_spin(link: Link) -> None:
    link.raw.sendall(b"\xe2\x82")
    used = time.process_time()
    assert net.native_net_wait([link.id], 400) == []
    assert time.process_time() - used < 0.2


def test_part_of_a_character_at_the_end(link: Link) -> None:
    link.raw.sendall(b"\xe2\x82")
    assert net.native_net_wait([link.id], 50) == []
    link.raw.close()
    becomes_ready(link.id)
    assert net.native_tcp_recv(link.id, 10) == "\udce2\udc82"


@pytest.mark.skipif(not hasattr(select, "poll") or not hasattr(select, "POLLRDHUP"), reason="needs POLLRDHUP")
def test_part_of_a_character_and_the_end_at_once(link: Link, server: int, dial: Dial) -> None:
    """Not only the next time that it is asked, also where another one is ready."""
    other = dial(server)
    other.raw.sendall(b"x")
    becomes_ready(other.id)
    link.raw.sendall(b"\xe2")
    link.raw.shutdown(socket.SHUT_WR)
    with kernel_socket(link.id) as twin:
        ended = select.poll()
        ended.register(twin, select.POLLRDHUP)
        assert ended.poll(SOON_MS)
    assert ready(other.id, link.id) == [other.id, link.id]


def test_what_recv_until_left_is_ready(link: Link) -> None:
    """Data in our own buffer, of which the system knows nothing."""
    link.raw.sendall(b"line\nrest")
    assert net.native_tcp_recv_until(link.id, "\n") == "line\n"
    assert ready(link.id) == [link.id]
    assert net.native_tcp_recv(link.id, 10) == "rest"
    assert ready(link.id) == []


def test_half_a_line_is_ready(link: Link) -> None:
    net.native_tcp_set_timeout(link.id, 50)
    link.raw.sendall(b"half a line")
    assert net.native_tcp_recv_until(link.id, "\n") is None
    assert ready(link.id) == [link.id]


@pytest.mark.parametrize("way", ["end of stream", "reset", "half-close"])
def test_a_peer_that_closed(link: Link, way: str) -> None:
    """recv gives null for ever; it is ready, so that the script notices."""
    if way == "reset":
        reset(link.raw)
    elif way == "half-close":
        link.raw.shutdown(1)
    else:
        link.raw.close()
    becomes_ready(link.id)
    if way == "reset":
        assert refusal(net.native_tcp_recv, link.id, 1).code == "E5006"
    else:
        assert net.native_tcp_recv(link.id, 1) is None
    assert ready(link.id) == [link.id]
    assert net.native_tcp_is_connected(link.id) is False
    assert ready(link.id) == [link.id]


def test_room_for_sending_is_not_waited_for(link: Link) -> None:
    fill(link.id)
    assert ready(link.id) == []
    link.raw.recv(65536)
    assert net.native_net_wait([link.id], 100) == []


def test_a_queued_broadcast_is_nothing_to_read(server: int, dial: Dial) -> None:
    client = dial(server, recv_buffer=4096)
    assert net.native_tcp_broadcast(server, bytes(4 << 20)) == 1
    used = time.process_time()
    assert net.native_net_wait([client.id, server], 300) == []
    assert time.process_time() - used < 0.2
    client.raw.sendall(b"x")
    becomes_ready(client.id)


def test_a_tcp_server(server: int) -> None:
    own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
    becomes_ready(server)
    assert ready(own, server) == [server]
    accepted = net.native_tcp_accept(server)
    assert ready(own, server, accepted) == []
    net.native_tcp_send(own, "x")
    becomes_ready(accepted)


# ---- UDP


def test_udp(link: Link) -> None:
    udp, port = bound()
    with plain() as peer:
        peer.sendto(b"one", ("127.0.0.1", port))
        becomes_ready(udp)
        assert ready(link.id, udp) == [udp]
        assert net.native_udp_recv(udp)["data"] == "one"
        assert ready(udp) == []
        peer.sendto(b"", ("127.0.0.1", port))
        becomes_ready(udp)
        assert net.native_udp_recv(udp)["data"] == ""


def test_datagrams_read_ahead_are_ready() -> None:
    """Of those the system knows nothing any more."""
    udp, port = bound()
    with plain() as peer:
        for number in range(100):
            peer.sendto(b"%d" % number, ("127.0.0.1", port))
        for number in range(100):
            becomes_ready(udp)
            assert net.native_udp_recv(udp)["data"] == str(number)
        assert ready(udp) == []


def test_a_port_unreachable_is_ready() -> None:
    """recv raises it: that is not null."""
    with plain() as gone:
        port = gone.getsockname()[1]
    udp, _ = bound()
    net.native_udp_connect(udp, "127.0.0.1", port)
    net.native_udp_send_connected(udp, "x")
    becomes_ready(udp)
    assert refusal(net.native_udp_recv, udp).code == "E5006"
    assert ready(udp) == []


def test_a_udp_socket_without_a_port() -> None:
    """Nothing can come before the first send or bind; it may be waited for all the same."""
    udp = net.native_udp_socket()
    assert ready(udp) == []
    with plain() as peer:
        port = peer.getsockname()[1]
        net.native_udp_send(udp, "question", "127.0.0.1", port)
        _, sender = peer.recvfrom(100)
        peer.sendto(b"answer", sender)
        becomes_ready(udp)
        assert net.native_udp_recv(udp)["data"] == "answer"


# ---- together


def test_every_kind_at_once(link: Link, server: int, ws_server: int, dial: Dial) -> None:
    udp, port = bound()
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    client = wait_until(lambda: (net.native_ws_recv(own), net.native_ws_accept(ws_server))[1])
    ids = [ws_server, udp, client, link.id, server, own]
    assert ready(*ids) == []
    link.raw.sendall(b"x")
    becomes_ready(link.id)
    assert ready(*ids) == [link.id]
    net.native_ws_send(own, "x")
    becomes_ready(client)
    assert ready(*ids) == [client, link.id]
    with plain() as peer:
        peer.sendto(b"x", ("127.0.0.1", port))
    becomes_ready(udp)
    assert ready(*ids) == [udp, client, link.id]
    net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
    becomes_ready(server)
    net.native_ws_connect(f"ws://127.0.0.1:{ws_port(ws_server)}/")
    becomes_ready(ws_server)
    assert ready(*ids) == [ws_server, udp, client, link.id, server]


def test_bad_ids(link: Link, server: int) -> None:
    link.raw.sendall(b"x")
    becomes_ready(link.id)
    for wrong in (0, -1, 10**9, 10**30, -(10**30)):
        assert code_of(net.native_net_wait, [link.id, wrong], 0) == "E3029"
        assert "no such ID" in str(refusal(net.native_net_wait, [wrong], -1))
    net.native_tcp_stop_server(server)
    error = refusal(net.native_net_wait, [link.id, server], -1)
    assert error.code == "E3029"
    assert "closed" in str(error)
    assert str(server) in str(error)
    assert ready(link.id) == [link.id]


def test_closed_since_the_last_call(server: int, dial: Dial) -> None:
    """A descriptor's number that somebody else has by now must not be mistaken for the old one."""
    old = [dial(server) for _ in range(5)]
    assert ready(*(link.id for link in old), server) == []
    for link in old:
        net.native_tcp_close(link.id)
        link.raw.close()
    new = [dial(server) for _ in range(5)]
    assert ready(*(link.id for link in new), server) == []
    new[3].raw.sendall(b"x")
    becomes_ready(new[3].id)
    assert ready(*(link.id for link in new), server) == [new[3].id]
    assert code_of(net.native_net_wait, [old[0].id], 0) == "E3029"


def test_another_set_each_time(server: int, dial: Dial) -> None:
    links = [dial(server) for _ in range(30)]
    talking = {link.id for link in links[::3]}
    for link in links[::3]:
        link.raw.sendall(b"x")
        becomes_ready(link.id)
    source = random.Random(4)
    for _ in range(300):
        chosen = source.sample([link.id for link in links], source.randrange(1, 30))
        assert ready(*chosen) == [each for each in chosen if each in talking]
