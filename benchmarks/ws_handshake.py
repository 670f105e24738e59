"""A server's opening handshake: accepting, answering the request, and letting go of the connection.

A C program on the same CPU connects, asks for the upgrade, reads the answer and resets the
connection, one after the other; the CPU column is the server's processor time, all its threads.
Then the answer alone, in memory: all that this library does for it, and wsproto's part of that.
"""

from __future__ import annotations

import statistics

import harness
import load
import worker
import ws_server

OURS = "dryad_net compiled"
WEBSOCKETS = "websockets, asyncio"
ANSWER = "the whole answer"
WSPROTO = "wsproto's part of it"
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def whole_answer() -> worker.Run:
    """What the library makes of a request: its checks, and wsproto's."""
    worker.load_ours()
    from dryad_net import handshake_server, handshake_settings

    settings = handshake_settings.Settings()

    def work(count: int) -> None:
        for _ in range(count):
            if handshake_server.answer(REQUEST, settings).agreement is None:
                raise RuntimeError("refused")

    return worker.timed(work)


def wsproto_alone() -> worker.Run:
    """The calls of wsproto that are among them, on the same request."""
    from wsproto.connection import ConnectionType
    from wsproto.events import AcceptConnection
    from wsproto.handshake import H11Handshake

    def work(count: int) -> None:
        for _ in range(count):
            handshake = H11Handshake(ConnectionType.SERVER)
            handshake.receive_data(REQUEST)
            if not handshake.send(AcceptConnection()).startswith(b"HTTP/1.1 101 "):
                raise RuntimeError("refused")

    return worker.timed(work)


WORKERS = {function.__name__: function for function in (whole_answer, wsproto_alone)}


def share(served: harness.Case, answered: harness.Case) -> list[str]:
    """How much of a handshake is wsproto's."""
    ours, part = served.get(OURS), answered.get(WSPROTO)
    if ours is None or part is None:
        return []
    all_of_it, of_it = statistics.median(ours.cpu), statistics.median(part.cpu)
    return harness.say(
        f"wsproto takes {harness.amount(of_it)} of the {harness.amount(all_of_it)} of {OURS}: {of_it / all_of_it:.0%}"
    )


def main() -> None:
    options = harness.arguments(__doc__)
    with harness.floor_programs() as floor:
        servers = [one for one in ws_server.contenders(floor("ws_server")) if not one.name.endswith("in turn")]
        served = harness.measure(
            "WebSocket server, opening handshake",
            "handshake",
            [load.UnderLoad(one, (floor("ws_handshakes"), "{port}")) for one in servers],
            options,
        )
    notes = harness.gate(served, OURS, None, [WEBSOCKETS])
    answered = harness.measure(
        "The answer to a handshake, in memory",
        "answer",
        [
            harness.in_python(ANSWER, __file__, "whole_answer"),
            harness.in_python(WSPROTO, __file__, "wsproto_alone"),
        ],
        options,
    )
    notes += share(served, answered)
    harness.save("ws_handshake", [served, answered], options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        worker.serve(WORKERS[given[0]])
