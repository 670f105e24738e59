"""The background thread that keeps promises while the script is busy.

Queues are flushed and closes finished by one thread, which sleeps when there is nothing to do and
is not started before there is. A connection that the script is using is served by the script's own
calls; only what no call will come back for is handed over here.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import signal
import threading
import time
from typing import Protocol

from ._backend import poll, sock

logger = logging.getLogger("dryad_net")

# How long a close may take to deliver what was sent before it.
CLOSE_SECONDS = 10.0
# How long the interpreter's exit waits for closed connections to deliver what they still hold.
EXIT_SECONDS = 1.0
# The longest sleep while there is a deadline to keep.
TICK_SECONDS = 0.25


class Task(Protocol):
    """Work on one socket that is done when the socket is ready.

    ``socket`` is what is watched; ``deadline`` is when expire() is called instead of work()
    (monotonic seconds, or None).
    """

    @property
    def socket(self) -> sock.Socket: ...

    @property
    def deadline(self) -> float | None: ...

    def work(self) -> int:
        """Do what can be done without waiting; return what to wait for (READ, WRITE), 0 when finished."""

    def expire(self) -> None:
        """The deadline has passed."""

    def unsent(self) -> bool:
        """Is there data of a closed connection that would be lost if the process ended now?"""


class Service:
    """Tasks, a poller, and the thread that brings them together.

    Owns the poller from the first task on. ``hand_over`` may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[int, Task] = {}
        self._tokens: dict[Task, int] = {}
        self._renewed: set[int] = set()  # handed over again while being served
        self._last_token = 0
        self._poller: poll.Poller | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._wakes_at = 0.0  # when the thread will wake by itself

    def prepare(self) -> None:
        """Have the poller's descriptors while there are any; the first connection needs them later.

        Errors: OSError.
        """
        with self._lock:
            self._open_poller()

    def _open_poller(self) -> poll.Poller:
        if self._poller is None:
            self._poller = poll.Poller()
        return self._poller

    def hand_over(self, task: Task, events: int) -> None:
        """Call ``task.work()`` when its socket is ready for ``events``, and again as it asks.

        Errors: OSError (epoll_ctl(2), or no thread can be started).
        """
        with self._lock:
            poller = self._open_poller()
            token = self._tokens.get(task)
            if token is None:
                self._last_token += 1
                token = self._last_token
                self._tokens[task] = token
                self._tasks[token] = task
            self._renewed.add(token)
            try:
                poller.arm(task.socket, token, events)
                self._start_thread(poller)
            except OSError:
                self._forget(token)
                raise
            deadline = task.deadline
            sleeps_too_long = deadline is not None and self._wakes_at > deadline + TICK_SECONDS
        if sleeps_too_long:
            poller.wake()

    def withdraw(self, task: Task) -> None:
        """Serve this task no longer: its descriptor has been given back."""
        with self._lock:
            token = self._tokens.get(task)
            if token is not None:
                self._forget(token)

    def task_count(self) -> int:
        """How many tasks are not finished."""
        return len(self._tasks)

    def _start_thread(self, poller: poll.Poller) -> None:
        if self._thread is not None or self._stopping:
            return
        thread = threading.Thread(target=self._run, args=(poller,), name="dryad_net service", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is on its way out
            raise OSError(errno.EAGAIN, str(error)) from error
        self._thread = thread

    def _forget(self, token: int) -> None:
        task = self._tasks.pop(token, None)
        if task is not None:
            self._tokens.pop(task, None)
        self._renewed.discard(token)

    def _run(self, poller: poll.Poller) -> None:
        # Signals are for the script's thread: its waiting calls must be the ones they interrupt.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._stopping:
            for token in poller.wait(self._sleep_ms()):
                self._serve(poller, token)
            self._expire(poller)

    def _sleep_ms(self) -> int:
        with self._lock:
            if any(task.deadline is not None for task in self._tasks.values()):
                self._wakes_at = time.monotonic() + TICK_SECONDS
                return int(TICK_SECONDS * 1000)
            self._wakes_at = float("inf")
            return -1

    def _serve(self, poller: poll.Poller, token: int) -> None:
        task = self._tasks.get(token)
        if task is None:
            return
        self._renewed.discard(token)
        try:
            events = task.work()
        except Exception:
            # One task's failure must not end the service of all others.
            logger.exception("background work failed")
            events = 0
        with self._lock:
            try:
                if events:
                    poller.arm(task.socket, token, events)
                elif token not in self._renewed:
                    self._forget(token)
            except OSError:
                self._forget(token)  # the script's own close has finished it meanwhile

    def _expire(self, poller: poll.Poller) -> None:
        now = time.monotonic()
        with self._lock:
            late = [(token, task) for token, task in self._tasks.items() if (task.deadline or now) < now]
            for token, task in late:
                poller.forget(task.socket)
                self._forget(token)
        for _token, task in late:
            task.expire()

    def stop(self) -> None:
        """At exit: give what closed connections still hold a moment to get out, and end the thread."""
        limit = time.monotonic() + EXIT_SECONDS
        while time.monotonic() < limit and any(task.unsent() for task in list(self._tasks.values())):
            time.sleep(0.005)
        self._stopping = True
        if self._thread is not None and self._poller is not None:
            self._poller.wake()
            self._thread.join(EXIT_SECONDS)

    def abandon(self) -> None:
        """In the child of a fork: close what was inherited; nobody is served here."""
        for task in list(self._tasks.values()):
            task.socket.abandon()
        if self._poller is not None:
            self._poller.close()


service = Service()


def _start_empty() -> None:
    global service
    service.abandon()
    service = Service()


def prepare() -> None:
    """Make sure that background work will be possible; see Service.prepare."""
    service.prepare()


def hand_over(task: Task, events: int) -> None:
    """Have the background thread finish this; see Service.hand_over."""
    service.hand_over(task, events)


def withdraw(task: Task) -> None:
    """Have the background thread forget this; see Service.withdraw."""
    service.withdraw(task)


@atexit.register
def _stop() -> None:
    service.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_empty)
