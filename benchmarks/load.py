"""Servers under load: the server is the side under test, a C program is its clients, all on one CPU."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import harness

# After every stop a server runs for so small a part of a round before the round begins.
WARM_PART = 5
# What a server is told once it has said its port: to send back every message.
ECHO = "echo"


def processor_time(pid: int) -> int:
    """Nanoseconds that all threads of a process have run for. Errors: RuntimeError if it has ended."""
    total = 0
    # schedstat counts one thread.
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    if not total:
        raise RuntimeError("the server has ended")
    return total


@dataclasses.dataclass(frozen=True)
class UnderLoad:
    """A contender that serves; `load` is the command of its clients, to which the port is added as `{port}`."""

    server: harness.Contender
    load: tuple[str, ...]
    first: str = ECHO

    @property
    def name(self) -> str:
        return self.server.name

    def start(self) -> AbstractContextManager[harness.Asked]:
        """Both processes."""
        return _Pair(self)


class _Pair:
    """A server and its clients. The server runs only while it is asked: one that polls would slow the others."""

    def __init__(self, subject: UnderLoad) -> None:
        self._subject = subject
        self._stack = contextlib.ExitStack()
        self._server = self._stack.enter_context(harness.Process(subject.server))
        self._clients: harness.Process | None = None

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._signal(signal.SIGCONT)
        self._stack.close()

    def hear(self) -> str:
        """Connect the clients once the server has said its port."""
        said = self._server.hear()
        if said.startswith("skip"):
            return said
        self._server.tell(self._subject.first)
        command = tuple(part.format(port=said) for part in self._subject.load)
        self._clients = self._stack.enter_context(
            harness.Process(harness.Contender(f"{self._subject.name}: load", command))
        )
        try:
            ready = self._clients.hear()
        finally:
            self._signal(signal.SIGSTOP)
        return ready

    def ask(self, line: str) -> str:
        """The clients' time on the clock, and the server's processor time."""
        assert self._clients is not None
        with self._running():
            # What was due while it stood still (timers, connections that seem idle) is no steady state's.
            self._clients.ask(str(max(int(line) // WARM_PART, 1)))
            before = processor_time(self._server.pid)
            wall, _, operations = self._clients.ask(line).split()
            return f"{wall} {processor_time(self._server.pid) - before} {operations}"

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._server.pid, number)
