"""A WebSocket server: handshakes side by side, clients that wait to be accepted, and messages to all."""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import TYPE_CHECKING

from . import log, service
from ._backend import poll, sock, transmit
from .close_codes import GOING_AWAY
from .errors import NetworkError, from_os_error, join_host_port, let_through, suppress
from .handshake import Settings
from .listener import open_listener
from .opening import ServerOpening
from .table import table
from .threads import completed
from .websocket import QUEUE_LIMIT, Connection

if TYPE_CHECKING:
    import ssl

HANDSHAKE_SECONDS = 10.0
# How many clients may wait to be accepted; then no further handshakes are begun.
READY_LIMIT = 1024
# How many connections are accepted before others get their turn in the background.
ACCEPT_BATCH = 64


class Server(sock.Listener):
    """A listening socket, the handshakes under way on it, and its clients.

    Owns its descriptor until stop(), and the connections that no accept has handed out.
    """

    __slots__ = (
        "accepts", "clients", "context", "deadline", "id", "keeps_alive", "max_frame_size", "max_message_size",
        "pending", "ready", "resting", "settings", "timeout_ms",
    )  # fmt: skip

    kind = "a WebSocket server"

    def __init__(self, handle: sock.Socket, identifier: int, context: ssl.SSLContext | None) -> None:
        super().__init__(handle)
        self.unwatched = True  # clients are there when their handshakes are complete, not before
        self.id = identifier
        self.context = context
        self.settings = Settings()
        self.clients: dict[int, Connection] = {}
        self.pending: dict[Connection, None] = {}
        self.ready: deque[Connection] = deque()
        self.resting = False  # no handshakes are begun, since too many wait
        self.accepts = True  # or could not, the last time it tried
        self.deadline: float | None = None
        self.keeps_alive = False
        self.max_frame_size: int | None = None
        self.max_message_size: int | None = None
        self.timeout_ms: int | None = None

    @property
    def socket(self) -> sock.Socket:
        return self

    # ---- in the background: handshakes

    def work(self) -> int:
        """Accept connections and begin their handshakes; see service.Task."""
        for _ in range(ACCEPT_BATCH):
            if self.is_closed():
                return 0
            if len(self.ready) + len(self.pending) >= 2 * READY_LIMIT or len(self.ready) >= READY_LIMIT:
                self.resting = True
                return 0
            try:
                if self.accept(0, self._begin) is None:
                    break
            except (OSError, MemoryError) as error:
                let_through(error)
                # No descriptors, or no memory: those who wait outside wait a little longer.
                if self.is_closed():
                    return 0  # meanwhile, by the script
                if self.accepts:
                    reason = from_os_error(error).detail if isinstance(error, OSError) else "no memory"
                    log.note(log.WARNING, self, "cannot accept for now: %s", reason)
                self.accepts = False
                self.resting = True
                self.deadline = time.monotonic() + service.LOOK_SECONDS
                service.schedule(self)
                return 0
        return poll.READ

    def _begin(self, handle: sock.Socket, peer: tuple[str, int]) -> Connection:
        self.accepts = True
        client = Connection(handle, ServerOpening(self.settings, self.context), peer, self)
        log.note(log.DEBUG, client, "came to server %d", self.id)
        self._apply_settings(client)
        client.deadline = time.monotonic() + HANDSHAKE_SECONDS
        self.pending[client] = None
        self._close_if_stopped(client)
        try:
            events = client.work()
            if events:
                service.hand_over(client, events)
        except (OSError, MemoryError):
            self.pending.pop(client, None)
            client.abort()
            raise
        return client

    def _apply_settings(self, client: Connection) -> None:
        if self.max_frame_size is not None:
            client.set_max_frame_size(self.max_frame_size)
        if self.max_message_size is not None:
            client.set_max_message_size(self.max_message_size)
        if self.timeout_ms is not None:
            client.set_timeout(self.timeout_ms)
        if client.keeps_alive != self.keeps_alive:
            client.set_keepalive(self.keeps_alive)

    def completed(self, client: Connection) -> None:
        """A client's handshake has succeeded."""
        self.ready.append(client)
        self.pending.pop(client, None)  # only now: at any moment stop() finds it in one of the two
        self._close_if_stopped(client)
        self.attention = True
        self.poke()

    def _close_if_stopped(self, client: Connection) -> None:
        """Close a client that has come to where stop(), in another thread, may have looked before."""
        if self.is_closed():
            client.close(GOING_AWAY)

    def failed(self, client: Connection, error: NetworkError) -> None:
        """A client's handshake has failed, or took too long."""
        self.pending.pop(client, None)
        log.note(log.INFO, client, "handshake with server %d refused: %s", self.id, error.detail)
        self._go_on()

    def _go_on(self) -> None:
        """There is room for handshakes again."""
        if self.resting and not self.is_closed():
            self.resting = False
            with suppress(OSError):
                service.hand_over(self, poll.READ)

    def expire(self) -> bool:
        """Try again to accept."""
        self.deadline = None
        self._go_on()
        return True

    def unsent(self) -> bool:
        """Nothing is sent through a server."""
        return False

    # ---- for the script

    def next_client(self) -> Connection | None:
        """The client whose handshake has been complete for longest; None if there is none."""
        if not self.ready:
            return None  # a script that asks in every turn is not to pay for an exception each time
        taken: list[Connection] = []
        try:
            # In one step, in which no signal's handler can raise: nobody else would have the client any more.
            taken.extend(itertools.islice(iter(self.ready.popleft, None), 1))
            client = taken[0]
            self._apply_settings(client)
            table.add(lambda identifier: self._name(client, identifier))
        except BaseException as error:
            # No memory, or a signal's handler has raised: the next accept hands it out, under another ID.
            for client in taken:
                self._take_back(client)
            if isinstance(error, IndexError) and not taken:
                return None
            raise
        self._close_if_stopped(client)
        # In this order, because the background may find another one ready at any moment.
        self.attention = False
        if self.ready:
            self.attention = True
        log.note(log.DEBUG, client, "accepted by server %d", self.id)
        self._go_on()
        if client.is_closed():
            client.leave_table()  # which stop() did before it was there, perhaps
            return None
        return client

    def _take_back(self, client: Connection) -> None:
        self.clients.pop(client.id, None)
        table.retire(client.id)
        client.id = 0
        self.ready.appendleft(client)
        self._close_if_stopped(client)

    def _name(self, client: Connection, identifier: int) -> Connection:
        client.id = identifier
        self.clients[identifier] = client
        return client

    def connected_clients(self) -> list[Connection]:
        """The accepted clients that are still connected, in the order they were accepted."""
        return [client for client in list(self.clients.values()) if client.is_connected()]

    def broadcast(self, opcode: int, payload: bytes, but: int | None = None) -> int:
        """Send a message to every client, but perhaps one, without waiting. Returns how many it reaches."""
        clients: list[transmit.Transmitter]
        if but is None or but not in self.clients:
            clients = list(self.clients.values())
        else:
            clients = [client for client in list(self.clients.values()) if client.id != but]
        return transmit.broadcast(clients, opcode, payload, QUEUE_LIMIT)

    def stop(self) -> None:
        """Stop listening, and close every client."""
        with completed(self):
            if self.begin_close():
                log.note(log.DEBUG, self, "stopped")
                self.after_close()

    def after_close(self) -> None:
        """What is left to do once it is closed; where that was interrupted, all of it again."""
        table.retire(self.id)
        service.withdraw(self)
        self.release()
        for client in [*self.pending, *self.ready, *self.clients.values()]:
            client.close(GOING_AWAY)
        self.pending.clear()
        self.ready.clear()

    def abandon(self) -> None:
        """In the child of a fork: close the copies of its descriptors."""
        super().abandon()
        for client in [*self.pending, *self.ready]:
            client.abandon()


def listen(ip: str, port: int, context: ssl.SSLContext | None = None) -> Server:
    """Start a server and give it an ID.

    ip: an address, or listener.EVERY_INTERFACE; port: 0 for any free one; context: for wss.
    Errors: as listener.open_listener.
    """
    service.prepare()
    handle = open_listener(ip, port)
    server: Server = table.add(lambda identifier: Server(handle, identifier, context))
    try:
        service.hand_over(server, poll.READ)
    except OSError:
        server.stop()
        raise
    log.note(log.DEBUG, server, "listening on %s", join_host_port(ip or "*", server.local_address()[1]))
    return server
