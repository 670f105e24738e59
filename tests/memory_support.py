"""What a process holds in memory, exactly enough to tell whether something was left behind."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20


def memory() -> int:
    """Bytes of memory in use (proc(5): statm, resident pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Held(NamedTuple):
    """What the process holds: blocks of Python's, bytes of the C library's heap, and memory in all."""

    blocks: int
    heap: int
    memory: int

    def __str__(self) -> str:
        return f"{self.blocks} blocks, heap {self.heap / MIB:.1f} MiB, in all {self.memory / MIB:.1f} MiB"


def held() -> Held:
    """What is in use once the garbage is collected."""
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
