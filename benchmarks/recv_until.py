"""Records that end in a newline: lines of 64 bytes, and records of 1 MiB.

Three tables: lines from a sender that is always ahead, on the same CPU (the CPU column is the
receiver's alone); 1 MiB records likewise; lines that are in the receiver's memory already, which is
the cost of the call and of the search.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import repeat

import harness
import worker

LINE = 64
RECORD = 1024 * 1024
# Ahead of every reader's own buffer limit there must be room for one record.
LIMIT = 4 * RECORD
READ_AHEAD = 65536
# One batch of lines in memory: under half of what our own buffer takes in one read.
BATCH = 1024
READLINE = "makefile('rb').readline"
READUNTIL = "asyncio readuntil"
BLOCK = (b"x" * (LINE - 1) + b"\n") * BATCH


# ---- from a sender


def readline(port: int) -> worker.Run:
    """socket.makefile('rb').readline, with a larger buffer than its own 8 KiB."""
    connection = socket.create_connection(("127.0.0.1", port))
    read = connection.makefile("rb", READ_AHEAD).readline

    def work(count: int) -> None:
        for _ in repeat(None, count):
            if not read():
                raise RuntimeError("the end")

    return worker.timed(work)


def asyncio_readuntil(port: int) -> worker.Run:
    """asyncio.StreamReader.readuntil."""
    return _readuntil(asyncio.new_event_loop(), port)


def uvloop_readuntil(port: int) -> worker.Run:
    """The same on uvloop."""
    import uvloop

    return _readuntil(uvloop.new_event_loop(), port)


def _readuntil(loop: asyncio.AbstractEventLoop, port: int) -> worker.Run:
    reader, writer = loop.run_until_complete(asyncio.open_connection("127.0.0.1", port, limit=LIMIT))

    async def work(count: int) -> None:
        for _ in repeat(None, count):
            await reader.readuntil(b"\n")

    # A transport whose writer is collected closes.
    work.writer = writer  # type: ignore[attr-defined]
    return worker.timed(lambda count: loop.run_until_complete(work(count)))


def ours_until(port: int) -> worker.Run:
    """native_tcp_recv_until."""
    library = worker.load_ours()
    recv_until = library.native_tcp_recv_until
    connection = library.native_tcp_connect("127.0.0.1", port)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            if recv_until(connection, "\n") is None:
                raise RuntimeError("the end")

    return worker.timed(work)


# ---- in memory


def _pair() -> tuple[socket.socket, int]:
    """A listening socket for one connection, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


def held_readline(_: int) -> worker.Run:
    """readline of lines that one read has brought."""
    listener, port = _pair()
    reading = socket.create_connection(("127.0.0.1", port))
    sending, _peer = listener.accept()
    read = reading.makefile("rb", len(BLOCK)).readline

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            sending.sendall(BLOCK)
            read()
            watch.start()
            for _ in repeat(None, BATCH - 1):
                read()
            watch.stop(BATCH - 1)

    return run


def held_readuntil(_: int) -> worker.Run:
    """asyncio.StreamReader.readuntil of lines it was fed; which loop runs makes no difference."""
    loop = asyncio.new_event_loop()

    async def work(watch: worker.Stopwatch, count: int) -> None:
        reader = asyncio.StreamReader(limit=LIMIT)
        for _ in range(0, count, BATCH):
            reader.feed_data(BLOCK)
            watch.start()
            for _ in repeat(None, BATCH):
                await reader.readuntil(b"\n")
            watch.stop(BATCH)

    return lambda watch, count: loop.run_until_complete(work(watch, count))


def held_until(_: int) -> worker.Run:
    """native_tcp_recv_until of lines that one read has brought."""
    library = worker.load_ours()
    recv_until = library.native_tcp_recv_until
    listener, port = _pair()
    connection = library.native_tcp_connect("127.0.0.1", port)
    sending, _peer = listener.accept()

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            sending.sendall(BLOCK)
            recv_until(connection, "\n")
            watch.start()
            for _ in repeat(None, BATCH - 1):
                recv_until(connection, "\n")
            watch.stop(BATCH - 1)

    return run


WORKERS = {
    function.__name__: function
    for function in (
        readline,
        asyncio_readuntil,
        uvloop_readuntil,
        ours_until,
        held_readline,
        held_readuntil,
        held_until,
    )
}


def main() -> None:
    options = harness.arguments(__doc__)
    cases = []
    notes = []
    with harness.floor_programs() as floor:
        for size, what in ((LINE, f"lines of {LINE} bytes"), (RECORD, "records of 1 MiB")):
            with harness.server(floor("feed"), str(size)) as port:
                case = harness.measure(
                    f"recv_until, {what}",
                    "record",
                    [
                        harness.Contender("C, memchr in place", (floor("recv_until"), str(port), "in_place")),
                        harness.Contender("C, memchr and a copy", (floor("recv_until"), str(port), "copied")),
                        harness.in_python(READLINE, __file__, "readline", port),
                        harness.in_python(READUNTIL, __file__, "asyncio_readuntil", port),
                        harness.in_python("uvloop readuntil", __file__, "uvloop_readuntil", port),
                        *harness.ours(__file__, "ours_until", port),
                    ],
                    options,
                )
            cases.append(case)
            if size == LINE:
                notes += harness.about(case, _beside_readuntil(case))
            notes += harness.about(case, harness.gate(case, "dryad_net compiled", None if size == LINE else 1.0))
        case = harness.measure(
            f"recv_until, lines of {LINE} bytes that are in memory already",
            "line",
            [
                harness.Contender("C, memchr in place", (floor("recv_until"), "0", str(LINE))),
                harness.in_python(READLINE, __file__, "held_readline", 0),
                harness.in_python(READUNTIL, __file__, "held_readuntil", 0),
                *harness.ours(__file__, "held_until", 0),
            ],
            options,
        )
        cases.append(case)
        notes += harness.about(case, _beside_readuntil(case))
    harness.save("recv_until", cases, options, notes)


def _beside_readuntil(case: harness.Case) -> list[str]:
    ours = "dryad_net compiled"
    return harness.say(
        f"{ours} beside {READUNTIL}: {harness.times(case.ratio(ours, READUNTIL))} by CPU (wanted: at least 5)",
        f"{ours} beside {READLINE}: {harness.times(case.ratio(ours, READLINE))} by CPU",
    )


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, *numbers = given
        worker.serve(lambda: WORKERS[function](*map(int, numbers)))
