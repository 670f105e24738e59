"""Reads into a connection's buffer, and why no more comes."""

from __future__ import annotations

import socket

from ..errors import NetworkError, from_os_error, let_through
from .buffer import Buffer
from .sock import Socket

BLOCK = 262144  # one read


class Reader(Socket):
    """What comes on a connection, and what is known of its end.

    Owns the socket and the bytes received and not yet read. The lock is held around everything that
    touches these, and never while waiting.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._incoming = Buffer()
        self._ended = False
        self._broken = False
        self._trouble: NetworkError | None = None

    def _fill(self, room: int) -> bool:
        """One read into the buffer. False: nothing there now, or (``_ended``) never again."""
        if self._ended or self._closed:
            return False
        try:
            received = self._incoming._receive(self._socket.recv, min(room, BLOCK))
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(error)
            return False
        self._ended = received == 0
        return received > 0

    # ---- why no more comes

    def _fail(self, error: OSError) -> None:
        """The connection broke while reading: no more comes, and the next call may say why."""
        let_through(error)
        self._ended = True
        self._break(error)

    def _break(self, error: OSError) -> None:
        trouble = from_os_error(error)
        if not self._broken:
            self._trouble = trouble  # first: other threads must not see it broken for no reason
            self._broken = True
            self.broke(trouble)

    def broke(self, trouble: NetworkError) -> None:
        """The connection broke, by this error; a subclass may want to tell."""

    def _raise_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble
