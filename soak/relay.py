"""The network in between: one connection, passed on by a thread that slices, stalls and cuts it."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from typing import NamedTuple

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds (socket(7))
# What passes in pieces, in either direction; bulk after that is bulk.
SLICED_BYTES = 2048
PATIENCE_SECONDS = 60.0


class Fault(NamedTuple):
    """What the relay does to a connection.

    ``slices``: pass it on in pieces of 1 to 7 bytes; ``stalls``: seconds that it stops now and then;
    ``cut_after``: bytes after which it ends, or None; ``how``: "reset", "end" (both ways, cleanly), or
    "silence" (nothing passes for a while, and then a reset).
    """

    slices: bool = False
    stalls: float = 0.0
    cut_after: int | None = None
    how: str = ""


class Relay(threading.Thread):
    """Passes one connection on to a port of this machine. Owns its sockets; ends with the connection."""

    def __init__(self, target: int, fault: Fault, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._fault = fault
        self._rng = rng
        self._passed = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE_SECONDS)
        self.port = int(self._listening.getsockname()[1])
        self.was_cut = False
        self.start()

    def run(self) -> None:
        near = far = None
        try:
            near = self._listening.accept()[0]
            self._listening.close()
            far = socket.create_connection(("127.0.0.1", self._target))
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                each.settimeout(PATIENCE_SECONDS)
            self._pass_on(near, far)
        except OSError:
            # One end has reset the connection: the other learns it in the same way.
            for each in (near, far):
                if each is not None:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        finally:
            for each in (near, far, self._listening):
                if each is not None:
                    each.close()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        open_ends = [near, far]
        while open_ends:
            readable = select.select(open_ends, [], [], PATIENCE_SECONDS)[0]
            if not readable:
                raise TimeoutError
            for source in readable:
                data = source.recv(16384)
                if not data:
                    open_ends.remove(source)
                    other[source].shutdown(socket.SHUT_WR)
                elif not self._forward(data, other[source]):
                    return

    def _forward(self, data: bytes, target: socket.socket) -> bool:
        """Pass it on in the way of the fault; False: that was the end."""
        fault = self._fault
        while data:
            size = len(data)
            if fault.slices and self._passed < SLICED_BYTES:
                size = self._rng.randint(1, 7)
            if fault.cut_after is not None:
                size = min(size, fault.cut_after - self._passed)
                if size <= 0:
                    return self._cut()
            if fault.stalls and self._rng.random() < 0.02:
                threading.Event().wait(self._rng.random() * fault.stalls)
            target.sendall(data[:size])
            self._passed += min(size, len(data))
            data = data[size:]
        return True

    def _cut(self) -> bool:
        self.was_cut = True
        if self._fault.how == "silence":
            threading.Event().wait(0.5)
        if self._fault.how != "end":
            raise ConnectionResetError
        return False


def random_fault(rng: random.Random) -> Fault:
    """One in two connections is left alone; half of the others are cut."""
    if rng.random() < 0.5:
        return Fault()
    slices, stalls = rng.random() < 0.5, rng.choice([0.0, 0.0, 0.05, 0.3])
    if rng.random() < 0.5:
        return Fault(slices, stalls)
    return Fault(slices, stalls, int(2 ** rng.uniform(0, 18)), rng.choice(["reset", "end", "silence"]))
