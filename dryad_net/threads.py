"""Threads of the library's own, locks that may be had or not, and what a signal's handler must not leave half done."""

from __future__ import annotations

import _thread
import contextlib
import errno
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

# How often whoever waits looks up, in seconds. A signal that comes between Python's last look for one and the
# system call that waits does not end that call; on Windows, Ctrl-C ends neither a select nor a wait for a lock.
UNHEARD_SECONDS = 0.1 if sys.platform == "win32" else 1.0
# As plain numbers and made once: asking for them takes as long as starting a thread.
_SIGNALS = tuple(map(int, signal.valid_signals()))


class Latch:
    """Is shut, and once set open for good; a thread can wait for that.

    Made of one lock, since threading.Event waits with a Condition: a signal's handler that raises
    between two of its steps leaves its lock taken for ever, or given back twice, and then the
    RuntimeError about that takes the place of what was raised.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # whoever gets it gives it back, for the next one who waits
        self._lock.acquire()

    def set(self) -> None:
        """Open it; called once."""
        self._lock.release()

    def wait(self, until: float) -> bool:
        """Wait until it is open or the time is up (monotonic seconds). Returns whether it is open."""
        taken: list[bool] = []
        try:
            take(self._lock, max(until - time.monotonic(), 0), taken)
        finally:
            if True in taken:
                self._lock.release()
        return True in taken


class _Start:
    """Starts a thread from another one, where no signal's handler runs (signal: "Signals and threads").

    Thread.start() itself waits with an Event: see Latch.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.done = Latch()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            # Signals are for the script's thread: its waiting calls must be the ones they interrupt.
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            self.thread.start()
        except Exception as error:
            self.failure = error
        finally:
            self.done.set()


def start(run: Callable[..., None], name: str, *args: Any) -> threading.Thread:
    """Start a thread that neither signals reach nor the interpreter's exit waits for.

    run: called with `args` in the thread.
    Errors: OSError (no more threads, or the interpreter is on its way out).
    """
    thread = threading.Thread(target=run, args=args, name=f"dryad_net {name}", daemon=True)
    starting = _Start(thread)
    try:
        _thread.start_new_thread(starting.run, ())
    except RuntimeError as error:
        starting.failure = error
    else:
        starting.done.wait(math.inf)  # not in the try: a signal's handler may raise a RuntimeError too
    if isinstance(starting.failure, RuntimeError):
        raise OSError(errno.EAGAIN, str(starting.failure)) from starting.failure
    if starting.failure is not None:
        raise starting.failure
    return thread


def is_held_here(lock: threading.RLock) -> bool:
    """Does the calling thread hold this lock? It may, below a signal's handler."""
    return lock._is_owned()  # type: ignore[attr-defined,no-any-return]  # what threading.Condition asks as well


def take(lock: threading.Lock | threading.RLock, seconds: float, taken: list[bool]) -> bool:
    """Take a lock, waiting so long, and note in `taken` whether it was had.

    seconds: 0 does not wait, -1 waits without limit. Called inside the caller's ``try``, whose
    ``finally`` gives the lock back if ``True in taken``: between acquire() and a ``try`` behind it a
    signal's handler may raise, and nobody would ever give it back.
    """
    while True:
        piece = UNHEARD_SECONDS if seconds < 0 else min(seconds, UNHEARD_SECONDS)
        taken.extend(map(lock.acquire, (piece != 0,), (piece or -1,)))
        if True in taken or piece == seconds:
            return True in taken
        if seconds > 0:
            seconds -= piece


class Closable(Protocol):
    """What is closed in one step, behind which more is left to do; all of that may be done again."""

    def is_closed(self) -> bool: ...

    def after_close(self) -> None: ...


@contextlib.contextmanager
def completed(closing: Closable) -> Iterator[None]:
    """Around a close: where a signal's handler raises in the middle, do the rest; closing again would do nothing."""
    try:
        yield
    except BaseException:
        if closing.is_closed():
            closing.after_close()
        raise
