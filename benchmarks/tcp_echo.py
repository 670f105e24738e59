"""A TCP client's round trip of 64 bytes.

Every contender talks to the same C echo server on the same CPU; the CPU column is the client's alone.
"C, with a time limit" has what the library's receives have: an end to the wait.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from itertools import repeat

import harness
import worker

SIZE = 64
MESSAGE = b"x" * SIZE
WAIT_MS = 5000
# What the library aims at, beside the C client by processor time.
WANTED = 0.96
PROMISING = "C, with a time limit"


def raw_socket(port: int, timeout: float | None = None) -> worker.Run:
    """socket.socket: sendall, recv."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(timeout)
    send, recv = connection.sendall, connection.recv

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(MESSAGE)
            if len(recv(SIZE)) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def raw_socket_with_timeout(port: int) -> worker.Run:
    """The same, and bounded: every call that may wait polls first."""
    return raw_socket(port, WAIT_MS / 1000)


def asyncio_streams(port: int) -> worker.Run:
    """asyncio.open_connection."""
    return _streams(asyncio.new_event_loop(), port)


def uvloop_streams(port: int) -> worker.Run:
    """The same on uvloop."""
    import uvloop

    return _streams(uvloop.new_event_loop(), port)


def _streams(loop: asyncio.AbstractEventLoop, port: int) -> worker.Run:
    reader, writer = loop.run_until_complete(asyncio.open_connection("127.0.0.1", port))

    async def work(count: int) -> None:
        for _ in repeat(None, count):
            writer.write(MESSAGE)
            await reader.readexactly(SIZE)

    return worker.timed(lambda count: loop.run_until_complete(work(count)))


class _Pinger(asyncio.Protocol):
    """Sends the next message from within the callback that brings the answer to the last."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if len(data) != SIZE:
            raise RuntimeError("a short answer")
        self.left -= 1
        if self.left:
            self.write(MESSAGE)
        elif self.done is not None:
            self.done.set_result(None)


def uvloop_protocol(port: int) -> worker.Run:
    """uvloop with a protocol of callbacks, its fastest."""
    import uvloop

    loop = uvloop.new_event_loop()
    _, pinger = loop.run_until_complete(loop.create_connection(_Pinger, "127.0.0.1", port))

    async def work(count: int) -> None:
        pinger.left = count
        pinger.done = loop.create_future()
        pinger.write(MESSAGE)
        await pinger.done

    return worker.timed(lambda count: loop.run_until_complete(work(count)))


def ours_text(port: int) -> worker.Run:
    """native_tcp_send of a string, native_tcp_recv_blocking."""
    library = worker.load_ours()
    send, recv = library.native_tcp_send, library.native_tcp_recv_blocking
    connection = library.native_tcp_connect("127.0.0.1", port)
    message = MESSAGE.decode()

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(connection, message)
            if len(recv(connection, SIZE, WAIT_MS)) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def ours_bytes(port: int) -> worker.Run:
    """native_tcp_send of bytes, native_tcp_recv_bytes_blocking."""
    library = worker.load_ours()
    send, recv = library.native_tcp_send, library.native_tcp_recv_bytes_blocking
    connection = library.native_tcp_connect("127.0.0.1", port)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(connection, MESSAGE)
            if len(recv(connection, SIZE, WAIT_MS)) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


WORKERS = {
    function.__name__: function
    for function in (
        raw_socket,
        raw_socket_with_timeout,
        asyncio_streams,
        uvloop_streams,
        uvloop_protocol,
        ours_text,
        ours_bytes,
    )
}


def main() -> None:
    options = harness.arguments(__doc__)
    with harness.floor_programs() as floor, harness.server(floor("echo_server")) as port:
        case = harness.measure(
            f"TCP echo, {SIZE} bytes, client",
            "round trip",
            [
                harness.Contender("C, blocking", (floor("tcp_echo"), str(port), str(SIZE))),
                harness.Contender(PROMISING, (floor("tcp_echo"), str(port), str(SIZE), "promises")),
                harness.in_python("socket", __file__, "raw_socket", port),
                harness.in_python("socket with a timeout", __file__, "raw_socket_with_timeout", port),
                harness.in_python("asyncio streams", __file__, "asyncio_streams", port),
                harness.in_python("uvloop streams", __file__, "uvloop_streams", port),
                harness.in_python("uvloop protocol", __file__, "uvloop_protocol", port),
                *harness.ours(__file__, "ours_text", port, note="text"),
                *harness.ours(__file__, "ours_bytes", port, note="bytes"),
            ],
            options,
        )
    notes = []
    for kind in ("text", "bytes"):
        name = f"dryad_net compiled {kind}"
        notes += harness.say(
            f"{name} beside socket: {harness.times(case.ratio(name, 'socket'))} by CPU, "
            f"{harness.times(case.ratio(name, 'socket', cpu=False))} by the clock (wanted: over 1)"
        )
        notes += harness.gate(case, name, WANTED) + harness.beside(case, name, PROMISING)
    harness.save("tcp_echo", [case], options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, *numbers = given
        worker.serve(lambda: WORKERS[function](*map(int, numbers)))
