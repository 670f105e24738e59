"""The bytes a connection receives: taking them, as text or as they are."""

from __future__ import annotations

import socket

from ..errors import NetworkError
from .reader import BLOCK, Reader
from .sock import READABLE, Socket, deadline_after

UNTIL_LIMIT = 64 * 1024 * 1024
DRAIN_READS = 16  # blocks thrown away in one step


class Receiver(Reader):
    """The receiving half of a connection. Owns what its Reader owns."""

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._delimiter_text = ""
        self._delimiter = b""
        self.timeout_ms = 30000

    def set_timeout(self, timeout_ms: int) -> None:
        """Bound the calls that wait and have no timeout argument to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    def recv(self, size: int) -> str | None:
        """At most `size` bytes that are there now, as text; None if there are none."""
        return self._receive_text(size, 0)

    def recv_blocking(self, size: int, timeout_ms: int) -> str | None:
        """The first bytes to come, at most `size`, as text; None at the end or when the time is up."""
        return self._receive_text(size, timeout_ms)

    def recv_bytes(self, size: int) -> bytes | None:
        """recv() without decoding."""
        return self.recv_bytes_blocking(size, 0)

    def recv_bytes_blocking(self, size: int, timeout_ms: int) -> bytes | None:
        """recv_blocking() without decoding."""
        deadline = deadline_after(timeout_ms)
        while True:
            with self._lock:
                found = self._incoming.take_bytes(size)
                if found is not None:
                    self._note_rest(len(self._incoming) > 0)
                    return found
                filled = self._fill(size)
                if filled:
                    continue
                if self._ended:
                    self._raise_trouble()
                    return None
                news = self._news
            if not self._wait(READABLE, deadline, news):
                return None

    def _receive_text(self, size: int, timeout_ms: int) -> str | None:
        deadline = deadline_after(timeout_ms)
        while True:
            with self._lock:
                found = self._incoming.take_text(size, self._ended)
                if found is not None:
                    self._note_rest(len(self._incoming) > 0)
                    return found
                if self._fill(self._incoming.room_for_text(size)):
                    continue
                if self._ended:
                    found = self._incoming.take_text(size, True)
                    if found is None:
                        self._raise_trouble()
                    return found
                news = self._news
            if not self._wait(READABLE, deadline, news):
                return None

    def recv_all(self) -> str:
        """Everything that is there now, as text; "" if nothing is, and at the end."""
        with self._lock:
            while len(self._incoming) < UNTIL_LIMIT:
                before = len(self._incoming)
                # A short read: the kernel has no more (recv(2)).
                if not self._fill(BLOCK) or len(self._incoming) < before + BLOCK:
                    break
            found = self._incoming.take_text(len(self._incoming), self._ended)
            if found is None:
                self._raise_trouble()
                return ""
            return found

    def recv_until(self, delimiter: str) -> str | None:
        """Everything up to and including the delimiter, as text; None when the time is up or at the end."""
        deadline = deadline_after(self.timeout_ms)
        while True:
            with self._lock:
                found = self._incoming.take_text_until(self._delimiter_bytes(delimiter))
                if found is not None:
                    self._note_rest(len(self._incoming) > 0)
                    return found
                if len(self._incoming) >= UNTIL_LIMIT:
                    raise NetworkError(f"no delimiter in {len(self._incoming)} bytes; recv can read them")
                if self._fill(BLOCK):
                    self._note_rest(True)
                    continue
                if self._ended:
                    if not self._incoming:
                        self._raise_trouble()
                    return None
                news = self._news
            if not self._wait(READABLE, deadline, news):
                return None

    def _delimiter_bytes(self, delimiter: str) -> bytes:
        """The delimiter encoded; the same object for the same delimiter, so that the scan goes on."""
        if delimiter != self._delimiter_text:
            self._delimiter = delimiter.encode("utf-8", "surrogateescape")
            self._delimiter_text = delimiter
        return self._delimiter

    def is_connected(self) -> bool:
        """False once the peer has closed, or the connection broke, and everything received was read."""
        with self._lock:
            if self._closed:
                return False
            if self._incoming:
                return True
            if self._ended:
                return False
            try:
                self._ended = not self._socket.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return True
            except OSError as error:
                self._fail(error)
            return not self._ended

    def _readiness(self, readable: bool) -> bool:
        """Would recv() not give None right now? A character that is not all there does not count."""
        with self._lock:
            if self._closed or self._ended:
                return True
            if readable:
                came = False
                while self._fill(BLOCK):
                    came = True
                    if self._incoming.has_character():
                        break  # behind part of one there may be the end
                self._note_rest(came)
            return self._ended or self._incoming.has_character()

    # ---- the end

    def begin_close(self) -> bool:
        """Let no new call in, wake those who wait, let go what was not read. False if done before."""
        if not super().begin_close():
            return False
        with self._lock:
            self._incoming.clear()
        return True

    def _drain(self) -> None:
        """Throw away what has come, some of it at a time."""
        if self._ended:
            return
        try:
            for _ in range(DRAIN_READS):
                if not self._socket.recv(BLOCK):
                    self._ended = True
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
