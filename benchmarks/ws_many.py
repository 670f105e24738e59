"""20,000 WebSocket connections in one server process: accepted, broadcast to, talked with, and ended.

The clients are C programs, each from a loopback address of its own (a source address has 28,000 ports).
Every step is checked: so many accepted, so many reached by a broadcast and the message read by each,
one message of each sent back, and 1001 with the end of the stream for each from stop_server.
The limit of descriptors is raised as far as the system allows (`ulimit -Hn`); where that is less
than is needed, fewer connections are opened, and the table says so.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import harness
import ws_servers

CONNECTIONS = 20000
PROGRAMS = 4
# Of the server's descriptors: the standard ones, the listener, the pollers', and what Python has open.
RESERVE = 64
SIZE = 256
STEPS = ("accept", "broadcast", "send back", "stop")


def one_round(contender: harness.Contender, clients: str, count: int) -> tuple[list[float], float]:
    """Seconds that each of STEPS took, and the bytes of memory for one connection."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(harness.Process(contender))
        port = server.hear()
        if port.startswith("skip"):
            raise RuntimeError(port[5:])
        others = [
            stack.enter_context(harness.Process(harness.Contender("clients", (clients, port, f"127.0.0.{i + 2}"))))
            for i in range(PROGRAMS)
        ]
        for one in others:
            one.hear()
        took: list[float] = []

        def together(server_does: str, others_do: str, answer: Callable[[int], bool]) -> str:
            started = time.perf_counter()
            server.tell(server_does)
            for one in others:
                one.tell(others_do)
            heard = server.hear()
            got = sum(int(one.hear()) for one in others)
            if not answer(got):
                raise RuntimeError(f"{others_do}: {got} of {count} clients")
            took.append(time.perf_counter() - started)
            return heard

        all_of_them: Callable[[int], bool] = lambda got: got == count  # noqa: E731
        start = int(server.ask("open 0"))
        held = int(together(f"open {count}", f"open {count // PROGRAMS}", all_of_them))
        sent = together(f"broadcast 1 {SIZE}", f"hear 1 {SIZE}", all_of_them).split()[-1]
        if int(sent) != count:
            raise RuntimeError(f"the broadcast reached {sent} of {count}")
        together("talk", f"say {SIZE}", all_of_them)
        for one in others:
            one.ask(f"hear 1 {SIZE}")
        together("stop", "finish", all_of_them)
        return took, (held - start) / count


def table(title: str, found: dict[str, list[tuple[list[float], float]]], missing: dict[str, str]) -> dict[str, Any]:
    """Print it; returns it for the JSON."""
    rows: list[Sequence[str]] = []
    for name, rounds in found.items():
        if name in missing:
            rows.append([name] + ["-"] * (len(STEPS) + 1))
            continue
        times = [f"{statistics.median(step):.2f} s" for step in zip(*(took for took, _ in rounds), strict=True)]
        rows.append([name, *times, f"{statistics.median(held for _, held in rounds):,.0f} B"])
    harness.print_table(title, ["contender", *STEPS, "memory of one"], rows)
    for name, why in missing.items():
        print(f"  {name} is missing: {why}")
    return {"title": title, "steps": STEPS, "rounds": found, "missing": missing}


def run(options: argparse.Namespace, clients: str, count: int) -> dict[str, Any]:
    """Rounds of both halves in turn."""
    contenders = ws_servers.ours()
    found: dict[str, list[tuple[list[float], float]]] = {contender.name: [] for contender in contenders}
    missing: dict[str, str] = {}
    for _ in range(options.rounds):
        for contender in contenders:
            if contender.name in missing:
                continue
            try:
                found[contender.name].append(one_round(contender, clients, count))
            except RuntimeError as error:
                missing[contender.name] = str(error)
    return table(f"{count:,} WebSocket connections in one server process", found, missing)


def main() -> None:
    # Whether it works is the question; a round of the pure half takes a minute.
    options = harness.arguments(__doc__, least=1, rounds=1)
    room = ws_servers.raise_descriptor_limit() - RESERVE
    count = min(CONNECTIONS, room) // PROGRAMS * PROGRAMS
    notes = []
    if count < CONNECTIONS:
        notes = harness.say(
            f"{count:,} connections, not {CONNECTIONS:,}: the limit of descriptors here is {room + RESERVE:,}"
        )
    with harness.floor_programs() as floor:
        cases = [run(options, floor("ws_clients"), count)]
    harness.save("ws_many", cases, options, notes)


if __name__ == "__main__":
    main()
