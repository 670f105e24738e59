"""What is typed, and what is printed in answer to it, as the clients of the command line share it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

import dryad_net as net

from .. import threads

BLOCK_BYTES = 65536


class Typing:
    """Sends what is typed, from a thread of its own; ``ended`` once there is no more, ``error`` if it failed."""

    def __init__(self, pieces: Iterator[bytes], send: Callable[[bytes], object]) -> None:
        self.ended = threading.Event()
        self.error: net.DryadNetError | None = None
        self._pieces = pieces
        self._send = send
        threads.start(self._run, "typing")

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                self._send(piece)
        except net.DryadNetError as error:
            self.error = error
        finally:
            self.ended.set()


def typed() -> Iterator[bytes]:
    """Standard input as it comes: from a terminal, line by line.

    Not through sys.stdin: the interpreter's exit would meet the lock of a read that still waits.
    """
    descriptor = 0 if sys.stdin is None else sys.stdin.fileno()
    with contextlib.suppress(OSError):  # no standard input: nothing is typed
        while data := os.read(descriptor, BLOCK_BYTES):
            yield data


def typed_lines() -> Iterator[bytes]:
    """Standard input line by line, with the line feeds."""
    begun = b""
    for data in typed():
        *whole, begun = (begun + data).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if begun:
        yield begun


def show(data: bytes) -> None:
    """Print what has arrived, the bytes themselves, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
