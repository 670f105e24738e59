"""libcurl's WebSocket client, by curl_cffi."""

from __future__ import annotations

import asyncio
from typing import Any

from curl_cffi import CurlWsFlag
from curl_cffi.requests import AsyncSession, WebSocketClosed, WebSocketError

from peers.conversation import SOON, Closed, Conversation, Message, Opening, Peer
from peers.event_loop import EventLoop

MESSAGE_LIMIT = 1 << 30


class LibcurlConversation(Conversation):
    """A connection of libcurl's; it shows neither the response of the handshake nor pongs."""

    def __init__(self, loop: EventLoop, connection: Any) -> None:
        super().__init__()
        self._loop = loop
        self._connection = connection

    def send(self, *messages: Message) -> None:
        async def send() -> None:
            for message in messages:
                flags = CurlWsFlag.TEXT if isinstance(message, str) else CurlWsFlag.BINARY
                await self._connection.send(message, flags)

        self._loop.run(send())

    def send_fragments(self, *parts: Message) -> None:
        async def send() -> None:
            for number, part in enumerate(parts, 1):
                flags = CurlWsFlag.TEXT if isinstance(part, str) else CurlWsFlag.BINARY
                await self._connection.send(part, flags | CurlWsFlag.CONT if number < len(parts) else flags)

        self._loop.run(send())

    def close(self, code: int, reason: str) -> None:
        self._loop.run(self._connection.close(code, reason))

    async def collect(self) -> None:
        """Take all messages until the connection is closed."""
        try:
            while True:
                data, flags = await self._connection.recv()
                if flags & CurlWsFlag.CLOSE:
                    break
                self.messages.put(data.decode() if flags & CurlWsFlag.TEXT else data)
        except (WebSocketClosed, WebSocketError):
            pass
        finally:
            await self._connection.close(timeout=SOON)
            self.end.set_result(Closed(self._connection.close_code or 1006, self._connection.close_reason or ""))


class Libcurl(Peer):
    """libcurl on an event loop of its own."""

    def __init__(self) -> None:
        self._loop = EventLoop()
        self._collecting: set[asyncio.Task[None]] = set()

    def connect(self, url: str, opening: Opening) -> Conversation:
        async def connect() -> Conversation:
            # A session each: it goes with its connection.
            session: Any = AsyncSession(timeout=SOON)
            headers = dict(opening.headers)
            if opening.subprotocols:
                headers["Sec-WebSocket-Protocol"] = ", ".join(opening.subprotocols)
            try:
                connection = await session.ws_connect(
                    url, headers=headers, verify=opening.tls or True, max_message_size=MESSAGE_LIMIT
                )
            except BaseException:
                await session.close()
                raise
            conversation = LibcurlConversation(self._loop, connection)
            task = asyncio.create_task(collect(session, conversation))
            self._collecting.add(task)
            task.add_done_callback(self._collecting.discard)
            return conversation

        async def collect(session: Any, conversation: LibcurlConversation) -> None:
            try:
                await conversation.collect()
            finally:
                await session.close()

        return self._loop.run(connect())

    def stop(self) -> None:
        self._loop.stop()
