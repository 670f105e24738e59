"""The background thread that keeps promises while the script is busy.

Queues are flushed, closes finished, handshakes completed and pings answered by one thread, which
sleeps when there is nothing to do and is not started before there is. A connection that the script
is using is served by the script's own calls: the thread merely looks every 50 ms whether it still
is, and watches it from the moment when no call has touched it for a while.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import os
import threading
import time
from typing import Protocol

from . import log, threads
from ._backend import poll, sock

# How long a close may take to deliver what was sent before it.
CLOSE_SECONDS = 10.0
# How long the interpreter's exit waits for closed connections to deliver what they still hold.
EXIT_SECONDS = 1.0
# How often it is looked whether the script is still using a connection. A ping waits for at most
# two such looks, and must be answered within 250 ms.
LOOK_SECONDS = 0.05


class Task(Protocol):
    """Work on one socket that is done when the socket is ready.

    ``socket`` is what is watched; ``deadline`` is when expire() is called (monotonic seconds, or None).
    """

    @property
    def socket(self) -> sock.Socket: ...

    @property
    def deadline(self) -> float | None: ...

    def work(self) -> int:
        """Do what can be done without waiting; return what to wait for (READ, WRITE), 0 when finished."""

    def expire(self) -> bool:
        """The deadline has passed; False: this task is over."""

    def unsent(self) -> bool:
        """Is there data of a closed connection that would be lost if the process ended now?"""


class UsedTask(Task, Protocol):
    """A task that the script's own calls do as long as they come."""

    def take_touched(self) -> bool:
        """Has a call used it since this was asked last?"""


