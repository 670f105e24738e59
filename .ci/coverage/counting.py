"""Imported by every Python of the counting build, before all else: what it runs is counted.

The interpreter's own lines by coverage.py, those in C by the compiler (gcov), and both write down what
they counted when the process exits. For processes that end otherwise it is done here: by os._exit, as
the child of a fork does, or as a worker of pytest's, which is killed if its exit takes long.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import resource
import sys

_exit = os._exit


def write_down() -> None:
    """Write down what was counted so far; afterwards nothing is counted, or written down again.

    A worker of pytest's that is killed while it writes for the second time would lose the first as well.
    """
    import ctypes

    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.startswith("dryad_net._compiled.") and file is not None:
            ctypes.CDLL(file).__gcov_dump()
    measuring = getattr(coverage.process_startup, "coverage", None)
    if measuring is not None:
        measuring.stop()
        measuring.save()


def make_room() -> None:
    """Have descriptors to write it down with, also where a test has used them up."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, 4096), max(hard, 4096)))


def exit_and_count(status: int) -> None:
    """os._exit, and what was counted is not lost."""
    make_room()
    write_down()
    _exit(status)


if "COVERAGE_PROCESS_START" in os.environ:
    import coverage

    coverage.process_startup()
    atexit.register(make_room)  # later than coverage.py's own, so before it
    os._exit = exit_and_count  # type: ignore[assignment]
