"""One socket: who owns it, who waits on it, and the calls that every kind of socket shares.

The sockets never block; waiting is a poll together with a socket pair that begin_close() writes
to. The descriptor itself is closed by whoever leaves it last, so that its number is never reused
under a thread that still waits on it.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import let_through, suppress
from ..threads import UNHEARD_SECONDS

if sys.platform == "win32":
    termios = None
else:
    import fcntl
    import termios

Made = TypeVar("Made")

READABLE = 1
WRITABLE = 2

WINDOWS = sys.platform == "win32"
# How many sockets Windows' select takes at once (Python's build sets FD_SETSIZE), and how long the first
# of more of them are waited for before the others are looked at, in seconds.
SELECT_LIMIT = 512
_TURN_SECONDS = 0.02
# How often a waiter looks for itself when no descriptor was left to wake it with.
_UNWAKABLE_SLICE = 0.05
# What shutdown says when there is no peer any more, or no socket; the last two on Windows.
_NOBODY_THERE = (errno.ENOTCONN, errno.EBADF, errno.ECONNRESET, errno.EINVAL, errno.ECONNABORTED, errno.ENOTSOCK)
_LINGER = "hh" if WINDOWS else "ii"  # struct linger
# Python switches SIGPIPE off at its start; a host that starts Python without signal handlers has it on.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
# The longest wait in one go, in seconds: what a signal may have to wait for.
LONGEST_WAIT = UNHEARD_SECONDS


# Who waits on many sockets at once (waiter): told when one of them becomes ready other than by its descriptor.
attendants: list[Any] = []
# A script that waits on many sockets, does something, and waits again, has not gone away meanwhile.
_ATTENDED_SECONDS = 0.1


class Attention:
    """How many waits on many sockets are under way, when the last one ended, and how many sockets were closed."""

    waits = 0
    last = -_ATTENDED_SECONDS
    closings = 0

    @classmethod
    def attend(cls, change: int) -> None:
        """A wait begins (1) or ends (-1)."""
        cls.waits += change
        cls.last = time.monotonic()

    @classmethod
    def is_there(cls) -> bool:
        """Is somebody waiting on many sockets, or about to do it again?"""
        return cls.waits > 0 or time.monotonic() - cls.last < _ATTENDED_SECONDS


def deadline_after(timeout_ms: int) -> float | None:
    """Milliseconds from now (negative: no limit) as a moment of the monotonic clock, in seconds."""
    return None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000


def address_tuple(sockaddr: Any) -> tuple[str, int]:
    """(ip, port), IPv4-mapped addresses as IPv4, link-local ones with their interface (RFC 4007, 11)."""
    ip = str(sockaddr[0])
    if ip.startswith("::ffff:") and "." in ip:
        ip = ip[len("::ffff:") :]
    elif len(sockaddr) == 4 and sockaddr[3] and "%" not in ip:
        with suppress(OSError):  # the interface is gone
            ip = f"{ip}%{socket.if_indextoname(sockaddr[3])}"
    return ip, int(sockaddr[1])


def adopt(sock: socket.socket) -> Socket:
    """Take over a Python socket.

    sock: a socket.socket, which belongs to the result from now on.
    Returns the Socket that now owns its descriptor.
    """
    return Socket(sock)


def wait_ready(fds: dict[int, int], seconds: float | None) -> set[int]:
    """Wait until one of the descriptors is ready for what it is mapped to, or failed.

    fds: READABLE, WRITABLE or both by descriptor, first the one to wake whoever waits with; seconds: None
    for no limit. A descriptor that has been given back meanwhile (-1) is ready: the next call on it tells.
    """
    if -1 in fds:
        return {-1}
    if hasattr(select, "poll"):
        poller = select.poll()
        for fd, events in fds.items():
            poller.register(
                fd, (select.POLLIN if events & READABLE else 0) | (select.POLLOUT if events & WRITABLE else 0)
            )
        timeout = None if seconds is None else max(min(seconds, LONGEST_WAIT), 0) * 1000
        return {fd for fd, _events in poller.poll(timeout)}
    if len(fds) <= SELECT_LIMIT:
        return _select(fds, seconds)
    numbers = list(fds)
    groups = [
        {fd: fds[fd] for fd in numbers[first : first + SELECT_LIMIT]} for first in range(0, len(fds), SELECT_LIMIT)
    ]
    until = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        ready = set().union(*(_select(group, 0) for group in groups[1:]))
        left = max(until - time.monotonic(), 0)
        ready |= _select(groups[0], 0 if ready else min(left, _TURN_SECONDS))
        if ready or left == 0:
            return ready


def _select(fds: dict[int, int], seconds: float | None) -> set[int]:
    """wait_ready() over select(2), for no more sockets than it takes."""
    reading = [fd for fd, events in fds.items() if events & READABLE]
    writing = [fd for fd, events in fds.items() if events & WRITABLE]
    try:
        # On Windows a connection that failed is in the third set only.
        ready = select.select(reading, writing, writing, seconds)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.ENOTSOCK):
            raise
        # One was closed meanwhile. poll would report it, and the others go on. None is found
        # if another socket has been given its number since.
        return set(filter(_is_closed, fds))
    return {*ready[0], *ready[1], *ready[2]}


def _is_closed(fd: int) -> bool:
    try:
        select.select([fd], [], [], 0)
    except OSError as error:
        let_through(error)
        return True
    return False


class Socket:
    """A socket and everything that ends with it.

    Made from a socket.socket, or from another Socket, whose socket it takes over. Owns it until
    release() or abandon().

    attention: there is something for its reader, whatever the descriptor says; unwatched: only that
    counts.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        self._socket: socket.socket = handle._socket if isinstance(handle, Socket) else handle
        self._socket.setblocking(False)
        self._lock = threading.RLock()
        self._closed = False
        self._released = False
        self._users = 0
        self._waiting = 0
        self._wakers: tuple[socket.socket, socket.socket] | None = None
        self.attention = False
        self.unwatched = False
        self._attended = 0
        self._to_wake = 0
        self._wakes = 0
        self._news = 0  # how often something has come by another thread's hands, or stayed

    def fileno(self) -> int:
        """The descriptor, or -1 when it has been given back."""
        return self._socket.fileno()

    def is_closed(self) -> bool:
        """Has begin_close() been called?"""
        return self._closed

    def begin_close(self) -> bool:
        """Let no new call in and wake those who wait. Returns False if that was done before."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            Attention.closings += 1
            if self._wakers is not None:
                self._wakers[1].send(b"\0")
        self.poke()
        return True

    def poke(self) -> None:
        """Tell those who wait on this socket among others to look at it."""
        if not self._attended:
            return
        for attendant in attendants:
            attendant.poke(self)

    def _note_rest(self, anything: bool) -> None:
        """What was not taken stays, for the next call; who waits elsewhere cannot see it from outside."""
        if anything:
            self._wake_waiting()
            self.poke()

    def _readiness(self, readable: bool) -> bool:
        """Would a receive or an accept not give None right now? readable: what the poller says."""
        return readable or self._closed or self.attention

    def release(self) -> None:
        """Give the descriptor back, as soon as no thread waits on it."""
        with self._lock:
            self._released = True
            if self._users == 0:
                self._socket.close()

    def abandon(self) -> None:
        """In the child of a fork: close this copy of the descriptor, whoever used it in the parent."""
        self._closed = self._released = True
        self._close_wakers()
        self._socket.close()

    def _close_wakers(self) -> None:
        wakers, self._wakers = self._wakers, None  # first: a signal's handler may raise after any of the calls
        for waker in wakers or ():
            waker.close()

    def _enter(self, entered: list[int]) -> None:
        """Begin to wait, and note in `entered` what ``_wakes`` was; called inside the ``try`` that ends it."""
        with self._lock:
            if self._waiting == 0:
                try:
                    self._wakers = socket.socketpair()
                except OSError as error:
                    let_through(error)
                    self._wakers = None
            self._waiting += 1
            self._users += 1
            entered.append(self._wakes)

    def _leave(self, wakes: int) -> None:
        with self._lock:
            self._waiting -= 1
            self._users -= 1
            if wakes != self._wakes and self._wakers is not None:
                # Only the last of those who were to be woken may take the sign away.
                self._to_wake -= 1
                if self._to_wake == 0:
                    self._wakers[0].recv(4096)
            if self._waiting == 0:
                self._close_wakers()
            if self._users == 0 and self._released:
                self._socket.close()

    def _wake_waiting(self) -> None:
        """Have those who wait, or are about to, look again: what they wait for has come by another thread's hands."""
        with self._lock:
            self._news += 1
            if self._waiting and self._wakers is not None:
                self._wakes += 1
                is_first = self._to_wake == 0
                self._to_wake = self._waiting
                if is_first:
                    self._wakers[1].send(b"\0")

    def _wait(self, events: int, deadline: float | None, news: int | None = None) -> bool:
        """Wait until ready (or failed: the next call on it tells) or woken. False: the time is up, or closed.

        news: what ``_news`` was when the caller last looked; there may have been more on the way here.
        """
        if self._closed or (deadline is not None and time.monotonic() >= deadline):
            return False
        entered: list[int] = []
        try:
            self._enter(entered)
            if self._released:
                return True  # by the background, while this thread was on its way here
            while not self._closed:
                if news is not None and news != self._news:
                    return True
                seconds = None if deadline is None else deadline - time.monotonic()
                if seconds is not None and seconds <= 0:
                    return False
                fds = {self._socket.fileno(): events}
                wakers = self._wakers
                if wakers is not None:
                    fds[wakers[0].fileno()] = READABLE
                longest = LONGEST_WAIT if wakers is not None else _UNWAKABLE_SLICE
                ready = wait_ready(fds, longest if seconds is None else min(seconds, longest))
                if self._socket.fileno() in ready:
                    return not self._closed
                if entered[0] != self._wakes and not self._closed:
                    return True
            return False
        finally:
            if entered:
                self._leave(entered[0])

    def local_address(self) -> tuple[str, int]:
        """The socket's own (ip, port) (getsockname(2))."""
        try:
            return address_tuple(self._socket.getsockname())
        except OSError as error:
            if not WINDOWS or error.errno != errno.EINVAL:
                raise
            # There, a socket that is not bound has no address.
            return ("::" if self._socket.family == socket.AF_INET6 else "0.0.0.0", 0)

    def peer_address(self) -> tuple[str, int]:
        """The peer's (ip, port) (getpeername(2))."""
        return address_tuple(self._socket.getpeername())

    def get_option(self, level: int, option: int) -> int:
        """An int socket option (getsockopt(2))."""
        return self._socket.getsockopt(level, option)

    def set_option(self, level: int, option: int, value: int | bytes) -> None:
        """Set a socket option (setsockopt(2)) to an int or to the bytes of a structure."""
        self._socket.setsockopt(level, option, value)

    def set_linger(self, enable: bool, seconds: int) -> None:
        """Set SO_LINGER (socket(7))."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, enable, seconds))

    def unacknowledged(self) -> int:
        """How many bytes sent the peer has not acknowledged yet; 0 where the system does not tell."""
        if termios is None:
            return 0
        try:
            answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError) as error:
            let_through(error)
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def end_sending(self) -> None:
        """Send the end of the stream behind everything the kernel holds (shutdown(2)), if there still is a peer."""
        self._shutdown(socket.SHUT_WR)

    def end_both(self) -> None:
        """End both directions; what was received stays readable."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError as error:
            if error.errno not in _NOBODY_THERE:
                raise


