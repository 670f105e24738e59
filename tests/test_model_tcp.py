"""A TCP connection's life against a plain model: any order of calls, and peers that send, stall, end and reset."""

from __future__ import annotations

import itertools
import select
import socket
from typing import Any, ClassVar

import pytest
from core_support import character_lengths
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from model_support import Life, at_once, choices, chosen, model_settings
from support import (
    SOON,
    code_of,
    port_of,
    read_exactly,
    read_to_end,
    reset,
    unread_in_kernel,
    wait_for_event,
    wait_until,
)

import dryad_net as net
from dryad_net.table import table

# What a peer may send: text, characters in pieces, what is no UTF-8, and the delimiters.
chunks = st.lists(
    st.sampled_from([b"a", b"\n", b"xyz", "é".encode(), "€".encode(), b"\xe2", b"\x82", b"\xff", b"\r\n", b"q" * 300]),
    min_size=1,
    max_size=6,
).map(b"".join)
sizes = st.sampled_from([1, 2, 3, 5, 100, 65536])
# So much is with the kernel at once, where the peer has read what came before.
FITS = 2048
LARGE = 300_000
SMALL_BUFFER = 4096


class Link:
    """What the model knows of a connection.

    unread: sent by the peer and not yet read; expected: taken from us and not yet read by the peer;
    end: how the peer ended ("half": it only stopped sending, "closed", "reset"); told: whether the
    script knows that it broke.
    """

    def __init__(self, identifier: int, raw: socket.socket, accepted: bool) -> None:
        self.id = identifier
        self.raw = raw
        self.accepted = accepted
        self.unread = b""
        self.expected = b""
        self.end = ""
        self.told = False

    def sends(self) -> bool:
        """Does the peer still send?"""
        return not self.end

    def reads(self) -> bool:
        """Does the peer still read?"""
        return self.end in ("", "half")

    def has_character(self) -> bool:
        return bool(character_lengths(self.unread, bool(self.end)))

    def is_connected(self) -> bool:
        return bool(self.unread) or not self.end


