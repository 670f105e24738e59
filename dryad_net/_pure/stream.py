"""A connection's byte stream: receiving, sending, the send queue, and an end that loses nothing."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import deque
from typing import NoReturn

from ..errors import IdError, NetworkError, NetworkTimeoutError, from_errno, from_os_error
from .buffer import Buffer
from .poll import READ, WRITE
from .sock import READABLE, WRITABLE, Socket, deadline_after

BLOCK = 262144  # one read
UNTIL_LIMIT = 64 * 1024 * 1024
DRAIN_READS = 16  # blocks of late input thrown away in one step of a close


class Stream(Socket):
    """One TCP connection's bytes, in and out.

    Owns the socket, the bytes received and not yet read, and those queued for sending. The lock is
    held around everything that touches these, and never while waiting.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._incoming = Buffer()
        self._ended = False
        self._broken = False
        self._told_end = False
        self._trouble: NetworkError | None = None
        self._sending = threading.Lock()
        self._outgoing: deque[memoryview] = deque()
        self._delimiter_text = ""
        self._delimiter = b""
        self.timeout_ms = 30000
        self.outgoing_size = 0

    def set_timeout(self, timeout_ms: int) -> None:
        """Bound send() and recv_until() to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    # ---- receiving

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
                    return found
                filled = self._fill(size)
                if filled:
                    continue
                if self._ended:
                    self._raise_trouble()
                    return None
            if not self._wait(READABLE, deadline):
                return None

    def _receive_text(self, size: int, timeout_ms: int) -> str | None:
        deadline = deadline_after(timeout_ms)
        while True:
            with self._lock:
                found = self._incoming.take_text(size, self._ended)
                if found is not None:
                    return found
                if self._fill(self._incoming.room_for_text(size)):
                    continue
                if self._ended:
                    found = self._incoming.take_text(size, True)
                    if found is None:
                        self._raise_trouble()
                    return found
            if not self._wait(READABLE, deadline):
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
                    return found
                if len(self._incoming) >= UNTIL_LIMIT:
                    raise NetworkError(f"no delimiter in {len(self._incoming)} bytes; recv can read them")
                if self._fill(BLOCK):
                    continue
                if self._ended:
                    if not self._incoming:
                        self._raise_trouble()
                    return None
            if not self._wait(READABLE, deadline):
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

    def _fill(self, room: int) -> bool:
        """One read into the buffer. False: nothing there now, or (``_ended``) never again."""
        if self._ended or self._closed:
            return False
        try:
            data = self._socket.recv(min(room, BLOCK))
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(error)
            return False
        self._incoming.append(data)
        self._ended = not data
        return bool(data)

    # ---- what went wrong

    def _fail(self, error: OSError) -> None:
        """The connection broke while reading: no more comes, and the next call may say why."""
        self._ended = True
        self._break(error)

    def _break(self, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            self._trouble = from_os_error(error)

    def _raise_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

    def _check_writable(self) -> None:
        if self._closed:
            raise IdError("closed")
        if self._broken:
            self._raise_trouble()
            raise from_errno(errno.ENOTCONN)

    # ---- sending

    def send(self, data: str | bytes | memoryview) -> int:
        """Send all of it, waiting up to the timeout.

        data: an ASCII str or a bytes-like object.
        Returns the number of bytes the kernel took; fewer than all only when the time was up.
        Errors: NetworkTimeoutError (it took none), NetworkError, IdError (closed meanwhile).
        """
        view = memoryview(data.encode() if isinstance(data, str) else data)
        deadline = deadline_after(self.timeout_ms)
        with self._lock:
            self._check_writable()
        if not self._sending.acquire(timeout=_lock_seconds(deadline)):
            raise NetworkTimeoutError("nothing was sent before the time was up")
        try:
            return self._send_in_turn(view, deadline)
        finally:
            self._sending.release()

    def _send_in_turn(self, view: memoryview, deadline: float | None) -> int:
        sent = 0
        while True:
            with self._lock:
                self._check_writable()
                # What was queued before goes first; what is queued once this has begun comes after it.
                if sent > 0 or self._flush_queue():
                    self._check_writable()
                    sent += self._send_some(view[sent:])
                    if sent == len(view):
                        return sent
            if not self._wait(WRITABLE, deadline):
                with self._lock:
                    self._check_writable()
                if sent == 0:
                    raise NetworkTimeoutError("nothing was sent before the time was up")
                return sent

    def _send_some(self, view: memoryview) -> int:
        """How many bytes the kernel took without waiting."""
        try:
            return self._socket.send(view)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._send_failed(error)

    def _send_failed(self, error: OSError) -> NoReturn:
        """The connection broke while writing: said at once. What was received stays readable."""
        self._broken = True
        self._trouble = None
        raise from_os_error(error) from error

    def offer(self, data: bytes, limit: int) -> int:
        """Send without waiting, and queue what the kernel does not take.

        data: bytes, shared by everybody it is offered to; limit: bytes that may wait in the queue.
        Returns 0: it reaches nobody (closed, broken, or just dropped for going over the limit),
        1: sent, 2: the rest is queued for flush().
        """
        with self._lock:
            if self._broken or not self.is_connected():
                return 0
            rest = memoryview(data)
            if not self._outgoing and self._sending.acquire(blocking=False):
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    pass
                except OSError as error:
                    self._break(error)
                    return 0
                finally:
                    self._sending.release()
            if not rest:
                return 1
            if self.outgoing_size + len(rest) > limit:
                self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
                return 0
            self._outgoing.append(rest)
            self.outgoing_size += len(rest)
            return 2

    def drop(self, reason: str) -> None:
        """Give up on this peer: what is queued goes, both directions end, the next call says why."""
        with self._lock:
            self._clear_queue()
            if not self._broken:
                self._broken = True
                self._trouble = NetworkError(reason)
            self.end_both()

    def flush(self) -> bool:
        """Send what is queued, without waiting. True when nothing is left to send."""
        if not self._sending.acquire(blocking=False):
            return False  # in the middle of somebody's bytes; they flush first thing
        try:
            with self._lock:
                return self._flush_queue()
        finally:
            self._sending.release()

    def _flush_queue(self) -> bool:
        while self._outgoing:
            rest = self._outgoing[0]
            try:
                sent = self._socket.send(rest)
            except BlockingIOError:
                return False
            except OSError as error:
                self._break(error)
                self._clear_queue()
                return True
            self.outgoing_size -= sent
            if sent == len(rest):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = rest[sent:]
        return True

    def _clear_queue(self) -> None:
        self._outgoing.clear()
        self.outgoing_size = 0

    # ---- the end

    def begin_close(self) -> bool:
        """Let no new call in, wake those who wait, let go what was not read. False if done before."""
        if not super().begin_close():
            return False
        with self._lock:
            self._incoming.clear()
        return True

    def finish_close(self) -> int:
        """One step towards the end: flush, send our end of stream, read away what still comes.

        A descriptor that is closed with unread or late input resets the connection, and a reset
        destroys what the peer has not read yet (RFC 9293, 3.10.4; RFC 1122, 4.2.2.13): so it is
        kept until the peer's end of stream.
        Returns what must become possible before the next step (READ, WRITE), or 0: the descriptor
        has been given back.
        """
        flushed = self.flush()
        with self._lock:
            if flushed and not self._told_end:
                self._told_end = True
                self.end_sending()
            # Also before all is flushed: a peer that wants to be rid of its own data first reads ours later.
            self._drain()
            if not self._broken and not (flushed and self._ended):
                return (0 if self._ended else READ) | (0 if flushed else WRITE)
        self.release()
        return 0

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


def _lock_seconds(deadline: float | None) -> float:
    """A deadline as Lock.acquire takes it."""
    if deadline is None:
        return -1
    return min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
