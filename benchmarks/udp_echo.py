"""A UDP client's round trip of 64 bytes, the sender's address included.

Every contender talks to the same C echo server on the same CPU; the CPU column is the client's alone.
"C, both families, with a time limit" has what the library's sockets have: they reach IPv4 and IPv6, and a
receive ends when its time is up.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import repeat
from typing import Any

import harness
import worker

SIZE = 64
MESSAGE = b"x" * SIZE
WAIT_MS = 5000
OURS = "dryad_net compiled"
WANTED = 0.95
PROMISING = "C, both families, with a time limit"


def raw_socket(port: int, timeout: float | None = None) -> worker.Run:
    """socket.socket, connected: send, recvfrom."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect(("127.0.0.1", port))
    connection.settimeout(timeout)
    send, recvfrom = connection.send, connection.recvfrom

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(MESSAGE)
            if len(recvfrom(SIZE * 2)[0]) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def raw_socket_with_timeout(port: int) -> worker.Run:
    """The same, and bounded: every call that may wait polls first."""
    return raw_socket(port, WAIT_MS / 1000)


class _Pinger(asyncio.DatagramProtocol):
    """Sends the next datagram from within the callback that brings the answer to the last."""

    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.send = transport.sendto

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) != SIZE:
            raise RuntimeError("a short answer")
        self.left -= 1
        if self.left:
            self.send(MESSAGE)
        elif self.done is not None:
            self.done.set_result(None)


def asyncio_endpoint(port: int) -> worker.Run:
    """A datagram endpoint of asyncio, connected."""
    return _endpoint(asyncio.new_event_loop(), port)


def uvloop_endpoint(port: int) -> worker.Run:
    """The same on uvloop."""
    import uvloop

    return _endpoint(uvloop.new_event_loop(), port)


def _endpoint(loop: asyncio.AbstractEventLoop, port: int) -> worker.Run:
    created = loop.create_datagram_endpoint(_Pinger, remote_addr=("127.0.0.1", port))
    transport, pinger = loop.run_until_complete(created)

    async def work(count: int) -> None:
        assert not transport.is_closing()
        pinger.left, pinger.done = count, loop.create_future()
        pinger.send(MESSAGE)
        await pinger.done

    return worker.timed(lambda count: loop.run_until_complete(work(count)))


def ours_connected(port: int) -> worker.Run:
    """native_udp_send_connected, native_udp_recv_blocking: an object with text, ip and port."""
    library = worker.load_ours()
    identifier = library.native_udp_socket()
    library.native_udp_connect(identifier, "127.0.0.1", port)
    send, recv = library.native_udp_send_connected, library.native_udp_recv_blocking

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(identifier, MESSAGE)
            if len(recv(identifier, WAIT_MS)["data"]) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def ours_addressed(port: int) -> worker.Run:
    """The same with native_udp_send, which names the peer each time."""
    library = worker.load_ours()
    identifier = library.native_udp_socket()
    send, recv = library.native_udp_send, library.native_udp_recv_blocking

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(identifier, MESSAGE, "127.0.0.1", port)
            if len(recv(identifier, WAIT_MS)["data"]) != SIZE:
                raise RuntimeError("a short answer")

    return worker.timed(work)


WORKERS = {
    function.__name__: function
    for function in (
        raw_socket,
        raw_socket_with_timeout,
        asyncio_endpoint,
        uvloop_endpoint,
        ours_connected,
        ours_addressed,
    )
}


def main() -> None:
    options = harness.arguments(__doc__)
    with harness.floor_programs() as floor, harness.server(floor("udp_echo_server")) as port:
        case = harness.measure(
            f"UDP echo, {SIZE} bytes, client",
            "round trip",
            [
                harness.Contender("C, blocking", (floor("udp_echo"), str(port), str(SIZE))),
                harness.Contender(PROMISING, (floor("udp_echo"), str(port), str(SIZE), "promises")),
                harness.in_python("socket", __file__, "raw_socket", port),
                harness.in_python("socket with a timeout", __file__, "raw_socket_with_timeout", port),
                harness.in_python("asyncio endpoint", __file__, "asyncio_endpoint", port),
                harness.in_python("uvloop endpoint", __file__, "uvloop_endpoint", port),
                *harness.ours(__file__, "ours_connected", port, note="connected"),
                *harness.ours(__file__, "ours_addressed", port, note="addressed"),
            ],
            options,
        )
    notes = harness.gate(case, f"{OURS} connected", WANTED, ["socket", "socket with a timeout", "uvloop endpoint"])
    notes += harness.beside(case, f"{OURS} connected", PROMISING)
    harness.save("udp_echo", [case], options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, given_port = given
        worker.serve(lambda: WORKERS[function](int(given_port)))
