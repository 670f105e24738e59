"""A UDP socket's life against a plain model: any order of calls, and peers that send, read, and are gone."""

from __future__ import annotations

import itertools
import select
from collections import deque
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from model_support import Life, at_once, choices, chosen, model_settings
from support import SOON, code_of
from udp_support import SOON_MS, local_port, plain

import dryad_net as net
from dryad_net.table import table

payloads = st.sampled_from([b"", b"x", "é€".encode(), b"\xe2\x82", b"\xff\0", b"y" * 1500, b"z" * 9000])
sizes = st.sampled_from([1, 2, 100, 65536])
MOST_UNREAD = 12


class Udp:
    """What the model knows of a socket: what waits in it, whom it is connected to, whether an error is due."""

    def __init__(self, identifier: int) -> None:
        self.id = identifier
        self.port = local_port(identifier)
        self.unread: deque[tuple[bytes, int]] = deque()
        self.peer: Peer | None = None
        self.refused = False
        self.stats = dict.fromkeys(
            ("bytes_sent", "bytes_received", "packets_sent", "packets_received", "packets_lost"), 0
        )
        self.stats |= {"packets_truncated": 0, "send_errors": 0}

    def has_sent(self, size: int) -> None:
        self.stats["packets_sent"] += 1
        self.stats["bytes_sent"] += size


class Peer:
    """A plain socket, and what was sent to it and not read yet."""

    def __init__(self) -> None:
        self.raw = plain()
        self.port = self.raw.getsockname()[1]
        self.expected: deque[tuple[bytes, int]] = deque()
        self.gone = False

    def read(self) -> None:
        """The next datagram must be the one that was sent next."""
        data, (_ip, port) = self.raw.recvfrom(65536)
        assert (data, port) == self.expected.popleft()


