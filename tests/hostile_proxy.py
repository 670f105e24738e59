"""A network that is as unkind as TCP allows: everything arrives, in order, but never the way it was sent.

A process of its own between the two ends of every connection. What one end sends reaches the other in
slices of a few bytes, late, several writes at once, or after a pause in which nothing moves; ends of
streams and resets are passed on. Nothing is lost: whatever works over loopback must work through it.

    python tests/hostile_proxy.py slice delay        (until standard input ends; prints its port)

Who wants to be connected says where on the new connection (``dial``); from the answer on, all else is
the other end's. ``install`` makes every socket.connect of a process to this machine do so, which is
how the whole suite passes through it (pytest --through-proxy).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

# Where the proxy is that this process's connections go through.
VARIABLE = "DRYAD_NET_TESTS_PROXY"
# What a direction holds before it stops reading; so a peer who does not read is felt by the other end.
ROOM = 65536
# Slices and pauses are for the first bytes of each direction, where protocols are; then bulk is bulk.
UNKIND_BYTES = 4096
CONNECT_SECONDS = 30.0
PREFACE = struct.Struct("!B46sHI")  # family, host, port, scope
AT_REST = 0  # instead of a family: asks to be told when nothing moves
ANSWER = struct.Struct("!i")  # 0, or an errno
LINGER_RESET = struct.pack("ii", 1, 0)


class Manner(Protocol):
    """One way of being unkind."""

    def take(self, held: int, rng: random.Random) -> tuple[int, float]:
        """How many of the bytes held go now, and how many seconds later it goes on."""


class Slices:
    """From one to seven bytes at a time."""

    def take(self, held: int, rng: random.Random) -> tuple[int, float]:
        return min(held, rng.randint(1, 7)), 0.0


class Delays:
    """One piece in five up to 15 ms late."""

    def take(self, held: int, rng: random.Random) -> tuple[int, float]:
        return held, rng.random() * 0.015 if rng.random() < 0.2 else 0.0


class Coalesced:
    """Everything that comes within 10 ms goes out together."""

    def take(self, held: int, rng: random.Random) -> tuple[int, float]:
        return held, 0.010


class Stalls:
    """Now and then nothing for a fifth of a second, in the middle of whatever it is."""

    def take(self, held: int, rng: random.Random) -> tuple[int, float]:
        return min(held, rng.randint(1, 4096)), 0.2 if rng.random() < 0.05 else 0.0


MANNERS: dict[str, type[Manner]] = {"slice": Slices, "delay": Delays, "coalesce": Coalesced, "stall": Stalls}


class Direction:
    """What goes from one socket to another. Owns the bytes that are on their way."""

    def __init__(self, source: socket.socket, target: socket.socket, manners: list[Manner]) -> None:
        self.source, self.target = source, target
        self.manners = manners
        self.held = bytearray()
        self.passed = 0
        self.ended = self.told = False
        self.due = 0.0  # when something may go out again

    def wants_read(self) -> bool:
        return not self.ended and len(self.held) < ROOM

    def wants_write(self, now: float) -> bool:
        return bool(self.held or (self.ended and not self.told)) and now >= self.due

    def read(self) -> None:
        """Errors: OSError, which is the other end's to know."""
        data = self.source.recv(ROOM)
        if data and not self.held and self.due == 0.0:
            self.due = time.monotonic() + self._pause(len(data))
        self.held += data
        self.ended = not data

    def _pause(self, size: int) -> float:
        return max((manner.take(size, RANDOM)[1] for manner in self.manners), default=0.0)

    def write(self, now: float) -> None:
        """Errors: OSError."""
        size, pause = len(self.held), 0.0
        if self.passed < UNKIND_BYTES:
            for manner in self.manners:
                size, later = manner.take(size, RANDOM)
                pause = max(pause, later)
        if size:
            sent = self.target.send(memoryview(self.held)[:size])
            del self.held[:sent]
            self.passed += sent
        if not self.held and self.ended and not self.told:
            self.told = True
            self.target.shutdown(socket.SHUT_WR)
        self.due = now + pause if self.held else 0.0


