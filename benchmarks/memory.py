"""User memory of an idle TCP connection, at 1,000 and at 5,000 of them.

The process under test accepts them (a C program in another process connects), or connects (a C
program accepts). What grows is counted as the kernel counts it: pages private to the process
(Private_* in /proc/self/smaps_rollup), so no allocator's own idea of it. The kernel's memory for the
sockets is not in it. "after talk": every connection has received and sent 64 bytes once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import socket
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import harness
import worker

COUNTS = (1000, 5000)
# Opened before the first look, so that what is made once is not counted as a connection's.
WARM = 20
SIZE = 64
WAIT_MS = 10000
WANTED = 1024
MESSAGE = b"x" * SIZE


def private_bytes() -> int:
    """Memory private to this process."""
    total = 0
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_"):
            total += int(line.split()[1])
    return total * 1024


class Side(Protocol):
    """The process under test: it opens connections, receives and sends on each."""

    port: int

    def open(self, count: int) -> int:
        """Bring the number of connections to `count`; returns how many are really open."""

    def talk(self) -> None:
        """Receive and send 64 bytes on every one."""


# ---- contenders


class RawSocket:
    """socket.socket."""

    def __init__(self, port: int) -> None:
        self.sockets: list[socket.socket] = []
        self.target = port
        self.port = 0
        if not port:
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port = self.listener.getsockname()[1]

    def open(self, count: int) -> int:
        while len(self.sockets) < count:
            if self.target:
                self.sockets.append(socket.create_connection(("127.0.0.1", self.target)))
            else:
                self.sockets.append(self.listener.accept()[0])
        return sum(one.fileno() >= 0 for one in self.sockets)

    def talk(self) -> None:
        for one in self.sockets:
            if len(one.recv(SIZE)) != SIZE:
                raise RuntimeError("a short message")
            one.sendall(MESSAGE)


class Streams:
    """asyncio streams."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self.pairs: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.target = port
        self.port = 0
        if not port:
            started = asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=1024)
            self.server = self.loop.run_until_complete(started)
            self.port = self.server.sockets[0].getsockname()[1]

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pairs.append((reader, writer))

    def open(self, count: int) -> int:
        self.loop.run_until_complete(asyncio.wait_for(self._open(count), harness.SILENCE_SECONDS))
        return sum(not reader.at_eof() and not writer.is_closing() for reader, writer in self.pairs)

    async def _open(self, count: int) -> None:
        while len(self.pairs) < count:
            if self.target:
                self.pairs.append(await asyncio.open_connection("127.0.0.1", self.target))
            else:
                await asyncio.sleep(0.001)

    def talk(self) -> None:
        self.loop.run_until_complete(self._talk())

    async def _talk(self) -> None:
        for reader, writer in self.pairs:
            await reader.readexactly(SIZE)
            writer.write(MESSAGE)


def uvloop_streams(port: int) -> Streams:
    """The same on uvloop."""
    import uvloop

    return Streams(port, uvloop.new_event_loop())


class Ours:
    """native_tcp_accept_blocking, or native_tcp_connect."""

    def __init__(self, port: int) -> None:
        self.library: Any = worker.load_ours()
        self.identifiers: list[int] = []
        self.target = port
        self.port = 0
        if not port:
            self.server = self.library.native_tcp_bind("127.0.0.1", 0)
            self.library.native_tcp_set_backlog(self.server, 1024)
            self.port = self.library.native_tcp_get_local_addr(self.server)["port"]

    def open(self, count: int) -> int:
        while len(self.identifiers) < count:
            if self.target:
                self.identifiers.append(self.library.native_tcp_connect("127.0.0.1", self.target))
                continue
            identifier = self.library.native_tcp_accept_blocking(self.server, WAIT_MS)
            if identifier is None:
                raise RuntimeError("nobody connected in time")
            self.identifiers.append(identifier)
        return sum(map(self.library.native_tcp_is_connected, self.identifiers))

    def talk(self) -> None:
        for identifier in self.identifiers:
            if len(self.library.native_tcp_recv_blocking(identifier, SIZE, WAIT_MS)) != SIZE:
                raise RuntimeError("a short message")
            self.library.native_tcp_send(identifier, MESSAGE)


SIDES: dict[str, Callable[[int], Side]] = {
    "raw_socket": RawSocket,
    "asyncio_streams": Streams,
    "uvloop_streams": uvloop_streams,
    "ours": Ours,
}


