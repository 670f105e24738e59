"""Commands and examples as a user runs them: in a process of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest
from support import wait_until

import dryad_net as net

ROOT = Path(__file__).resolve().parent.parent
COMMAND = (sys.executable, "-I", "-m", "dryad_net")
# Starting Python on a busy machine is the slow part.
SECONDS = 60.0
WINDOWS = sys.platform == "win32"


def environment() -> dict[str, str]:
    """Ours, with the half that is being tested."""
    return {**os.environ, "DRYAD_NET_BACKEND": net.backend}


def run(*arguments: str, command: tuple[str, ...] = COMMAND) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**environment(), "PYTHONIOENCODING": "utf-8"},
        timeout=SECONDS,
        check=False,
    )


class Program:
    """A command that is running: what it has printed so far, and its standard input."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self.output = bytearray()
        self.errors = bytearray()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: IO[bytes], into: bytearray) -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                into += data
                if WINDOWS:  # where a line that is printed ends in two characters
                    into[:] = into.replace(b"\r\n", b"\n")

    def type(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, pattern: bytes, errors: bool = False) -> re.Match[bytes]:
        """Wait until its output, or standard error, holds the pattern."""
        read = self.errors if errors else self.output

        def found() -> re.Match[bytes] | None:
            return re.search(pattern, bytes(read))

        try:
            match = wait_until(found, SECONDS, f"{pattern!r}")
        except pytest.fail.Exception as failure:
            raise AssertionError(f"{failure}: printed {bytes(self.output)!r} {bytes(self.errors)!r}") from None
        assert isinstance(match, re.Match)
        return match

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit status. Where nothing else can press it, the test is skipped."""
        if WINDOWS:
            pytest.skip("Windows has no SIGINT to send to one process")
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for its end; returns the exit status."""
        status = self.process.wait(SECONDS)
        self._join()
        return status

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(SECONDS)
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def clean_up(self) -> None:
        """Make sure that nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)
        self._join()


def start(programs: list[Program], *arguments: str, command: tuple[str, ...] = COMMAND) -> Program:
    programs.append(Program(*command, *arguments))
    return programs[-1]


def serving(programs: list[Program], *arguments: str) -> tuple[Program, str]:
    """A server on a free port, and the port."""
    program = start(programs, "serve", *arguments)
    return program, program.wait_for(rb" on \S*:(\d+), Ctrl-C ends").group(1).decode()


def connected(programs: list[Program], *arguments: str) -> Program:
    program = start(programs, "connect", *arguments)
    program.wait_for(rb"Ctrl-C ends", errors=True)
    return program
