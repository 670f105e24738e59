"""A server and its clients in one thread, none of whom holds up another; made of nothing but native functions."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import dryad_net as net

from .console import host_port, say

# How many clients are let in before those who are in get their turn.
BATCH = 64
# After an error that may come again at once, such as having no descriptors left.
PAUSE_SECONDS = 0.5
# No native function waits until there is room to send, so it is looked for so often.
RETRY_MS = 20
# A client that has taken nothing for so long is let go.
PATIENCE_SECONDS = 30.0


class Held(NamedTuple):
    """What a client has not taken yet, and how long it may go on taking nothing (monotonic seconds)."""

    rest: Any
    until: float


class Loop(abc.ABC):
    """Serves clients as they have something to say; a subclass knows their protocol.

    A client that does not take its answer at once is not read before it has: so one answer is all
    that is kept for it, and nobody else waits.
    """

    def __init__(self, server: int) -> None:
        self.server = server
        self._clients: dict[int, None] = {}
        self._held: dict[int, Held] = {}
        self._ids: list[int] | None = None  # whom to wait for, until that changes
        self._retry_at = 0.0
        self._rests_until: float | None = None  # nobody is let in before

    @abc.abstractmethod
    def accept(self) -> int | None:
        """The next client; None if nobody waits."""

    @abc.abstractmethod
    def peer(self, client: int) -> dict[str, Any]:
        """Its ip and port."""

    @abc.abstractmethod
    def attend(self, client: int) -> bool:
        """Receive once and do what there is to do. False: the client has gone."""

    @abc.abstractmethod
    def send(self, client: int, data: Any) -> Any:
        """Send without waiting; returns what was not taken, None if that is nothing."""

    @abc.abstractmethod
    def close(self, client: int) -> None:
        """The client is done with."""

    def ending(self, client: int) -> str:
        """More about how a client has gone."""
        return ""

    def run(self) -> NoReturn:
        """Serve until Ctrl-C."""
        while True:
            waits = self._held or self._rests_until is not None
            for identifier in net.native_net_wait(self._awaited(), RETRY_MS if waits else -1):
                if identifier == self.server:
                    self._let_in()
                else:
                    self._attempt(identifier, self.attend)
            self._look_again(time.monotonic())

    def reply(self, client: int, data: Any) -> None:
        """Send, and keep what is not taken at once."""
        rest = self.send(client, data)
        if rest is not None:
            self._held[client] = Held(rest, time.monotonic() + PATIENCE_SECONDS)
            self._ids = None

    def _awaited(self) -> list[int]:
        if self._ids is None:
            self._ids = [client for client in self._clients if client not in self._held]
            if self._rests_until is None:
                self._ids.append(self.server)
        return self._ids

    def _let_in(self) -> None:
        for _ in range(BATCH):
            try:
                client = self.accept()
            except net.NetworkError as error:
                say(str(error))
                self._rests_until = time.monotonic() + PAUSE_SECONDS
                self._ids = None
                return
            if client is None:
                return
            self._clients[client] = None
            self._ids = None
            self._attempt(client, self._greet)

    def _greet(self, client: int) -> bool:
        say(f"{client}: connected from {host_port(self.peer(client))}")
        return True

    def _look_again(self, now: float) -> None:
        """Let somebody in again, and send what is held, if it is time to."""
        if self._rests_until is not None and now >= self._rests_until:
            self._rests_until = self._ids = None
        if self._held and now >= self._retry_at:
            self._retry_at = now + RETRY_MS / 1000
            for client in list(self._held):
                self._attempt(client, self._send_held)

    def _send_held(self, client: int) -> bool:
        held = self._held[client]
        rest = self.send(client, held.rest)
        if rest is None:
            del self._held[client]
            self._ids = None
        elif len(rest) < len(held.rest):
            self._held[client] = Held(rest, time.monotonic() + PATIENCE_SECONDS)
        elif time.monotonic() > held.until:
            raise net.NetworkTimeoutError("does not read what it is sent")
        return True

    def _attempt(self, client: int, action: Callable[[int], bool]) -> None:
        """Do something with a client, and forget it if it has gone or fails."""
        try:
            if action(client):
                return
            say(f"{client}: disconnected{self.ending(client)}")
        except net.DryadNetError as error:
            say(f"{client}: {error}")
        self._clients.pop(client, None)
        self._held.pop(client, None)
        self._ids = None
        self.close(client)
