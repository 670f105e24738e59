"""Threads of the library's own, and locks that may be had or not."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable
from typing import Any


def start(run: Callable[..., None], name: str, *args: Any) -> threading.Thread:
    """Start a thread that neither signals reach nor the interpreter's exit waits for.

    run: called with `args` in the thread.
    Errors: OSError (no more threads, or the interpreter is on its way out).
    """
    thread = threading.Thread(target=_without_signals, args=(run, args), name=f"dryad_net {name}", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return thread


def take(lock: threading.Lock, seconds: float, taken: list[bool]) -> bool:
    """Take a lock, waiting so long, and note in `taken` whether it was had.

    seconds: 0 does not wait, -1 waits without limit. Called inside the caller's ``try``, whose
    ``finally`` gives the lock back if ``True in taken``: between acquire() and a ``try`` behind it a
    signal's handler may raise, and nobody would ever give it back.
    """
    taken.extend(map(lock.acquire, (seconds != 0,), (min(seconds, threading.TIMEOUT_MAX) or -1,)))
    return True in taken


def _without_signals(run: Callable[..., None], args: tuple[Any, ...]) -> None:
    # Signals are for the script's thread: its waiting calls must be the ones they interrupt.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    run(*args)
