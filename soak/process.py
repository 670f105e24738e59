"""What this process holds and uses, as Linux tells it."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20
MORE_BLOCKS = 5_000
MORE_HEAP = 4 * MIB
MORE_MEMORY = 64 * MIB


def memory() -> int:
    """Bytes of memory in use (proc(5): statm, resident pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many descriptors are open, not counting the one that looks."""
    return len(os.listdir("/proc/self/fd")) - 1


def idle_share(seconds: float) -> float:
    """Which share of one processor this process uses while nobody in it does anything."""
    used, begun = time.process_time(), time.monotonic()
    time.sleep(seconds)
    return (time.process_time() - used) / (time.monotonic() - begun)


class Held(NamedTuple):
    """What the process holds: blocks of Python's, bytes of the C library's heap, and memory in all."""

    blocks: int
    heap: int
    memory: int

    def __str__(self) -> str:
        return f"{self.blocks} blocks, heap {self.heap / MIB:.1f} MiB, in all {self.memory / MIB:.1f} MiB"


def held() -> Held:
    """What is in use once the garbage is collected. The heap is that of one arena: see run.py."""
    gc.collect()
    heap = 0
    if hasattr(ctypes.CDLL(None), "mallinfo2"):  # glibc 2.33
        call = ctypes.CDLL(None).mallinfo2
        call.restype = _Mallinfo
        heap = call().uordblks + call().hblkhd
    return Held(sys.getallocatedblocks(), heap, memory())


_MALLINFO = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Mallinfo(ctypes.Structure):
    """mallinfo(3): struct mallinfo2."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO)


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
