"""A WebSocket client's round trip, from 16 bytes to 1 MiB, binary and text.

Every contender talks to the same C echo server on the same CPU; the CPU column is the client's
alone. Every contender makes an object of each answer: bytes, or a string, which is decoded.
"mixed" is text in several scripts; its size is that of its UTF-8. "C, with a time limit, beside a thread" has what
the library's connections have: receives end when their time is up, and a second thread would answer pings.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import Any

import harness
import worker

SIZES = (16, 256, 8192, 102400, 1048576)
KINDS = ("binary", "text", "mixed")
WAIT_MS = 10000
OURS = "dryad_net compiled"
# What the library aims at, beside the C client by processor time: up to this size, and above it. The C
# client decodes nothing, so of mixed text it wants to be ahead of its peers alone.
WANTED, WANTED_ABOVE = 0.90, 0.86
WANTED_UP_TO = 8192
PROMISING = "C, with a time limit, beside a thread"
# Latin, Greek, Cyrillic, Devanagari, Han, kana, Hangul, and a character outside the first plane.
SCRIPTS = "Straße, λόγος, Привет, नमस्ते, 世界, こんにちは, 안녕, 🌳. "


def message_of(kind: str, size: int) -> Any:
    """A message of so many bytes."""
    if kind == "binary":
        return b"x" * size
    if kind == "text":
        return "x" * size
    cut = (SCRIPTS.encode() * (size // len(SCRIPTS.encode()) + 1))[:size].decode(errors="ignore")
    return cut + "x" * (size - len(cut.encode()))


def url_of(port: int) -> str:
    return f"ws://127.0.0.1:{port}/"


def compare(answer: object, message: object) -> None:
    """Once, before anything counts."""
    if answer != message:
        raise RuntimeError("the answer is another message")


def synchronous(send: Callable[[Any], object], recv: Callable[[], Any], message: Any) -> worker.Run:
    """Round trips with two calls that wait."""
    send(message)
    compare(recv(), message)
    length = len(message)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(message)
            if len(recv()) != length:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def asynchronous(
    loop: asyncio.AbstractEventLoop,
    send: Callable[[Any], Awaitable[object]],
    recv: Callable[[], Awaitable[Any]],
    message: Any,
) -> worker.Run:
    """The same with two coroutines."""
    length = len(message)

    async def once() -> None:
        await send(message)
        compare(await recv(), message)

    async def work(count: int) -> None:
        for _ in repeat(None, count):
            await send(message)
            if len(await recv()) != length:
                raise RuntimeError("a short answer")

    loop.run_until_complete(once())
    return worker.timed(lambda count: loop.run_until_complete(work(count)))


# ---- contenders


def ours(port: int, kind: str, size: int) -> worker.Run:
    """native_ws_send and native_ws_recv_blocking, or their namesakes for bytes."""
    library = worker.load_ours()
    connection = library.native_ws_connect(url_of(port))
    message = message_of(kind, size)
    if kind == "binary":
        send, recv = library.native_ws_send_binary, library.native_ws_recv_binary_blocking
    else:
        send, recv = library.native_ws_send, library.native_ws_recv_blocking
    send(connection, message)
    compare(recv(connection, WAIT_MS), message)
    length = len(message)

    def work(count: int) -> None:
        for _ in repeat(None, count):
            send(connection, message)
            if len(recv(connection, WAIT_MS)) != length:
                raise RuntimeError("a short answer")

    return worker.timed(work)


def picows(port: int, kind: str, size: int, transport: str = "aiofastnet") -> worker.Run:
    """The next message is sent from within the callback that brings the answer to the last."""
    import picows as library
    import uvloop

    message = message_of(kind, size)
    length = len(message)
    # It takes bytes alone: a string is encoded for every message, as it is for the other contenders.
    binary = kind == "binary"
    opcode = library.WSMsgType.BINARY if binary else library.WSMsgType.TEXT

    class Pinger(library.WSListener):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = 0
            self.done: asyncio.Future[None] | None = None
            self.last: Any = None

        def send(self) -> None:
            self.transport.send(opcode, message if binary else message.encode())

        def on_ws_connected(self, transport: Any) -> None:
            self.transport = transport

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            answer = frame.get_payload_as_bytes() if binary else frame.get_payload_as_utf8_text()
            if len(answer) != length:
                raise RuntimeError("a short answer")
            self.left -= 1
            if self.left > 0:
                transport.send(opcode, message if binary else message.encode())
            else:
                self.last = answer
                assert self.done is not None
                self.done.set_result(None)

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)

    async def open_it() -> Any:
        fast = None if transport == "aiofastnet" else False
        return (await library.ws_connect(Pinger, url_of(port), use_aiofastnet=fast))[1]

    pinger = loop.run_until_complete(open_it())

    async def work(count: int) -> None:
        pinger.left, pinger.done = count, loop.create_future()
        pinger.send()
        await pinger.done

    loop.run_until_complete(work(1))
    compare(pinger.last, message)
    return worker.timed(lambda count: loop.run_until_complete(work(count)))


def websockets_sync(port: int, kind: str, size: int) -> worker.Run:
    from websockets.sync.client import connect

    connection = connect(url_of(port), compression=None, max_size=None, ping_interval=None)
    return synchronous(connection.send, connection.recv, message_of(kind, size))


def websockets_asyncio(port: int, kind: str, size: int) -> worker.Run:
    from websockets.asyncio.client import connect

    loop = asyncio.new_event_loop()

    async def open_it() -> Any:
        return await connect(url_of(port), compression=None, max_size=None, ping_interval=None)

    connection = loop.run_until_complete(open_it())
    return asynchronous(loop, connection.send, connection.recv, message_of(kind, size))


def websocket_client(port: int, kind: str, size: int) -> worker.Run:
    import websocket
    import wsaccel  # noqa: F401 - it takes over masking and the check of UTF-8

    options = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
    connection = websocket.create_connection(url_of(port), sockopt=options, enable_multithread=False)
    send = connection.send_binary if kind == "binary" else connection.send
    return synchronous(send, connection.recv, message_of(kind, size))


def aiohttp(port: int, kind: str, size: int) -> worker.Run:
    import aiohttp as library
    import uvloop

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)

    async def open_it() -> Any:
        return await library.ClientSession().ws_connect(url_of(port), max_msg_size=0)

    connection = loop.run_until_complete(open_it())
    if kind == "binary":
        return asynchronous(loop, connection.send_bytes, connection.receive_bytes, message_of(kind, size))
    return asynchronous(loop, connection.send_str, connection.receive_str, message_of(kind, size))


WORKERS: dict[str, Callable[..., worker.Run]] = {
    function.__name__: function
    for function in (ours, picows, websockets_sync, websockets_asyncio, websocket_client, aiohttp)
}


PICOWS = ("picows, uvloop", "picows, uvloop, no aiofastnet")


def main() -> None:
    options = harness.arguments(__doc__, choices={"sizes": SIZES, "kinds": KINDS})
    cases = []
    notes = []
    with harness.floor_programs() as floor, harness.server(floor("ws_echo_server")) as port:
        for kind in options.kinds:
            for size in options.sizes:
                in_c = "binary" if kind == "binary" else "text"
                given = (port, kind, size)
                case = harness.measure(
                    f"WebSocket echo, {size:,} bytes, {kind}, client",
                    "round trip",
                    [
                        harness.Contender("C, blocking", (floor("ws_client"), str(port), str(size), in_c)),
                        harness.Contender(PROMISING, (floor("ws_client"), str(port), str(size), in_c, "promises")),
                        *harness.ours(__file__, "ours", *given),
                        harness.in_python(PICOWS[0], __file__, "picows", *given),
                        harness.in_python(PICOWS[1], __file__, "picows", *given, "plain"),
                        harness.in_python("aiohttp, uvloop", __file__, "aiohttp", *given),
                        harness.in_python("websocket-client, wsaccel", __file__, "websocket_client", *given),
                        harness.in_python("websockets, asyncio", __file__, "websockets_asyncio", *given),
                        harness.in_python("websockets, sync", __file__, "websockets_sync", *given),
                    ],
                    options,
                )
                cases.append(case)
                wanted = None if kind == "mixed" else WANTED if size <= WANTED_UP_TO else WANTED_ABOVE
                notes += harness.about(case, harness.gate(case, OURS, wanted) + harness.beside(case, OURS, PROMISING))
    harness.save("ws_echo", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, port, kind, size, *rest = given
        worker.serve(lambda: WORKERS[function](int(port), kind, int(size), *rest))
