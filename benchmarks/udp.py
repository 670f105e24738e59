"""UDP one way: datagrams of 64 bytes, filled into and drained from a socket of the same process.

Only one half of each batch counts: the draining where receiving is measured, the filling where
sending is. A flood from another process would measure lock traffic in the kernel instead.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from itertools import repeat
from typing import Any

import harness
import worker

SIZE = 64
# What fits into a socket's receive buffer as it is by default, the kernel's overhead included.
BATCH = 64
MESSAGE = b"x" * SIZE
RECV_RATIO = 1.6
SEND_RATIO = 1 / 1.05


def _receiver() -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    return receiver


def _sender(target: Any) -> Callable[[bytes], int]:
    """The send of a connected socket."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(target)
    return sender.send


def _library() -> Any:
    library = worker.load_ours()
    if not hasattr(library, "native_udp_socket"):
        raise worker.Unavailable("dryad_net has no UDP yet")
    return library


# ---- receiving


def _drained(send: Callable[[bytes], int], drain: Callable[[], None]) -> worker.Run:
    """Fill, then time drain(), which receives one batch."""

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            for _ in repeat(None, BATCH):
                send(MESSAGE)
            watch.start()
            drain()
            watch.stop(BATCH)

    return run


def recvfrom() -> worker.Run:
    """socket.recvfrom: the data and the sender's address."""
    receiver = _receiver()
    receiver.setblocking(False)
    receive = receiver.recvfrom

    def drain() -> None:
        for _ in repeat(None, BATCH):
            receive(SIZE * 2)

    return _drained(_sender(receiver.getsockname()), drain)


def recv() -> worker.Run:
    """socket.recv: no address."""
    receiver = _receiver()
    receiver.setblocking(False)
    receive = receiver.recv

    def drain() -> None:
        for _ in repeat(None, BATCH):
            receive(SIZE * 2)

    return _drained(_sender(receiver.getsockname()), drain)


def recv_into() -> worker.Run:
    """socket.recv_into one buffer: no address and no object."""
    receiver = _receiver()
    receiver.setblocking(False)
    receive, buffer = receiver.recv_into, bytearray(SIZE * 2)

    def drain() -> None:
        for _ in repeat(None, BATCH):
            receive(buffer)

    return _drained(_sender(receiver.getsockname()), drain)


