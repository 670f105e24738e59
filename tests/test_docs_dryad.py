"""The Dryad samples of the documentation, run by an interpreter with the language's traps."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_support import ROOT, Program
from docs_support import DOCS, blocks
from support import free_ports, port_of, wait_until
from ws_support import SOON_MS, accept_of, ws_port

import dryad_net as net

pytest_plugins = ["command_fixtures", "host_fixtures"]

INTERPRETER = ROOT / "tests" / "dryad_interpreter.py"
# The samples of a page, in this order.
SAMPLES = ("TCP client", "TCP server", "WebSocket client", "UDP socket", "error")
GREETINGS = {"quickstart.md": ("hello", "got it"), "pt/inicio.md": ("olá", "recebi")}

# Starts a sample, on another port than it says.
Start = Callable[..., Program]


@pytest.fixture(params=GREETINGS)
def page(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(page: str, programs: list[Program], ffi_program: Path, scripts_folder: Path) -> Start:
    samples = blocks((DOCS / page).read_text(encoding="utf-8"), "dryad")
    assert len(samples) == len(SAMPLES)

    def begin(name: str, port: int = 0) -> Program:
        sample = samples[SAMPLES.index(name)]
        path = scripts_folder / "sample.dryad"
        path.write_text(sample.replace("8080", str(port)).replace("9000", str(port)), encoding="utf-8")
        programs.append(Program(sys.executable, str(INTERPRETER), str(ffi_program), str(path)))
        return programs[-1]

    return begin


def printed(program: Program) -> str:
    """What a sample has said at its end."""
    assert program.end() == 0, program.errors.decode()
    return program.output.decode()


def test_a_tcp_client(page: str, start: Start, server: int) -> None:
    program = start("TCP client", port_of(server))
    accepted = net.native_tcp_accept_blocking(server, -1)
    assert net.native_tcp_recv_until(accepted, "\n") == f"{GREETINGS[page][0]}\n"
    net.native_tcp_send(accepted, "welcome\n")
    assert printed(program) == "welcome\n\n"


def connects(port: int) -> int | None:
    """A connection, once somebody listens."""
    try:
        return int(net.native_tcp_connect("127.0.0.1", port))
    except net.NetworkError:
        return None


def test_a_tcp_server(start: Start) -> None:
    (port,) = free_ports(1)
    start("TCP server", port)
    for _ in range(2):
        client = wait_until(lambda: connects(port), 60)
        net.native_tcp_send(client, "one\ntwo\n")
        assert [net.native_tcp_recv_until(client, "\n") for _ in range(2)] == ["one\n", "two\n"]
        net.native_tcp_close(client)


def test_a_websocket_client(page: str, start: Start, ws_server: int) -> None:
    program = start("WebSocket client", ws_port(ws_server))
    accepted = accept_of(ws_server, 60)
    assert net.native_ws_recv_blocking(accepted, SOON_MS) == GREETINGS[page][0]
    net.native_ws_send(accepted, "welcome")
    assert printed(program) == "welcome\n"


def test_a_udp_socket(page: str, start: Start) -> None:
    (port,) = free_ports(1, kind=socket.SOCK_DGRAM)
    program = start("UDP socket", port)
    udp = net.native_udp_socket()

    def answer() -> str | None:
        net.native_udp_send(udp, "hello", "127.0.0.1", port)
        received = net.native_udp_recv_blocking(udp, 100)
        return None if received is None else str(received["data"])

    assert wait_until(answer, 60) == GREETINGS[page][1]
    assert printed(program) == "hello\n"


def test_an_error(start: Start) -> None:
    said = "E5006 native_tcp_connect: 127.0.0.1:1: connection refused (ECONNREFUSED)\n"
    assert printed(start("error")) == said


@pytest.mark.parametrize(("other", "sent"), [("host.md", "who is there?"), ("pt/dryad.md", "olá")])
def test_the_sample_of_a_page_on_scripts(
    other: str, sent: str, programs: list[Program], ffi_program: Path, scripts_folder: Path, server: int
) -> None:
    (sample,) = blocks((DOCS / other).read_text(encoding="utf-8"), "dryad")
    path = scripts_folder / "sample.dryad"
    path.write_text(sample.replace("7070", str(port_of(server))), encoding="utf-8")
    programs.append(Program(sys.executable, str(INTERPRETER), str(ffi_program), str(path)))
    accepted = net.native_tcp_accept_blocking(server, -1)
    assert net.native_tcp_recv_until(accepted, "\n") == f"{sent}\n"
    net.native_tcp_send(accepted, "a friend\n")
    assert printed(programs[-1]) == "a friend\n\n"
