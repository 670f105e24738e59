"""The command line's WebSocket server and client, in processes of their own."""

from __future__ import annotations

import contextlib
import re
import sys

import pytest
from command_support import Program, connected, run, serving, start
from support import HAS_IPV6, free_ports, plain_listener
from ws_support import SOON_MS, accept_of, ws_port

import dryad_net as net

pytest_plugins = ["command_fixtures"]


def url(port: str | int) -> str:
    return f"ws://127.0.0.1:{port}/"


def finish(client: Program) -> int:
    """End its input; returns the exit status."""
    assert client.process.stdin is not None
    client.process.stdin.close()
    return client.end()


def test_echo_between_serve_and_connect(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0")
    client = connected(programs, url(port))
    client.type("grüß dich\n".encode())
    client.wait_for("^grüß dich\n$".encode())
    client.type(b"\r\nno line feed")
    assert finish(client) == 0
    assert client.output == "grüß dich\n\nno line feed\n".encode()
    server.wait_for(rb": connected from 127\.0\.0\.1:\d+\n")
    server.wait_for(rb": 9 characters\n")
    server.wait_for(rb": disconnected \(1000\)\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    assert server.output.endswith(b"stopped\n")


def test_text_comes_back_as_text_and_binary_as_binary(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0", "--compression", "--host", "127.0.0.1")
    client = net.native_ws_connect(url(port))
    net.native_ws_set_compression(client, True)
    net.native_ws_send_binary(client, b"\x00\xff")
    net.native_ws_send(client, "text")
    assert net.native_ws_recv_blocking(client, SOON_MS) == "text"
    assert net.native_ws_recv_binary_blocking(client, SOON_MS) == b"\x00\xff"
    assert net.native_ws_client_info(client)["compression"] is True
    net.native_ws_close_with(client, 3000, "enough")
    server.wait_for(rb": disconnected \(3000 enough\)\n")


def test_chat_tells_all_clients(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0", "--chat")
    clients = [connected(programs, url(port)) for _ in range(2)]
    ours = net.native_ws_connect(url(port))
    assert net.native_ws_is_connected(ours)
    server.wait_for(rb"(\d+: connected from .*\n){3}")
    clients[0].type(b"good morning\n")
    for client in clients:
        client.wait_for(rb"^good morning\n$")
    assert net.native_ws_recv_blocking(ours, SOON_MS) == "good morning"
    net.native_ws_send_binary(ours, b"\xff\xfe")
    for client in clients:
        client.wait_for(rb"^good morning\n\xff\xfe\n$")
    assert net.native_ws_recv_binary_blocking(ours, SOON_MS) == b"\xff\xfe"
    server.wait_for(rb": 'good morning' to 3 clients\n")
    server.wait_for(rb": 2 bytes to 3 clients\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    for client in clients:
        assert client.end() == 0
        assert b"closed by the peer (1001)\n" in client.errors


def test_a_client_that_breaks_the_rules_is_named(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0")
    client = net.native_ws_connect(url(port))
    net.native_ws_set_max_frame_size(client, 1 << 30)
    assert net.native_ws_is_connected(client)
    with contextlib.suppress(net.NetworkError):  # it may be cut short
        net.native_ws_send_binary(client, bytes((16 << 20) + 1))
    server.wait_for(rb"\n\d+: E5006 native_ws_recv\w*: \d+: the connection was closed \(1009\)")
    assert server.interrupt() == 0
    assert server.errors == b""


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
def test_ipv6_is_shown_in_brackets(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0", "--host", "::1")
    server.wait_for(rb"echo on ws://\[::1\]:")
    connected(programs, f"ws://[::1]:{port}").wait_for(rb"connected to \[::1\]:", errors=True)
    server.wait_for(rb": connected from \[::1\]:")


def test_what_is_asked_for_in_the_handshake(programs: list[Program], ws_server: int) -> None:
    net.native_ws_set_subprotocol(ws_server, "v2")
    net.native_ws_set_compression(ws_server, True)
    options = [
        "--header",
        "X-One: 1",
        "--header",
        "Authorization:Bearer a:b",
        "--subprotocol",
        "v1, v2",
        "--compression",
    ]
    client = start(programs, "connect", *options, f"ws://127.0.0.1:{ws_port(ws_server)}/path?query")
    accepted = accept_of(ws_server)
    info = net.native_ws_client_info(accepted)
    assert info["path"] == "/path?query"
    assert info["headers"]["x-one"] == "1"
    assert info["headers"]["authorization"] == "Bearer a:b"
    client.wait_for(rb"^connected to 127\.0\.0\.1:\d+ \(subprotocol v2, compression\), Ctrl-C ends\n$", errors=True)
    net.native_ws_send(accepted, "two\nlines")
    client.wait_for(rb"^two\nlines\n$")
    net.native_ws_close_with(accepted, 4001, "good night")
    assert client.end() == 0
    assert client.errors.endswith(b"closed by the peer (4001 good night)\n")


def test_what_was_sent_before_the_close_is_printed(programs: list[Program], ws_server: int) -> None:
    client = start(programs, "connect", f"ws://127.0.0.1:{ws_port(ws_server)}")
    accepted = accept_of(ws_server)
    for number in range(1000):
        net.native_ws_send(accepted, str(number))
    net.native_ws_close(accepted)
    assert client.end() == 0
    assert client.output.split() == [str(number).encode() for number in range(1000)]
    assert client.errors.endswith(b"closed by the peer (1000)\n")


def test_a_refused_handshake_is_said(ws_server: int) -> None:
    net.native_ws_set_origins(ws_server, ["https://example.org"])
    result = run("connect", f"ws://127.0.0.1:{ws_port(ws_server)}", "--header", "Origin: https://example.com")
    assert result.returncode == 1
    assert re.match(r"E5006 native_ws_ping: \d+: .*403", result.stderr)


def test_a_handshake_that_nobody_answers_is_said(programs: list[Program]) -> None:
    impatient = (
        "import sys, dryad_net as net, dryad_net.__main__ as command\n"
        "connect = net.native_ws_connect\n"
        "def native_ws_connect(url):\n"
        "    connection = connect(url)\n"
        "    net.native_ws_set_timeout(connection, 300)\n"
        "    return connection\n"
        "net.native_ws_connect = native_ws_connect\n"
        "sys.exit(command.main())"
    )
    with plain_listener() as listening:
        port = listening.getsockname()[1]
        client = start(programs, "connect", url(port), command=(sys.executable, "-I", "-c", impatient))
        assert client.end() == 1
    assert re.fullmatch(rb"E5007 native_ws_ping: \d+: the handshake .*\n", client.errors)


def test_a_refused_connection_is_said() -> None:
    (port,) = free_ports(1)
    result = run("connect", url(port))
    assert result.returncode == 1
    assert result.stderr.startswith("E5006 native_ws_connect: ")
    assert "refused" in result.stderr


def test_a_bad_url_and_bad_headers_are_refused_by_the_functions(ws_server: int) -> None:
    result = run("connect", "http://127.0.0.1")
    assert result.returncode == 1
    assert result.stderr.startswith("E3006 native_ws_connect: url: ")
    result = run("connect", url(ws_port(ws_server)), "--header", "Upgrade: h2c")
    assert result.returncode == 1
    assert result.stderr.startswith("E3006 native_ws_set_headers: headers['Upgrade']: ")


def test_what_is_typed_must_be_utf8(programs: list[Program]) -> None:
    _, port = serving(programs, "ws", "0")
    client = connected(programs, url(port))
    client.type(b"caf\xe9\n")
    assert client.end() == 1
    assert b"E3006 native_ws_send: message: a lone surrogate" in client.errors


def test_ctrl_c_ends_a_client_quietly(programs: list[Program]) -> None:
    server, port = serving(programs, "ws", "0")
    client = connected(programs, url(port))
    assert client.interrupt() == 0
    assert client.errors.count(b"\n") == 1
    assert client.output == b""
    server.wait_for(rb": disconnected \(1000\)\n")