class TcpLife(Life):
    """A server, its clients, and connections of our own."""

    calls: ClassVar = {
        "native_tcp_send": ("x",),
        "native_tcp_recv": (1,),
        "native_tcp_recv_blocking": (1, -1),
        "native_tcp_recv_bytes": (1,),
        "native_tcp_recv_bytes_blocking": (1, -1),
        "native_tcp_recv_all": (),
        "native_tcp_recv_until": ("\n",),
        "native_tcp_get_peer_addr": (),
        "native_tcp_set_nodelay": (True,),
        "native_tcp_get_recv_buffer_size": (),
        "native_tcp_close": (),
        "native_tcp_kick_client": (),
        "native_tcp_is_connected": (),
        "native_tcp_broadcast": ("x",),
        "native_tcp_accept": (),
        "native_tcp_accept_blocking": (-1,),
        "native_tcp_get_clients": (),
        "native_tcp_stop_server": (),
        "native_tcp_set_timeout": (5,),
    }
    harmless: ClassVar = {
        **dict.fromkeys(("native_tcp_close", "native_tcp_kick_client", "native_tcp_stop_server")),
        "native_tcp_is_connected": False,
    }

    def __init__(self) -> None:
        super().__init__()
        self.foreign.append(self.new(net.native_udp_socket()))
        self.server = self.new(net.native_tcp_listen(0))
        self.port = port_of(self.server)
        self.stopped = False
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(SOON)
        self.pending: list[tuple[socket.socket, bytes]] = []
        self.links: list[Link] = []
        self.closing: list[Link] = []
        self.numbers = itertools.count()

    # ---- connections come

    @precondition(lambda self: not self.stopped and len(self.links) + len(self.pending) < 5)
    @rule(data=st.just(b"") | chunks)
    def a_client_connects(self, data: bytes) -> None:
        raw = socket.socket()
        raw.settimeout(SOON)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        raw.connect(("127.0.0.1", self.port))
        raw.sendall(data)
        self.pending.append((raw, data))

    @precondition(lambda self: not self.stopped)
    @rule(blocking=st.booleans())
    def accept(self, blocking: bool) -> None:
        if not self.pending:
            assert at_once(net.native_tcp_accept, self.server) is None
            assert at_once(net.native_tcp_accept_blocking, self.server, 0) is None
            return
        raw, data = self.pending.pop(0)
        if blocking:
            identifier = net.native_tcp_accept_blocking(self.server, int(SOON * 1000))
        else:
            identifier = wait_until(lambda: net.native_tcp_accept(self.server))
        ip, port = raw.getsockname()
        assert net.native_tcp_get_peer_addr(identifier) == {"ip": ip, "port": port}
        self._add(Link(self.new(identifier), raw, True), data)

    @precondition(lambda self: len(self.links) + len(self.pending) < 5)
    @rule()
    def connect(self) -> None:
        identifier = net.native_tcp_connect(*self.listening.getsockname())
        raw = self.listening.accept()[0]
        raw.settimeout(SOON)
        self._add(Link(self.new(identifier), raw, False), b"")

    def _add(self, link: Link, data: bytes) -> None:
        net.native_tcp_set_timeout(link.id, 0)
        net.native_tcp_set_send_buffer_size(link.id, SMALL_BUFFER)
        wait_until(lambda: unread_in_kernel(self._fd(link)) == len(data), what="what the client has sent")
        link.unread = data
        self.links.append(link)

    def _fd(self, link: Link) -> int:
        return int(table.objects[link.id].fileno())

    # ---- what the peers do

    @precondition(lambda self: self.links)
    @rule(choice=choices, data=chunks)
    def peer_sends(self, choice: int, data: bytes) -> None:
        link = chosen(self.links, choice)
        if link.sends():
            arrived = unread_in_kernel(self._fd(link)) + len(data)
            link.raw.sendall(data)
            wait_until(lambda: unread_in_kernel(self._fd(link)) == arrived, what="what the peer has sent")
            link.unread += data

    @precondition(lambda self: self.closing)
    @rule(choice=choices, data=chunks)
    def peer_sends_late(self, choice: int, data: bytes) -> None:
        """To a connection that the script has closed: it must not cost the peer what it has not read."""
        link = chosen(self.closing, choice)
        if link.sends():
            link.raw.sendall(data)

    @precondition(lambda self: self.links)
    @rule(choice=choices, most=st.sampled_from([1, 100, 10_000, LARGE]))
    def peer_reads(self, choice: int, most: int) -> None:
        link = chosen(self.links, choice)
        if link.reads():
            size = min(most, len(link.expected))
            assert read_exactly(link.raw, size) == link.expected[:size]
            link.expected = link.expected[size:]

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def peer_stops_sending(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if link.sends():
            link.raw.shutdown(socket.SHUT_WR)
            wait_for_event(self._fd(link), select.POLLRDHUP)
            link.end = "half"

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def peer_closes(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if link.reads():
            # What it leaves unread would make a reset of it.
            assert read_exactly(link.raw, len(link.expected)) == link.expected
            link.raw.close()
            wait_for_event(self._fd(link), select.POLLRDHUP)
            link.end = "closed"

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def peer_resets(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if link.sends():
            reset(link.raw)
            wait_for_event(self._fd(link), select.POLLERR)
            link.end = "reset"

    # ---- receiving

    @precondition(lambda self: self.links)
    @rule(choice=choices, size=sizes, blocking=st.booleans())
    def recv(self, choice: int, size: int, blocking: bool) -> None:
        self._recv(chosen(self.links, choice), size, blocking)

    def _recv(self, link: Link, size: int, blocking: bool) -> None:
        if blocking:
            found = self._read(link, net.native_tcp_recv_blocking, size, 0)
        else:
            found = self._read(link, net.native_tcp_recv, size)
        assert (found is not None) == link.has_character()
        if found is not None:
            taken = found.encode("utf-8", "surrogateescape")
            assert 0 < len(taken) <= size or len(found) == 1
            self._take_text(link, found)

    @precondition(lambda self: self.links)
    @rule(choice=choices, size=sizes, blocking=st.booleans())
    def recv_bytes(self, choice: int, size: int, blocking: bool) -> None:
        link = chosen(self.links, choice)
        if blocking:
            found = self._read(link, net.native_tcp_recv_bytes_blocking, size, 0)
        else:
            found = self._read(link, net.native_tcp_recv_bytes, size)
        assert (found is not None) == bool(link.unread)
        if found is not None:
            assert 0 < len(found) <= size
            assert link.unread.startswith(found)
            link.unread = link.unread[len(found) :]

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def recv_all(self, choice: int) -> None:
        link = chosen(self.links, choice)
        whole = sum(character_lengths(link.unread, False))
        found = self._read(link, net.native_tcp_recv_all) or ""
        # The end may be seen only by the next call, and until then what has begun may go on.
        assert len(found.encode("utf-8", "surrogateescape")) in (whole, len(link.unread) if link.end else whole)
        self._take_text(link, found)

    @precondition(lambda self: self.links)
    @rule(choice=choices, delimiter=st.sampled_from(["\n", "\r\n", "é", "xyz"]))
    def recv_until(self, choice: int, delimiter: str) -> None:
        link = chosen(self.links, choice)
        end = link.unread.find(delimiter.encode())
        found = self._read(link, net.native_tcp_recv_until, delimiter)
        if end < 0:
            assert found is None
        else:
            assert found is not None
            assert len(found.encode("utf-8", "surrogateescape")) == end + len(delimiter.encode())
            self._take_text(link, found)

    def _read(self, link: Link, function: Any, *args: Any) -> Any:
        """What a receive gives; None if it says that the connection broke, which it may do once, at its end."""
        due = link.end == "reset" and not link.told and not link.unread
        # What was sent to a peer that had closed comes back as a reset.
        may = due or (link.end == "closed" and not link.told and not link.unread)
        try:
            found = at_once(function, link.id, *args)
        except net.NetworkError:
            if not may:
                raise
            link.told = True
            return None
        assert not due, "the reset was not told"
        return found

    def _take_text(self, link: Link, text: str) -> None:
        """The text is what comes next, and no character is cut in two."""
        taken = text.encode("utf-8", "surrogateescape")
        assert link.unread.startswith(taken)
        rest = link.unread[len(taken) :]
        assert text + rest.decode("utf-8", "surrogateescape") == link.unread.decode("utf-8", "surrogateescape")
        link.unread = rest

    # ---- sending

    def _payload(self, size: int) -> bytes:
        """Bytes that are to be found nowhere else."""
        return (b"%d;" % next(self.numbers) * size)[:size]

    @precondition(lambda self: self.links)
    @rule(choice=choices, size=st.sampled_from([1, 10, 1000, LARGE]))
    def send(self, choice: int, size: int) -> None:
        link = chosen(self.links, choice)
        data = self._payload(size)
        try:
            taken = at_once(net.native_tcp_send, link.id, data)
        except net.NetworkTimeoutError:
            assert link.expected or size > FITS
            taken = 0
        except net.NetworkError:
            assert link.end in ("reset", "closed")
            link.told = True
            return
        assert link.end != "reset"
        assert taken == size or link.expected or size > FITS
        link.expected += data[:taken]

    @precondition(lambda self: not self.stopped)
    @rule(size=st.sampled_from([1, 1000, LARGE]), times=st.integers(1, 3))
    def broadcast(self, size: int, times: int) -> None:
        for _ in range(times):
            self._broadcast(size)

    def _broadcast(self, size: int) -> None:
        data = self._payload(size)
        reached = at_once(net.native_tcp_broadcast, self.server, data)
        clients = [link for link in self.links if link.accepted and link.is_connected()]
        # A peer that has closed, and has not been read to its end, is reached or not.
        unsure = sum(link.end == "closed" for link in clients)
        sure = [link for link in clients if link.reads()]
        assert len(sure) <= reached <= len(sure) + unsure
        for link in sure:
            link.expected += data

    # ---- asking

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def is_connected(self, choice: int) -> None:
        link = chosen(self.links, choice)
        assert at_once(net.native_tcp_is_connected, link.id) is link.is_connected()

    @precondition(lambda self: not self.stopped)
    @rule()
    def get_clients(self) -> None:
        connected = [link.id for link in self.links if link.accepted and link.is_connected()]
        assert at_once(net.native_tcp_get_clients, self.server) == connected

    @rule()
    def net_wait(self) -> None:
        ready = [link.id for link in self.links if link.has_character() or link.end]
        if not self.stopped and self.pending:
            ready.insert(0, self.server)
        servers = [] if self.stopped else [self.server]
        assert at_once(net.native_net_wait, servers + [link.id for link in self.links], 0) == ready

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def calls_for_servers(self, choice: int) -> None:
        link = chosen(self.links, choice)
        for function in (net.native_tcp_accept, net.native_tcp_get_clients, net.native_tcp_stop_server):
            assert code_of(function, link.id) == "E3029"
        if not self.stopped:
            for function in (net.native_tcp_close, net.native_tcp_recv_all, net.native_tcp_kick_client):
                assert code_of(function, self.server) == "E3029"

    # ---- closing

    @precondition(lambda self: self.links)
    @rule(choice=choices, kick=st.booleans())
    def close(self, choice: int, kick: bool) -> None:
        link = chosen(self.links, choice)
        if kick and not link.accepted:
            assert code_of(net.native_tcp_kick_client, link.id) == "E3029"
            return
        assert at_once(net.native_tcp_kick_client if kick else net.native_tcp_close, link.id) is None
        self._closed(link)

    def _closed(self, link: Link) -> None:
        self.gone(link.id)
        self.links.remove(link)
        self.closing.append(link)

    @precondition(lambda self: not self.stopped)
    @rule(sure=st.integers(0, 9))
    def stop_server(self, sure: int) -> None:
        if sure:
            return  # seldom: little happens afterwards
        assert at_once(net.native_tcp_stop_server, self.server) is None
        self.stopped = True
        self.gone(self.server)
        for link in [link for link in self.links if link.accepted]:
            self._closed(link)
        for raw, _ in self.pending:
            raw.close()
        self.pending.clear()

    def finish(self) -> None:
        for link in list(self.links):
            # Nothing is lost, up to the end; the others are closed with what was not read.
            while link.id % 2 and link.has_character():
                self._recv(link, 100, False)
            at_once(net.native_tcp_close, link.id)
            self._closed(link)
        for link in self.closing:
            if link.reads():
                assert read_to_end(link.raw) == link.expected
            link.raw.close()
        for raw, _ in self.pending:
            raw.close()
        self.listening.close()


TestTcpLife = TcpLife.TestCase
TestTcpLife.settings = model_settings(150)
pytestmark = pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="poll() does not show the end of a stream")
