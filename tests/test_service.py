"""The background thread's list of tasks: what is finished is on it no more."""

from __future__ import annotations

import errno
import socket

import pytest
from support import wait_until

from dryad_net import service
from dryad_net._backend import poll, sock


class HandedOverWhileItEnds:
    """A task that ends while somebody else hands it over again, as a close does that two threads come to."""

    deadline = None

    def __init__(self, handle: sock.Socket) -> None:
        self.socket = handle
        self.worked = 0

    def work(self) -> int:
        service.hand_over(self, poll.READ)
        self.socket.release()  # and with it what the poller has been told
        self.worked += 1
        return 0

    def expire(self) -> bool:
        return False

    def unsent(self) -> bool:
        return False


def test_a_task_that_ends_while_it_is_handed_over() -> None:
    before = service.service.task_count()
    near, far = socket.socketpair()
    with far:
        task = HandedOverWhileItEnds(sock.adopt(near))
        service.hand_over(task, poll.WRITE)
        wait_until(lambda: task.worked)
        wait_until(lambda: service.service.task_count() <= before, 2)
    assert task.worked == 1


def test_a_task_whose_descriptor_is_gone_is_not_taken() -> None:
    before = service.service.task_count()
    near, far = socket.socketpair()
    with far:
        task = HandedOverWhileItEnds(sock.adopt(near))
        task.socket.release()
        with pytest.raises(OSError, match=rf"^\[Errno {errno.EBADF}\]"):
            service.hand_over(task, poll.READ)
    assert service.service.task_count() == before
