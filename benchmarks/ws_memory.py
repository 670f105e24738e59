"""User memory of an idle server-side WebSocket connection, at 1,000 and at 5,000 of them.

The process under test accepts them, a C program in another process connects. What grows is counted
as the kernel counts it: pages private to the process (Private_* in /proc/self/smaps_rollup). The
kernel's memory for the sockets is not in it. "after talk": every client has sent 256 bytes and got
them back once.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import harness
import ws_servers

COUNTS = (1000, 5000)
# Opened before the first look, so that what is made once is not counted as a connection's.
WARM = 20
SIZE = 256
WANTED = 2048
OURS = "dryad_net compiled"


def one_round(contender: harness.Contender, clients: str) -> list[float]:
    """Bytes for one connection at each of COUNTS, and after every one has talked."""
    with harness.Process(contender) as server:
        port = server.hear()
        if port.startswith("skip"):
            raise RuntimeError(port[5:])
        with harness.Process(harness.Contender("clients", (clients, port, "127.0.0.1"))) as others:
            others.hear()

            def both(server_does: str, others_do: str) -> int:
                server.tell(server_does)
                others.ask(others_do)
                return int(server.hear())

            both(f"open {WARM}", f"open {WARM}")
            start = both("talk", f"say {SIZE}")
            others.ask(f"hear 1 {SIZE}")
            found = [(both(f"open {count}", f"open {count}") - start) / (count - WARM) for count in COUNTS]
            found.append((both("talk", f"say {SIZE}") - start) / (COUNTS[-1] - WARM))
            return found


def measure(floor: str, clients: str, options: argparse.Namespace) -> tuple[dict[str, Any], list[list[float]]]:
    """Rounds of every contender in turn and their table; returns the figures, and our own."""
    contenders = [
        harness.Contender("C, an array", (floor,)),
        *ws_servers.ours(),
        ws_servers.contender("picows, uvloop", "picows"),
        ws_servers.contender("aiohttp, uvloop", "aiohttp"),
        ws_servers.contender("websockets, asyncio", "websockets"),
    ]
    found: dict[str, list[list[float]]] = {contender.name: [] for contender in contenders}
    missing: dict[str, str] = {}
    for turn in range(options.rounds):
        first = turn % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            if contender.name in missing:
                continue
            try:
                found[contender.name].append(one_round(contender, clients))
            except RuntimeError as error:
                missing[contender.name] = str(error)
    title = "Memory of an idle server-side WebSocket connection"
    points = [f"at {n:,}" for n in COUNTS] + [f"at {COUNTS[-1]:,} after talk"]
    headings = ["contender"]
    for point in points:
        headings += [point, "min..max"]
    rows = []
    for name, rounds in found.items():
        row = [name]
        for values in zip(*rounds, strict=True) if name not in missing else ():
            row += [f"{statistics.median(values):,.0f} B", f"{min(values):,.0f}..{max(values):,.0f}"]
        rows.append(row + ["-"] * (len(headings) - len(row)))
    harness.print_table(title, headings, rows)
    for name, why in missing.items():
        print(f"  {name} is missing: {why}")
    case = {"title": title, "points": points, "bytes": found, "missing": missing}
    return case, [] if OURS in missing else found[OURS]


def main() -> None:
    options = harness.arguments(__doc__, rounds=harness.LEAST_ROUNDS)
    ws_servers.raise_descriptor_limit()
    if not Path("/proc/self/smaps_rollup").exists():
        raise SystemExit("memory is counted with /proc/self/smaps_rollup, which this system does not have")
    notes = []
    with harness.floor_programs() as floor:
        case, rounds = measure(floor("ws_server"), floor("ws_clients"), options)
        for i, count in enumerate(COUNTS):
            if rounds:
                held = statistics.median(one[i] for one in rounds)
                reached = harness.verdict(held < WANTED)
                notes += harness.say(f"{OURS}: {held:,.0f} B at {count:,} (wanted: under {WANTED:,} B): {reached}")
    harness.save("ws_memory", [case], options, notes)


if __name__ == "__main__":
    main()
