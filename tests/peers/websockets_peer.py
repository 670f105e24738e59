"""The websockets library: its asyncio and its threading implementation."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import threading
from typing import Any

from websockets.asyncio import client as asyncio_client
from websockets.asyncio import server as asyncio_server
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.sync import client as sync_client
from websockets.sync import server as sync_server

from peers.conversation import SOON, Closed, Conversation, Message, Opening, Peer, Server
from peers.event_loop import EventLoop


def client_settings(url: str, opening: Opening) -> dict[str, Any]:
    """The arguments of `connect`, which are the same for both implementations."""
    settings: dict[str, Any] = {
        "subprotocols": list(opening.subprotocols) or None,
        "additional_headers": dict(opening.headers),
        "compression": None,
        "extensions": None if opening.deflate is None else [ClientPerMessageDeflateFactory(**opening.deflate)],
        "max_size": None,
        "proxy": None,
        "ping_interval": None,
    }
    if url.startswith("wss:"):
        settings["ssl"] = ssl.create_default_context(cafile=opening.tls)
    return settings


def server_settings(opening: Opening) -> dict[str, Any]:
    """The arguments of `serve`, which are the same for both implementations."""

    def respond(connection: Any, request: Any, response: Any) -> Any:
        response.headers.update(opening.headers)
        return response

    settings: dict[str, Any] = {
        "subprotocols": list(opening.subprotocols) or None,
        "process_response": respond,
        "compression": None,
        "extensions": None if opening.deflate is None else [ServerPerMessageDeflateFactory(**opening.deflate)],
        "max_size": None,
        "ping_interval": None,
    }
    if opening.tls:
        settings["ssl"] = context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(opening.tls)
    return settings


def handshake(connection: Any, own: str) -> tuple[Any, ...]:
    """What a conversation starts with; own: what this side sent of the handshake."""
    if own == "request":
        return connection.subprotocol, connection.response.headers.raw_items(), None
    return connection.subprotocol, connection.request.headers.raw_items(), connection.request.path


def outcome(connection: Any) -> Closed:
    return Closed(connection.close_code, connection.close_reason)


class AsyncioConversation(Conversation):
    """A connection of websockets.asyncio."""

    def __init__(self, loop: EventLoop, connection: Any, own: str) -> None:
        super().__init__(*handshake(connection, own))
        self._loop = loop
        self._connection = connection

    def send(self, *messages: Message) -> None:
        async def send() -> None:
            for message in messages:
                await self._connection.send(message)

        self._loop.run(send())

    def send_fragments(self, *parts: Message) -> None:
        self._loop.run(self._connection.send(parts))

    def ping(self, payload: bytes) -> bytes:
        async def ping() -> None:
            await (await self._connection.ping(payload))

        self._loop.run(ping())
        return payload

    def close(self, code: int, reason: str) -> None:
        self._loop.run(self._connection.close(code, reason))

    async def collect(self) -> None:
        """Take all messages until the connection is closed."""
        try:
            async for message in self._connection:
                self.messages.put(message)
        except ConnectionClosed:
            pass
        finally:
            await self._connection.wait_closed()
            self.end.set_result(outcome(self._connection))


class AsyncioServer(Server):
    """A server of websockets.asyncio."""

    def __init__(self, loop: EventLoop, opening: Opening) -> None:
        super().__init__()
        self._loop = loop
        self._server = loop.run(self._start(opening))
        self.port = self._server.sockets[0].getsockname()[1]

    async def _start(self, opening: Opening) -> Any:
        return await asyncio_server.serve(self._handle, "127.0.0.1", 0, **server_settings(opening))

    async def _handle(self, connection: Any) -> None:
        conversation = AsyncioConversation(self._loop, connection, "response")
        self.arrived.put(conversation)
        await conversation.collect()

    def stop(self) -> None:
        async def stop() -> None:
            self._server.close()
            await self._server.wait_closed()

        self._loop.run(stop())


class WebsocketsAsyncio(Peer):
    """websockets.asyncio, on an event loop of its own."""

    def __init__(self) -> None:
        self._loop = EventLoop()
        self._collecting: set[asyncio.Task[None]] = set()

    def connect(self, url: str, opening: Opening) -> Conversation:
        async def connect() -> Conversation:
            connection = await asyncio_client.connect(url, **client_settings(url, opening))
            conversation = AsyncioConversation(self._loop, connection, "request")
            task = asyncio.create_task(conversation.collect())
            self._collecting.add(task)
            task.add_done_callback(self._collecting.discard)
            return conversation

        return self._loop.run(connect())

    def serve(self, opening: Opening) -> Server:
        return AsyncioServer(self._loop, opening)

    def stop(self) -> None:
        self._loop.stop()


class SyncConversation(Conversation):
    """A connection of websockets.sync."""

    def __init__(self, connection: Any, own: str, leave: contextlib.ExitStack | None = None) -> None:
        super().__init__(*handshake(connection, own))
        self._connection = connection
        self._leave = leave or contextlib.ExitStack()

    def send(self, *messages: Message) -> None:
        for message in messages:
            self._connection.send(message)

    def send_fragments(self, *parts: Message) -> None:
        self._connection.send(iter(parts))

    def ping(self, payload: bytes) -> bytes:
        assert self._connection.ping(payload).wait(SOON)
        return payload

    def close(self, code: int, reason: str) -> None:
        self._connection.close(code, reason)

    def collect(self) -> None:
        """Take all messages until the connection is closed."""
        try:
            for message in self._connection:
                self.messages.put(message)
        except ConnectionClosed:
            pass
        finally:
            self._connection.recv_events_thread.join(SOON)
            self._leave.close()
            self.end.set_result(outcome(self._connection))


class SyncServer(Server):
    """A server of websockets.sync, with a thread for each connection."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self._server = sync_server.serve(self._handle, "127.0.0.1", 0, **server_settings(opening))
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _handle(self, connection: Any) -> None:
        conversation = SyncConversation(connection, "response")
        self.arrived.put(conversation)
        conversation.collect()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(SOON)
        # The server leaves its selector, which is part of a cycle, to the garbage collector.
        gc.collect()


class WebsocketsSync(Peer):
    """websockets.sync, with threads."""

    def connect(self, url: str, opening: Opening) -> Conversation:
        stack = contextlib.ExitStack()
        connection = stack.enter_context(sync_client.connect(url, **client_settings(url, opening)))
        conversation = SyncConversation(connection, "request", stack)
        threading.Thread(target=conversation.collect, daemon=True).start()
        return conversation

    def serve(self, opening: Opening) -> Server:
        return SyncServer(opening)

    def stop(self) -> None:
        pass
