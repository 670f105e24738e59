"""What this process holds and uses, as Linux tells it."""

from __future__ import annotations

import os
import time

from memory_support import MIB, Held

MORE_BLOCKS = 5_000
MORE_HEAP = 4 * MIB
MORE_MEMORY = 64 * MIB


def descriptors() -> int:
    """How many descriptors are open, not counting the one that looks."""
    return len(os.listdir("/proc/self/fd")) - 1


def idle_share(seconds: float) -> float:
    """Which share of one processor this process uses while nobody in it does anything."""
    used, begun = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - used) / (time.monotonic() - begun)


def is_flat(rounds: list[Held]) -> bool:
    """Is as much held after the last round as after the second? The first fills caches.

    Blocks and the heap tell exactly; memory in all also has holes, of which there are more for a while.
    """
    early, late = rounds[1], rounds[-1]
    return (
        late.blocks - early.blocks <= MORE_BLOCKS
        and late.heap - early.heap <= MORE_HEAP
        and late.memory - early.memory <= MORE_MEMORY
    )
