"""The background, kept from looking at anything while a test makes what it would otherwise find first."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from support import wait_until
from ws_support import WsLink

from dryad_net import service
from dryad_net._backend import poll, sock
from dryad_net.table import table


class Busy:
    """Work that takes as long as the test wants."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = sock.adopt(end)
        self.deadline: float | None = None
        self.begun, self.go_on = threading.Event(), threading.Event()

    def work(self) -> int:
        self.begun.set()
        self.go_on.wait(20)
        return 0

    def expire(self) -> bool:
        return False

    def unsent(self) -> bool:
        return False


@contextlib.contextmanager
def background_held_up(ws: WsLink) -> Iterator[None]:
    """The background has left the connection to the poller, and looks at nothing before the end of this."""
    ours, theirs = socket.socketpair()
    connection = table.objects[ws.id]
    wait_until(lambda: connection not in service.service._used, what="the background to leave it to the poller")
    with theirs:
        task = Busy(ours)
        try:
            service.hand_over(task, poll.WRITE)
            assert task.begun.wait(10)
            yield
        finally:
            task.go_on.set()
            service.withdraw(task)
            task.socket.release()