class Pair:
    """Two ends, and the two directions between them. Owns both sockets."""

    def __init__(self, near: socket.socket, far: socket.socket, manners: list[Manner]) -> None:
        self.directions = [Direction(near, far, manners), Direction(far, near, manners)]
        self.sockets = [near, far]
        for each in self.sockets:
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def step(self, now: float) -> bool:
        """Move what can be moved. False: it is over."""
        for direction in self.directions:
            try:
                if direction.wants_read():
                    direction.read()
            except BlockingIOError:
                pass
            except OSError:
                return self.reset()
            try:
                if direction.wants_write(now):
                    direction.write(now)
            except BlockingIOError:
                pass
            except OSError:
                return self.reset()
        if all(direction.told for direction in self.directions):
            self.close()
            return False
        return True

    def interest(self, sock: socket.socket, now: float) -> int:
        """What to wait for on one of the sockets."""
        events = 0
        for direction in self.directions:
            if direction.source is sock and direction.wants_read():
                events |= selectors.EVENT_READ
            if direction.target is sock and direction.wants_write(now):
                events |= selectors.EVENT_WRITE
        return events

    def wakes_at(self, now: float) -> float | None:
        """When a pause is over."""
        dues = [each.due for each in self.directions if each.due > now and (each.held or each.ended)]
        return min(dues, default=None)

    def reset(self) -> bool:
        """One end is gone without a goodbye: so is the other."""
        for each in self.sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.close()
        return False

    def close(self) -> None:
        for each in self.sockets:
            each.close()


class Proxy:
    """The process: one loop over all pairs."""

    def __init__(self, manners: list[Manner]) -> None:
        self.manners = manners
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listening.setblocking(False)
        self.port = self.listening.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listening, selectors.EVENT_READ, self.accept)
        self.timers: list[tuple[float, int, Pair]] = []
        self.order = itertools.count()
        self.asking: list[socket.socket] = []  # who waits until nothing moves

    def run(self, ends: int) -> None:
        """Until the descriptor `ends` says that nobody needs it any more."""
        self.selector.register(ends, selectors.EVENT_READ, None)
        while True:
            now = time.monotonic()
            timeout = max(self.timers[0][0] - now, 0.0) if self.timers else 0.0 if self.asking else None
            ready = self.selector.select(timeout)
            if not ready and not self.timers:
                self.tell_rest()
            for key, _events in ready:
                if key.data is None:
                    return
                if isinstance(key.data, Pair):
                    self.go_on(key.data)
                else:
                    key.data(key.fileobj)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                self.go_on(heapq.heappop(self.timers)[2])

    def accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near = listening.accept()[0]
            except BlockingIOError:
                return
            near.setblocking(False)
            self.selector.register(near, selectors.EVENT_READ, self.hear)

    def hear(self, near: socket.socket) -> None:
        """The preface: whom to connect to. It is short, and its sender waits for the answer."""
        self.selector.unregister(near)
        near.setblocking(True)
        try:
            preface = near.recv(PREFACE.size, socket.MSG_WAITALL)
            if len(preface) < PREFACE.size:
                near.close()
                return
        except OSError:
            near.close()
            return
        family, host, port, scope = PREFACE.unpack(preface)
        if family == AT_REST:
            self.asking.append(near)
            return
        ip = host.rstrip(b"\0").decode()
        far = socket.socket(family, socket.SOCK_STREAM)
        far.settimeout(CONNECT_SECONDS)
        try:
            failed = far.connect_ex((ip, port, 0, scope) if family == socket.AF_INET6 else (ip, port))
        except OSError as error:
            failed = error.errno or errno.EIO
        try:
            near.sendall(ANSWER.pack(failed))
        except OSError:
            failed = failed or errno.EPIPE
        if failed:
            near.close()
            far.close()
            return
        pair = Pair(near, far, self.manners)
        for each in pair.sockets:
            self.selector.register(each, selectors.EVENT_READ, pair)
        self.go_on(pair)

    def tell_rest(self) -> None:
        """Answer those who asked for it: nothing moves, and nothing is going to by itself."""
        for near in self.asking:
            with contextlib.suppress(OSError):
                near.sendall(ANSWER.pack(0))
            near.close()
        self.asking.clear()

    def go_on(self, pair: Pair) -> None:
        if pair.sockets[0].fileno() < 0:
            return
        kept = list(pair.sockets)
        descriptors = [each.fileno() for each in kept]
        now = time.monotonic()
        if not pair.step(now):
            for descriptor in descriptors:
                self.forget(descriptor)
            return
        now = time.monotonic()
        for each in kept:
            self.watch(each, pair.interest(each, now), pair)
        wakes_at = pair.wakes_at(now)
        if wakes_at is not None:
            heapq.heappush(self.timers, (wakes_at, next(self.order), pair))

    def watch(self, sock: socket.socket, events: int, pair: Pair) -> None:
        known = self.selector.get_map().get(sock)
        if known is None:
            if events:
                self.selector.register(sock, events, pair)
        elif not events:
            self.selector.unregister(sock)
        elif known.events != events:
            self.selector.modify(sock, events, pair)

    def forget(self, descriptor: int) -> None:
        if descriptor in self.selector.get_map():
            self.selector.unregister(descriptor)


