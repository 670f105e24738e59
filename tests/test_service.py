"""The background thread's list of tasks: what is finished is on it no more."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable

import pytest
from support import SOON, reset, wait_until
from ws_support import Peer

from dryad_net import service
from dryad_net._backend import poll, sock
from dryad_net.websocket import Connection
from dryad_net.websocket_server import Server


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


def test_a_refused_client_that_resets_at_once(
    ws_server: int, ws_knock: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one step of its server's it is handed over, and then found to be gone."""
    before = service.service.task_count()
    begin, ending = Server._begin, Connection.ending
    peers = []
    ended = []

    def begin_with_request(self: Server, handle: sock.Socket, peer: tuple[str, int]) -> Connection:
        select.select([handle.fileno()], [], [], SOON)
        return begin(self, handle, peer)

    def reset_after_ending(self: Connection) -> None:
        ending(self)
        if self.server is not None and not ended:
            wait_until(lambda: peers)
            reset(peers[0].raw)
            select.select([self.fileno()], [], [], SOON)
            ended.append(self)

    monkeypatch.setattr(Server, "_begin", begin_with_request)
    monkeypatch.setattr(Connection, "ending", reset_after_ending)
    peers.append(ws_knock(ws_server))
    peers[0].say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: ended)
    wait_until(lambda: service.service.task_count() <= before, 2)
