"""What a TCP server does with its clients: send back, or pass on to all."""

from __future__ import annotations

from typing import Any

import dryad_net as net

from ..errors import show
from .console import say
from .loop import Loop

BLOCK_BYTES = 65536
# A line may have so many characters: what has no end must not fill the memory.
LONGEST_LINE = 65536


class _Tcp(Loop):
    """TCP clients, whose timeout is 0."""

    def accept(self) -> int | None:
        return net.native_tcp_accept(self.server)

    def peer(self, client: int) -> dict[str, Any]:
        return net.native_tcp_get_peer_addr(client)

    def send(self, client: int, data: bytes) -> bytes | None:
        try:
            return data[net.native_tcp_send(client, data) :] or None
        except net.NetworkTimeoutError:
            return data

    def close(self, client: int) -> None:
        net.native_tcp_close(client)


class Echo(_Tcp):
    """Sends back what each client sends."""

    def attend(self, client: int) -> bool:
        data = net.native_tcp_recv_bytes(client, BLOCK_BYTES)
        if data is None:
            return net.native_tcp_is_connected(client)
        say(f"{client}: {len(data)} bytes")
        self.reply(client, data)
        return True


class Chat(_Tcp):
    """Sends every line to all clients; those who are slow have it queued by the broadcast."""

    def __init__(self, server: int) -> None:
        super().__init__(server)
        self._begun: dict[int, str] = {}  # lines whose end has not come

    def attend(self, client: int) -> bool:
        text = net.native_tcp_recv(client, BLOCK_BYTES)
        if text is None and net.native_tcp_is_connected(client):
            return True
        begun = self._begun.pop(client, "")
        if text is None:
            if begun:
                self._pass_on(client, f"{begun}\n")
            return False
        *lines, rest = f"{begun}{text}".split("\n")
        for line in lines:
            self._pass_on(client, f"{line}\n")
        if len(rest) > LONGEST_LINE:
            raise net.NetworkError(f"a line of more than {LONGEST_LINE} characters")
        self._begun[client] = rest
        return True

    def close(self, client: int) -> None:
        self._begun.pop(client, None)
        super().close(client)

    def _pass_on(self, client: int, line: str) -> None:
        reached = net.native_tcp_broadcast(self.server, line)
        say(f"{client}: {show(line)} to {reached} clients")
