"""A WebSocket connection: its handshake, its life in the background, and its end."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from . import handshake, log, service
from ._backend import mask, poll, sock, websocket
from .close_codes import ABNORMAL, INTERNAL_ERROR, NORMAL, POLICY_VIOLATION
from .connect import connect as connect_socket
from .errors import IdError, NetworkError, let_through, suppress
from .opening import ClientOpening, Opening, ServerOpening, compressors
from .options import KEEPALIVE, NODELAY
from .table import table
from .threads import is_held_here, take
from .url import parse

if TYPE_CHECKING:
    from .deflate import Deflater, Inflater, Parameters
    from .websocket_server import Server

# What may wait to be sent to one peer.
QUEUE_LIMIT = 16 * 1024 * 1024
# How long the script may do nothing after connect(), or after it has set something, before the handshake
# begins by itself.
LAZY_SECONDS = 0.1
# With keepalive: the silence after which a ping is sent, and how long its answer may take.
KEEPALIVE_SECONDS = 20.0

# Connections that the script has closed and whose peers have not answered yet, by ID.
closing: dict[int, Connection] = {}


class Connection(websocket.WebSocket):
    """A WebSocket connection, our own or a client of a server.

    Owns its descriptor until it is closed, and what it has received until the script closes it.
    Between two calls of the script the background thread serves it.
    """

    __slots__ = (
        "compression", "connected_at", "deadline", "head", "id", "keeps_alive", "opening", "peer", "pinged_at",
        "server", "spare_deflater", "subprotocol",
    )  # fmt: skip

    kind = "a WebSocket connection"

    def __init__(self, handle: sock.Socket, opening: Opening, peer: tuple[str, int], server: Server | None) -> None:
        super().__init__(handle)
        self.set_role(server is None)
        self.id = 0
        self.opening: Opening | None = opening
        self.peer = peer
        self.server = server
        self.head = b""
        self.subprotocol: str | None = None
        self.compression: Parameters | None = None
        self.spare_deflater: Deflater | None = None
        self.connected_at: float | None = None
        self.deadline: float | None = None
        self.keeps_alive = False
        self.pinged_at: float | None = None
        with suppress(OSError):  # the peer is gone already, which the first read tells
            self.set_option(*NODELAY, 1)

    @property
    def socket(self) -> sock.Socket:
        return self

    # ---- the opening handshake

    def complete_handshake(self, timeout_ms: int) -> bool:
        """Go on with the handshake, waiting so long.

        True: it is over; False: the time is up, closed, or this thread is at it below a signal's handler.
        """
        opening = self.opening
        if opening is None:
            return True
        if is_held_here(opening.lock):
            return False
        deadline = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
        taken: list[bool] = []
        try:
            seconds = -1 if deadline is None else timeout_ms / 1000
            return take(opening.lock, seconds, taken) and self._go_on(opening, deadline)
        finally:
            if True in taken:
                opening.lock.release()

    def _go_on(self, opening: Opening, deadline: float | None) -> bool:
        while not self.is_closed():
            if self.opening is None or opening.step(self):
                return True
            left_ms = -1 if deadline is None else _milliseconds_until(deadline)
            patience_ms = opening.patience_ms()
            if patience_ms is not None and not 0 <= left_ms <= patience_ms:
                self.fill_for_handshake(patience_ms)
            elif not self.fill_for_handshake(left_ms):
                return False
        return False

    def put_off_handshake(self) -> None:
        """Have the background begin our handshake LAZY_SECONDS from now, if no call has begun it by then."""
        opening = self.opening
        if not isinstance(opening, ClientOpening):
            return
        with opening.changing:
            if not opening.started:
                self._set_deadline(time.monotonic() + LAZY_SECONDS)
                with suppress(OSError):  # without a thread the handshake waits for the first call
                    service.schedule(self)

    def opened(self, agreement: handshake.Agreement, response: bytes = b"") -> None:
        """The handshake has succeeded, unless the connection was closed meanwhile.

        response: what is still to be sent for it.
        """
        self.subprotocol = agreement.subprotocol
        self.compression = agreement.compression
        self.connected_at = time.time()
        inflater, deflater = compressors(agreement.compression, self.server is None)
        if not self._answer_and_open(response, inflater, deflater):
            return
        self.opening = None
        log.note(log.DEBUG, self, "handshake complete, %s", "compressed" if inflater is not None else "not compressed")
        if self.server is not None:
            self.server.completed(self)
        self._begin_keepalive()
        self._let_service_watch()

    def _answer_and_open(self, response: bytes, inflater: Inflater | None, deflater: Deflater | None) -> bool:
        opening = self.opening
        if opening is None:
            return False  # closed by another thread
        with opening.answering:
            if self.is_closed():
                return False
            if response:
                self.send_now(response)
            return self.open(inflater, deflater)

    def fail_opening(self, error: NetworkError) -> None:
        """The handshake has failed; for a connection of our own, the next call says why."""
        self.opening = None
        if self.server is not None:
            self.server.failed(self, error)
        else:
            log.note(log.INFO, self, "handshake failed: %s", error.detail)
        self.fail_with(error, ABNORMAL)

    def started(self) -> bool:
        """Has the handshake begun, so that settings come too late for it?"""
        return self.opening is None or self.opening.started

    # ---- settings

    def set_keepalive(self, enable: bool) -> None:
        """Find out whether a silent peer is still there, by pings and by TCP."""
        self.keeps_alive = enable
        if not self.is_closed() and self.fileno() >= 0:
            with suppress(OSError):
                self.set_option(*KEEPALIVE, enable)
        self._begin_keepalive()

    def _begin_keepalive(self) -> None:
        self.set_ping_watch(self.keeps_alive)
        self.pinged_at = None
        if self.opening is None and self.is_open():
            self._set_deadline(time.monotonic() + KEEPALIVE_SECONDS if self.keeps_alive else None)
            with suppress(OSError):  # no thread to be had: TCP's own probes are left
                service.schedule(self)

    def set_compressing(self, enable: bool) -> None:
        """After the handshake: stop or go on compressing what we send. It must have been agreed."""
        if enable and self.spare_deflater is not None:
            self.set_deflater(self.spare_deflater)
            self.spare_deflater = None
        elif not enable and self.spare_deflater is None:
            self.spare_deflater = self.take_deflater()

    # ---- in the background

    def _let_service_watch(self) -> None:
        self.watched = True
        try:
            service.watch(self)
        except (OSError, MemoryError) as error:  # no thread to be had: the script's calls do what they can
            self.watched = False
            let_through(error)

    def _hand_over(self, events: int) -> None:
        with suppress(OSError, MemoryError):
            service.hand_over(self, events)

    def _set_deadline(self, deadline: float | None) -> None:
        """Set the deadline, unless another thread has ended the connection meanwhile: the end has one of its own."""
        self.deadline = deadline
        # In this order, as ending() sets its own when this can be seen: whichever is set last is the end's.
        if self.is_closed() or self.is_over():
            self.deadline = None if self.fileno() < 0 else time.monotonic() + service.CLOSE_SECONDS
            with suppress(OSError):  # no thread to be had, as where it was ended
                service.schedule(self)

    def unsent(self) -> bool:
        """Is anything sent before the close not with the peer yet?"""
        return self.is_closed() and self.fileno() >= 0 and (self.outgoing_size > 0 or self.unacknowledged() > 0)

    def leave_to_service(self) -> None:
        """Something is queued that the background must send."""
        # And read: it may have been waiting for that, and a peer who does not read may close meanwhile, or ask.
        self._hand_over(poll.READ | poll.WRITE)

    def resumed(self) -> None:
        """There is something to read or to answer that no poller will tell."""
        self._let_service_watch()

    def work(self) -> int:
        """What there is to do while no call of the script's does it; see service.Task."""
        if self.is_closed() or self.is_over():
            return self._finish()
        if self.opening is not None:
            if not self.complete_handshake(0) and self.opening is not None:
                return poll.READ | (0 if self.flush() else poll.WRITE)
            if not self.is_open():
                return self._finish()
        if self.take_touched():
            self._let_service_watch()
            return 0 if self.flush() else poll.WRITE
        self.watched = False
        events = self.serve()
        if self.has_messages() or self.is_over():
            self.poke()
        if self.is_over():
            return self._finish()
        return events

    def _finish(self) -> int:
        events = self.finish()
        if not events:
            self.deadline = None
            closing.pop(self.id, None)
            service.withdraw(self)  # whoever has handed it over meanwhile: nothing will wake it any more
        elif self.is_over():
            closing.pop(self.id, None)
        return events

    def expire(self) -> bool:
        """A deadline has passed: of the handshake, the keepalive or the close."""
        if self.is_closed() or self.is_over():
            log.note(log.INFO, self, "closed without waiting any longer for the peer")
            self.abort()
            closing.pop(self.id, None)
            return False
        if isinstance(self.opening, ServerOpening):
            with contextlib.suppress(NetworkError):
                self.opening.refuse(self, 408, "the handshake took too long")
            self.fail_opening(NetworkError("the handshake took too long"))
            return True
        if self.opening is not None:
            self._go_on_unasked(self.opening)
            return True
        self._check_keepalive()
        return True

    def _go_on_unasked(self, opening: Opening) -> None:
        self._set_deadline(None)
        if self.complete_handshake(0):
            return
        patience_ms = opening.patience_ms()
        if patience_ms is None:
            self._hand_over(poll.READ)
        else:
            # Not at once, though the time may be up: then a call is at it, and its time for it may be up too.
            self.wait_for_body(time.monotonic() + max(patience_ms / 1000, service.LOOK_SECONDS))

    def wait_for_body(self, until: float) -> None:
        """Have the background end the handshake then, if what is left of a refusal has not come before.

        until: monotonic seconds; nothing that a poller could tell happens then.
        """
        self._set_deadline(until)
        self._hand_over(poll.READ)

    def _check_keepalive(self) -> None:
        if self.keeps_alive and self.silence() >= KEEPALIVE_SECONDS:
            # What has come while this thread was held up, and nobody has read yet, is no silence.
            self.serve()
            if not self.is_open():
                return
        now = time.monotonic()
        silence = self.silence()
        self._set_deadline(now + KEEPALIVE_SECONDS if self.keeps_alive else None)
        if not self.keeps_alive:
            return
        if self.is_paused():
            self.pinged_at = None  # nothing is heard, because the script does not read
        elif silence < KEEPALIVE_SECONDS:
            self.pinged_at = None
            self._set_deadline(now + KEEPALIVE_SECONDS - silence)
        elif self.pinged_at is None or silence < now - self.pinged_at:
            self.pinged_at = now
            self.ping_now()
        else:
            reason = f"the peer has not answered a ping for {KEEPALIVE_SECONDS:g} s"
            self.fail_with(NetworkError(f"the connection was closed (1011): {reason}"), INTERNAL_ERROR)

    def ending(self) -> None:
        """No more messages will come or go: what is left is the background's."""
        if not self.is_closed():
            self._note_end()
        self.poke()
        self.deadline = time.monotonic() + service.CLOSE_SECONDS
        events = self._finish()
        if events:
            try:
                service.hand_over(self, events)
            except OSError as error:
                let_through(error)
                self.abort()

    def _note_end(self) -> None:
        """Log how it has ended, other than by the script. What the peer gives as a reason is the peer's own."""
        trouble = self.why_broken()
        if trouble is None:
            log.note(log.DEBUG, self, "ended by the peer (%d)", self.close_code)
        elif self.close_code == ABNORMAL:
            log.note(log.INFO, self, "broken: %s", trouble.detail)
        else:
            log.note(log.WARNING, self, "%s", trouble.detail)

    # ---- the end

    def drop(self, reason: str) -> None:
        """Give up on this peer; the next call says why."""
        log.note(log.WARNING, self, "%s", reason)
        super().drop(reason)

    def close(self, code: int = NORMAL, reason: str = "", wait_for_peer: bool = True) -> None:
        """Close at once for the script; the closing handshake is the background's."""
        try:
            self._close(code, reason, wait_for_peer)
        except MemoryError:
            # What it still held is lost then; the descriptor and the ID must not be.
            self.abort()
            self.leave_table()
            closing.pop(self.id, None)
            service.withdraw(self)
            raise
        except BaseException:
            # A signal's handler has raised in the middle: to close it again would do nothing.
            if self.is_closed():
                self._after_close()
            raise

    def leave_table(self) -> None:
        """Have its ID closed for ever."""
        table.retire(self.id)
        if self.server is not None:
            self.server.clients.pop(self.id, None)

    def _close(self, code: int, reason: str, wait_for_peer: bool) -> None:
        opening = self.opening
        with contextlib.nullcontext() if opening is None else opening.answering:
            if not self.begin_closing(code, reason, wait_for_peer):
                return
        log.note(log.DEBUG, self, "closed (%d)", self.close_code or code)
        self._after_close()

    def _after_close(self) -> None:
        """What is left to do once it is closed; where that was interrupted, all of it again."""
        self.opening = None
        self.leave_table()
        if self.is_closing() and self.id:
            closing[self.id] = self
        self.ending()

    def kick(self) -> None:
        """Close without waiting for the peer's answer."""
        self.close(POLICY_VIOLATION, wait_for_peer=False)

    def abandon(self) -> None:
        """In the child of a fork: close this copy of the descriptor."""
        self.deadline = None
        super().abandon()

    # ---- what there is to know

    def local_address(self) -> tuple[str, int]:
        """Our own (ip, port), as long as there is a descriptor to tell it."""
        try:
            return super().local_address()
        except OSError as error:
            let_through(error)
            if self.fileno() >= 0:
                raise
            if self.is_closed():
                raise IdError("closed") from None
            raise NetworkError(f"not connected: the connection was closed ({self.close_code})") from None

    def info(self) -> dict[str, Any]:
        """What native_ws_client_info tells."""
        path, headers = self._request()
        return {
            "ip": self.peer[0],
            "port": self.peer[1],
            "path": path,
            "headers": headers,
            "subprotocol": self.subprotocol,
            "compression": self.compression is not None,
            "state": self.get_state(),
            "close_code": self.close_code or None,
            "close_reason": self.close_reason if self.close_code else None,
            "connected_at": self.connected_at,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "messages_sent": self.messages_sent,
            "messages_received": self.messages_received,
            "latency_ms": self.latency_ms(),
        }

    def _request(self) -> tuple[str, dict[str, str]]:
        """The target and the headers of the opening handshake."""
        return handshake.describe(self.head)


