"""What a call costs: nanoseconds beside the bare system call.

Every call works on a TCP connection whose other end is in the same process, so nobody waits for
anybody. The loop of the measuring script is included; a row of its own says what it takes. How many
system calls a call makes is another subject: system_calls.py.
"""

from __future__ import annotations

import select
import selectors
import socket
import statistics
from collections.abc import Callable
from itertools import repeat
from typing import Any

import harness
import worker

SIZE = 64
BATCH = 64
IDLE = 1000
MESSAGE = b"x" * SIZE
WAIT_MS = 5000
OWN_LIMIT_NS = 400
LIMITED = ("C, recv nothing", "C, recv nothing in turn", "C, send")


_kept: list[socket.socket] = []


class _Own:
    """One of our connections, and the raw socket at its other end."""

    def __init__(self) -> None:
        self.library: Any = worker.load_ours()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.id, self.peer = self.connect()
        self.library.native_tcp_set_nodelay(self.id, True)

    def connect(self) -> tuple[int, socket.socket]:
        identifier = self.library.native_tcp_connect("127.0.0.1", self.listener.getsockname()[1])
        peer = self.listener.accept()[0]
        # A peer that is collected closes, and a receive at the end of the stream is no idle one.
        _kept.append(peer)
        return identifier, peer

    def idle(self, identifiers: list[int]) -> None:
        """Make sure that null meant "nothing there" and not "the end"."""
        if not all(map(self.library.native_tcp_is_connected, identifiers)):
            raise RuntimeError("the connection has ended: these were not idle receives")


def _raw_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, listener.accept()[0]


def _drain(peer: socket.socket) -> None:
    left = SIZE * BATCH
    while left:
        left -= len(peer.recv(left))


# ---- receiving where nothing is there


def nothing_socket() -> worker.Run:
    """socket.recv of a socket that does not block: an exception each time."""
    connection, peer = _raw_pair()
    connection.setblocking(False)
    recv = connection.recv

    def work(count: int) -> None:
        for _ in repeat(None, count):
            try:  # noqa: SIM105 - contextlib.suppress costs more than the call
                recv(4096)
            except BlockingIOError:
                pass
        assert peer.fileno() >= 0

    return worker.timed(work)


def nothing_ours() -> worker.Run:
    """native_tcp_recv."""
    own = _Own()
    return _idle_receives(own, [own.id], 1)


def nothing_in_turn_ours() -> worker.Run:
    """native_tcp_recv on 1,000 idle connections in turn."""
    own = _Own()
    return _idle_receives(own, [own.connect()[0] for _ in range(IDLE)], IDLE)


def waiting_ours() -> worker.Run:
    """native_net_wait for 1,000 idle connections, which were in the last call too."""
    own = _Own()
    wait, identifiers = own.library.native_net_wait, [own.connect()[0] for _ in range(IDLE)]

    def run(watch: worker.Stopwatch, count: int) -> None:
        watch.start()
        for _ in repeat(None, count):
            wait(identifiers, 0)
        watch.stop(count)
        own.idle(identifiers)

    return run


def waiting_selector() -> worker.Run:
    """selectors.DefaultSelector, with 1,000 sockets registered before."""
    selector = selectors.DefaultSelector()
    for _ in range(IDLE):
        connection, peer = _raw_pair()
        _kept.append(peer)
        selector.register(connection, selectors.EVENT_READ)
    return _one_argument(selector.select, 0)


def waiting_poll() -> worker.Run:
    """select.poll, with 1,000 sockets registered before."""
    poller = select.poll()
    for _ in range(IDLE):
        connection, peer = _raw_pair()
        _kept.extend((connection, peer))
        poller.register(connection, select.POLLIN)
    return _one_argument(poller.poll, 0)


def _one_argument(call: Callable[[int], object], argument: int) -> worker.Run:
    def work(count: int) -> None:
        for _ in repeat(None, count):
            call(argument)

    return worker.timed(work)


def _idle_receives(own: _Own, identifiers: list[int], batch: int) -> worker.Run:
    recv = own.library.native_tcp_recv
    # The same loop for one connection as for many: one list long enough not to count.
    turn = identifiers * (IDLE // batch)

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, IDLE):
            watch.start()
            for identifier in turn:
                recv(identifier, 4096)
            watch.stop(IDLE)
        own.idle(identifiers)

    return run


