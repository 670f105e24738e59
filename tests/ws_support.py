"""What the WebSocket tests share: a WebSocket peer of their own over a plain socket, in either role.

It can say everything, also what no peer may: any frame, any bytes, split anywhere, or nothing at all.
What it reads it takes apart by the letter of RFC 6455, and fails where the library breaks a rule.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import SOON, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)
# Opcodes (RFC 6455, section 5.2).
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x37\xfa\x21\x3d"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
INFO = {
    *("ip", "port", "path", "headers", "subprotocol", "compression", "state", "close_code", "close_reason"),
    *("connected_at", "bytes_sent", "bytes_received", "messages_sent", "messages_received", "latency_ms"),
}


class Frame(NamedTuple):
    """A frame as it was read, its payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


def masked(payload: bytes, key: bytes) -> bytes:
    """A payload masked with a key, or unmasked (RFC 6455, section 5.3)."""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    form: int | None = None,
    length: int | None = None,
) -> bytes:
    """The bytes of any frame, also of an illegal one.

    form: how many bits say the length (7, 16 or 64), the shortest if None; length: what is said, if
    it is not the payload's own.
    """
    size = len(payload) if length is None else length
    if form is None:
        form = 7 if size < 126 else 16 if size < 65536 else 64
    said = {7: size & 127, 16: 126, 64: 127}[form] | (128 if mask is not None else 0)
    extended = {7: b"", 16: struct.pack("!H", size & 0xFFFF), 64: struct.pack("!Q", size)}[form]
    body = payload if mask is None else mask + masked(payload, mask)
    return bytes([fin << 7 | rsv << 4 | opcode, said]) + extended + body


def close_payload(code: int | None, reason: str | bytes = b"") -> bytes:
    """The payload of a Close frame."""
    text = reason.encode() if isinstance(reason, str) else reason
    return b"" if code is None else struct.pack("!H", code) + text


def deflated(payload: bytes) -> bytes:
    """A payload compressed by itself (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def pieces(data: bytes, size: int) -> list[bytes]:
    """Data cut into pieces of a size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


# ---- the opening handshake


def request(
    *headers: str,
    path: str = "/",
    host: str = "test.example",
    key: str = KEY,
    version: str = "13",
    line: str | None = None,
) -> bytes:
    """A client's request head (RFC 6455, section 4.1)."""
    lines = [
        line or f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {version}",
        *headers,
    ]
    return "".join(f"{each}\r\n" for each in lines).encode() + b"\r\n"


def response(head: bytes, *headers: str) -> bytes:
    """A server's 101 to a request head (RFC 6455, section 4.2.2)."""
    digest = hashlib.sha1(header_of(head, "Sec-WebSocket-Key").encode() + GUID).digest()
    lines = [
        *("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"),
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}",
        *headers,
    ]
    return "".join(f"{each}\r\n" for each in lines).encode() + b"\r\n"


def headers_of(head: bytes, name: str) -> list[str]:
    """The values of a header, one for each time that it occurs in a head."""
    fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return [value.strip() for field, _, value in fields if field.lower() == name.lower()]


def header_of(head: bytes, name: str) -> str:
    """The value of a header that must be in a head, once."""
    (value,) = headers_of(head, name)
    return value


def status_of(head: bytes) -> int:
    """The status of a response head."""
    version, status, _ = head.decode("latin-1").split(" ", 2)
    assert version == "HTTP/1.1", head
    return int(status)


# ---- the peer


