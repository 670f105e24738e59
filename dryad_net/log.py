"""What is logged: when connections begin, end or break, on the standard library's logger "dryad_net".

Connections end while their locks are held, in the script's thread or in the background; a handler
may take its time, hold locks of its own, or use this library. So records are made on the spot and
handled in a thread of their own, which is not started before there is one that somebody wants.
What peers send, and paths, queries, headers and subprotocols, which may hold secrets, is never logged.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
import traceback
from typing import Any, Protocol

from . import threads
from .errors import join_host_port, suppress

DEBUG, INFO, WARNING = logging.DEBUG, logging.INFO, logging.WARNING

# How long the interpreter's exit waits for handlers to be done.
EXIT_SECONDS = 1.0

logger = logging.getLogger("dryad_net")
logger.addHandler(logging.NullHandler())  # silent until somebody asks (logging: "Configuring Logging for a Library")


class Subject(Protocol):
    """What a record is about: something with an ID, which is 0 before it has one, and perhaps with a peer."""

    kind: str
    id: int


class Writer:
    """Hands records to whoever handles them, in the order they were made.

    Owns a thread from the first record on.
    """

    def __init__(self) -> None:
        # Its put() may come at any moment, even in the middle of another put() (queue: SimpleQueue).
        self._records: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # as a signal's handler may
        self._thread: threading.Thread | None = None  # the first that runs, and stays the only one
        self._handling = threading.RLock()  # held while a record is handled

    def put(self, record: logging.LogRecord) -> None:
        """Have a record handled."""
        self._records.put(record)
        with self._lock:
            if self._thread is None:
                with suppress(OSError):  # without a thread, the next record tries again
                    started = threads.start(self._run, "log")
                    # Meanwhile a signal's handler may have started one too; if it raises, the thread runs all the same.
                    self._thread = self._thread or started

    def stop(self) -> None:
        """At exit: give the handlers a moment, and end the thread."""
        if self._thread is not None:
            self._records.put(None)
            self._thread.join(EXIT_SECONDS)

    def pause(self) -> None:
        """Before a fork: let the handler finish, whose locks (a stream's, say) the child could never take."""
        self._handling.acquire(timeout=EXIT_SECONDS)

    def resume(self) -> None:
        """After a fork, in the parent."""
        with contextlib.suppress(RuntimeError):  # the handler was not done in time
            self._handling.release()

    def _run(self) -> None:
        with self._lock:
            self._thread = self._thread or threading.current_thread()
            if self._thread is not threading.current_thread():
                return
        while (record := self._records.get()) is not None:
            try:
                with self._handling:
                    logger.handle(record)
            except Exception:
                # Handlers deal with their own errors; this is a filter's, or of a handler that lets them out.
                if logging.raiseExceptions and sys.stderr:
                    traceback.print_exc()


_writer = Writer()


def note(level: int, subject: Subject, message: str, *args: object) -> None:
    """Log something about a connection, a server or a socket.

    level: logging's; message, args: as logging takes them; what they are about is put in front.
    """
    if logger.isEnabledFor(level):
        _put(level, f"%s: {message}", (_name(subject), *args), None)


def failure(message: str) -> None:
    """Log the exception that is being handled, which is an error of the library's own."""
    if logger.isEnabledFor(logging.ERROR):
        _put(logging.ERROR, message, (), sys.exc_info())


def _name(subject: Subject) -> str:
    """What a record is about, in words: its kind, its ID and its peer."""
    kind = subject.kind.partition(" ")[2]  # without the article
    identifier = f" {subject.id}" if subject.id else ", not accepted yet"
    peer = getattr(subject, "peer", None)
    return f"{kind}{identifier}" if peer is None else f"{kind}{identifier} ({join_host_port(*peer)})"


def _put(level: int, message: str, args: tuple[object, ...], error: Any) -> None:
    caller = sys._getframe(2)
    code = caller.f_code
    with suppress(Exception):  # of somebody's own logging.setLogRecordFactory()
        _writer.put(
            logger.makeRecord(logger.name, level, code.co_filename, caller.f_lineno, message, args, error, code.co_name)
        )


@atexit.register
def _stop() -> None:
    _writer.stop()


def _pause() -> None:
    _writer.pause()


def _resume() -> None:
    _writer.resume()


def _start_empty() -> None:
    global _writer
    _writer = Writer()


if hasattr(os, "register_at_fork"):
    # What was not handled yet is for the parent to handle.
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_start_empty)
