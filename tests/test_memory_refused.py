"""Memory refused: a malloc that fails at each allocation in turn, while the compiled half does everything it can do."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support import preloaded

import dryad_net as net

FOLDER = Path(__file__).parent / "memory"
# __libc_malloc is glibc's, and LD_PRELOAD its loader's. In the pure half memory is Python's own.
pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or net.backend != "compiled",
        reason="glibc and the compiled half",
    ),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("exchange", ["tcp", "ws", "deflate"])
def test_every_allocation_in_turn(exchange: str, tmp_path: Path) -> None:
    """A right result, MemoryError, or an error of the library's; and nothing else is disturbed by it."""
    refusing = preloaded(FOLDER / "refuse.c", tmp_path)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(FOLDER / "exchange.py"), exchange],
        env={**os.environ, "LD_PRELOAD": refusing, "PYTHONMALLOC": "malloc", "DRYAD_NET_BACKEND": net.backend},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    counts = [int(line.split(": ")[-1].split()[0]) for line in done.stdout.splitlines()]
    assert sum(counts) > 20, done.stdout
