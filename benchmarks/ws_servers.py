"""WebSocket servers of every contender, each of which does what it is told on standard input.

The first line out is the port. "echo": sends back every message for ever. "open N" serves until N
clients are there, "talk" until one more message of each has been sent back; both are answered with
the bytes of memory private to this process. "broadcast COUNT SIZE" sends COUNT messages to every
client and is answered with "WALL CPU OPS". "stop" ends every connection; answered with 0.
floor/ws_server.c takes the same lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import importlib
import os
import resource
import select
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import harness
import worker

WAIT_MS = 20000
BACKLOG = 1024
HERE = Path(__file__)
LISTENER = HERE.parent / "floor" / "picows_listener.pyx"


def private_bytes() -> int:
    """Memory private to this process."""
    total = 0
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_"):
            total += int(line.split()[1])
    return total * 1024


def raise_descriptor_limit() -> int:
    """As many descriptors as the system allows; returns how many."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Server(Protocol):
    """The process under test."""

    port: int

    def open(self, count: int) -> int:
        """Serve until so many clients are there; returns how many really are."""

    def talk(self) -> None:
        """Send back one message of every client."""

    def broadcast(self, message: bytes, times: int) -> int:
        """Send to all; returns how many sends that was."""

    def echo(self) -> None:
        """Serve for ever."""

    def stop(self) -> None:
        """End every connection."""


# ---- contenders


class Ours:
    """native_net_wait says which clients have something."""

    def __init__(self) -> None:
        self.library: Any = worker.load_ours()
        self.server = self.library.native_ws_bind("127.0.0.1", 0)
        self.port = self.library.native_ws_get_local_addr(self.server)["port"]
        self.clients: list[int] = []

    def open(self, count: int) -> int:
        library = self.library
        while len(self.clients) < count:
            client = library.native_ws_accept(self.server)
            if client is not None:
                self.clients.append(client)
            elif not library.native_net_wait([self.server], WAIT_MS):
                raise RuntimeError("nobody connected in time")
        return len(library.native_ws_get_clients(self.server))

    def talk(self) -> None:
        library = self.library
        for client in self.clients:
            message = library.native_ws_recv_binary_blocking(client, WAIT_MS)
            library.native_ws_send_binary(client, message)

    def broadcast(self, message: bytes, times: int) -> int:
        return sum(self.library.native_ws_broadcast_binary(self.server, message) for _ in range(times))

    def stop(self) -> None:
        self.library.native_ws_stop_server(self.server)

    def echo(self) -> None:
        library = self.library
        server = self.server
        wait, accept = library.native_net_wait, library.native_ws_accept
        recv, send = library.native_ws_recv_binary, library.native_ws_send_binary
        watched = [server]
        while True:
            for one in wait(watched, -1):
                if one == server:
                    client = accept(server)
                    if client is not None:
                        watched.append(client)
                    continue
                try:
                    message = recv(one)
                    if message is not None:
                        send(one, message)
                        continue
                    gone = not library.native_ws_is_connected(one)
                except library.DryadNetError:
                    gone = True
                if gone:
                    library.native_ws_close(one)
                    watched.remove(one)


class OursInTurn(Ours):
    """Nothing but accept and recv, on every client in turn: what the specification alone offers."""

    def echo(self) -> None:
        library = self.library
        accept, recv, send = library.native_ws_accept, library.native_ws_recv_binary, library.native_ws_send_binary
        clients = self.clients
        while True:
            client = accept(self.server)
            if client is not None:
                clients.append(client)
            for one in clients:
                message = recv(one)
                if message is not None:
                    send(one, message)


class OnLoop:
    """What the servers on an event loop share: they always echo, and count what they have sent back."""

    def __init__(self, uvloop: bool = True) -> None:
        if uvloop:
            import uvloop as library

            self.loop: asyncio.AbstractEventLoop = library.new_event_loop()
        else:
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.clients: set[Any] = set()
        self.echoed = 0
        self.port = self.loop.run_until_complete(self.listen())

    async def listen(self) -> int:
        """Start the server; returns its port."""
        raise NotImplementedError

    def until(self, reached: Callable[[], bool]) -> None:
        async def wait() -> None:
            while not reached():
                await asyncio.sleep(0.001)

        self.loop.run_until_complete(asyncio.wait_for(wait(), harness.SILENCE_SECONDS))

    def open(self, count: int) -> int:
        self.until(lambda: len(self.clients) >= count)
        return len(self.clients)

    def talk(self) -> None:
        wanted = self.echoed + len(self.clients)
        self.until(lambda: self.echoed >= wanted)

    def echo(self) -> None:
        self.loop.run_forever()

    def broadcast(self, message: bytes, times: int) -> int:
        return self.loop.run_until_complete(self._broadcast(message, times))

    async def _broadcast(self, message: bytes, times: int) -> int:
        for _ in range(times):
            await self.to_all(message)
        return times * len(self.clients)

    def to_all(self, message: bytes) -> Awaitable[None]:
        """Send one message to every client."""
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


