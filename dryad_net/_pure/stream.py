"""A connection's byte stream: sending, the send queue, and an end that loses nothing."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections import deque
from typing import NoReturn

from ..errors import ALREADY_SENDING, IdError, NetworkError, NetworkTimeoutError, from_errno, from_os_error
from ..threads import is_held_here, take
from .poll import READ, WRITE
from .receiver import Receiver
from .sock import NO_SIGNAL, WRITABLE, Socket, deadline_after

NOTHING_SENT = "nothing was sent before the time was up"


class Stream(Receiver):
    """One TCP connection's bytes, in and out.

    Owns what its Receiver owns, and the bytes queued for sending.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._told_end = False
        self._sending = threading.RLock()
        self._outgoing: deque[memoryview] = deque()
        self._progress: tuple[memoryview, list[int]] | None = None  # what was sent of the first of them
        self.outgoing_size = 0
        self._own_left = 0  # of it, what a send that is waiting has queued

    def _check_writable(self) -> None:
        if self._closed:
            raise IdError("closed")
        if self._broken:
            self._raise_trouble()
            raise from_errno(errno.ENOTCONN)

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
        taken: list[bool] = []
        try:
            self._take_turn(deadline, taken)
            return self._send_in_turn(view, deadline)
        finally:
            if True in taken:
                self._sending.release()

    def _take_turn(self, deadline: float | None, taken: list[bool]) -> None:
        """take() the right to send.

        Errors: NetworkTimeoutError, NetworkError (this thread has it already, below a signal's handler).
        """
        if is_held_here(self._sending):
            raise NetworkError(ALREADY_SENDING)
        with self._lock:  # who only flushes, without waiting, has it no longer than this: nobody's time is up by that
            if take(self._sending, 0, taken):
                return
        seconds = -1 if deadline is None else max(deadline - time.monotonic(), 0)
        if not take(self._sending, seconds, taken):
            raise NetworkTimeoutError(NOTHING_SENT)

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
                    raise NetworkTimeoutError(NOTHING_SENT)
                return sent

    def _send_some(self, view: memoryview) -> int:
        """How many bytes the kernel took without waiting."""
        try:
            return self._socket.send(view, NO_SIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._send_failed(error)

    def _send_failed(self, error: OSError) -> NoReturn:
        """The connection broke while writing: said at once. What was received stays readable."""
        trouble = from_os_error(error)
        self._broken = True
        self._trouble = None
        self.broke(trouble)
        raise trouble from error

    def offer(self, data: bytes, limit: int) -> int:
        """Send without waiting, and queue what the kernel does not take.

        data: bytes, shared by everybody it is offered to; limit: bytes that may wait in the queue.
        Returns 0: it reaches nobody (closed, broken, or just dropped for going over the limit),
        1: sent, 2: the rest is queued for flush().
        """
        with self._lock:
            if self._broken or not self.is_connected():
                return 0
            # Queued first: where a signal's handler raises in the middle, what is left of it is known.
            self._outgoing.append(memoryview(data))
            self.outgoing_size += len(data)
            self.flush()
            if self._broken:
                return 0
            if self.outgoing_size > limit:
                self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
                return 0
            return 2 if self._outgoing else 1

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
        taken: list[bool] = []
        flushed = False  # in the middle of somebody's bytes; they flush first thing
        with self._lock:  # around the turn, as _take_turn() counts on
            try:
                if not is_held_here(self._sending) and take(self._sending, 0, taken):
                    flushed = self._flush_queue()
            finally:
                if True in taken:
                    self._sending.release()
        # Not from within: an exception on a return's way out of a `with` may miss the finally around it.
        return flushed

    def _flush_queue(self) -> bool:
        while self._outgoing:
            rest = self._outgoing[0]
            if self._progress is None or self._progress[0] is not rest:
                self._progress = (rest, [])
            sizes = self._progress[1]
            try:
                if not sizes:
                    # Sent and noted without a line between: where a signal's handler raises, what was
                    # sent must be known, or it goes out once more.
                    sizes.extend(map(self._socket.send, (rest,), (NO_SIGNAL,)))
            except BlockingIOError:
                return False
            except OSError as error:
                self._break(error)
                self._clear_queue()
                return True
            sent = sizes[0]
            if not self._outgoing:
                return True  # dropped meanwhile, by a signal's handler
            if sent == len(rest):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = rest[sent:]
            self.outgoing_size -= sent
            self._own_left = max(self._own_left - sent, 0)
        self.outgoing_size = self._own_left = 0
        self._progress = None  # the last message is not held any longer
        return True

    def _clear_queue(self) -> None:
        self._outgoing.clear()
        self.outgoing_size = self._own_left = 0

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
