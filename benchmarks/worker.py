"""The contender's side of harness.py: what runs in a worker written in Python."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """The part of a run that counts: what lies between start() and stop() is added up."""

    def __init__(self) -> None:
        self.wall = self.cpu = self.operations = 0
        self._wall_start = self._cpu_start = 0

    def start(self) -> None:
        """Begin to count."""
        self._cpu_start = time.process_time_ns()
        self._wall_start = time.perf_counter_ns()

    def stop(self, operations: int) -> None:
        """Add what was done since start()."""
        self.wall += time.perf_counter_ns() - self._wall_start
        self.cpu += time.process_time_ns() - self._cpu_start
        self.operations += operations


Run = Callable[[Stopwatch, int], None]


class Unavailable(Exception):  # noqa: N818 - not an error: the contender is left out, and why is printed
    """A contender cannot take part here."""


def timed(work: Callable[[int], object]) -> Run:
    """A run all of which counts, from a function that does so many operations."""

    def run(watch: Stopwatch, count: int) -> None:
        watch.start()
        work(count)
        watch.stop(count)

    return run


def serve(prepare: Callable[[], Run]) -> None:
    """Be a worker until the harness closes our standard input."""
    try:
        run = prepare()
    except (ImportError, Unavailable) as error:
        print("skip", error, flush=True)
        return
    # A collection in the middle of one contender's round and not in another's says nothing about them.
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        watch = Stopwatch()
        run(watch, int(line))
        print(watch.wall, watch.cpu, watch.operations, flush=True)


def load_ours() -> Any:
    """The library under test, as DRYAD_NET_BACKEND says."""
    import dryad_net

    return dryad_net


def worker_arguments() -> list[str] | None:
    """The arguments behind --worker, if this process is a contender."""
    return sys.argv[2:] if len(sys.argv) > 2 and sys.argv[1] == "--worker" else None