RANDOM = random.Random(os.environ.get("DRYAD_NET_TESTS_SEED", "1"))


# ---- in the process whose connections go through it


def start(*manners: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a proxy with these manners; it ends when its standard input is closed. Returns it and its port."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).resolve()), *manners],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def install() -> None:
    """Have every TCP connection of this process to a loopback address go through the proxy of VARIABLE."""
    port = int(os.environ[VARIABLE])
    straight = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str | int, ...]) -> None:
        failed = dial(self, address, port, straight)
        if failed:
            raise OSError(failed, os.strerror(failed))

    def connect_ex(self: socket.socket, address: tuple[str | int, ...]) -> int:
        try:
            return dial(self, address, port, straight)
        except OSError as error:
            return error.errno or errno.EIO

    socket.socket.connect = connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = connect_ex  # type: ignore[assignment, method-assign]


def rest() -> None:
    """Return when nothing moves in the proxy, if there is one: what still can be taken on the way has been taken."""
    if VARIABLE not in os.environ:
        return
    with socket.socket() as asking:
        # Not through it, as install() has it.
        socket._socket.socket.connect(asking, ("127.0.0.1", int(os.environ[VARIABLE])))  # type: ignore[attr-defined]
        asking.sendall(PREFACE.pack(AT_REST, b"", 0, 0))
        asking.recv(ANSWER.size)


def dial(
    sock: socket.socket, address: tuple[str | int, ...], port: int, straight: Callable[[socket.socket, object], None]
) -> int:
    """Connect a socket through the proxy. Returns 0 or the errno with which the other end refused."""
    host = str(address[0]) if isinstance(address, tuple) else ""
    if sock.type & 0xF != socket.SOCK_STREAM or host not in ("127.0.0.1", "::1", "localhost"):
        straight(sock, address)
        return 0
    timeout = sock.gettimeout()
    sock.settimeout(CONNECT_SECONDS)
    try:
        # An IPv6 socket reaches the proxy too (RFC 4291, 2.5.5.2).
        near = ("::ffff:127.0.0.1", port) if sock.family == socket.AF_INET6 else ("127.0.0.1", port)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        straight(sock, near)
        scope = int(address[3]) if len(address) > 3 else 0
        sock.sendall(PREFACE.pack(sock.family, host.encode(), int(address[1]), scope))
        (failed,) = ANSWER.unpack(sock.recv(ANSWER.size, socket.MSG_WAITALL))
        return int(failed)
    finally:
        sock.settimeout(timeout)


def main() -> None:
    proxy = Proxy([MANNERS[name]() for name in sys.argv[1:]])
    print(proxy.port, flush=True)
    proxy.run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
