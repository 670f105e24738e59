"""A TCP connection: the stream of bytes, who the peer is, and whose client it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import log, service
from ._backend import poll, sock, stream
from .connect import connect as connect_socket
from .errors import NetworkError, let_through, suppress
from .options import Linger
from .table import table

if TYPE_CHECKING:
    from .listener import Server

# What may wait to be sent to one peer.
QUEUE_LIMIT = 16 * 1024 * 1024


class Connection(stream.Stream):
    """An open TCP connection, our own or accepted by a server.

    Owns its stream until close(); from then on the background thread does, until the peer has
    everything and the descriptor is given back.
    """

    __slots__ = ("deadline", "id", "linger", "peer", "server")

    kind = "a TCP connection"

    def __init__(
        self, handle: sock.Socket, identifier: int, peer: tuple[str, int], server: Server | None = None
    ) -> None:
        super().__init__(handle)
        self.id = identifier
        self.peer = peer
        self.server = server
        self.linger: Linger | None = None
        self.deadline: float | None = None

    @property
    def socket(self) -> sock.Socket:
        return self

    def set_linger(self, enable: bool, seconds: int) -> None:
        """Set how close() ends what is not delivered yet, as SO_LINGER (socket(7)) does it for close(2)."""
        # The kernel is told of a reset only: with seconds, every close(2) would wait for the peer, also the one of
        # the interpreter's exit. close() has the background wait instead.
        super().set_linger(enable and seconds == 0, 0)
        self.linger = Linger(enable, seconds)

    def broke(self, trouble: NetworkError) -> None:
        """The connection broke, by this error."""
        if self.is_closed():
            return  # the script has said all it had to say, and so has the log
        log.note(log.INFO, self, "broken: %s", trouble.detail)

    def drop(self, reason: str) -> None:
        """Give up on this peer; the next call says why."""
        log.note(log.WARNING, self, "%s", reason)
        super().drop(reason)

    def broadcast(self, data: bytes) -> bool:
        """Send without waiting; what the kernel does not take goes out in the background.

        Returns False if it does not reach this peer.
        """
        reached = self.offer(data, QUEUE_LIMIT)
        if reached == 2:
            with suppress(OSError, MemoryError):  # no thread to be had: the next call on it flushes first
                service.hand_over(self, poll.WRITE)
        return reached != 0

    def close(self) -> None:
        """Close at once for the script, and in the background for the peer, which gets everything."""
        try:
            if self.begin_close():
                log.note(log.DEBUG, self, "closed")
                self._after_close()
        except MemoryError:
            # What it still held is lost then; the descriptor and the ID must not be.
            self.release()
            self._leave_table()
            service.withdraw(self)
            raise
        except BaseException:
            # A signal's handler has raised in the middle: to close it again would do nothing.
            if self.is_closed():
                self._after_close()
            raise

    def _leave_table(self) -> None:
        table.retire(self.id)
        if self.server is not None:
            self.server.clients.pop(self.id, None)

    def _after_close(self) -> None:
        """What is left to do once it is closed; where that was interrupted, all of it again."""
        self._leave_table()
        linger = self.linger
        if linger is not None and linger.enable and linger.seconds == 0:
            self.release()  # asked for a reset (SO_LINGER, socket(7))
            service.withdraw(self)
            return
        seconds = service.CLOSE_SECONDS
        if linger is not None and linger.enable:
            seconds = min(seconds, linger.seconds)
        self.deadline = time.monotonic() + seconds
        events = self.finish_close()
        if not events:
            service.withdraw(self)
            return
        try:
            service.hand_over(self, events)
        except OSError as error:
            let_through(error)
            self.release()  # no descriptor to watch it with: the kernel goes on alone

    def work(self) -> int:
        """In the background: finish the close, or flush the queue."""
        if not self.is_closed():
            return 0 if self.flush() else poll.WRITE
        events: int = self.finish_close()
        if not events:
            self.deadline = None
        return events

    def expire(self) -> bool:
        """The peer took too long to let us finish."""
        log.note(log.INFO, self, "closed without waiting any longer for the peer")
        self.release()
        return False

    def unsent(self) -> bool:
        """Is anything sent before the close not with the peer yet?"""
        return self.is_closed() and (self.outgoing_size > 0 or self.unacknowledged() > 0)


def connect(host: str, port: int) -> Connection:
    """Open a connection and give it an ID.

    host: a name or an IP address; port: 1 to 65535.
    Errors: as connect.connect.
    """
    service.prepare()
    handle, peer = connect_socket(host, port)
    connection: Connection = table.add(lambda identifier: Connection(handle, identifier, peer))
    log.note(log.DEBUG, connection, "connected")
    return connection