class ClientConnection(Connection):
    """A WebSocket connection of our own."""

    __slots__ = ("url",)

    def __init__(self, handle: sock.Socket, opening: ClientOpening, peer: tuple[str, int], identifier: int) -> None:
        super().__init__(handle, opening, peer, None)
        self.id = identifier
        self.url = opening.url

    def _request(self) -> tuple[str, dict[str, str]]:
        return handshake.describe(self.head) if self.head else (self.url.target, {})


def _milliseconds_until(deadline: float) -> int:
    """How long from now, rounded up; never more than a timeout may be, which a float of that size is rounded to."""
    return min(max(math.ceil((deadline - time.monotonic()) * 1000), 0), sys.maxsize)


def connect(url: str) -> ClientConnection:
    """Open a connection to a WebSocket server and give it an ID; the handshake comes later.

    url: ws:// or wss://.
    Errors: ArgumentError, and as connect.connect.
    """
    parsed = parse(url)
    service.prepare()
    handle, peer = connect_socket(parsed.host, parsed.port)
    opening = ClientOpening(parsed)
    connection: ClientConnection = table.add(lambda identifier: ClientConnection(handle, opening, peer, identifier))
    log.note(log.DEBUG, connection, "connected")
    connection.put_off_handshake()
    return connection


def _forget_parent() -> None:
    mask.forget_keys()
    for connection in closing.values():
        connection.abandon()
    closing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
