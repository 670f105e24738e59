"""Broadcasting 256 bytes to 100 and to 1,000 clients.

The server is the side under test; an operation is the send to one client. A C program holds the
clients; it reads what was sent between two batches of broadcasts, so that no send finds a full
socket buffer and none wakes a reader: both would be in some contenders' figures and not in others'.
"""

from __future__ import annotations

import contextlib
import dataclasses
from contextlib import AbstractContextManager
from types import TracebackType

import harness
import ws_servers

COUNTS = (100, 1000)
SIZE = 256
# A batch of so many messages fits into a socket's buffers.
BATCH = 16
OURS = "dryad_net compiled"
WANTED = 0.95


@dataclasses.dataclass(frozen=True)
class Broadcasting:
    """A server and its clients."""

    server: harness.Contender
    clients: str
    count: int

    @property
    def name(self) -> str:
        return self.server.name

    def start(self) -> AbstractContextManager[harness.Asked]:
        """Both processes."""
        return _Pair(self)


class _Pair:
    """Has the server broadcast, and the clients read, in turn."""

    def __init__(self, subject: Broadcasting) -> None:
        self._subject = subject
        self._stack = contextlib.ExitStack()
        self._server = self._stack.enter_context(harness.Process(subject.server))
        self._clients: harness.Process | None = None

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def hear(self) -> str:
        """Connect the clients once the server has said its port."""
        said = self._server.hear()
        if said.startswith("skip"):
            return said
        command = (self._subject.clients, said, "127.0.0.1")
        self._clients = self._stack.enter_context(
            harness.Process(harness.Contender(f"{self._subject.name}: clients", command))
        )
        ready = self._clients.hear()
        self._server.tell(f"open {self._subject.count}")
        self._clients.ask(f"open {self._subject.count}")
        self._server.hear()
        return ready

    def ask(self, line: str) -> str:
        """So many sends, as broadcasts to all, a batch of them at a time."""
        assert self._clients is not None
        totals = [0, 0, 0]
        left = broadcasts = max(int(line) // self._subject.count, 1)
        while left > 0:
            batch = min(left, BATCH)
            answer = self._server.ask(f"broadcast {batch} {SIZE}")
            totals = [total + int(figure) for total, figure in zip(totals, answer.split(), strict=True)]
            self._clients.ask(f"hear {batch} {SIZE}")
            left -= batch
        if totals[2] != broadcasts * self._subject.count:
            raise RuntimeError(f"{totals[2]} sends, not {broadcasts} times {self._subject.count}")
        return " ".join(map(str, totals))


def main() -> None:
    options = harness.arguments(__doc__, choices={"clients": COUNTS})
    ws_servers.raise_descriptor_limit()
    cases = []
    notes = []
    with harness.floor_programs() as floor:
        for count in options.clients:
            servers = [
                harness.Contender("C, a loop of send", (floor("ws_server"),)),
                *ws_servers.ours(),
                ws_servers.contender("picows, uvloop", "picows"),
                ws_servers.contender("aiohttp, uvloop", "aiohttp"),
                ws_servers.contender("websockets, asyncio", "websockets"),
            ]
            case = harness.measure(
                f"WebSocket broadcast, {SIZE} bytes to {count:,} clients",
                "send",
                [Broadcasting(server, floor("ws_clients"), count) for server in servers],
                options,
            )
            cases.append(case)
            notes += harness.about(case, harness.gate(case, OURS, WANTED))
    harness.save("ws_broadcast", cases, options, notes)


if __name__ == "__main__":
    main()