class _Counter(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.left -= 1
        if not self.left and self.done is not None:
            self.done.set_result(None)


def asyncio_recv() -> worker.Run:
    """An asyncio datagram endpoint."""
    return _endpoint(asyncio.new_event_loop())


def uvloop_recv() -> worker.Run:
    """The same on uvloop."""
    import uvloop

    return _endpoint(uvloop.new_event_loop())


def _endpoint(loop: asyncio.AbstractEventLoop) -> worker.Run:
    receiver = _receiver()
    send = _sender(receiver.getsockname())
    created = loop.create_datagram_endpoint(_Counter, sock=receiver)
    transport, counter = loop.run_until_complete(created)

    async def work(watch: worker.Stopwatch, count: int) -> None:
        assert not transport.is_closing()
        for _ in range(0, count, BATCH):
            for _ in repeat(None, BATCH):
                send(MESSAGE)
            counter.left = BATCH
            counter.done = loop.create_future()
            watch.start()
            await counter.done
            watch.stop(BATCH)

    return lambda watch, count: loop.run_until_complete(work(watch, count))


def ours_recv() -> worker.Run:
    """native_udp_recv: an object with text, ip and port."""
    return _ours_recv("native_udp_recv")


def ours_recv_bytes() -> worker.Run:
    """native_udp_recv_bytes: the same with bytes."""
    return _ours_recv("native_udp_recv_bytes")


def _ours_recv(name: str) -> worker.Run:
    library = _library()
    identifier = library.native_udp_socket()
    library.native_udp_bind_addr(identifier, "127.0.0.1", 0)
    address = library.native_udp_get_local_addr(identifier)
    receive = getattr(library, name)

    def drain() -> None:
        for _ in repeat(None, BATCH):
            # Null here would be a datagram lost, and a call cheaper than the one measured.
            if receive(identifier) is None:
                raise RuntimeError("a datagram is missing")

    return _drained(_sender((address["ip"], address["port"])), drain)


# ---- sending


def _filled(receiver: socket.socket, fill: Callable[[], None]) -> worker.Run:
    """Time fill(), which sends one batch, then drain."""

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            watch.start()
            fill()
            watch.stop(BATCH)
            receiver.setblocking(False)
            for _ in repeat(None, BATCH):
                receiver.recv(SIZE * 2)

    return run


def send_connected() -> worker.Run:
    """send of a connected socket."""
    receiver = _receiver()
    send = _sender(receiver.getsockname())

    def fill() -> None:
        for _ in repeat(None, BATCH):
            send(MESSAGE)

    return _filled(receiver, fill)


def sendto() -> worker.Run:
    """sendto, with the address each time."""
    receiver = _receiver()
    send, target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, receiver.getsockname()

    def fill() -> None:
        for _ in repeat(None, BATCH):
            send(MESSAGE, target)

    return _filled(receiver, fill)


def ours_send() -> worker.Run:
    """native_udp_send to the same host and port again and again."""
    return _ours_send(MESSAGE)


def ours_send_text() -> worker.Run:
    """The same with a string."""
    return _ours_send(MESSAGE.decode())


def _ours_send(message: bytes | str) -> worker.Run:
    library = _library()
    receiver = _receiver()
    host, port = receiver.getsockname()
    identifier = library.native_udp_socket()
    send = library.native_udp_send

    def fill() -> None:
        for _ in repeat(None, BATCH):
            send(identifier, message, host, port)

    return _filled(receiver, fill)


def ours_send_connected() -> worker.Run:
    """native_udp_send_connected."""
    library = _library()
    receiver = _receiver()
    identifier = library.native_udp_socket()
    library.native_udp_connect(identifier, *receiver.getsockname())
    send = library.native_udp_send_connected

    def fill() -> None:
        for _ in repeat(None, BATCH):
            send(identifier, MESSAGE)

    return _filled(receiver, fill)


WORKERS = {
    function.__name__: function
    for function in (
        recvfrom,
        recv,
        recv_into,
        asyncio_recv,
        uvloop_recv,
        ours_recv,
        ours_recv_bytes,
        send_connected,
        sendto,
        ours_send,
        ours_send_text,
        ours_send_connected,
    )
}


def main() -> None:
    options = harness.arguments(__doc__)
    with harness.floor_programs() as floor:
        receiving = harness.measure(
            f"UDP receive, {SIZE} bytes",
            "datagram",
            [
                harness.Contender("C, recvfrom", (floor("udp"), "recv", str(SIZE))),
                harness.in_python("socket.recvfrom", __file__, "recvfrom"),
                harness.in_python("socket.recv, no address", __file__, "recv"),
                harness.in_python("socket.recv_into, no address", __file__, "recv_into"),
                harness.in_python("asyncio endpoint", __file__, "asyncio_recv"),
                harness.in_python("uvloop endpoint", __file__, "uvloop_recv"),
                *harness.ours(__file__, "ours_recv", note="recv"),
                *harness.ours(__file__, "ours_recv_bytes", note="recv_bytes"),
            ],
            options,
        )
        ours = "dryad_net compiled"
        ratio = harness.times(receiving.ratio(f"{ours} recv", "socket.recvfrom"))
        notes = harness.say(f"{ours} recv beside socket.recvfrom: {ratio} by CPU (wanted: at least {RECV_RATIO})")
        sending = harness.measure(
            f"UDP send, {SIZE} bytes",
            "datagram",
            [
                harness.Contender("C, connected send", (floor("udp"), "send", str(SIZE))),
                harness.Contender("C, sendto", (floor("udp"), "sendto", str(SIZE))),
                harness.in_python("socket.send, connected", __file__, "send_connected"),
                harness.in_python("socket.sendto", __file__, "sendto"),
                *harness.ours(__file__, "ours_send", note="send, bytes"),
                *harness.ours(__file__, "ours_send_text", note="send, text"),
                *harness.ours(__file__, "ours_send_connected", note="send_connected"),
            ],
            options,
        )
        for what in ("send, bytes", "send, text", "send_connected"):
            ratio = harness.times(sending.ratio(f"{ours} {what}", "socket.send, connected"))
            notes += harness.say(
                f"{ours} {what} beside a connected socket: {ratio} by CPU (wanted: at least {SEND_RATIO:.2f})"
            )
    harness.save("udp", [receiving, sending], options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        worker.serve(WORKERS[given[0]])
