"""Streams that end, or break, after any byte of a conversation; and the proxy that slices and delays them."""

from __future__ import annotations

import socket
import struct

import hostile_proxy
import pytest
from support import SOON, Link, plain_listener, read_to_end, reset, wait_until
from ws_support import TEXT, Peer, WsLink, close_payload, plain_server, request, response, url_of, ws_port

import dryad_net as net

ENDS = {"end": socket.socket.close, "reset": reset}
both_ends = pytest.mark.parametrize("end", ENDS)


def outcome(call: object, *args: object) -> object:
    """What a call returns, or the code of its error."""
    try:
        return call(*args)  # type: ignore[operator]
    except net.DryadNetError as error:
        return error.code


# ---- cut after every byte


@both_ends
def test_lines_cut_anywhere(end: str) -> None:
    """Whole lines, then the rest of one, and then null; a reset may take with it what was not read."""
    wire = "eins\r\nzwei €\r\ndrei".encode()
    for cut in range(len(wire) + 1):
        with plain_listener() as listening:
            own = net.native_tcp_connect("127.0.0.1", listening.getsockname()[1])
            raw = listening.accept()[0]
        raw.sendall(wire[:cut])
        ENDS[end](raw)
        read = b""
        while (line := outcome(net.native_tcp_recv_until, own, "\r\n")) not in (None, "E5006"):
            assert str(line).endswith("\r\n")
            read += str(line).encode()
        while net.native_tcp_is_connected(own):
            rest = outcome(net.native_tcp_recv_blocking, own, 100, 10_000)
            read += str(rest).encode("utf-8", "surrogateescape") if rest not in (None, "E5006") else b""
        assert read == wire[:cut] if end == "end" else wire.startswith(read)
        assert outcome(net.native_tcp_recv, own, 1) in (None, "E5006")
        assert net.native_tcp_recv(own, 1) is None
        net.native_tcp_close(own)


@both_ends
def test_messages_cut_anywhere(end: str, ws_server: int) -> None:
    """Handshake, two messages and a Close of a client, cut after every byte: the server hands out whole messages."""
    head = request()
    peer = Peer(socket.socket(), client=True)
    frames = [peer.frame(TEXT, b"first"), peer.frame(TEXT, b"second"), peer.frame(8, close_payload(1000))]
    peer.raw.close()
    wire = head + b"".join(frames)
    whole = [len(head), len(head) + len(frames[0]), len(head) + len(frames[0]) + len(frames[1]), len(wire)]
    for cut in [*range(0, len(head), 17), *range(len(head) - 2, len(wire) + 1)]:
        raw = socket.create_connection(("127.0.0.1", ws_port(ws_server)), SOON)
        raw.sendall(wire[:cut])
        if cut < whole[0]:
            ENDS[end](raw)
            continue
        client = wait_until(lambda: net.native_ws_accept(ws_server))
        Peer(raw, client=True).head()  # what is closed with something unread is reset, whatever was meant
        ENDS[end](raw)
        messages = []
        while (told := outcome(net.native_ws_recv_blocking, client, 10_000)) not in (None, "E5006"):
            messages.append(told)
        assert ["first", "second"][: len(messages)] == messages
        if end == "end":
            assert len(messages) == sum(cut >= each for each in whole[1:3])
            assert (told == "E5006") is (cut not in whole)
        net.native_ws_close(client)
    # And nobody else has noticed.
    last = socket.create_connection(("127.0.0.1", ws_port(ws_server)), SOON)
    with last:
        last.sendall(head + frames[0])
        assert net.native_ws_recv_blocking(wait_until(lambda: net.native_ws_accept(ws_server)), 10_000) == "first"


@both_ends
def test_our_handshake_cut_anywhere(end: str) -> None:
    """A server's answer that is cut off: an error that says so, and no descriptor left."""
    with plain_listener() as listening:
        for cut in (0, 1, 8, 12, 40, 100, 128):
            own = net.native_ws_connect(url_of(listening))
            net.native_ws_recv(own)
            peer = plain_server(listening)
            peer.say(response(peer.head())[:cut])
            ENDS[end](peer.raw)
            assert outcome(net.native_ws_send, own, "x") == "E5006"
            assert net.native_ws_is_connected(own) is False
            net.native_ws_close(own)


# ---- the proxy itself: what it does to a stream, and that all of it arrives


@pytest.mark.parametrize("manner", hostile_proxy.MANNERS)
def test_the_proxy_carries_everything(manner: str) -> None:
    """Both ways, to the end of either direction; a reset is passed on."""
    process, port = hostile_proxy.start(manner)
    try:
        with plain_listener() as listening:
            near, far = through(port, listening)
            data = bytes(range(256)) * 40
            near.sendall(data)
            near.shutdown(socket.SHUT_WR)
            assert read_to_end(far) == data
            far.sendall(data[::-1])
            far.close()
            assert read_to_end(near) == data[::-1]
            near.close()
            near, far = through(port, listening)
            reset(far)
            with near, pytest.raises(ConnectionResetError):
                near.recv(1)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        assert process.wait(20) == 0


def through(port: int, listening: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A connection through the proxy, both ends."""
    near = socket.create_connection(("127.0.0.1", port), SOON)
    address = listening.getsockname()
    near.sendall(hostile_proxy.PREFACE.pack(socket.AF_INET, address[0].encode(), address[1], 0))
    assert struct.unpack("!i", near.recv(4, socket.MSG_WAITALL)) == (0,)
    far = listening.accept()[0]
    far.settimeout(SOON)
    return near, far


def test_a_slice_at_a_time_is_what_the_library_gets(link: Link, ws: WsLink) -> None:
    """A byte at a time, as the proxy's slices are, into a receive that waits."""
    wire = "€ and a line\n".encode()
    for byte in wire:
        link.raw.sendall(bytes([byte]))
    assert net.native_tcp_recv_until(link.id, "\n") == wire.decode()
    for byte in ws.peer.frame(TEXT, b"a message"):
        ws.peer.say(bytes([byte]))
    assert net.native_ws_recv_blocking(ws.id, 10_000) == "a message"
