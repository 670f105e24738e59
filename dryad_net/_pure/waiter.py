"""Waiting for any of many sockets: connections, servers and datagram sockets together.

The sockets of one wait stay registered with the selector for the next, so that its cost is that of
those which have something, and not of those which have nothing. What a selector cannot see (bytes
and messages that were received and not read, clients whose handshake is complete) is told by
poke(); a socket that was reported is looked at again the next time.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import let_through, suppress
from ..threads import take
from .sock import LONGEST_WAIT, READABLE, Attention, Socket, attendants, deadline_after, wait_ready


class _Select(selectors.SelectSelector):
    """Windows' select for any number of sockets, and for those that are closed meanwhile."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Those that are readable, or closed; timeout: in seconds, None for no limit."""
        keys = {key.fd: key for key in self.get_map().values()}  # in the order of registration
        ready = wait_ready(dict.fromkeys(keys, READABLE), timeout)
        return [(keys[fd], selectors.EVENT_READ) for fd in ready]


_Selector: type[selectors.BaseSelector] = selectors.DefaultSelector
if issubclass(_Selector, selectors.SelectSelector):
    _Selector = _Select


class Waiter:
    """The sockets of the last wait. Owns the selector, and a socket pair to wake it with.

    poke() may be called from any thread while another is in wait().
    """

    def __init__(self) -> None:
        self._selector = _Selector()
        self._wakers = socket.socketpair()
        for waker in self._wakers:
            waker.setblocking(False)
        self._selector.register(self._wakers[0], selectors.EVENT_READ, None)
        self._ids: list[Any] = []
        self._sockets: list[Any] = []
        self._positions: dict[Socket, int] = {}
        self._registered: dict[Socket, int] = {}  # and under which descriptor; -1: none
        self._noted: deque[Socket] = deque()  # appended to by any thread, taken from by the one that waits
        self._busy = threading.Lock()
        self._asleep = False
        self._looking_at: Socket | None = None
        self._looker = 0  # the thread that looks
        self._seen_closings = 0
        self._given_up = False
        attendants.append(self)

    def close(self) -> None:
        """Give the descriptors back, and know no socket any more; as soon as nobody waits with it."""
        self._given_up = True
        taken: list[bool] = []
        try:
            if take(self._busy, 0, taken):
                self.abandon()
        finally:
            if True in taken:
                self._busy.release()

    def abandon(self) -> None:
        """Give the descriptors back at once."""
        self._given_up = True
        for sock in self._registered:
            sock._attended -= 1
        self._registered = {}
        self._positions = {}
        self._ids = []
        self._sockets = []
        self._noted.clear()
        self._selector.close()
        for waker in self._wakers:
            waker.close()
        if self in attendants:
            attendants.remove(self)

    def poke(self, sock: Socket) -> None:
        """Look at this socket, even if its descriptor says nothing."""
        if sock is self._looking_at and threading.get_ident() == self._looker:
            return  # it finds out by itself that it has something
        if sock in self._positions:
            self._noted.append(sock)
            if self._asleep:
                with suppress(OSError):  # full: it will return as it is
                    self._wakers[1].send(b"\0")

    def wait(self, ids: list[Any], timeout_ms: int, resolve: Callable[[list[Any]], list[Any]]) -> list[int] | None:
        """Wait until a receive or an accept on one of them would not give None.

        ids: a list; timeout_ms: 0 does not wait, -1 waits without limit; resolve: called with the
        list if it is not that of the last wait, returns the sockets in its order, as a list.
        Returns the IDs (``id``) of those sockets, in their order; an empty list when the time is up;
        None, if another thread is waiting with it, or has given it up.
        Errors: what `resolve` raises; OSError.
        """
        taken: list[bool] = []
        try:
            if not take(self._busy, 0, taken) or self._given_up:
                return None
            return self._wait_alone(ids, timeout_ms, resolve)
        finally:
            if True in taken:
                self._busy.release()
                if self._given_up:
                    self.close()  # by another thread meanwhile

    def _wait_alone(self, ids: list[Any], timeout_ms: int, resolve: Callable[[list[Any]], list[Any]]) -> list[int]:
        if not self._is_last(ids) or self._seen_closings != Attention.closings:
            self._change(ids, resolve(ids))
        deadline = deadline_after(timeout_ms)
        found: set[int] = set()
        Attention.attend(1)
        try:
            while True:
                for _ in range(len(self._noted)):
                    self._look(self._noted.popleft(), False, found)
                seconds = LONGEST_WAIT if deadline is None else min(max(deadline - time.monotonic(), 0), LONGEST_WAIT)
                self._look_at_selector(found, 0 if found else seconds)
                if found or (seconds == 0 and not self._noted):
                    break
        finally:
            Attention.attend(-1)
        return [self._report(position) for position in sorted(found)]

    def _is_last(self, ids: list[Any]) -> bool:
        """Is it the list of the last wait? Scripts pass the same numbers again."""
        # The types first: True is equal to a number and no ID, and other objects say themselves what they are equal to.
        return set(map(type, ids)) <= {int} and ids == self._ids

    def _change(self, ids: list[Any], sockets: list[Any]) -> None:
        """Watch these instead of those of the last wait."""
        self._seen_closings = Attention.closings
        positions: dict[Socket, int] = {}
        for position, sock in enumerate(sockets):
            positions.setdefault(sock, position)
        self._ids = []  # until everything is registered
        for sock in list(self._registered):
            if sock not in positions or sock.is_closed() or self._registered[sock] != sock.fileno():
                self._forget(sock)
        for sock in positions:
            if sock not in self._registered:
                self._add(sock)
        self._positions = positions
        self._sockets = list(sockets)
        self._ids = list(ids)

    def _add(self, sock: Socket) -> None:
        fd = -1 if sock.unwatched else sock.fileno()
        if fd >= 0:
            with contextlib.suppress(KeyError):  # left there by a socket that was closed
                self._selector.unregister(fd)
            try:
                self._selector.register(fd, selectors.EVENT_READ, sock)
            except OSError as error:
                let_through(error)
                if sock.fileno() == fd:
                    raise
                fd = -1  # the background has given it back meanwhile: the connection is over
        self._registered[sock] = fd
        sock._attended += 1
        self._noted.append(sock)

    def _forget(self, sock: Socket) -> None:
        fd = self._registered.pop(sock)
        sock._attended -= 1
        # Only its own entry: the number may have been given to another socket since.
        if fd >= 0 and fd in self._selector.get_map() and self._selector.get_key(fd).data is sock:
            self._selector.unregister(fd)

    def _look_at_selector(self, found: set[int], seconds: float | None) -> None:
        """Ask the selector, waiting so long."""
        self._asleep = seconds != 0
        # In this order: who notes something from here on sees that this thread sleeps, and wakes it.
        events = self._selector.select(0 if self._noted else seconds)
        self._asleep = False
        for key, _events in events:
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wakers[0].recv(4096)
            elif key.data.fileno() != key.fd:
                self._forget(key.data)  # closed meanwhile: its descriptor is none any more
                self._registered[key.data] = -1
                key.data._attended += 1
            else:
                self._look(key.data, True, found)

    def _look(self, sock: Socket, readable: bool, found: set[int]) -> None:
        position = self._positions.get(sock)
        if position is None or position in found:
            return
        self._looker = threading.get_ident()
        self._looking_at = sock
        if sock._readiness(readable):
            found.add(position)
        self._looking_at = None

    def _report(self, position: int) -> int:
        """The ID, whose socket will be looked at again the next time."""
        sock = self._sockets[position]
        self._noted.append(sock)
        return int(sock.id)
