"""The examples for hosts that are not Python: C, Rust, and Dryad scripts with their twins in Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_support import ROOT, SECONDS, Program
from host_support import environment, library
from support import NOTHING_MISSING, foreign, plain_listener
from ws_support import SOON_MS

import dryad_net as net
from dryad_net.host import locations

pytest_plugins = ["command_fixtures", "host_fixtures"]

EXAMPLES = ROOT / "examples"
SCRIPTS = EXAMPLES / "dryad"
INTERPRETER = ROOT / "tests" / "dryad_interpreter.py"

not_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no libdryad_net")

# Starts an example, in one of the two languages, with some of its constants replaced.
Start = Callable[..., Program]


def complete(*command: str, cwd: Path | None = None, variables: dict[str, str] | None = None) -> str:
    """What a command prints, which must end well and have nothing to complain of."""
    # A compiler by itself needs no Python that the library could start.
    env = environment() if variables is None else variables
    result = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


# ---- C and Rust


def test_c(tmp_path: Path) -> None:
    library()  # there is nothing to run without it
    folder = shutil.copytree(EXAMPLES / "host_c", tmp_path / "host_c")
    flags = "CFLAGS=-O1 -Wall -Wextra -Werror"
    printed = complete("make", "-s", "run", f"PYTHON={sys.executable}", flags, cwd=folder)
    assert printed == "15 bytes: hello over TCP\n20 bytes: hello over WebSocket\n"
    failed = subprocess.run([str(folder / "echo"), "/no/such/library"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "/no/such/library" in failed.stderr


def test_rust(tmp_path: Path) -> None:
    opened = library()  # there is nothing to run without it
    compiler = shutil.which("rustc")
    assert compiler is not None or not NOTHING_MISSING, "rustc is not installed"
    if compiler is not None:
        program = tmp_path / "echo"
        source = str(EXAMPLES / "host_rust" / "echo.rs")
        subprocess.run(
            [compiler, "--edition", "2021", "-D", "warnings", source, "-o", str(program)], env=foreign(), check=True
        )
        assert complete(str(program), str(opened)) == "hello over TCP\nhello over WebSocket\n"


@not_on_windows
def test_the_header_is_c_and_c_plus_plus(tmp_path: Path) -> None:
    source = tmp_path / "header.c"
    source.write_text('#include "dryad_net.h"\nint main(void) { return DRYAD_NET_ABI_VERSION - 1; }\n')
    include = f"-I{locations.header().parent}"
    for language in [["gcc", "-std=c11"], ["g++", "-x", "c++", "-std=c++11"]]:
        if shutil.which(language[0]):
            flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", include, "-fsyntax-only"]
            complete(*language, *flags, str(source), variables=foreign())


@not_on_windows
@pytest.mark.parametrize("source", sorted((ROOT / "src_pyx" / "host").glob("*.c")), ids=lambda path: path.name)
def test_the_library_is_plain_c11(source: Path, tmp_path: Path) -> None:
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-O2", "-fPIC"]
    complete("gcc", *flags, "-c", str(source), "-o", str(tmp_path / "object.o"), variables=foreign())


# ---- Dryad scripts and their twins


@pytest.fixture(params=["dryad", "python"])
def start(request: pytest.FixtureRequest, programs: list[Program], ffi_program: Path, scripts_folder: Path) -> Start:
    def begin(script: str, language: str = request.param, **constants: str | int) -> Program:
        suffix, form = (".dryad", "let {} = {};") if language == "dryad" else (".py", "{} = {}\n")
        source = (SCRIPTS / f"{script}{suffix}").read_text(encoding="utf-8")
        for constant, value in constants.items():
            written = f'"{value}"' if isinstance(value, str) else str(value)
            shown = constant if language == "dryad" else constant.upper()
            pattern = re.escape(form.format(shown, "VALUE")).replace("VALUE", r'("\w+"|\d+)')
            source, found = re.subn(pattern, form.format(shown, written), source)
            assert found == 1
        path = scripts_folder / f"{script}{len(programs)}{suffix}"
        path.write_text(source, encoding="utf-8")
        with_interpreter = [str(INTERPRETER), str(ffi_program)] if language == "dryad" else ["-I"]
        programs.append(Program(sys.executable, *with_interpreter, str(path)))
        return programs[-1]

    return begin


def port_of(program: Program) -> int:
    return int(program.wait_for(rb" on port (\d+)\n").group(1))


def test_tcp_chat(start: Start) -> None:
    port = port_of(start("tcp_chat", port=0))
    first = net.native_tcp_connect("127.0.0.1", port)

    def hears(client: int, pattern: str) -> None:
        assert re.fullmatch(pattern, net.native_tcp_recv_until(client, "\n"))

    hears(first, r"\d+ has come\n")
    second = net.native_tcp_connect("127.0.0.1", port)
    for client in (first, second):
        hears(client, r"\d+ has come\n")
    net.native_tcp_send(second, "hello\nthere\n")
    for client in (first, second):
        hears(client, r"\d+: hello\n")
        hears(client, r"\d+: there\n")
    net.native_tcp_send(second, "half a line")
    net.native_tcp_close(second)
    hears(first, r"\d+: half a line\d+ has gone\n")
    net.native_tcp_close(first)


def test_tcp_chat_and_a_connection_that_breaks(start: Start) -> None:
    program = start("tcp_chat", port=0)
    port = port_of(program)
    staying = net.native_tcp_connect("127.0.0.1", port)
    breaking = net.native_tcp_connect("127.0.0.1", port)
    assert net.native_tcp_recv_until(breaking, "\n").endswith("has come\n")
    net.native_tcp_set_linger(breaking, True, 0)
    net.native_tcp_close(breaking)
    program.wait_for(rb"E5006 native_\w+: .*ECONNRESET")
    while not net.native_tcp_recv_until(staying, "\n").endswith("has gone\n"):
        pass
    net.native_tcp_close(staying)


def test_udp_discovery(start: Start) -> None:
    # A port that is free, and stays so: what has it is closed only when both have asked for it.
    with plain_listener() as listening:
        port = listening.getsockname()[1]
        anna = start("udp_discovery", port=port, seconds=30)
        anna.wait_for(rb"^anna is looking\n")
        # The other one speaks the other language.
        other = start("udp_discovery", language="python", name="bert", port=port, seconds=30)
        other.wait_for(rb"^bert is looking\ndryad: here is anna, at \d+\.\d+\.\d+\.\d+\n")
        late = start("udp_discovery", name="carl", port=port, seconds=1)
        assert late.end() == 0
        heard = re.findall(rb"dryad: here is (\w+)", late.output)
        assert sorted(heard) == [b"anna", b"bert"]


def test_ws_echo(start: Start) -> None:
    port = port_of(start("ws_echo", port=0))
    clients = [net.native_ws_connect(f"ws://127.0.0.1:{port}/") for _ in range(3)]
    for client in clients:
        net.native_ws_send(client, f"héllo {client}")
        net.native_ws_send_binary(client, b"\0\xff")
    for client in clients:
        assert net.native_ws_recv_blocking(client, SOON_MS) == f"héllo {client}"
        assert net.native_ws_recv_binary_blocking(client, SOON_MS) == b"\0\xff"
    for client in clients:
        net.native_ws_close(client)
    again = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
    net.native_ws_send(again, "")
    assert net.native_ws_recv_blocking(again, SOON_MS) == ""
    net.native_ws_close(again)


def test_ws_broadcast(start: Start) -> None:
    program = start("ws_broadcast", port=0)
    port = port_of(program)

    def enter() -> int:
        client = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
        hears(client, r"\d+ has come")
        return int(client)

    def hears(client: int, pattern: str) -> None:
        assert re.fullmatch(pattern, net.native_ws_recv_blocking(client, SOON_MS))

    first, second = enter(), enter()
    hears(first, r"\d+ has come")
    net.native_ws_send_binary(first, b"nobody hears this")
    net.native_ws_send(first, "good morning")
    hears(second, r"\d+: good morning")
    program.wait_for(rb"\d+ reached 1\n")
    net.native_ws_close(second)
    hears(first, r"\d+ has gone")
    net.native_ws_close(first)


def test_every_script_has_a_twin() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.dryad")} == {path.stem for path in SCRIPTS.glob("*.py")}
