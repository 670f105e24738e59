"""Echo servers with 1, 32 and 256 connections, 256 bytes and 8 KiB.

The clients are one C program on the same CPU, with one message under way on every connection; the
CPU column is the server's processor time, all its threads. "in turn" calls recv on every client
again and again: it never sleeps, so its figure holds the calls that found nothing. "C, looks first" has what
native_net_wait has: it knows of every client who is ready that a whole message is there, before the first is read.
"""

from __future__ import annotations

import dataclasses

import harness
import load
import ws_servers

CONNECTIONS = (1, 32, 256)
SIZES = (256, 8192)
OURS = "dryad_net compiled"
IN_TURN = f"{OURS} in turn"
# What the library aims at, beside the C server by processor time.
WANTED = 0.85
# The C server that looks first, and what makes it do so.
LOOKS_FIRST = "C, looks first"
LOOKING = f"{load.ECHO} whole"
PICOWS = ("picows, uvloop", "picows, uvloop, Cython listener")


def contenders(floor: str) -> list[harness.Contender]:
    """Every server; the floor first."""
    return [
        harness.Contender("C, epoll", (floor,)),
        *ws_servers.ours(),
        *ws_servers.ours("ours_in_turn", "in turn"),
        ws_servers.contender(PICOWS[0], "picows"),
        ws_servers.contender(PICOWS[1], "picows_compiled"),
        ws_servers.contender("aiohttp, uvloop", "aiohttp"),
        ws_servers.contender("websockets, asyncio", "websockets"),
    ]


def main() -> None:
    options = harness.arguments(__doc__, choices={"connections": CONNECTIONS, "sizes": SIZES})
    cases = []
    notes = []
    with harness.floor_programs() as floor:
        client = floor("ws_load")
        in_c, *others = contenders(floor("ws_server"))
        for size in options.sizes:
            for connections in options.connections:
                command = (client, "{port}", str(connections), str(size))
                many = "1 connection" if connections == 1 else f"{connections} connections"
                case = harness.measure(
                    f"WebSocket echo server, {size:,} bytes, {many}",
                    "message",
                    [
                        load.UnderLoad(in_c, command),
                        load.UnderLoad(dataclasses.replace(in_c, name=LOOKS_FIRST), command, LOOKING),
                        *(load.UnderLoad(one, command) for one in others),
                    ],
                    options,
                )
                cases.append(case)
                said = [
                    *harness.gate(case, OURS, WANTED),
                    *harness.beside(case, OURS, LOOKS_FIRST),
                    *harness.gate(case, IN_TURN, None, PICOWS),
                ]
                notes += harness.about(case, said)
    harness.save("ws_server", cases, options, notes)


if __name__ == "__main__":
    main()
