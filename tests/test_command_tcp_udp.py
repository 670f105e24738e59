"""The command line's TCP and UDP servers and clients, in processes of their own."""

from __future__ import annotations

import re
import sys

import pytest
from command_support import SECONDS, Program, connected, run, serving, start
from support import HAS_IPV6, free_ports, plain_listener, read_exactly

pytest_plugins = ["command_fixtures"]


def test_tcp_echo_between_serve_and_connect(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0")
    client = connected(programs, "tcp", "127.0.0.1", port)
    client.type(b"gr\xc3\xbc\xc3\x9f dich\n")
    client.wait_for(rb"^gr\xc3\xbc\xc3\x9f dich\n$")
    client.type(b"\xff\xfe\n")
    client.wait_for(rb"\n\xff\xfe\n$")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.end() == 0
    server.wait_for(rb": connected from 127\.0\.0\.1:\d+\n")
    server.wait_for(rb": disconnected\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    assert server.output.endswith(b"stopped\n")


def test_an_answer_after_the_end_of_the_input_is_printed(programs: list[Program]) -> None:
    # A patience that no busy machine wears out; the peer ends this, by closing.
    patient = (
        "import sys, dryad_net.__main__ as command, dryad_net.command.connect as connect\n"
        "connect.QUIET_MS = 60_000\n"
        "sys.exit(command.main())"
    )
    block = bytes(range(256)) * 4096
    with plain_listener() as listening:
        listening.settimeout(SECONDS)
        arguments = ("connect", "tcp", "127.0.0.1", str(listening.getsockname()[1]))
        client = start(programs, *arguments, command=(sys.executable, "-I", "-c", patient))
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SECONDS)
        client.type(block)
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert read_exactly(raw, len(block)) == block
        raw.sendall(block)
    assert client.end() == 0
    assert client.output == block


def test_chat_tells_all_clients(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--chat")
    clients = [connected(programs, "tcp", "127.0.0.1", port) for _ in range(3)]
    server.wait_for(rb"(\d+: connected from .*\n){3}")
    clients[0].type(b"half a line")
    clients[1].type(b"good morning\n")
    for client in clients:
        client.wait_for(rb"^good morning\n$")
    clients[0].type(b" and its end\n")
    for client in clients:
        client.wait_for(rb"^good morning\nhalf a line and its end\n$")
    server.wait_for(rb": 'good morning\\n' to 3 clients\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    for client in clients:
        assert client.end() == 0
        assert b"closed by the peer\n" in client.errors


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
def test_ipv6_is_shown_in_brackets(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--host", "::1")
    server.wait_for(rb"echo on \[::1\]:")
    connected(programs, "tcp", "::1", port).wait_for(rb"connected to \[::1\]:", errors=True)
    server.wait_for(rb": connected from \[::1\]:")


def test_udp_echo_between_serve_and_connect(programs: list[Program]) -> None:
    server, port = serving(programs, "udp", "0", "--host", "127.0.0.1")
    client = connected(programs, "udp", "127.0.0.1", port)
    client.type(b"one\n\xff\n")
    client.wait_for(rb"^one\n\xff\n$")
    client.type(b"no line feed")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.end() == 0
    server.wait_for(rb"127\.0\.0\.1:\d+: 12 bytes\n")
    assert server.interrupt() == 0
    assert server.errors == b""


def test_udp_serves_every_interface(programs: list[Program]) -> None:
    _, port = serving(programs, "udp", "0")
    client = connected(programs, "udp", "127.0.0.1", port)
    client.type(b"hello\n")
    client.wait_for(rb"^hello\n$")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ctrl_c_ends_a_client_quietly(programs: list[Program], protocol: str) -> None:
    _, port = serving(programs, protocol, "0")
    client = connected(programs, protocol, "127.0.0.1", port)
    assert client.interrupt() == 0
    assert client.errors.count(b"\n") == 1
    assert client.output == b""


def test_a_port_in_use_is_said() -> None:
    with plain_listener() as listening:
        port = listening.getsockname()[1]
        result = run("serve", "tcp", str(port), "--host", "127.0.0.1")
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(
        rf"E5006 native_tcp_bind: 127\.0\.0\.1:{port}: address already in use \(EADDRINUSE\)\n", result.stderr
    )


def test_a_refused_connection_is_said() -> None:
    (port,) = free_ports(1)
    result = run("connect", "tcp", "127.0.0.1", str(port))
    assert result.returncode == 1
    assert result.stderr.startswith("E5006 native_tcp_connect: ")
    assert "refused" in result.stderr


def test_a_bad_port_is_refused_by_the_function() -> None:
    result = run("serve", "tcp", "70000")
    assert result.returncode == 1
    assert result.stderr.startswith("E3006 native_tcp_listen: port: ")
