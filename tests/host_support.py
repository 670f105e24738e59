"""What the tests of libdryad_net share: a C program that calls it as an interpreter does, and its answers."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dryad_interpreter import Ffi
from support import NOTHING_MISSING

import dryad_net as net
from dryad_net.host import locations

PROGRAMS = Path(__file__).resolve().parent / "host"
ALIAS = "dryad_net"
# Starting Python in a process on a busy machine.
SECONDS = 60.0
C_FLAGS = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Werror", "-g", "-O1")
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

NO_PYTHON = "no Python here has a shared library (Debian: libpython3-dev)"

Call = Callable[..., Any]


def library() -> Path:
    """The installed library.

    The test is skipped in a pure installation, which has none, and where no Python can be started by it,
    such as in the containers that wheels are built in.
    """
    found = locations.library()
    if found is None and importlib.util.find_spec("dryad_net._compiled.sock") is None:
        pytest.skip("a pure installation has no libdryad_net")
    assert found is not None, "libdryad_net was not built with this installation"
    if not OWN_IS_SHARED and not NOTHING_MISSING and not pythons():
        pytest.skip(NO_PYTHON)
    return found


def compile_c(source: Path, program: Path, *flags: str) -> Path:
    """Build a C program without any warning."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "these tests need a C compiler"
    command = [compiler, *C_FLAGS, str(source), *flags, "-o", str(program), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def is_shared(python: str) -> bool:
    """Has this Python a shared library? Then the library can start it."""
    script = (
        "import glob, sysconfig as s; v = s.get_config_var; "
        "print(any(glob.glob(f\"{v('LIBDIR')}/libpython{v('LDVERSION')}.{end}\") for end in ('so.1.0', 'dylib')))"
    )
    result = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=False)
    return result.stdout.strip() == "True"


OWN_IS_SHARED = is_shared(sys.executable)


@functools.cache
def pythons() -> dict[str, str]:
    """The Pythons of this machine that have a shared library, by version."""
    found = {}
    for version in VERSIONS:
        places = [shutil.which(f"python{version}") or ""]
        places += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")))
        places += [f"/usr/bin/python{version}"]
        for place in places:
            if place and Path(place).exists() and "shims" not in place and is_shared(place):
                found[version] = place
                break
    return found


def environment(**more: str) -> dict[str, str]:
    """Ours, with the half that is tested and, if this Python has no shared library, one that has."""
    chosen = {**os.environ, "DRYAD_NET_BACKEND": net.backend, **more}
    if "DRYAD_NET_PYTHON" not in chosen and not OWN_IS_SHARED:
        others = pythons()
        assert others, NO_PYTHON
        # The extension modules are this Python's.
        chosen.update(DRYAD_NET_PYTHON=next(iter(others.values())), DRYAD_NET_BACKEND="pure")
    return chosen


class Host(Ffi):
    """A process that has opened the library, and calls it as a Dryad interpreter would."""

    def __init__(self, program: Path, path: Path | None = None, **more: str) -> None:
        super().__init__(str(program), environment(**more))
        self.load(str(path or library()), ALIAS)

    def c(self, symbol: str, kind: str, *arguments: Any) -> Any:
        """Call a C function. Numbers may be ints here."""
        given = [float(each) if type(each) is int else each for each in arguments]
        return self.call(ALIAS, symbol, kind, *given)

    def envelope(self, name: str, arguments: Any, door: str = "dryad_net_call") -> Any:
        """What a native function answers. arguments: a list, or text that is passed as it is."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        answer = self.c(door, "string", name, text)
        assert answer.isascii()
        return json.loads(answer)

    def native(self, name: str, *arguments: Any, door: str = "dryad_net_call") -> Any:
        """The value of a native function, which must succeed."""
        answer = self.envelope(name, list(arguments), door)
        assert answer["ok"], answer
        assert answer.keys() == {"ok", "value"}
        return answer["value"]

    def failure(self, name: str, *arguments: Any) -> str:
        """The message of a native function, which must fail."""
        answer = self.envelope(name, list(arguments))
        assert answer.keys() == {"ok", "code", "error"}, answer
        assert answer["ok"] is False
        assert answer["error"].startswith(f"{answer['code']} ")
        return str(answer["error"])

    def typed(self, symbol: str, kind: str, *arguments: Any) -> Any:
        """The value of a typed function, which must succeed; None for null."""
        value = self.c(symbol, kind, *arguments)
        status = self.c("dryad_net_status", "i32")
        assert self.c("dryad_net_error", "string") == ""
        assert status in (0, 1)
        if status == 0:
            assert value in ("", 0)
            return None
        return value

    def typed_failure(self, symbol: str, kind: str, *arguments: Any) -> str:
        """The message of a typed function, which must fail."""
        value = self.c(symbol, kind, *arguments)
        assert value == ("" if kind == "string" else -1)
        assert self.c("dryad_net_status", "i32") == -1
        return str(self.c("dryad_net_error", "string"))

    def tcp_pair(self) -> tuple[int, int]:
        """A connection and its other end, both in the one process."""
        server = self.native("native_tcp_bind", "127.0.0.1", 0)
        port = self.native("native_tcp_get_local_addr", server)["port"]
        client = self.native("native_tcp_connect", "127.0.0.1", port)
        accepted = self.native("native_tcp_accept_blocking", server, 5000)
        return client, accepted

    def ws_pair(self) -> tuple[int, int]:
        """A WebSocket connection and its other end."""
        server = self.native("native_ws_bind", "127.0.0.1", 0)
        port = self.native("native_ws_get_local_addr", server)["port"]
        client = self.native("native_ws_connect", f"ws://127.0.0.1:{port}/")
        self.native("native_ws_set_timeout", client, 10_000)
        self.native("native_ws_ping", client)
        assert self.native("native_net_wait", [server], 5000) == [server]
        return client, self.native("native_ws_accept", server)

    def end(self, status: int = 0) -> None:
        """Have it call exit(3), which must be quick and quiet."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"exit {status}\n")
        self.process.stdin.flush()
        assert self.process.wait(SECONDS) == status

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
