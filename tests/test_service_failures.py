"""What goes wrong in the background: one task's failure ends that task; a lack of memory only puts it off."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from support import wait_until

from dryad_net import service
from dryad_net._backend import poll, sock


class Trouble:
    """A task whose work, or whose deadline, raises as often as it is told to, and is done then."""

    def __init__(self, handle: sock.Socket, error: type[Exception], times: int, seconds: float | None) -> None:
        self.socket = handle
        self.error = error
        self.times = times
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.calls = 0

    def _fail(self) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error("of the test's")

    def work(self) -> int:
        self._fail()
        return 0

    def expire(self) -> bool:
        self._fail()
        return False

    def unsent(self) -> bool:
        return False


Make = Callable[..., Trouble]


@pytest.fixture
def trouble() -> Iterator[Make]:
    """Make a task that is handed over: trouble(error, times, seconds=None); seconds: until its deadline."""
    ends = []

    def make(error: type[Exception], times: int, seconds: float | None = None) -> Trouble:
        near, far = socket.socketpair()
        task = Trouble(sock.adopt(near), error, times, seconds)
        ends.append((task, far))
        # A socket pair can be written to at once, and has nothing to read.
        service.hand_over(task, poll.WRITE if seconds is None else poll.READ)
        return task

    before = service.service.task_count()
    yield make
    for task, far in ends:
        service.withdraw(task)
        task.socket.release()
        far.close()
    assert service.service.task_count() <= before


def forgotten(task: Trouble) -> bool:
    return task not in service.service._tokens


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_a_failure_ends_one_task_and_is_logged(
    trouble: Make, caplog: pytest.LogCaptureFixture, seconds: float | None
) -> None:
    with caplog.at_level(logging.ERROR, logger="dryad_net"):
        failing = trouble(ValueError, 1, seconds)
        wait_until(lambda: forgotten(failing))
        wait_until(lambda: caplog.records)  # they are handled in a thread of their own
    assert failing.calls == 1
    assert [record.getMessage() for record in caplog.records] == ["background work failed"]
    other = trouble(ValueError, 0, seconds)
    wait_until(lambda: forgotten(other))
    assert other.calls == 1


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_without_memory_it_is_tried_again(
    trouble: Make, caplog: pytest.LogCaptureFixture, seconds: float | None
) -> None:
    with caplog.at_level(logging.ERROR, logger="dryad_net"):
        task = trouble(MemoryError, 3, seconds)
        wait_until(lambda: forgotten(task))
    assert task.calls == 4
    assert not caplog.records


def test_a_failure_of_all_of_it_ends_nothing(
    trouble: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, failed = service.Service._run_once, []

    def run_once(self: service.Service, poller: poll.Poller) -> None:
        if not failed:
            failed.append(True)
            raise OSError("of the test's")
        plain(self, poller)

    monkeypatch.setattr(service.Service, "_run_once", run_once)
    with caplog.at_level(logging.ERROR, logger="dryad_net"):
        for task in trouble(ValueError, 0), trouble(ValueError, 0):  # the first ends the round that waits already
            wait_until(lambda task=task: forgotten(task))
            assert task.calls == 1
        wait_until(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records] == ["the background's round failed"]