def work(name: str, port: int) -> None:
    """Be the side under test, until the harness closes our standard input."""
    try:
        side = SIDES[name](port)
    except (ImportError, worker.Unavailable) as error:
        print("skip", error, flush=True)
        return
    print(side.port, flush=True)
    for line in sys.stdin:
        command, _, argument = line.partition(" ")
        if command == "open":
            opened = side.open(int(argument))
            # One that is closed already costs less: it must not pass for an idle one.
            if opened != int(argument):
                raise RuntimeError(f"{opened} connections are open, not {argument.strip()}")
        elif command == "talk":
            side.talk()
        gc.collect()
        print(private_bytes(), flush=True)


# ---- measuring


def one_round(contender: harness.Contender, peer: Callable[[int], harness.Contender], accepts: bool) -> list[float]:
    """Bytes for one connection at each of COUNTS, and after every one has talked."""
    with contextlib.ExitStack() as stack:
        if accepts:
            subject = stack.enter_context(harness.Process(contender))
            other = stack.enter_context(harness.Process(peer(_port(subject))))
            other.hear()
        else:
            other = stack.enter_context(harness.Process(peer(0)))
            port = int(other.hear())
            with_port = harness.Contender(contender.name, (*contender.command[:-1], str(port)), contender.environment)
            subject = stack.enter_context(harness.Process(with_port))
            _port(subject)

        def both(subject_does: str, other_does: str) -> int:
            other.tell(other_does)
            held = int(subject.ask(subject_does))
            other.hear()
            return held

        start = both(f"open {WARM}", f"open {WARM}")
        found = [(both(f"open {n}", f"open {n}") - start) / (n - WARM) for n in COUNTS]
        other.ask("say")
        talk = "talk" if contender.command[0] == sys.executable else "hear"
        found.append((int(subject.ask(talk)) - start) / (COUNTS[-1] - WARM))
        return found


def _port(process: harness.Process) -> int:
    said = process.hear()
    if said.startswith("skip"):
        raise RuntimeError(said[5:])
    return int(said)


def measure(
    accepts: bool, floor: str, options: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, list[list[float]]]]:
    """Rounds of every contender in turn, their table, and the figures."""
    mode, other_mode = ("accept", "connect") if accepts else ("connect", "accept")
    contenders = [
        harness.Contender("C, an array of descriptors", (floor, mode, "0")),
        harness.in_python("socket", __file__, "raw_socket", 0),
        harness.in_python("asyncio streams", __file__, "asyncio_streams", 0),
        harness.in_python("uvloop streams", __file__, "uvloop_streams", 0),
        *harness.ours(__file__, "ours", 0),
    ]
    found: dict[str, list[list[float]]] = {contender.name: [] for contender in contenders}
    missing: dict[str, str] = {}
    for turn in range(options.rounds):
        first = turn % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            if contender.name in missing:
                continue
            try:
                peer = lambda port: harness.Contender("peer", (floor, other_mode, str(port)))  # noqa: E731
                found[contender.name].append(one_round(contender, peer, accepts))
            except RuntimeError as error:
                missing[contender.name] = str(error)
    title = f"Memory of an idle connection that the process under test {mode}s"
    points = [f"at {n:,}" for n in COUNTS] + [f"at {COUNTS[-1]:,} after talk"]
    rows = []
    for name, rounds in found.items():
        if name in missing:
            rows.append([name] + ["-"] * (2 * len(points)))
            continue
        row = [name]
        for values in zip(*rounds, strict=True):
            row += [f"{statistics.median(values):,.0f} B", f"{min(values):,.0f}..{max(values):,.0f}"]
        rows.append(row)
    headings = ["contender"]
    for point in points:
        headings += [point, "min..max"]
    harness.print_table(title, headings, rows)
    for name, why in missing.items():
        print(f"  {name} is missing: {why}")
    case = {"title": title, "points": points, "bytes": found, "missing": missing}
    return case, {name: rounds for name, rounds in found.items() if name not in missing}


def main() -> None:
    options = harness.arguments(__doc__, rounds=harness.LEAST_ROUNDS)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if not Path("/proc/self/smaps_rollup").exists():
        raise SystemExit("memory is counted with /proc/self/smaps_rollup, which this system does not have")
    cases = []
    notes = []
    with harness.floor_programs() as floor:
        for accepts in (True, False):
            case, found = measure(accepts, floor("connections"), options)
            cases.append(case)
            rounds = found.get("dryad_net compiled")
            if rounds:
                held = " and ".join(
                    f"{statistics.median(one[i] for one in rounds):,.0f} B at {n:,}" for i, n in enumerate(COUNTS)
                )
                notes += harness.say(f"dryad_net compiled: {held} (wanted: under {WANTED:,} B)")
    harness.save("memory", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        work(given[0], int(given[1]))