class UdpLife(Life):
    """Sockets of the library's, and plain ones that they talk to."""

    calls: ClassVar = {
        "native_udp_bind": (0,),
        "native_udp_send": ("x", "127.0.0.1", 9),
        "native_udp_recv": (),
        "native_udp_recv_blocking": (-1,),
        "native_udp_recv_from": (5,),
        "native_udp_recv_bytes": (),
        "native_udp_connect": ("127.0.0.1", 9),
        "native_udp_send_connected": ("x",),
        "native_udp_set_timeout": (0,),
        "native_udp_set_broadcast": (True,),
        "native_udp_get_local_addr": (),
        "native_udp_get_stats": (),
        "native_udp_close": (),
    }
    harmless: ClassVar = {"native_udp_close": None}

    def __init__(self) -> None:
        super().__init__()
        self.foreign.append(self.new(net.native_tcp_listen(0)))
        self.sockets: list[Udp] = []
        self.peers = [Peer(), Peer()]
        self.numbers = itertools.count()
        self.open()

    @precondition(lambda self: len(self.sockets) < 3)
    @rule()
    def open(self) -> None:
        identifier = self.new(net.native_udp_socket())
        net.native_udp_bind_addr(identifier, "127.0.0.1", 0)
        net.native_udp_set_timeout(identifier, 0)
        self.sockets.append(Udp(identifier))

    # ---- what the peers do

    @precondition(lambda self: self.sockets)
    @rule(which=choices, choice=choices, data=payloads)
    def peer_sends(self, which: int, choice: int, data: bytes) -> None:
        peer, udp = chosen(self.peers, which), chosen(self.sockets, choice)
        if peer.gone or len(udp.unread) >= MOST_UNREAD:
            return
        peer.raw.sendto(data, ("127.0.0.1", udp.port))
        # A connected socket hears its peer only.
        if udp.peer in (None, peer):
            udp.unread.append((data, peer.port))

    @rule(which=choices)
    def peer_reads(self, which: int) -> None:
        peer = chosen(self.peers, which)
        if peer.expected:
            peer.read()

    @rule(which=choices)
    def peer_goes(self, which: int) -> None:
        peer = chosen(self.peers, which)
        if not peer.gone:
            while peer.expected:
                peer.read()
            # It hears nobody else now, so others are refused; closed, its port might be another test's at once.
            peer.raw.connect(("127.0.0.2", 9))
            peer.gone = True

    @precondition(lambda self: any(peer.gone for peer in self.peers))
    @rule()
    def peer_comes(self) -> None:
        for peer in self.peers:
            if peer.gone:
                peer.raw.close()
        self.peers = [Peer() if peer.gone else peer for peer in self.peers]

    # ---- receiving

    @precondition(lambda self: self.sockets)
    @rule(choice=choices, way=st.sampled_from(["recv", "recv_blocking", "recv_bytes"]))
    def recv(self, choice: int, way: str) -> None:
        udp = chosen(self.sockets, choice)
        arguments = {"recv_blocking": (SOON_MS if udp.unread else 0,)}.get(way, ())
        self._receive(udp, getattr(net, f"native_udp_{way}"), arguments, 65536)

    @precondition(lambda self: self.sockets)
    @rule(choice=choices, size=sizes)
    def recv_from(self, choice: int, size: int) -> None:
        self._receive(chosen(self.sockets, choice), net.native_udp_recv_from, (size,), size)

    def _receive(self, udp: Udp, function: Any, arguments: tuple[Any, ...], size: int) -> None:
        if udp.unread:
            assert net.native_net_wait([udp.id], SOON_MS) == [udp.id]
        try:
            found = at_once(function, udp.id, *arguments)
        except net.NetworkError:
            if not udp.refused:
                raise
            udp.refused = False
            return
        if found is None:
            assert not udp.unread
            assert not udp.refused, "the refusal was not told"
            return
        data, port = udp.unread.popleft()
        text = found["data"]
        taken = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        assert (taken, found["ip"], found["port"]) == (data[:size], "127.0.0.1", port)
        udp.stats["packets_received"] += 1
        udp.stats["bytes_received"] += len(taken)
        udp.stats["packets_truncated"] += len(data) > size

    # ---- sending

    @precondition(lambda self: self.sockets)
    @rule(choice=choices, which=choices, data=payloads)
    def send(self, choice: int, which: int, data: bytes) -> None:
        udp, peer = chosen(self.sockets, choice), chosen(self.peers, which)
        data += b"%d" % next(self.numbers)
        self._send(udp, peer, data, net.native_udp_send, udp.id, data, "127.0.0.1", peer.port)

    @precondition(lambda self: self.sockets)
    @rule(choice=choices, data=payloads)
    def send_connected(self, choice: int, data: bytes) -> None:
        udp = chosen(self.sockets, choice)
        if udp.peer is None:
            error = code_of(net.native_udp_send_connected, udp.id, data)
            assert error == "E5006"
            udp.stats["send_errors"] += 1
            return
        self._send(udp, udp.peer, data, net.native_udp_send_connected, udp.id, data)

    def _send(self, udp: Udp, peer: Peer, data: bytes, function: Any, *arguments: Any) -> None:
        try:
            assert at_once(function, *arguments) == len(data)
        except net.NetworkError:
            if not udp.refused:
                raise
            udp.refused = False
            udp.stats["send_errors"] += 1
            return
        assert not udp.refused, "the refusal was not told"
        udp.has_sent(len(data))
        if not peer.gone:
            peer.expected.append((data, udp.port))
        elif udp.peer is peer:
            self._wait_for_refusal(udp)

    def _wait_for_refusal(self, udp: Udp) -> None:
        """The ICMP error arrives (RFC 1122, 4.1.3.3), which poll() shows without taking it."""
        poller = select.poll()
        poller.register(table.objects[udp.id].fileno(), 0)
        assert poller.poll(SOON * 1000)
        udp.refused = True

    # ---- settings and questions

    @precondition(lambda self: self.sockets)
    @rule(choice=choices, which=choices)
    def connect(self, choice: int, which: int) -> None:
        udp, peer = chosen(self.sockets, choice), chosen(self.peers, which)
        assert at_once(net.native_udp_connect, udp.id, "127.0.0.1", peer.port) is None
        udp.peer = peer
        udp.refused = False  # it was the peer before this one
        assert local_port(udp.id) == udp.port

    @precondition(lambda self: self.sockets)
    @rule(choice=choices)
    def bind_again(self, choice: int) -> None:
        assert code_of(net.native_udp_bind, chosen(self.sockets, choice).id, 0) == "E5006"

    @precondition(lambda self: self.sockets)
    @rule(choice=choices)
    def get_stats(self, choice: int) -> None:
        udp = chosen(self.sockets, choice)
        assert net.native_udp_get_stats(udp.id) == udp.stats

    @rule()
    def net_wait(self) -> None:
        # What has come last may still be on its way.
        for udp in self.sockets:
            if udp.unread:
                assert net.native_net_wait([udp.id], SOON_MS) == [udp.id]
        ready = [udp.id for udp in self.sockets if udp.unread or udp.refused]
        assert at_once(net.native_net_wait, [udp.id for udp in self.sockets], 0) == ready

    # ---- the end

    @precondition(lambda self: self.sockets)
    @rule(choice=choices)
    def close(self, choice: int) -> None:
        udp = chosen(self.sockets, choice)
        assert at_once(net.native_udp_close, udp.id) is None
        self.sockets.remove(udp)
        self.gone(udp.id)

    def finish(self) -> None:
        for udp in self.sockets:
            at_once(net.native_udp_close, udp.id)
        for peer in self.peers:
            while peer.expected:
                peer.read()
            peer.raw.close()


TestUdpLife = UdpLife.TestCase
TestUdpLife.settings = model_settings(150)
