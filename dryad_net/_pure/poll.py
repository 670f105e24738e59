"""Readiness of many sockets at once, for the thread that serves those nobody is calling."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading

from .sock import READABLE, WRITABLE, Socket, wait_ready

READ = READABLE
WRITE = WRITABLE
NAME = "poll" if hasattr(select, "poll") else "select"


class Poller:
    """A set of sockets, each watched until it is ready once.

    Owns a socket pair to be woken with. arm() and wake() may be called from any thread
    while another is in wait().
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may come in the middle of arm()
        self._armed: dict[int, tuple[int, int]] = {}
        self._wakers = socket.socketpair()
        for waker in self._wakers:
            waker.setblocking(False)

    def close(self) -> None:
        """Give the descriptors back."""
        for waker in self._wakers:
            waker.close()

    def arm(self, sock: Socket, token: int, events: int) -> None:
        """Report `token` once when the socket is ready.

        token: not zero, of one socket only; events: READ, WRITE or both.
        Errors: OSError (EBADF: the descriptor has been given back).
        """
        with self._lock:
            fd = sock.fileno()
            if fd < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._armed[fd] = (token, events)
        self.wake()

    def wake(self) -> None:
        """Make wait() return."""
        with contextlib.suppress(BlockingIOError):  # full: it will return as it is
            self._wakers[1].send(b"\0")

    def wait(self, timeout_ms: int) -> list[int]:
        """Wait until something is ready, wake() is called, or the time is up (-1: no limit).

        Returns the tokens of the ready sockets.
        """
        waker = self._wakers[0]
        fds = {waker.fileno(): READABLE}
        with self._lock:
            fds.update((fd, events) for fd, (_token, events) in self._armed.items())
        ready = wait_ready(fds, None if timeout_ms < 0 else timeout_ms / 1000)
        if waker.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                waker.recv(4096)
        tokens = []
        with self._lock:
            for fd in ready:
                found = self._armed.pop(fd, None)
                if found is not None:
                    tokens.append(found[0])
        return tokens
