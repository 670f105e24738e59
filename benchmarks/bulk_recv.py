"""Receiving much data, in calls of at most 4 KiB and of at most 64 KiB.

The sender is always ahead, on the same CPU; the CPU column is the receiver's alone. An operation is
one chunk's worth of bytes, however many calls they took.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NoReturn

import harness
import worker

CHUNKS = (4096, 65536)
RECORD = 65536
WAIT_MS = 5000


def raw_recv(port: int, size: int) -> worker.Run:
    """socket.recv."""
    recv = socket.create_connection(("127.0.0.1", port)).recv

    def work(count: int) -> None:
        left = count * size
        while left > 0:
            left -= len(recv(size)) or _end()

    return worker.timed(work)


def raw_recv_into(port: int, size: int) -> worker.Run:
    """socket.recv_into one buffer: no object is made."""
    recv_into = socket.create_connection(("127.0.0.1", port)).recv_into
    buffer = bytearray(size)

    def work(count: int) -> None:
        left = count * size
        while left > 0:
            left -= recv_into(buffer) or _end()

    return worker.timed(work)


def ours_bytes(port: int, size: int) -> worker.Run:
    """native_tcp_recv_bytes_blocking."""
    library = worker.load_ours()
    return _ours(library, library.native_tcp_recv_bytes_blocking, port, size)


def ours_text(port: int, size: int) -> worker.Run:
    """native_tcp_recv_blocking: decoded (here: ASCII)."""
    library = worker.load_ours()
    return _ours(library, library.native_tcp_recv_blocking, port, size)


def _ours(library: Any, recv: Callable[..., Any], port: int, size: int) -> worker.Run:
    connection = library.native_tcp_connect("127.0.0.1", port)

    def work(count: int) -> None:
        left = count * size
        while left > 0:
            left -= len(recv(connection, size, WAIT_MS) or _end())

    return worker.timed(work)


def _end() -> NoReturn:
    raise RuntimeError("the end of the stream, or nothing in time")


WORKERS = {function.__name__: function for function in (raw_recv, raw_recv_into, ours_bytes, ours_text)}


def main() -> None:
    options = harness.arguments(__doc__)
    cases = []
    notes = []
    with harness.floor_programs() as floor, harness.server(floor("feed"), str(RECORD)) as port:
        for size in CHUNKS:
            case = harness.measure(
                f"Bulk receive, chunks of {size // 1024} KiB",
                "chunk",
                [
                    harness.Contender("C, recv", (floor("bulk_recv"), str(port), str(size))),
                    harness.in_python("socket.recv", __file__, "raw_recv", port, size),
                    harness.in_python("socket.recv_into", __file__, "raw_recv_into", port, size),
                    *harness.ours(__file__, "ours_bytes", port, size, note="bytes"),
                    *harness.ours(__file__, "ours_text", port, size, note="text"),
                ],
                options,
            )
            cases.append(case)
            for kind in ("bytes", "text"):
                name = f"dryad_net compiled {kind}"
                ratio = harness.times(case.ratio(name, "socket.recv"))
                said = harness.say(f"{name} beside socket.recv: {ratio} by CPU (wanted: over 1)")
                notes += harness.about(case, said)
    harness.save("bulk_recv", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, *numbers = given
        worker.serve(lambda: WORKERS[function](*map(int, numbers)))