class Peer:
    """One end of a connection; client: in the role of the client, which masks."""

    def __init__(self, raw: socket.socket, client: bool) -> None:
        self.raw = raw
        self.client = client
        self.pending = bytearray()  # read and not yet looked at

    # -- saying

    def frame(self, opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        """The bytes of a frame, masked as the role wants it unless mask= is given; see frame()."""
        return frame(opcode, payload, **{"mask": MASK if self.client else None, **options})

    def say(self, *parts: bytes) -> None:
        """Send these bytes, each part in a packet of its own as far as the system goes along."""
        for part in parts:
            self.raw.sendall(part)

    def send(self, opcode: int, payload: bytes = b"", **options: Any) -> None:
        """Send a frame."""
        self.say(self.frame(opcode, payload, **options))

    def text(self, message: str) -> None:
        """Send a text message."""
        self.send(TEXT, message.encode())

    def close(self, code: int | None = 1000, reason: str | bytes = b"") -> None:
        """Send a Close frame."""
        self.send(CLOSE, close_payload(code, reason))

    # -- hearing

    def _more(self) -> bool:
        part = self.raw.recv(1 << 18)
        self.pending += part
        return bool(part)

    def exactly(self, size: int) -> bytes:
        """The next so many bytes."""
        while len(self.pending) < size:
            assert self._more(), f"the stream ended; {bytes(self.pending[:200])!r} of {size} bytes"
        taken = bytes(self.pending[:size])
        del self.pending[:size]
        return taken

    def head(self) -> bytes:
        """The next request or response head, with its empty line."""
        while (end := self.pending.find(b"\r\n\r\n")) < 0:
            assert self._more(), f"the stream ended after {bytes(self.pending)!r}"
        return self.exactly(end + 4)

    def body(self) -> bytes:
        """Everything up to a clean end of stream."""
        while self._more():
            pass
        return self.exactly(len(self.pending))

    def read(self) -> Frame | None:
        """The next frame, which must be a legal one without extensions; None at the end of the stream."""
        if not self.pending and not self._more():
            return None
        first, second = self.exactly(2)
        opcode, size = first & 15, second & 127
        if size == 126:
            (size,) = struct.unpack("!H", self.exactly(2))
            assert size >= 126, "RFC 6455, 5.2: the minimal number of bytes for the length"
        elif size == 127:
            (size,) = struct.unpack("!Q", self.exactly(8))
            assert size >= 65536, "RFC 6455, 5.2: the minimal number of bytes for the length"
        assert (second >= 128) is not self.client, "RFC 6455, 5.1: a client masks, a server does not"
        key = self.exactly(4) if second >= 128 else bytes(4)
        payload = masked(self.exactly(size), key) if any(key) else self.exactly(size)
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        if opcode >= CLOSE:
            assert first >= 128, "RFC 6455, 5.5: control frames are not fragmented"
            assert size <= 125, "RFC 6455, 5.5: control frames have 125 bytes at most"
        return Frame(opcode, payload, first >= 128, first >> 4 & 7)

    def expect(self, opcode: int) -> bytes:
        """The payload of the next frame, which must be this one."""
        found = self.read()
        assert found is not None, "the stream ended"
        assert found.opcode == opcode, found
        return found.payload

    def frames(self) -> list[Frame]:
        """The frames of the next data message; nothing may come between them."""
        found = [self.read()]
        assert found[0] is not None, "the stream ended"
        assert found[0].opcode in (TEXT, BINARY), found[0]
        while not found[-1].fin:
            found.append(self.read())
            assert found[-1] is not None, "the stream ended"
            assert (found[-1].opcode, found[-1].rsv) == (CONTINUATION, 0)
        return found

    def message(self) -> str | bytes:
        """The next message, which must not be compressed."""
        found = self.frames()
        assert found[0].rsv == 0
        payload = b"".join(each.payload for each in found)
        return payload.decode() if found[0].opcode == TEXT else payload

    def closing(self) -> tuple[int | None, str]:
        """The code and the reason of the Close frame that comes, at the latest, after data and pings."""
        while True:
            found = self.read()
            assert found is not None, "the stream ended without a Close frame"
            if found.opcode == CLOSE:
                assert len(found.payload) != 1
                code = struct.unpack("!H", found.payload[:2])[0] if found.payload else None
                return code, found.payload[2:].decode()

    def ended(self) -> bool:
        """The stream must end here, cleanly."""
        assert self.read() is None
        return True

    def hang_up(self) -> None:
        """Close the socket; what was sent arrives."""
        self.raw.close()

    def answer_close(self) -> tuple[int | None, str]:
        """Read the Close frame, answer it, and close; returns what it said."""
        code, reason = self.closing()
        self.close(code)
        self.hang_up()
        return code, reason


class WsLink(NamedTuple):
    """A connection of the library's and the tests' own peer at its other end."""

    id: int
    peer: Peer


# ---- making connections


def ws_port(identifier: int) -> int:
    """The local port of a WebSocket server or connection."""
    return int(net.native_ws_get_local_addr(identifier)["port"])


def url_of(listening: socket.socket, path: str = "/") -> str:
    """The URL of a plain listening socket."""
    return f"ws://127.0.0.1:{listening.getsockname()[1]}{path}"


def accept_of(server: int, seconds: float = SOON) -> int:
    """The next client of a server; fails if none comes."""
    return int(wait_until(lambda: net.native_ws_accept(server), seconds, "accept"))


def opened(identifier: int) -> int:
    """The same ID, once the handshake is complete; nothing here waits in the library."""
    wait_until(lambda: net.native_ws_get_state(identifier) != "connecting", what="the handshake")
    assert net.native_ws_get_state(identifier) == "open"
    return identifier


def plain_client(server: int, host: str = "127.0.0.1", recv_buffer: int | None = None) -> Peer:
    """A client that has connected and said nothing yet."""
    raw = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(SOON)
    if recv_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer)
    raw.connect((host, ws_port(server)))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Peer(raw, client=True)


