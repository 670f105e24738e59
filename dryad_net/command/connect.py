"""dryad-net connect: what is typed is sent, what arrives is printed; made of nothing but native functions.

The main thread receives, since Ctrl-C reaches it there; a second one reads what is typed. Standard
output carries only what arrived.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

import dryad_net as net

from .console import host_port, note

BLOCK_BYTES = 65536
# Once nothing more is typed, we leave when the peer has been silent for so long.
QUIET_MS = 1000


def tcp(host: str, port: int) -> int:
    """Talk to a TCP server until it, the input or Ctrl-C ends; returns the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        connection = net.native_tcp_connect(host, port)
        try:
            note(f"connected to {host_port(net.native_tcp_get_peer_addr(connection))}, Ctrl-C ends")
            _talk_tcp(connection)
        finally:
            net.native_tcp_close(connection)
    return 0


def _talk_tcp(connection: int) -> None:
    # A peer that reads slowly holds up the typing thread, nobody else.
    net.native_tcp_set_timeout(connection, -1)
    typing = Typing(_typed(), lambda data: net.native_tcp_send(connection, data))
    while True:
        last = typing.ended.is_set()
        data = net.native_tcp_recv_bytes_blocking(connection, BLOCK_BYTES, QUIET_MS)
        if data is not None:
            _show(data)
        elif not net.native_tcp_is_connected(connection):
            note("closed by the peer")
            break
        elif last:
            break
    if typing.error is not None:
        raise typing.error


def udp(host: str, port: int) -> int:
    """Exchange datagrams with one peer until the input or Ctrl-C ends; returns the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        socket = net.native_udp_socket()
        try:
            net.native_udp_connect(socket, host, port)
            note(f"sending from {host_port(net.native_udp_get_local_addr(socket))}, Ctrl-C ends")
            _talk_udp(socket)
        finally:
            net.native_udp_close(socket)
    return 0


def _talk_udp(socket: int) -> None:
    typing = Typing(_typed_lines(), lambda data: net.native_udp_send_connected(socket, data))
    while True:
        last = typing.ended.is_set()
        datagram = net.native_udp_recv_blocking(socket, QUIET_MS)
        if datagram is not None:
            _show(str(datagram["data"]).encode("utf-8", "surrogateescape"))
        elif last:
            break
    if typing.error is not None:
        raise typing.error


class Typing(threading.Thread):
    """Sends what is typed, from a thread of its own; ``ended`` once there is no more, ``error`` if it failed."""

    def __init__(self, pieces: Iterator[bytes], send: Callable[[bytes], object]) -> None:
        # A daemon: nothing wakes a thread that waits for a terminal.
        super().__init__(name="typing", daemon=True)
        self.ended = threading.Event()
        self.error: net.DryadNetError | None = None
        self._pieces = pieces
        self._send = send
        self.start()

    def run(self) -> None:
        try:
            for piece in self._pieces:
                self._send(piece)
        except net.DryadNetError as error:
            self.error = error
        finally:
            self.ended.set()


def _typed() -> Iterator[bytes]:
    """Standard input as it comes: from a terminal, line by line.

    Not through sys.stdin: the interpreter's exit would meet the lock of a read that still waits.
    """
    descriptor = 0 if sys.stdin is None else sys.stdin.fileno()
    with contextlib.suppress(OSError):  # no standard input: nothing is typed
        while data := os.read(descriptor, BLOCK_BYTES):
            yield data


def _typed_lines() -> Iterator[bytes]:
    """Standard input line by line, with the line feeds."""
    begun = b""
    for data in _typed():
        *whole, begun = (begun + data).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if begun:
        yield begun


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
