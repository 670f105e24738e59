"""One thread for many clients: those who do not read, those who break off, and those for whom there is no room."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest
from command_support import Program, serving, start
from support import SOON, plain_listener, read_exactly, reset
from ws_support import SOON_MS

import dryad_net as net

pytest_plugins = ["command_fixtures"]

# Starts a command with something about it changed first.
CHANGED = "import sys, dryad_net.__main__ as command; {}; sys.exit(command.main())"


def changed(programs: list[Program], change: str, *arguments: str) -> tuple[Program, str]:
    """A server with something changed, and its port."""
    program = start(programs, "serve", *arguments, command=(sys.executable, "-I", "-c", CHANGED.format(change)))
    return program, program.wait_for(rb" on \S*:(\d+), Ctrl-C ends").group(1).decode()


def plain(port: str) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", int(port)), SOON)
    raw.settimeout(SOON)
    return raw


def fill_tcp(client: int) -> bytes:
    """Send to an echo server without reading until it takes no more; returns what it took."""
    net.native_tcp_set_timeout(client, 500)
    sent = bytearray()
    block = bytes(range(256)) * 4096
    with contextlib.suppress(net.NetworkTimeoutError):
        while True:
            size = net.native_tcp_send(client, block)
            sent += block[:size]
            block = block[size:] + block[:size]
    return bytes(sent)


def fill_ws(client: int) -> list[bytes]:
    """Send to an echo server without reading until it takes no more; returns what it took."""
    net.native_ws_set_timeout(client, 500)
    sent: list[bytes] = []
    with contextlib.suppress(net.NetworkTimeoutError):
        while True:
            message = bytes([len(sent) % 256]) * (1 << 20)
            net.native_ws_send_binary(client, message)
            sent.append(message)
    return sent


def ws_client(port: str) -> int:
    return net.native_ws_connect(f"ws://127.0.0.1:{port}")


def test_a_tcp_client_that_does_not_read_holds_up_nobody(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0")
    slow = net.native_tcp_connect("127.0.0.1", int(port))
    sent = fill_tcp(slow)
    with plain(port) as other:
        other.sendall(b"and me?")
        assert read_exactly(other, 7) == b"and me?"
        # Nothing is lost for the slow one either.
        parts = bytearray()
        while len(parts) < len(sent):
            parts += net.native_tcp_recv_bytes_blocking(slow, 1 << 20, SOON_MS)
        assert parts == sent
        other.sendall(b"still here")
        assert read_exactly(other, 10) == b"still here"
    assert server.interrupt() == 0
    assert server.errors == b""


def test_a_websocket_client_that_does_not_read_holds_up_nobody(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0")
    slow, other = ws_client(port), ws_client(port)
    sent = fill_ws(slow)
    net.native_ws_send(other, "and me?")
    assert net.native_ws_recv_blocking(other, SOON_MS) == "and me?"
    for message in sent:
        assert net.native_ws_recv_binary_blocking(slow, SOON_MS) == message
    net.native_ws_send(slow, "more")
    assert net.native_ws_recv_blocking(slow, SOON_MS) == "more"
    assert server.interrupt() == 0
    assert server.errors == b""


def test_a_message_larger_than_what_may_be_unread(programs: list[Program]) -> None:
    # Asking for text is an error then, which must not end the connection.
    server, port = serving(programs, "ws", "0")
    client = ws_client(port)
    message = bytes(20 << 20)
    net.native_ws_send_binary(client, message)
    assert net.native_ws_recv_binary_blocking(client, SOON_MS) == message
    server.wait_for(rb": 20971520 bytes\n")


@pytest.mark.parametrize("protocol", ["tcp", "ws"])
def test_ctrl_c_ends_a_server_whose_client_does_not_read(programs: list[Program], protocol: str) -> None:
    server, port = serving(programs, protocol, "0")
    if protocol == "tcp":
        fill_tcp(net.native_tcp_connect("127.0.0.1", int(port)))
    else:
        fill_ws(ws_client(port))
    assert server.interrupt() == 0
    assert server.errors == b""


@pytest.mark.parametrize("protocol", ["tcp", "ws"])
def test_a_client_that_never_reads_is_let_go(programs: list[Program], protocol: str) -> None:
    impatient = "import dryad_net.command.loop as loop; loop.PATIENCE_SECONDS = 2.0"
    server, port = changed(programs, impatient, protocol, "0")
    if protocol == "tcp":
        with contextlib.suppress(net.NetworkError):
            fill_tcp(net.native_tcp_connect("127.0.0.1", int(port)))
    else:
        with contextlib.suppress(net.NetworkError):  # on a busy machine it is let go before it is full
            fill_ws(ws_client(port))
    server.wait_for(rb"\n\d+: E5007: does not read what it is sent\n")
    assert server.interrupt() == 0
    assert server.errors == b""


def test_a_client_that_breaks_off(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0")
    with plain(port) as staying:
        breaking = plain(port)
        server.wait_for(rb"(\d+: connected from .*\n){2}")
        reset(breaking)
        server.wait_for(rb"\n\d+: E5006 native_tcp_recv_bytes: \d+: .*ECONNRESET")
        staying.sendall(b"still here")
        assert read_exactly(staying, 10) == b"still here"


def test_half_a_connection_is_answered_to_the_end(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0")
    with plain(port) as raw:
        raw.sendall(b"the last words")
        raw.shutdown(socket.SHUT_WR)
        assert read_exactly(raw, 14) == b"the last words"
        assert raw.recv(1) == b""
    server.wait_for(rb": disconnected\n")


def test_a_line_without_end_is_refused(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--chat")
    with plain(port) as raw, contextlib.suppress(OSError):
        raw.sendall(b"x" * 200_000)
    server.wait_for(rb": E5006: a line of more than 65536 characters\n")


def test_the_rest_of_a_line_is_passed_on(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--chat")
    with plain(port) as other:
        server.wait_for(rb": connected from ")
        with plain(port) as raw:
            raw.sendall(b"one\ntw")
            raw.sendall(b"o\nthree")
            raw.shutdown(socket.SHUT_WR)
            # Closed with something unread it would reset the connection, and what it has sent be lost.
            while raw.recv(65536):
                pass
        assert read_exactly(other, 14) == b"one\ntwo\nthree\n"
    server.wait_for(rb": disconnected\n")


def test_no_descriptors_left_is_said_and_passes(programs: list[Program]) -> None:
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))"
    server, port = changed(programs, few, "tcp", "0")
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(plain(port))
        server.wait_for(rb"\nE5006 native_tcp_accept: .*EMFILE")
    with plain(port) as raw:
        raw.sendall(b"room again")
        assert read_exactly(raw, 10) == b"room again"
    assert server.interrupt() == 0
    assert server.errors == b""


def test_a_server_on_a_port_in_use(programs: list[Program]) -> None:
    with plain_listener() as listening:
        port = str(listening.getsockname()[1])
        program = start(programs, "serve", "ws", port, "--host", "127.0.0.1")
        assert program.end() == 1
    assert program.errors.startswith(b"E5006 native_ws_bind: ")