def plain_server(listening: socket.socket) -> Peer:
    """The server's end of the next connection to a plain listening socket; no head has been read."""
    raw = listening.accept()[0]
    raw.settimeout(SOON)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Peer(raw, client=False)


# ---- the library's own side


def received(identifier: int) -> str:
    """The next text message; fails if none comes."""
    message = net.native_ws_recv_blocking(identifier, SOON_MS)
    assert message is not None, "no message came"
    return str(message)


def received_binary(identifier: int) -> bytes:
    """The next binary message; fails if none comes."""
    message = net.native_ws_recv_binary_blocking(identifier, SOON_MS)
    assert message is not None, "no message came"
    return bytes(message)


def becomes(identifier: int, state: str, seconds: float = SOON) -> None:
    """Wait until a connection is in a state."""
    wait_until(lambda: net.native_ws_get_state(identifier) == state, seconds, f"state {state}")


def said_once(identifier: int) -> str:
    """Read until the error that is due comes; after it there is nothing but null, and writes raise. Returns it."""

    def error() -> str:
        try:
            assert net.native_ws_recv(identifier) is None
        except net.NetworkError as raised:
            return str(raised)
        return ""

    said = str(wait_until(error, what="the error"))
    assert said.startswith("E5006 native_ws_recv: ")
    broken(identifier)
    return said


def broken(identifier: int) -> None:
    """A connection that is over and has said why: reads give null, writes raise, and it is still known."""
    assert net.native_ws_recv(identifier) is None
    assert net.native_ws_recv_blocking(identifier, -1) is None
    assert net.native_ws_recv_binary(identifier) is None
    assert net.native_ws_is_connected(identifier) is False
    for write, *values in ((net.native_ws_send, "x"), (net.native_ws_send_binary, b"x"), (net.native_ws_ping,)):
        with pytest.raises(net.NetworkError, match=rf"^E5006 {write.__name__}: "):
            write(identifier, *values)
    assert set(net.native_ws_client_info(identifier)) == INFO


def shorten(monkeypatch: pytest.MonkeyPatch, **constants: float) -> None:
    """Set constants of the library's, such as CLOSE_SECONDS, wherever they are used, so that a test need not wait."""
    modules = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "dryad_net"]
    for name, value in constants.items():
        having = [module for module in modules if hasattr(module, name)]
        assert having, f"no module has {name}"
        for module in having:
            monkeypatch.setattr(module, name, value)


def switches_of_service() -> int:
    """How often the background thread has gone to sleep and come back."""
    (thread,) = (each for each in threading.enumerate() if each.name == "dryad_net service")
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("voluntary_"))


Upgrade = Callable[..., WsLink]
