"""Connecting to a host that may have several addresses (RFC 8305, "Happy Eyeballs")."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from itertools import chain, zip_longest

from ._backend import sock
from .addresses import Resolved, resolve
from .errors import (
    NetworkError,
    NetworkTimeoutError,
    from_errno,
    from_os_error,
    join_host_port,
    let_through,
    words_for,
)
from .options import OOBINLINE
from .threads import UNHEARD_SECONDS

CONNECT_SECONDS = 30.0
# The head start of one address before the next is tried beside it (RFC 8305, section 5).
ATTEMPT_DELAY_SECONDS = 0.25

_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR}


def connect(host: str, port: int) -> tuple[sock.Socket, tuple[str, int]]:
    """Open a TCP connection to the first address that answers.

    host: a name or an IP address; port: 1 to 65535.
    Returns the Socket that owns the connection, and the peer's (ip, port).
    Errors: NetworkError, NetworkTimeoutError, ArgumentError.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    subject = join_host_port(host, port)
    race = _Race(_interleave(resolve(host, port, socket.SOCK_STREAM, deadline)))
    try:
        handle = sock.adopt(race.run(deadline))
        try:
            return handle, handle.peer_address()
        except OSError as error:  # it was there, and has reset the connection since
            handle.release()
            let_through(error)
            raise from_errno(errno.ECONNRESET) from None
    except (NetworkError, NetworkTimeoutError) as error:
        raise error.about(subject) from None
    except OSError as error:
        raise from_os_error(error).about(subject) from None
    finally:
        race.close()


def _interleave(addresses: list[Resolved]) -> list[Resolved]:
    """The two families in turn, beginning with the one that is listed first (RFC 8305, section 4)."""
    first = [address for address in addresses if address.family == addresses[0].family]
    second = [address for address in addresses if address.family != addresses[0].family]
    return [address for address in chain.from_iterable(zip_longest(first, second)) if address is not None]


class _Race:
    """Attempts to connect, side by side. Owns the sockets of all of them but the winner's."""

    def __init__(self, addresses: list[Resolved]) -> None:
        self._addresses = addresses
        # Attempts are few and short-lived: a poller without a descriptor of its own will do.
        self._selector: selectors.BaseSelector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
        self._errors: list[int] = []
        self._running: set[socket.socket] = set()

    def run(self, deadline: float) -> socket.socket:
        """The first socket that is connected."""
        waiting = list(self._addresses)
        while waiting or self._running:
            if waiting:
                winner = self._start(waiting.pop(0))
                if winner is not None:
                    return winner
            next_start = time.monotonic() + ATTEMPT_DELAY_SECONDS if waiting else deadline
            failures = len(self._errors)
            # The next address is tried when this one has had its head start, or as soon as one fails.
            while self._running and len(self._errors) == failures:
                now = time.monotonic()
                if now >= deadline:
                    raise NetworkTimeoutError("nobody answered in time (ETIMEDOUT)", errno=errno.ETIMEDOUT)
                if now >= next_start:
                    break
                for key, _events in self._selector.select(min(next_start - now, deadline - now, UNHEARD_SECONDS)):
                    winner = self._finish(key.fileobj)  # type: ignore[arg-type]
                    if winner is not None:
                        return winner
        raise self._most_telling()

    def _start(self, address: Resolved) -> socket.socket | None:
        """Begin one attempt; a socket that is connected already is the winner."""
        try:
            attempt = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            let_through(error)
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            self._errors.append(error.errno or errno.EAFNOSUPPORT)
            return None
        self._running.add(attempt)
        attempt.setblocking(False)
        attempt.setsockopt(*OOBINLINE, 1)
        failed = attempt.connect_ex(address.sockaddr)
        if failed in _IN_PROGRESS:
            self._selector.register(attempt, selectors.EVENT_WRITE)
            return None
        return self._settle(attempt, failed)

    def _finish(self, attempt: socket.socket) -> socket.socket | None:
        self._selector.unregister(attempt)
        return self._settle(attempt, attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _settle(self, attempt: socket.socket, failed: int) -> socket.socket | None:
        if not failed and attempt.getsockname() == _peer_name(attempt):
            # A port nobody listens on, in the ephemeral range: TCP's simultaneous open (RFC 9293,
            # 3.5) has connected the socket to itself.
            failed = errno.ECONNREFUSED
        self._running.discard(attempt)
        if failed:
            attempt.close()
            self._errors.append(failed)
            return None
        return attempt

    def _most_telling(self) -> NetworkError | NetworkTimeoutError:
        """Of several reasons, one from a host that answered; else the first."""
        number = errno.ECONNREFUSED if errno.ECONNREFUSED in self._errors else self._errors[0]
        if number == errno.ETIMEDOUT:
            return NetworkTimeoutError(f"{words_for(number)} (ETIMEDOUT)", errno=number)
        return from_errno(number)

    def close(self) -> None:
        """Close every attempt that is still under way."""
        for attempt in self._running:
            attempt.close()
        self._selector.close()


def _peer_name(connected: socket.socket) -> object:
    try:
        return connected.getpeername()
    except OSError as error:
        let_through(error)
        return None  # gone again already, which whoever asks for it next will find
