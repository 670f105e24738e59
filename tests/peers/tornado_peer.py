"""tornado's client and server."""

from __future__ import annotations

import ssl
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from peers.conversation import SOON, Closed, Conversation, Message, Opening, Peer, Server
from peers.event_loop import EventLoop

# tornado's own limit is 10 MiB.
MESSAGE_LIMIT = 1 << 30


class TornadoConversation(Conversation):
    """A connection of tornado's: of its client, or the handler of a request to its server."""

    def __init__(self, loop: EventLoop, connection: Any, *handshake: Any) -> None:
        super().__init__(*handshake)
        self._loop = loop
        self._connection = connection

    def send(self, *messages: Message) -> None:
        async def send() -> None:
            for message in messages:
                await self._connection.write_message(message, binary=isinstance(message, bytes))

        self._loop.run(send())

    def ping(self, payload: bytes) -> bytes:
        async def ping() -> None:
            self._connection.ping(payload)

        self._loop.run(ping())
        return self.pongs.get(timeout=SOON)

    def close(self, code: int, reason: str) -> None:
        async def close() -> None:
            self._connection.close(code, reason)

        self._loop.run(close())

    def ended(self) -> None:
        """The connection is closed."""
        if not self.end.done():
            self.end.set_result(Closed(self._connection.close_code or 1006, self._connection.close_reason or ""))


class Handler(WebSocketHandler):
    """A connection to the server; its life is told to its conversation."""

    def initialize(self, loop: EventLoop, server: TornadoServer, opening: Opening) -> None:
        self._event_loop = loop
        self._server = server
        self._opening = opening
        for name, value in opening.headers.items():
            self.set_header(name, value)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return next((each for each in subprotocols if each in self._opening.subprotocols), None)

    def get_compression_options(self) -> dict[str, Any] | None:
        return None if self._opening.deflate is None else {}

    def open(self, *args: str, **kwargs: str) -> None:
        headers = self.request.headers.get_all()
        handshake = (self.selected_subprotocol, headers, self.request.uri)
        self.conversation = TornadoConversation(self._event_loop, self, *handshake)
        self._server.arrived.put(self.conversation)

    def on_message(self, message: Message) -> None:
        self.conversation.messages.put(message)

    def on_pong(self, data: bytes) -> None:
        self.conversation.pongs.put(data)

    def on_close(self) -> None:
        self.conversation.ended()


class TornadoServer(Server):
    """A server with one WebSocket handler for every path."""

    def __init__(self, loop: EventLoop, opening: Opening) -> None:
        super().__init__()
        self._loop = loop
        self._server: HTTPServer
        loop.run(self._start(opening))

    async def _start(self, opening: Opening) -> None:
        context = None
        if opening.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(opening.tls)
        settings = {"loop": self._loop, "server": self, "opening": opening}
        application = Application(
            [(r".*", Handler, settings)], websocket_max_message_size=MESSAGE_LIMIT, log_function=lambda handler: None
        )
        self._server = HTTPServer(application, ssl_options=context)
        sockets = bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(sockets)
        self.port = sockets[0].getsockname()[1]

    def stop(self) -> None:
        async def stop() -> None:
            self._server.stop()
            await self._server.close_all_connections()

        self._loop.run(stop())


class Tornado(Peer):
    """tornado on an event loop of its own."""

    def __init__(self) -> None:
        self._loop = EventLoop()

    def connect(self, url: str, opening: Opening) -> Conversation:
        def take(message: Message | None) -> None:
            if message is None:
                conversation[0].ended()
                connection[0].close()
            else:
                conversation[0].messages.put(message)

        async def connect() -> Conversation:
            made: WebSocketClientConnection = await websocket_connect(
                HTTPRequest(url, headers=dict(opening.headers), ca_certs=opening.tls),
                compression_options=None if opening.deflate is None else {},
                subprotocols=list(opening.subprotocols) or None,
                max_message_size=MESSAGE_LIMIT,
                on_message_callback=take,
            )
            connection.append(made)
            headers = made.headers.get_all()
            conversation.append(TornadoConversation(self._loop, made, made.selected_subprotocol, headers))
            # The method that tornado means to be overridden.
            made.on_pong = conversation[0].pongs.put  # type: ignore[method-assign]
            return conversation[0]

        connection: list[WebSocketClientConnection] = []
        conversation: list[TornadoConversation] = []
        return self._loop.run(connect())

    def serve(self, opening: Opening) -> Server:
        return TornadoServer(self._loop, opening)

    def stop(self) -> None:
        self._loop.stop()
