"""The command line's WebSocket server and client over TLS, in processes of their own."""

from __future__ import annotations

import re

from command_support import Program, connected, run, serving
from tls_support import FILES

pytest_plugins = ["command_fixtures"]


def served(programs: list[Program]) -> str:
    """A server for wss; returns its URL."""
    server, port = serving(programs, "ws", "0", "--cert", FILES.cert, "--key", FILES.key)
    server.wait_for(rb"^echo on wss://")
    return f"wss://127.0.0.1:{port}"


def test_an_authority_of_our_own(programs: list[Program]) -> None:
    client = connected(programs, served(programs), "--ca", FILES.ca)
    client.type(b"in secret\n")
    client.wait_for(rb"^in secret\n$")
    assert client.interrupt() == 0


def test_a_certificate_that_nobody_vouches_for(programs: list[Program]) -> None:
    url = served(programs)
    result = run("connect", url)
    assert result.returncode == 1
    assert re.match(r"E5006 native_ws_\w+: \d+: .*certificate", result.stderr)
    client = connected(programs, url, "--insecure")
    client.type(b"in secret\n")
    client.wait_for(rb"^in secret\n$")


def test_files_that_are_none(programs: list[Program]) -> None:
    result = run("serve", "ws", "0", "--cert", "/nowhere/cert.pem", "--key", "/nowhere/key.pem")
    assert result.returncode == 1
    assert result.stderr.startswith("E5006 native_ws_listen_tls: ")
