"""A WebSocket connection's life against a plain model: any order of calls, and peers that send, stall and end."""

from __future__ import annotations

import itertools
import socket
import sys
from collections import deque
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from model_support import Life, at_once, choices, chosen, model_settings
from support import code_of, plain_listener, reset, wait_until
from ws_support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INFO,
    PING,
    PONG,
    SOON_MS,
    TEXT,
    Frame,
    Peer,
    becomes,
    opened,
    plain_client,
    plain_server,
    request,
    response,
    url_of,
)

import dryad_net as net

if sys.platform == "linux":
    import fcntl
    import termios

messages = st.sampled_from(["", "a", "é€😀", "x" * 200, "y" * 70_000])
LARGE = 300_000
# So much is with the kernel at once, where the peer has read what came before.
FITS = 2048
SMALL_BUFFER = 4096
# What no peer may send, and the code that answers it.
VIOLATIONS = [
    (lambda peer: peer.frame(3, b""), 1002),
    (lambda peer: peer.frame(PING, b"", fin=False), 1002),
    (lambda peer: peer.frame(BINARY, b"x", rsv=2), 1002),
    (lambda peer: peer.frame(BINARY, b"", mask=None if peer.client else b"mask"), 1002),
    (lambda peer: peer.frame(CLOSE, b"\x03"), 1002),
    (lambda peer: peer.frame(CLOSE, b"\x03\xe8\xff"), 1007),
]
CLOSINGS = {None: 1005, 1000: 1000, 3000: 3000}


class Link:
    """What the model knows of a connection.

    unread: messages that the peer has sent; parts: of the one that it has begun; expected: what it
    has not read yet of ours; end: how it ended; why: whether the script is to be told; settled: whether
    the library has shown that it knows; sent: how many messages it took from the script.
    """

    def __init__(self, identifier: int, peer: Peer, accepted: bool) -> None:
        self.id = identifier
        self.peer = peer
        self.accepted = accepted
        self.unread: dict[int, deque[Any]] = {TEXT: deque(), BINARY: deque()}
        self.kind = 0
        self.parts: list[bytes] = []
        self.expected: deque[Frame] = deque()
        self.end = ""
        self.why = False
        self.settled = False
        self.code = 0
        self.sent = 0

    def has_message(self) -> bool:
        return any(self.unread.values())

    def ends(self, end: str, why: bool, code: int) -> None:
        self.end, self.why, self.code = end, why, code

    def peer_reads_one(self) -> None:
        """The next frame with data must be what we sent next."""
        found = self.peer.read()
        while found is not None and found.opcode in (PING, PONG):
            found = self.peer.read()
        assert found == self.expected.popleft()