class Service:
    """Tasks, a poller, and the thread that brings them together.

    Owns the poller from the first task on. ``hand_over``, ``watch`` and ``schedule`` may be called
    from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tasks: dict[int, Task] = {}
        self._tokens: dict[Task, int] = {}
        self._renewed: set[int] = set()  # handed over again while being served
        self._used: dict[UsedTask, None] = {}
        self._put_off: set[int] = set()  # tokens of tasks that were refused memory
        self._deadlines: list[tuple[float, int, Task]] = []  # a heap; entries may be out of date
        self._order = itertools.count()
        self._last_token = 0
        self._poller: poll.Poller | None = None
        self._started = False
        self._thread: threading.Thread | None = None  # the first that runs, and stays the only one
        self._stopping = False
        self._wakes_at = 0.0  # when the thread will wake by itself
        self._next_look = 0.0

    def prepare(self) -> None:
        """Have the poller's descriptors while there are any; the first connection needs them later.

        Errors: OSError.
        """
        with self._lock:
            self._open_poller()

    def _open_poller(self) -> poll.Poller:
        if self._poller is None:
            made = poll.Poller()
            if self._poller is None:
                self._poller = made
            else:
                made.close()  # a signal's handler has needed one meanwhile
        return self._poller

    def hand_over(self, task: Task, events: int) -> None:
        """Call ``task.work()`` when its socket is ready for ``events``, and again as it asks.

        Errors: OSError (epoll_ctl(2), or no thread can be started).
        """
        with self._lock:
            poller = self._open_poller()
            token = self._token(task)
            self._renewed.add(token)
            try:
                poller.arm(task.socket, token, events)
                self._start_thread(poller)
            except OSError:
                self._forget(token)
                raise
            self._note_deadline(task, poller)

    def watch(self, task: UsedTask) -> None:
        """Call ``task.work()`` as soon as the script has stopped using it, and then as with hand_over.

        Errors: OSError.
        """
        with self._lock:
            poller = self._open_poller()
            self._start_thread(poller)
            self._used[task] = None
            if self._wakes_at > time.monotonic() + LOOK_SECONDS:
                poller.wake()

    def schedule(self, task: Task) -> None:
        """Call ``task.expire()`` at its deadline.

        Errors: OSError.
        """
        with self._lock:
            poller = self._open_poller()
            self._start_thread(poller)
            self._note_deadline(task, poller)

    def withdraw(self, task: Task) -> None:
        """Serve this task no longer: its descriptor has been given back."""
        with self._lock:
            self._used.pop(task, None)  # type: ignore[call-overload]
            token = self._tokens.get(task)
            if token is not None:
                self._forget(token)

    def task_count(self) -> int:
        """How many tasks are not finished."""
        return len(self._tasks)

    def _token(self, task: Task) -> int:
        token = self._tokens.get(task)
        if token is None:
            self._last_token += 1
            token = self._last_token
            self._tokens[task] = token
            self._tasks[token] = task
        return token

    def _note_deadline(self, task: Task, poller: poll.Poller) -> None:
        deadline = task.deadline
        if deadline is None:
            return
        heapq.heappush(self._deadlines, (deadline, next(self._order), task))
        if self._wakes_at > deadline:
            poller.wake()

    def _start_thread(self, poller: poll.Poller) -> None:
        if self._started or self._stopping:
            return
        # Meanwhile a signal's handler may start one too; or raise, though the thread runs: the next one ends at once.
        threads.start(self._run, "service", poller)
        self._started = True

    def _forget(self, token: int) -> None:
        task = self._tasks.pop(token, None)
        if task is not None:
            self._tokens.pop(task, None)
        self._renewed.discard(token)

    # ---- in the thread

    def _run(self, poller: poll.Poller) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.current_thread()
        while not self._stopping:
            try:
                self._run_once(poller)
            except MemoryError:
                # Whoever it was for has been put off. No memory is no reason to serve nobody any more.
                time.sleep(LOOK_SECONDS)
            except Exception:
                # Nor is what nobody has thought of.
                log.failure("the background's round failed")
                time.sleep(LOOK_SECONDS)

    def _run_once(self, poller: poll.Poller) -> None:
        for token in poller.wait(self._sleep_ms()):
            task = self._tasks.get(token)
            if task is not None:
                self._serve_if_possible(poller, token, task)
        now = time.monotonic()
        self._expire(poller, now)
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look(poller)

    def _sleep_ms(self) -> int:
        with self._lock:
            wakes_at = time.monotonic() + LOOK_SECONDS if self._used or self._put_off else float("inf")
            while self._deadlines and self._deadlines[0][0] != self._deadlines[0][2].deadline:
                heapq.heappop(self._deadlines)
            if self._deadlines:
                wakes_at = min(wakes_at, self._deadlines[0][0])
            self._wakes_at = wakes_at
        if wakes_at == float("inf"):
            return -1
        # One more, because a poller counts in whole milliseconds, and early is too early.
        return max(int((wakes_at - time.monotonic()) * 1000) + 1, 0)

    def _serve_if_possible(self, poller: poll.Poller, token: int, task: Task) -> None:
        """Serve a task, or put it off until the next look if there is no memory for it."""
        try:
            self._serve(poller, token, task)
        except MemoryError:
            self._put_off.add(token)

    def _serve(self, poller: poll.Poller, token: int, task: Task) -> None:
        self._renewed.discard(token)
        try:
            events = task.work()
        except MemoryError:
            raise
        except Exception:
            # One task's failure must not end the service of all others.
            log.failure("background work failed")
            events = 0
        with self._lock:
            try:
                if task.socket.fileno() < 0:
                    events = 0  # nothing will wake it again, whoever has handed it over meanwhile
                elif token in self._renewed:
                    # Handed over again meanwhile: what is wanted now, `events` may not know yet.
                    events = poll.READ | poll.WRITE
                if events and self._tasks.get(token) is task:
                    poller.arm(task.socket, token, events)
                else:
                    self._forget(token)
            except OSError:
                self._forget(token)  # the script's own close has finished it meanwhile

    def _expire(self, poller: poll.Poller, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            with self._lock:
                when, _order, task = heapq.heappop(self._deadlines)
            if task.deadline != when:
                continue  # it has been put off, or the work was done in time
            try:
                goes_on = task.expire()
            except MemoryError:
                with self._lock:
                    heapq.heappush(self._deadlines, (when, next(self._order), task))
                raise
            except Exception:
                log.failure("background work failed")
                goes_on = False
            with self._lock:
                if goes_on:
                    if task.deadline != when:
                        self._note_deadline(task, poller)
                    continue
                self._used.pop(task, None)  # type: ignore[call-overload]
                token = self._tokens.get(task)
                if token is not None:
                    self._forget(token)

    def _look(self, poller: poll.Poller) -> None:
        """Take over the connections that no call has used since the last look, and those put off."""
        for token in list(self._put_off):
            self._put_off.discard(token)
            put_off = self._tasks.get(token)
            if put_off is not None:
                self._serve_if_possible(poller, token, put_off)
        for task in list(self._used):
            if task.take_touched():
                continue
            with self._lock:
                token = self._token(task)
                self._used.pop(task, None)
            self._serve_if_possible(poller, token, task)

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
        for task in [*self._tasks.values(), *self._used]:
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


def watch(task: UsedTask) -> None:
    """Have the background thread serve this while the script does not; see Service.watch."""
    service.watch(task)


def schedule(task: Task) -> None:
    """Have the background thread keep a deadline; see Service.schedule."""
    service.schedule(task)


def withdraw(task: Task) -> None:
    """Have the background thread forget this; see Service.withdraw."""
    service.withdraw(task)


@atexit.register
def _stop() -> None:
    service.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_empty)
