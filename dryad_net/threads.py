"""Threads of the library's own."""

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


def _without_signals(run: Callable[..., None], args: tuple[Any, ...]) -> None:
    # Signals are for the script's thread: its waiting calls must be the ones they interrupt.
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    run(*args)