def unacknowledged(raw: socket.socket) -> int:
    """How many bytes of a socket have not reached the other end's system (tcp(7), SIOCOUTQ); 0 where none tells."""
    if sys.platform != "linux":
        return 0
    return int.from_bytes(fcntl.ioctl(raw, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


class WebSocketLife(Life):
    """A server, its clients, and connections of our own."""

    calls: ClassVar = {
        "native_ws_send": ("x",),
        "native_ws_send_binary": (b"x",),
        "native_ws_recv": (),
        "native_ws_recv_blocking": (-1,),
        "native_ws_recv_binary": (),
        "native_ws_recv_binary_blocking": (-1,),
        "native_ws_ping": (),
        "native_ws_pong": (),
        "native_ws_client_info": (),
        "native_ws_set_timeout": (0,),
        "native_ws_set_headers": ({},),
        "native_ws_is_connected": (),
        "native_ws_close": (),
        "native_ws_close_with": (1000, ""),
        "native_ws_kick_client": (),
        "native_ws_accept": (),
        "native_ws_broadcast": ("x",),
        "native_ws_get_clients": (),
        "native_ws_stop_server": (),
    }
    harmless: ClassVar = {
        **dict.fromkeys(("native_ws_close", "native_ws_close_with", "native_ws_kick_client", "native_ws_stop_server")),
        "native_ws_is_connected": False,
    }

    def __init__(self) -> None:
        super().__init__()
        self.foreign.append(self.new(net.native_udp_socket()))
        self.server = self.new(net.native_ws_listen(0))
        self.stopped = False
        self.listening = plain_listener()
        self.links: list[Link] = []
        self.closing: list[tuple[Link, set[int]]] = []
        # Connections of our own that nobody has answered yet.
        self.waiting: list[Link] = []
        self.numbers = itertools.count()

    # ---- connections come

    @precondition(lambda self: not self.stopped and len(self.links) < 4)
    @rule()
    def a_client_comes(self) -> None:
        assert at_once(net.native_ws_accept, self.server) is None
        peer = plain_client(self.server, recv_buffer=SMALL_BUFFER)
        peer.say(request())
        identifier = wait_until(lambda: net.native_ws_accept(self.server))
        assert peer.head().startswith(b"HTTP/1.1 101 ")
        self._add(Link(self.new(identifier), peer, True))

    @precondition(lambda self: len(self.waiting) < 2)
    @rule()
    def connect(self) -> None:
        identifier = self.new(net.native_ws_connect(url_of(self.listening)))
        net.native_ws_set_timeout(identifier, 0)
        self.waiting.append(Link(identifier, plain_server(self.listening), False))

    @precondition(lambda self: self.waiting)
    @rule(choice=choices)
    def call_while_connecting(self, choice: int) -> None:
        link = chosen(self.waiting, choice)
        assert at_once(net.native_ws_recv, link.id) is None
        assert at_once(net.native_ws_recv_binary_blocking, link.id, 0) is None
        assert at_once(net.native_ws_get_state, link.id) == "connecting"
        for function, *arguments in ((net.native_ws_send, "x"), (net.native_ws_ping,)):
            assert code_of(function, link.id, *arguments) == "E5007"
        assert code_of(net.native_ws_set_headers, link.id, {}) == "E5006"

    @precondition(lambda self: self.waiting)
    @rule(choice=choices, early=st.booleans())
    def peer_answers(self, choice: int, early: bool) -> None:
        """Its first message may come in the same packet."""
        link = chosen(self.waiting, choice)
        self.waiting.remove(link)
        net.native_ws_recv(link.id)
        first = link.peer.frame(TEXT, b"early") if early else b""
        link.peer.say(response(link.peer.head()) + first)
        opened(link.id)
        self._add(link)
        if early:
            link.unread[TEXT].append("early")

    @precondition(lambda self: self.waiting)
    @rule(choice=choices, answer=st.sampled_from([b"", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]))
    def peer_refuses(self, choice: int, answer: bytes) -> None:
        """Said once, by the next call that needs the connection."""
        link = chosen(self.waiting, choice)
        self.waiting.remove(link)
        net.native_ws_recv(link.id)
        link.peer.head()
        link.peer.say(answer)
        link.peer.hang_up()
        link.ends("refused", True, 1006)
        self.links.append(link)

    def _add(self, link: Link) -> None:
        net.native_ws_set_timeout(link.id, 0)
        self.links.append(link)

    # ---- what the peers do

    @precondition(lambda self: self.links)
    @rule(choice=choices, text=st.booleans(), message=messages)
    def peer_sends(self, choice: int, text: bool, message: str) -> None:
        link = chosen(self.links, choice)
        if not link.end and not link.kind:
            kind = TEXT if text else BINARY
            link.peer.send(kind, message.encode())
            link.unread[kind].append(message if text else message.encode())

    @precondition(lambda self: self.links)
    @rule(choice=choices, part=st.sampled_from([b"", b"a", b"bcd" * 50]), last=st.booleans(), text=st.booleans())
    def peer_sends_a_part(self, choice: int, part: bytes, last: bool, text: bool) -> None:
        link = chosen(self.links, choice)
        if link.end:
            return
        link.peer.send(CONTINUATION if link.kind else TEXT if text else BINARY, part, fin=last)
        link.kind = link.kind or (TEXT if text else BINARY)
        link.parts.append(part)
        if last:
            whole = b"".join(link.parts)
            link.unread[link.kind].append(whole.decode() if link.kind == TEXT else whole)
            link.kind = 0
            link.parts = []

    @precondition(lambda self: self.links)
    @rule(choice=choices, opcode=st.sampled_from([PING, PONG]))
    def peer_pings(self, choice: int, opcode: int) -> None:
        link = chosen(self.links, choice)
        if not link.end:
            link.peer.send(opcode, b"%d" % next(self.numbers))

    @precondition(lambda self: self.links)
    @rule(choice=choices, count=st.sampled_from([1, 2, 100]))
    def peer_reads(self, choice: int, count: int) -> None:
        link = chosen(self.links, choice)
        if not link.end:
            for _ in range(min(count, len(link.expected))):
                link.peer_reads_one()

    @precondition(lambda self: self.links)
    @rule(choice=choices, code=st.sampled_from(list(CLOSINGS)))
    def peer_closes(self, choice: int, code: int | None) -> None:
        link = chosen(self.links, choice)
        if not link.end:
            link.peer.close(code)
            link.ends("close", False, CLOSINGS[code])

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def peer_stops_sending(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if not link.end:
            link.peer.raw.shutdown(socket.SHUT_WR)
            link.ends("stream", bool(link.kind), 1006)

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def peer_resets(self, choice: int) -> None:
        """What its own system still holds is lost, so that everything has to have arrived."""
        link = chosen(self.links, choice)
        if not link.end:
            wait_until(lambda: unacknowledged(link.peer.raw) == 0, what="the peer's bytes to arrive")
            reset(link.peer.raw)
            link.ends("reset", True, 1006)

    @precondition(lambda self: self.links)
    @rule(choice=choices, which=choices)
    def peer_breaks_a_rule(self, choice: int, which: int) -> None:
        link = chosen(self.links, choice)
        if not link.end:
            make, code = chosen(VIOLATIONS, which)
            link.peer.say(make(link.peer))
            link.ends("violation", True, code)

    # ---- receiving

    @precondition(lambda self: self.links)
    @rule(choice=choices, text=st.booleans(), blocking=st.booleans())
    def recv(self, choice: int, text: bool, blocking: bool) -> None:
        link = chosen(self.links, choice)
        name = "native_ws_recv" if text else "native_ws_recv_binary"
        unread = link.unread[TEXT if text else BINARY]
        if unread:
            self._read_message(link, name, unread, blocking)
        elif link.end:
            self._read_end(link, name)
        else:
            assert at_once(getattr(net, name), link.id) is None

    def _read_message(self, link: Link, name: str, unread: deque[Any], blocking: bool) -> None:
        if blocking:
            found = getattr(net, f"{name}_blocking")(link.id, SOON_MS)
        else:
            found = wait_until(lambda: (message := getattr(net, name)(link.id)) is not None and [message])[0]
        assert found == unread.popleft()

    def _read_end(self, link: Link, name: str) -> None:
        """null; but what broke the connection is said first, if the script does not know it yet."""
        try:
            assert getattr(net, f"{name}_blocking")(link.id, SOON_MS) is None
        except net.NetworkError:
            if not link.why:
                raise
        else:
            assert not link.why, "why it broke was not told"
        link.why = False
        link.settled = True

    # ---- sending

    @precondition(lambda self: self.links)
    @rule(choice=choices, text=st.booleans(), size=st.sampled_from([0, 1, 200, 5000, LARGE]))
    def send(self, choice: int, text: bool, size: int) -> None:
        link = chosen(self.links, choice)
        data = (b"%d;" % next(self.numbers) * size)[:size]
        if text:
            self._send(link, Frame(TEXT, data), net.native_ws_send, data.decode())
        else:
            self._send(link, Frame(BINARY, data), net.native_ws_send_binary, data)

    def _send(self, link: Link, frame: Frame, function: Any, message: Any) -> None:
        try:
            assert at_once(function, link.id, message) is None
        except net.NetworkTimeoutError:
            assert link.end or link.expected or len(frame.payload) > FITS
            return
        except net.NetworkError:
            if not link.end:
                raise
            link.why = False
            link.settled = True
            return
        assert not link.settled
        link.sent += 1
        if not link.end:
            link.expected.append(frame)

    @precondition(lambda self: self.links)
    @rule(choice=choices, function=st.sampled_from([net.native_ws_ping, net.native_ws_pong]))
    def ping(self, choice: int, function: Any) -> None:
        link = chosen(self.links, choice)
        try:
            assert at_once(function, link.id) is None
        except net.NetworkTimeoutError:
            assert link.end or link.expected
        except net.NetworkError:
            if not link.end:
                raise
            link.why = False
            link.settled = True
        else:
            assert not link.settled

    @precondition(lambda self: not self.stopped)
    @rule(size=st.sampled_from([1, 200, LARGE]), excepted=st.none() | choices)
    def broadcast(self, size: int, excepted: int | None) -> None:
        data = (b"%d;" % next(self.numbers) * size)[:size]
        clients = [link for link in self.links if link.accepted]
        if excepted is None or not self.links:
            reached = at_once(net.native_ws_broadcast, self.server, data.decode())
        else:
            left_out = chosen(self.links, excepted)
            reached = at_once(net.native_ws_broadcast_except, self.server, left_out.id, data.decode())
            clients = [link for link in clients if link is not left_out]
        sure = [link for link in clients if not link.end]
        unsure = [link for link in clients if link.end and not link.settled]
        assert len(sure) <= reached <= len(sure) + len(unsure)
        for link in sure:
            link.sent += 1
            link.expected.append(Frame(TEXT, data))

    # ---- asking

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def is_connected(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if link.end and not link.has_message():
            wait_until(lambda: at_once(net.native_ws_is_connected, link.id) is False)
        else:
            assert at_once(net.native_ws_is_connected, link.id) is True

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def get_state(self, choice: int) -> None:
        link = chosen(self.links, choice)
        if link.end:
            becomes(link.id, "closed")
            link.settled = True
        else:
            assert at_once(net.native_ws_get_state, link.id) == "open"

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def client_info(self, choice: int) -> None:
        link = chosen(self.links, choice)
        info = at_once(net.native_ws_client_info, link.id)
        assert set(info) == INFO
        assert info["state"] in (("open", "closed") if link.end else ("open",))
        if not link.end:
            assert info["messages_sent"] == link.sent
        if link.settled:
            assert (info["state"], info["close_code"]) == ("closed", link.code)

    @precondition(lambda self: not self.stopped)
    @rule()
    def get_clients(self) -> None:
        found = at_once(net.native_ws_get_clients, self.server)
        accepted = [link for link in self.links if link.accepted]
        for link in accepted:
            if not link.end or link.has_message():
                assert link.id in found
            elif link.settled:
                assert link.id not in found
        assert set(found) <= {link.id for link in accepted}
        assert found == sorted(found)

    @rule()
    def net_wait(self) -> None:
        for link in self.links:
            if link.end or link.has_message():
                assert net.native_net_wait([link.id], SOON_MS) == [link.id]
            else:
                assert at_once(net.native_net_wait, [link.id], 0) == []

    @precondition(lambda self: self.links)
    @rule(choice=choices)
    def calls_for_servers(self, choice: int) -> None:
        link = chosen(self.links, choice)
        for function in (net.native_ws_accept, net.native_ws_get_clients, net.native_ws_stop_server):
            assert code_of(function, link.id) == "E3029"
        if not self.stopped:
            for function in (net.native_ws_close, net.native_ws_recv, net.native_ws_kick_client):
                assert code_of(function, self.server) == "E3029"
        if not link.accepted:
            assert code_of(net.native_ws_kick_client, link.id) == "E3029"

    # ---- closing

    @precondition(lambda self: self.links)
    @rule(choice=choices, way=st.sampled_from(["close", "close_with", "kick_client"]))
    def close(self, choice: int, way: str) -> None:
        link = chosen(self.links, choice)
        if way == "kick_client" and not link.accepted:
            return
        arguments = (3001, "bye") if way == "close_with" else ()
        assert at_once(getattr(net, f"native_ws_{way}"), link.id, *arguments) is None
        self._closed(link, {"close": 1000, "close_with": 3001, "kick_client": 1008}[way])

    @precondition(lambda self: self.waiting)
    @rule(choice=choices)
    def close_while_connecting(self, choice: int) -> None:
        link = chosen(self.waiting, choice)
        self.waiting.remove(link)
        assert at_once(net.native_ws_close, link.id) is None
        self.gone(link.id)
        link.peer.hang_up()

    def _closed(self, link: Link, code: int) -> None:
        self.gone(link.id)
        assert at_once(net.native_ws_get_state, link.id) in ("closing", "closed")
        if link in self.links:
            self.links.remove(link)
        # Where the peer has broken a rule just before, it is told either.
        self.closing.append((link, {code, link.code} if link.end else {code}))

    @precondition(lambda self: not self.stopped)
    @rule(sure=st.integers(0, 9))
    def stop_server(self, sure: int) -> None:
        if sure:
            return  # seldom: little happens afterwards
        assert at_once(net.native_ws_stop_server, self.server) is None
        self.stopped = True
        self.gone(self.server)
        for link in [link for link in self.links if link.accepted]:
            self._closed(link, 1001)

    def finish(self) -> None:
        for link in list(self.links):
            at_once(net.native_ws_close, link.id)
            self._closed(link, 1000)
        for link in self.waiting:
            at_once(net.native_ws_close, link.id)
            link.peer.hang_up()
        for link, codes in self.closing:
            if link.end in ("", "violation"):
                self._read_to_close(link, codes)
            link.peer.hang_up()
        self.listening.close()

    def _read_to_close(self, link: Link, codes: set[int]) -> None:
        """The peer gets everything that was sent before the close, and then why."""
        while link.expected:
            link.peer_reads_one()
        code, _reason = link.peer.closing()
        assert code in codes
        if not link.end:
            link.peer.close(code)
            if link.accepted:
                assert link.peer.ended()


TestWebSocketLife = WebSocketLife.TestCase
TestWebSocketLife.settings = model_settings(120)
