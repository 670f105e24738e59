"""aiohttp's client and server."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from peers.conversation import SOON, Closed, Conversation, Message, Opening, Peer, Server
from peers.event_loop import EventLoop


class AiohttpConversation(Conversation):
    """A connection of aiohttp's, of either role."""

    def __init__(self, loop: EventLoop, connection: Any, *handshake: Any) -> None:
        super().__init__(*handshake)
        self._loop = loop
        self._connection = connection
        self._closed = asyncio.Event()

    def send(self, *messages: Message) -> None:
        async def send() -> None:
            for message in messages:
                if isinstance(message, str):
                    await self._connection.send_str(message)
                else:
                    await self._connection.send_bytes(message)

        self._loop.run(send())

    def ping(self, payload: bytes) -> bytes:
        self._loop.run(self._connection.ping(payload))
        return self.pongs.get(timeout=SOON)

    def close(self, code: int, reason: str) -> None:
        async def close() -> None:
            await self._connection.close(code=code, message=reason.encode())
            self._closed.set()

        self._loop.run(close())

    async def collect(self) -> None:
        """Take all messages until the connection is closed."""
        reason = ""
        try:
            while True:
                message = await self._connection.receive()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self.messages.put(message.data)
                elif message.type is WSMsgType.PING:
                    await self._connection.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    self.pongs.put(bytes(message.data))
                elif message.type is WSMsgType.CLOSE:
                    reason = message.extra or ""
                elif message.type is WSMsgType.CLOSING:
                    # By close(): another receive() would close with a code of its own before that does.
                    await self._closed.wait()
                    break
                else:
                    break
        finally:
            self.end.set_result(Closed(self._connection.close_code or 1006, reason))


class AiohttpServer(Server):
    """A server with one WebSocket handler for every path."""

    def __init__(self, loop: EventLoop, opening: Opening) -> None:
        super().__init__()
        self._loop = loop
        self._opening = opening
        self._runner: Any = None
        loop.run(self._start())
        self.port = self._runner.addresses[0][1]

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_get("/{path:.*}", self._handle)
        # The server's own log would go to the test's.
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        context = None
        if self._opening.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self._opening.tls)
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        connection = web.WebSocketResponse(
            protocols=self._opening.subprotocols,
            compress=self._opening.deflate is not None,
            autoping=False,
            max_msg_size=0,
            timeout=SOON,
        )
        connection.headers.update(self._opening.headers)
        await connection.prepare(request)
        headers = request.headers.items()
        conversation = AiohttpConversation(self._loop, connection, connection.ws_protocol, headers, request.path_qs)
        self.arrived.put(conversation)
        await conversation.collect()
        return connection

    def stop(self) -> None:
        self._loop.run(self._runner.cleanup())


class Aiohttp(Peer):
    """aiohttp on an event loop of its own."""

    def __init__(self) -> None:
        self._loop = EventLoop()
        self._collecting: set[asyncio.Task[None]] = set()

    def connect(self, url: str, opening: Opening) -> Conversation:
        async def connect() -> Conversation:
            # A session each: it goes with its connection.
            session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SOON))
            try:
                connection = await session.ws_connect(
                    url,
                    protocols=opening.subprotocols,
                    headers=opening.headers,
                    compress=0 if opening.deflate is None else int(opening.deflate.get("server_max_window_bits", 15)),
                    autoping=False,
                    max_msg_size=0,
                    ssl=ssl.create_default_context(cafile=opening.tls) if url.startswith("wss:") else True,
                )
            except BaseException:
                await session.close()
                raise
            headers = connection._response.headers.items()
            conversation = AiohttpConversation(self._loop, connection, connection.protocol, headers)
            task = asyncio.create_task(collect(session, conversation))
            self._collecting.add(task)
            task.add_done_callback(self._collecting.discard)
            return conversation

        async def collect(session: Any, conversation: AiohttpConversation) -> None:
            try:
                await conversation.collect()
            finally:
                await session.close()

        return self._loop.run(connect())

    def serve(self, opening: Opening) -> Server:
        return AiohttpServer(self._loop, opening)

    def stop(self) -> None:
        self._loop.stop()