# ---- accepting where nobody is there


def nobody_socket() -> worker.Run:
    """socket.accept of a socket that does not block: an exception each time."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            try:  # noqa: SIM105 - contextlib.suppress costs more than the call
                listener.accept()
            except BlockingIOError:
                pass

    return worker.timed(work)


def nobody_ours() -> worker.Run:
    """native_tcp_accept."""
    library = worker.load_ours()
    return _one_argument(library.native_tcp_accept, library.native_tcp_bind("127.0.0.1", 0))


def nobody_ours_ws() -> worker.Run:
    """native_ws_accept."""
    library = worker.load_ours()
    return _one_argument(library.native_ws_accept, library.native_ws_bind("127.0.0.1", 0))


# ---- sending 64 bytes


def send_socket() -> worker.Run:
    """socket.send."""
    connection, peer = _raw_pair()
    send = connection.send

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            watch.start()
            for _ in repeat(None, BATCH):
                send(MESSAGE)
            watch.stop(BATCH)
            _drain(peer)

    return run


def _send_ours(message: bytes | str) -> worker.Run:
    own = _Own()
    send, identifier, peer = own.library.native_tcp_send, own.id, own.peer

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            watch.start()
            for _ in repeat(None, BATCH):
                send(identifier, message)
            watch.stop(BATCH)
            _drain(peer)

    return run


def send_ours_bytes() -> worker.Run:
    """native_tcp_send of bytes."""
    return _send_ours(MESSAGE)


def send_ours_text() -> worker.Run:
    """native_tcp_send of an ASCII string."""
    return _send_ours(MESSAGE.decode())


# ---- receiving 64 bytes that are there


def something_socket() -> worker.Run:
    """socket.recv."""
    connection, peer = _raw_pair()
    recv = connection.recv

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            peer.sendall(MESSAGE * BATCH)
            watch.start()
            for _ in repeat(None, BATCH):
                recv(SIZE)
            watch.stop(BATCH)

    return run


def something_ours() -> worker.Run:
    """native_tcp_recv_blocking."""
    return _something_ours("native_tcp_recv_blocking")


def something_ours_bytes() -> worker.Run:
    """native_tcp_recv_bytes_blocking."""
    return _something_ours("native_tcp_recv_bytes_blocking")


def _something_ours(name: str) -> worker.Run:
    own = _Own()
    recv, identifier, peer = getattr(own.library, name), own.id, own.peer

    def run(watch: worker.Stopwatch, count: int) -> None:
        for _ in range(0, count, BATCH):
            peer.sendall(MESSAGE * BATCH)
            watch.start()
            # No *arguments here or in any other timed loop: building them costs 100 ns a call.
            for _ in repeat(None, BATCH):
                recv(identifier, SIZE, WAIT_MS)
            watch.stop(BATCH)

    return run


# ---- calls without a system call


def empty_call() -> worker.Run:
    """A builtin function that does nothing to speak of: what the loop itself costs."""

    def work(count: int) -> None:
        for _ in repeat(None, count):
            abs(0)

    return worker.timed(work)


def set_timeout_ours() -> worker.Run:
    """native_tcp_set_timeout: ID lookup, the check of a number, and an attribute."""
    own = _Own()
    set_timeout, identifier = own.library.native_tcp_set_timeout, own.id

    def work(count: int) -> None:
        for _ in repeat(None, count):
            set_timeout(identifier, WAIT_MS)

    return worker.timed(work)


def peer_address_ours() -> worker.Run:
    """native_tcp_get_peer_addr: ID lookup, and a dict."""
    own = _Own()
    return _one_argument(own.library.native_tcp_get_peer_addr, own.id)


def refused_ours() -> worker.Run:
    """native_tcp_recv of a size of 0: refused with an error that says why."""
    own = _Own()
    recv, identifier, refusal = own.library.native_tcp_recv, own.id, own.library.ArgumentError

    def work(count: int) -> None:
        for _ in repeat(None, count):
            try:
                recv(identifier, 0)
            except refusal:
                continue
            raise RuntimeError("taken")

    return worker.timed(work)


WORKERS = {
    function.__name__: function
    for function in (
        nothing_socket,
        nothing_ours,
        nothing_in_turn_ours,
        waiting_ours,
        waiting_selector,
        waiting_poll,
        nobody_socket,
        nobody_ours,
        nobody_ours_ws,
        send_socket,
        send_ours_bytes,
        send_ours_text,
        something_socket,
        something_ours,
        something_ours_bytes,
        empty_call,
        set_timeout_ours,
        peer_address_ours,
        refused_ours,
    )
}


# ---- the tables


def _over(case: harness.Case, name: str) -> float | None:
    """Nanoseconds of processor time above the floor, the median of the rounds."""
    own, floor = case.get(name), case.get(case.results[0].name)
    if own is None or floor is None:
        return None
    return statistics.median(a - b for a, b in zip(own.cpu, floor.cpu, strict=True))


def main() -> None:
    options = harness.arguments(__doc__)
    cases = []
    notes = []
    with harness.floor_programs() as floor:

        def bare(what: str) -> harness.Contender:
            return harness.Contender(f"C, {what}", (floor("calls"), what.replace(" ", "_")))

        subjects = [
            (
                "A receive with nothing there",
                [
                    bare("recv nothing"),
                    harness.in_python("socket.recv, BlockingIOError", __file__, "nothing_socket"),
                    *harness.ours(__file__, "nothing_ours", note="recv"),
                ],
            ),
            (
                f"The same on {IDLE:,} idle connections in turn",
                [bare("recv nothing in turn"), *harness.ours(__file__, "nothing_in_turn_ours", note="recv")],
            ),
            (
                f"Waiting for any of {IDLE:,} idle connections, no time",
                [
                    bare("epoll wait"),
                    harness.in_python("selectors, epoll", __file__, "waiting_selector"),
                    harness.in_python("select.poll", __file__, "waiting_poll"),
                    *harness.ours(__file__, "waiting_ours", note="net_wait"),
                ],
            ),
            (
                "An accept with nobody there",
                [
                    bare("accept nobody"),
                    harness.in_python("socket.accept, BlockingIOError", __file__, "nobody_socket"),
                    *harness.ours(__file__, "nobody_ours", note="tcp_accept"),
                    *harness.ours(__file__, "nobody_ours_ws", note="ws_accept"),
                ],
            ),
            (
                f"A send of {SIZE} bytes",
                [
                    bare("send"),
                    harness.in_python("socket.send", __file__, "send_socket"),
                    *harness.ours(__file__, "send_ours_bytes", note="send, bytes"),
                    *harness.ours(__file__, "send_ours_text", note="send, text"),
                ],
            ),
            (
                f"A blocking receive that finds {SIZE} bytes",
                [
                    bare("recv something"),
                    harness.in_python("socket.recv", __file__, "something_socket"),
                    *harness.ours(__file__, "something_ours", note="recv_blocking"),
                    *harness.ours(__file__, "something_ours_bytes", note="recv_bytes_blocking"),
                ],
            ),
        ]
        for title, contenders in subjects:
            case = harness.measure(title, "call", contenders, options)
            cases.append(case)
            for result in case.results:
                own = _over(case, result.name)
                if own is not None and result.name.startswith("dryad_net compiled"):
                    limit = f" (wanted: under {OWN_LIMIT_NS})" if contenders[0].name in LIMITED else ""
                    said = harness.say(f"{result.name}: {own:.0f} ns over the system call{limit}")
                    notes += harness.about(case, said)
    cases.append(
        harness.measure(
            "Calls that need no system call",
            "call",
            [
                harness.in_python("the loop and an empty call", __file__, "empty_call"),
                *harness.ours(__file__, "set_timeout_ours", note="set_timeout"),
                *harness.ours(__file__, "peer_address_ours", note="get_peer_addr"),
                *harness.ours(__file__, "refused_ours", note="refusal"),
            ],
            options,
        )
    )
    harness.save("calls", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        worker.serve(WORKERS[given[0]])