class Listener(Socket):
    """A listening socket."""

    def begin_close(self) -> bool:
        """Let no new call in and wake those who wait. Returns False if that was done before."""
        if not super().begin_close():
            return False
        # Close alone would not give the port back while a thread polls the socket.
        self._shutdown(socket.SHUT_RDWR)
        return True

    def set_backlog(self, backlog: int) -> None:
        """Let so many connections wait to be accepted (listen(2))."""
        self._socket.listen(backlog)

    def accept(self, timeout_ms: int, make: Callable[[Socket, tuple[str, int]], Made]) -> Made | None:
        """Accept one connection.

        timeout_ms: 0 does not wait, -1 waits without limit; make: called with a Socket that owns
        the new descriptor and the peer's (ip, port).
        Returns what `make` returned, or None: nobody is there, the time is up, or closed.
        Errors: OSError (accept(2)).
        """
        deadline = deadline_after(timeout_ms)
        while not self._closed:
            try:
                accepted, sockaddr = self._socket.accept()
            except BlockingIOError:
                if not self._wait(READABLE, deadline):
                    return None
            except (ConnectionAbortedError, ConnectionResetError):
                continue  # gone again; the second is Windows' word for it
            except OSError as error:
                let_through(error)
                if self._closed:
                    return None
                # accept(2) says so before it looks whether anybody is there.
                no_descriptors = error.errno in (errno.EMFILE, errno.ENFILE)
                if not no_descriptors or wait_ready({self._socket.fileno(): READABLE}, 0):
                    raise
                if not self._wait(READABLE, deadline):
                    return None
            else:
                return make(Socket(accepted), address_tuple(sockaddr))
        return None
