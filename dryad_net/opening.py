"""The opening handshake on a connection: what to send and what to wait for, one step at a time.

What is in the messages, and what they mean, is in ``handshake``; TLS is in ``tls``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from . import deflate, handshake
from .close_codes import Violation
from .errors import NetworkError
from .tls import Tls, TlsOptions, client_context

if TYPE_CHECKING:
    import ssl

    from .url import Url
    from .websocket import Connection

# How much of the body of a refusal is waited for, and how long: it is for the error's message only.
BODY_SIZE = 1024
BODY_SECONDS = 1.0


class Opening:
    """A handshake that is under way on a connection. The lock belongs to whoever goes on with it.

    answering: held from our answer, if we are the one who gives it, until the connection is open, and by
    who closes it: a peer who has been told that it is open gets a Close.
    """

    __slots__ = ("answering", "lock", "started", "tls")

    def __init__(self) -> None:
        self.answering: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        self.lock = threading.RLock()
        self.started = False
        self.tls: Tls | None = None

    def step(self, connection: Connection) -> bool:
        """Go on as far as what has been received allows. True: it is over, well or not."""
        try:
            if not self.started:
                self.begin()
                self.start(connection)
            if self.tls is not None and not self.tls.established and not connection.has_ended():
                return False
            return self.advance(connection)
        except NetworkError as error:
            connection.fail_opening(error)
            return True
        except MemoryError:
            # What was received or sent so far cannot be had again.
            connection.fail_opening(NetworkError("there was no memory for the handshake"))
            raise

    def begin(self) -> None:
        """From here on it is too late to set anything for it."""
        self.started = True

    def start(self, connection: Connection) -> None:
        """The first step: nothing has been sent or received yet. Errors: NetworkError."""

    def advance(self, connection: Connection) -> bool:
        """A later step, as step(). Errors: NetworkError."""
        raise NotImplementedError

    def patience_ms(self) -> int | None:
        """For how long from now waiting makes sense; None for as long as it takes."""
        return None

    def cut_off(self, connection: Connection) -> NetworkError | None:
        """Why the stream has ended too early, if more is known than that it has."""
        trouble = connection.take_trouble()
        if trouble is None and self.tls is not None and not self.tls.established:
            return self.tls.cut_off()
        return trouble

    def encrypt(self, connection: Connection, tls: Tls) -> None:
        """Have the connection encrypted from here on."""
        self.tls = tls
        connection.set_tls(tls)
        tls.step()
        connection.send_due()


class ClientOpening(Opening):
    """Our request, and the server's answer.

    changing: held by who sets something for it, while it must not begin.
    """

    __slots__ = ("_body_deadline", "_handshake", "_refusal", "changing", "settings", "tls_options", "url")

    def __init__(self, url: Url) -> None:
        super().__init__()
        self.url = url
        self.changing = threading.RLock()
        self.settings = handshake.Settings()
        self.tls_options = TlsOptions()
        self._handshake: handshake.ClientHandshake | None = None
        self._refusal: bytes | None = None
        self._body_deadline = 0.0

    def begin(self) -> None:
        with self.changing:
            super().begin()

    def start(self, connection: Connection) -> None:
        if self.url.secure:
            self.encrypt(connection, Tls(client_context(self.tls_options), self.url.host))

    def advance(self, connection: Connection) -> bool:
        if self._handshake is None and not connection.has_ended():
            self._handshake = handshake.ClientHandshake(self.url, self.settings)
            connection.head = self._handshake.request
            connection.send_now(connection.head)
        while self._refusal is None:
            head = self._take_head(connection)
            if head is None:
                if connection.has_ended():
                    raise self.cut_off(connection) or self._no_answer(connection.take_bytes(BODY_SIZE))
                return False
            assert self._handshake is not None
            status = handshake.status_of(head, self._handshake.secrets)
            if status == 101:
                connection.opened(self._handshake.accept(head))
                return True
            if status >= 200:  # others announce an answer that is still to come (RFC 9110, 15.2)
                self._refusal = head
                self._body_deadline = time.monotonic() + BODY_SECONDS
                connection.wait_for_body(self._body_deadline)
        return self._refuse(connection, self._refusal)

    def _take_head(self, connection: Connection) -> bytes | None:
        try:
            return connection.take_head(handshake.HEAD_LIMIT)
        except Violation:
            raise self._no_answer(connection.take_bytes(handshake.HEAD_LIMIT)) from None

    def _no_answer(self, received: bytes | None) -> NetworkError:
        if self._handshake is None:
            return handshake.no_answer(received or b"")
        return handshake.no_answer(received or b"", self._handshake.secrets)

    def _refuse(self, connection: Connection, head: bytes) -> bool:
        assert self._handshake is not None
        size = self._handshake.body_size(head)
        size = BODY_SIZE if size is None else min(size, BODY_SIZE)
        complete = connection.buffered() >= size or connection.has_ended()
        if not complete and time.monotonic() < self._body_deadline:
            return False
        raise self._handshake.refused(head, connection.take_bytes(size) or b"")

    def patience_ms(self) -> int | None:
        return None if self._refusal is None else max(int((self._body_deadline - time.monotonic()) * 1000), 0) + 1


class ServerOpening(Opening):
    """A client's request, and our answer."""

    __slots__ = ("_context", "_settings")

    def __init__(self, settings: handshake.Settings, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self.answering = threading.RLock()
        self._settings = settings
        self._context = context

    def start(self, connection: Connection) -> None:
        if self._context is not None:
            self.encrypt(connection, Tls(self._context, None))

    def advance(self, connection: Connection) -> bool:
        try:
            head = connection.take_head(handshake.HEAD_LIMIT)
        except Violation:
            return self.refuse(connection, 431, f"more than {handshake.HEAD_LIMIT} bytes of headers")
        if head is None:
            if connection.has_ended():
                raise self.cut_off(connection) or NetworkError("the client closed the connection during the handshake")
            return False
        answer = handshake.answer(head, self._settings)
        if answer.agreement is None:
            connection.send_now(answer.response)
            raise NetworkError(answer.reason)
        connection.head = head
        connection.opened(answer.agreement, answer.response)
        return True

    def refuse(self, connection: Connection, status: int, reason: str) -> bool:
        """Answer with an HTTP error, and give up."""
        if self.tls is None or self.tls.established:
            connection.send_now(handshake.refusal(status, reason))
        raise NetworkError(reason)


def compressors(
    agreed: deflate.Parameters | None, client: bool
) -> tuple[deflate.Inflater, deflate.Deflater] | tuple[None, None]:
    """What inflates and deflates as was agreed; nothing if nothing was."""
    if agreed is None:
        return None, None
    return deflate.inflater(agreed, client), deflate.deflater(agreed, client)
