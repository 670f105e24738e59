"""Peers that mean harm (hostile_peers.py), in small: held to what docs/security.md says they can cost."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest
from hostile_peers import ATTACKS, MIB, measure

import dryad_net as net

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory and processor time are Linux's proc(5)"),
    pytest.mark.timeout(150),
]
# Another client's longest round trip, in milliseconds: generous, for machines that are busy.
LONGEST = 15_000.0


class Bounds(NamedTuple):
    """What an attack of this scale must meet with, and the bytes that it may make the server hold."""

    scale: float
    outcome: str
    held: int


# The limits behind these: 16 MiB a frame, 64 MiB a message, 16 MiB unsent, 16 MiB unread.
BOUNDS = {
    "silent_connections": Bounds(0.1, "400 of 400 still open", 16 * MIB),
    "silent_members": Bounds(0.1, "200 of 200 still open", 16 * MIB),
    "slow_handshakes": Bounds(0.1, "50 of 50 still open", 16 * MIB),
    "header_flood": Bounds(0.1, "HTTP/1.1 431", 16 * MIB),
    "slow_writer": Bounds(0.1, "20 of 20 still open", 16 * MIB),
    "slow_reader": Bounds(1, "cut off|ended", 64 * MIB),
    "unread_messages": Bounds(1, "stopped after", 64 * MIB),
    "ping_flood": Bounds(0.1, "pings", 16 * MIB),
    "tiny_fragments": Bounds(0.2, "done after 100000 fragments", 32 * MIB),
    "compression_bomb": Bounds(0.25, "closed with 1009", 160 * MIB),
    "bombs_within_the_limit": Bounds(0.1, "1 answer after 2 messages", 300 * MIB),
    "announced_giant": Bounds(1, "closed with 1009, closed with 1009, closed with 1009, closed with 1002", 16 * MIB),
    "announced_and_not_sent": Bounds(0.1, "50 of 50 still open", 64 * MIB),
    "mask_missing": Bounds(1, "closed with 1002", 16 * MIB),
    "endless_line": Bounds(1, "cut off after|let go", 160 * MIB),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_it_costs_no_more_than_it_may(name: str) -> None:
    bounds = BOUNDS[name]
    found = measure(name, bounds.scale, {"DRYAD_NET_BACKEND": net.backend})
    assert any(each in found.outcome for each in bounds.outcome.split("|")), found
    assert found.held < bounds.held, found
    assert found.longest_ms < LONGEST, found
