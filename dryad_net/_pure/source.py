"""Bytes in, for messages: read, and decrypted where that was agreed."""

from __future__ import annotations

import contextlib

from ..errors import NetworkError
from .framed import Framed
from .reader import BLOCK


class Source(Framed):
    """The bytes that messages come in.

    Owns what its Framed owns.
    """

    _decrypting = False

    def _fill_decrypted(self) -> bool:
        if self._decrypting:
            return False  # this thread is at it already: a signal's handler asks in the middle
        self._decrypting = True
        try:
            return self._read_decrypted()
        finally:
            self._decrypting = False

    def _read_decrypted(self) -> bool:
        while not self._ended and not self._closed:
            try:
                data = self._socket.recv(BLOCK)
            except BlockingIOError:
                return False
            except OSError as error:
                self._fail(error)
                return False
            if not data:
                self._ended = True
                return False
            if self._decrypt(data):
                return True
        return False

    def _decrypt(self, data: bytes) -> bool:
        """Decrypt what was received into the buffer. Returns whether the reader should look."""
        was_established = self._tls.established
        plain = b""
        # What goes wrong is in tls.trouble, where it also is if something could be read before it.
        with contextlib.suppress(NetworkError):
            plain = self._tls.decrypt(data)
        if self._tls.trouble is not None:
            self._ended = True
            if not self._broken:
                self._broken = True
                self._trouble = self._tls.trouble
        self._incoming.append(plain)
        self.send_due()
        if self._tls.ended:
            self._ended = True
        return bool(plain) or self._ended or self._tls.established != was_established
