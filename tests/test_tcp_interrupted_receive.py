"""Ctrl-C in the middle of a receive: what the kernel has given out is there for the next call."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from interrupt_support import interrupted
from support import Link, arrives

import dryad_net as net

pytestmark = pytest.mark.skipif(net.backend != "pure", reason="the compiled half receives and keeps in one step")
SOON_MS = 5000
STEPS = 20  # more than these functions make calls for one read
READING = ("_fill", "_receive")
CALLS: dict[str, Callable[[int], object]] = {
    "recv_blocking": lambda identifier: net.native_tcp_recv_blocking(identifier, 1000, SOON_MS),
    "recv_bytes_blocking": lambda identifier: net.native_tcp_recv_bytes_blocking(identifier, 1000, SOON_MS),
    "recv_until": lambda identifier: net.native_tcp_recv_until(identifier, "#"),
}


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_lost(link: Link, name: str) -> None:
    def call() -> None:
        got.append(CALLS[name](link.id))

    for step in range(STEPS):
        got: list[object] = []
        line = f"{step}, whole#"
        link.raw.sendall(line.encode())
        arrives(link.id, len(line))
        # Python 3.12 tells of a function's instructions from the second call on.
        interrupted(step or sys.maxsize, READING, call)
        if not got:
            call()
        assert got in ([line], [line.encode()]), step