class Picows(OnLoop):
    """A listener written in Python, which is what its users write."""

    async def listen(self) -> int:
        import picows

        clients, outer, binary = self.clients, self, picows.WSMsgType.BINARY

        class Listener(picows.WSListener):  # type: ignore[misc]
            def on_ws_connected(self, transport: Any) -> None:
                clients.add(transport)

            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                if frame.msg_type != binary:
                    return
                transport.send(binary, frame.get_payload_as_bytes())
                outer.echoed += 1

            def on_ws_disconnected(self, transport: Any) -> None:
                clients.discard(transport)

        return await self.serve_with(Listener)

    async def serve_with(self, listener: Callable[[], Any]) -> int:
        import picows

        server = await picows.ws_create_server(lambda request: listener(), "127.0.0.1", 0, backlog=BACKLOG)
        return int(server.sockets[0].getsockname()[1])

    async def to_all(self, message: bytes) -> None:
        import picows

        binary = picows.WSMsgType.BINARY
        for client in self.clients:
            client.send(binary, message)


class PicowsCompiled(Picows):
    """A listener written in Cython, compiled for the occasion."""

    async def listen(self) -> int:
        listener = compiled_listener()
        self.clients = listener.clients
        return await self.serve_with(listener.Listener)


def compiled_listener() -> Any:
    """The module of picows_listener.pyx, compiled by whoever needs it first.

    Errors: worker.Unavailable where it cannot be compiled.
    """
    folder = os.environ[harness.BUILT]
    if not list(Path(folder).glob(f"{LISTENER.stem}*.so")):
        source = shutil.copy(LISTENER, folder)
        build = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "--quiet", source]
        done = subprocess.run(build, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip() or "no word").splitlines()[-1]
            raise worker.Unavailable(f"Cython and setuptools are needed to compile its listener: {said}")
    sys.path.insert(0, folder)
    return importlib.import_module(LISTENER.stem)


class Websockets(OnLoop):
    """The asyncio server of websockets, on asyncio's own loop."""

    def __init__(self) -> None:
        super().__init__(uvloop=False)

    async def listen(self) -> int:
        from websockets.asyncio.server import serve
        from websockets.exceptions import ConnectionClosed

        async def handle(connection: Any) -> None:
            self.clients.add(connection)
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    await connection.send(message)
                    self.echoed += 1
            self.clients.discard(connection)

        options: dict[str, Any] = {"compression": None, "ping_interval": None, "backlog": BACKLOG}
        self.server = await serve(handle, "127.0.0.1", 0, **options)
        return int(next(iter(self.server.sockets)).getsockname()[1])

    async def to_all(self, message: bytes) -> None:
        from websockets.asyncio.server import broadcast

        broadcast(self.clients, message)


class Aiohttp(OnLoop):
    """web.WebSocketResponse."""

    async def listen(self) -> int:
        from aiohttp import WSMsgType, web

        async def handle(request: Any) -> Any:
            connection = web.WebSocketResponse(compress=False)
            await connection.prepare(request)
            self.clients.add(connection)
            async for message in connection:
                if message.type is WSMsgType.BINARY:
                    await connection.send_bytes(message.data)
                    self.echoed += 1
            self.clients.discard(connection)
            return connection

        application = web.Application()
        application.router.add_get("/", handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
        await site.start()
        return int(runner.addresses[0][1])

    async def to_all(self, message: bytes) -> None:
        for client in self.clients:
            await client.send_bytes(message)


SERVERS: dict[str, Callable[[], Server]] = {
    "ours": Ours,
    "ours_in_turn": OursInTurn,
    "picows": Picows,
    "picows_compiled": PicowsCompiled,
    "websockets": Websockets,
    "aiohttp": Aiohttp,
}


def contender(name: str, server: str, backend: str = "") -> harness.Contender:
    """A server as a contender."""
    return harness.in_python(name, str(HERE), server, backend=backend)


def ours(server: str = "ours", note: str = "") -> list[harness.Contender]:
    """Both halves of the library."""
    return harness.ours(str(HERE), server, note=note)


# ---- the worker


def end_with_input() -> None:
    """Have this process end when the harness closes its standard input, whatever the process is doing.

    The kernel sees to that, by the signal SIGIO (fcntl(2), F_SETOWN): a thread that waits for it would have the
    kernel count who uses a descriptor, in every system call (techniques.py), and only in Python's contenders.
    """
    stdin = sys.stdin.fileno()
    fcntl.fcntl(stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stdin, fcntl.F_SETFL, fcntl.fcntl(stdin, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([stdin], [], [], 0)[0]:  # it was closed already
        sys.exit()


def told(server: Server) -> None:
    """Do what the lines on standard input say."""
    for line in sys.stdin:
        command, *numbers = line.split()
        answer = "0"
        if command == "echo":
            end_with_input()
            server.echo()
        elif command == "broadcast":
            watch = worker.Stopwatch()
            message = b"x" * int(numbers[1])
            gc.collect()
            watch.start()
            watch.stop(server.broadcast(message, int(numbers[0])))
            answer = f"{watch.wall} {watch.cpu} {watch.operations}"
        elif command == "stop":
            server.stop()
        elif command in ("open", "talk"):
            if command == "talk":
                server.talk()
            else:
                opened = server.open(int(numbers[0]))
                # One that is closed already costs less: it must not pass for an idle one.
                if opened != int(numbers[0]):
                    raise RuntimeError(f"{opened} connections are open, not {numbers[0]}")
            gc.collect()
            answer = str(private_bytes())
        print(answer, flush=True)


def main() -> None:
    given = worker.worker_arguments()
    if given is None:
        raise SystemExit("these are the servers of ws_server.py and others, which start them")
    raise_descriptor_limit()
    try:
        server = SERVERS[given[0]]()
    except (ImportError, worker.Unavailable) as error:
        print("skip", error, flush=True)
        return
    gc.collect()
    gc.freeze()
    print(server.port, flush=True)
    told(server)


if __name__ == "__main__":
    main()
