"""What a WebSocket server does with its clients: send back, or pass on to all."""

from __future__ import annotations

from typing import Any

import dryad_net as net

from ..errors import show
from .console import say
from .loop import Loop
from .messages import closed_with, receive, send


class _WebSocket(Loop):
    """WebSocket clients, whose timeout is 0."""

    def accept(self) -> int | None:
        return net.native_ws_accept(self.server)

    def peer(self, client: int) -> dict[str, Any]:
        return net.native_ws_client_info(client)

    def attend(self, client: int) -> bool:
        message = receive(client)
        if message is None:
            return net.native_ws_is_connected(client)
        self.take(client, message)
        return True

    def take(self, client: int, message: str | bytes) -> None:
        """Do with a message what this server does."""
        raise NotImplementedError

    def send(self, client: int, data: str | bytes) -> str | bytes | None:
        try:
            send(client, data)
        except net.NetworkTimeoutError:
            return data  # whole: nothing of it was sent
        return None

    def ending(self, client: int) -> str:
        return f" ({closed_with(client)})"

    def close(self, client: int) -> None:
        net.native_ws_close(client)


class Echo(_WebSocket):
    """Sends every message back: text as text, binary as binary."""

    def take(self, client: int, message: str | bytes) -> None:
        say(f"{client}: {_size(message)}")
        self.reply(client, message)


class Chat(_WebSocket):
    """Sends every message to all clients; those who are slow have it queued by the broadcast."""

    def take(self, client: int, message: str | bytes) -> None:
        if isinstance(message, str):
            reached = net.native_ws_broadcast(self.server, message)
            say(f"{client}: {show(message)} to {reached} clients")
        else:
            reached = net.native_ws_broadcast_binary(self.server, message)
            say(f"{client}: {_size(message)} to {reached} clients")


def _size(message: str | bytes) -> str:
    return f"{len(message)} {'characters' if isinstance(message, str) else 'bytes'}"
