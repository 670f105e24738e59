"""A wss connection whose ciphertext is broken in the middle: it is said once, whatever was due to be sent."""

from __future__ import annotations

import importlib
import socket
import threading
import time

import pytest
from support import SOON, Running, plain_listener
from tls_support import FILES
from ws_support import CLOSE, PING, close_payload, frame, response, said_once

import dryad_net as net
from dryad_net import tls
from dryad_net.tls import Tls

# A record of application data (RFC 8446, 5.2) that no key has made.
BROKEN = b"\x17\x03\x03\x00\x20" + bytes(32)


def agree(raw: socket.socket) -> Tls:
    """Complete both handshakes."""
    session = Tls(tls.server_context(FILES.cert, FILES.key), None)
    head = b""
    while b"\r\n\r\n" not in head:
        head += session.decrypt(raw.recv(65536))
        raw.sendall(session.due())
    raw.sendall(session.encrypt(response(head)))
    return session


def serve(raw: socket.socket, last: bytes) -> None:
    """Complete both handshakes, and send this with a broken record behind it in one packet."""
    session = agree(raw)
    raw.sendall((session.encrypt(last) if last else b"") + BROKEN)


def dial() -> tuple[int, socket.socket]:
    """A connection of our own whose handshake has not begun, and the plain socket at its other end."""
    with plain_listener() as listening:
        own = net.native_ws_connect(f"wss://127.0.0.1:{listening.getsockname()[1]}/")
        net.native_ws_set_tls(own, {"ca_file": FILES.ca})
        raw = listening.accept()[0]
    raw.settimeout(SOON)
    return own, raw


@pytest.mark.parametrize(
    "last",
    [b"", frame(PING, b"!"), frame(PING, b"!") + frame(3), frame(3)],
    ids=["nothing", "a ping", "a ping and a violation", "a violation"],
)
def test_said_once(last: bytes) -> None:
    """Also where a pong or a Close should go out, which cannot be encrypted any more."""
    own, raw = dial()
    with raw:
        serving = Running(serve, raw, last)
        said = said_once(own)
        serving.result()
    assert ("1002" if last.endswith(frame(3)) else "TLS") in said
    assert net.native_ws_client_info(own)["close_code"] == (1002 if last.endswith(frame(3)) else 1006)


def test_a_close_before_it_is_the_end() -> None:
    own, raw = dial()
    with raw:
        serving = Running(serve, raw, frame(CLOSE, close_payload(1000, "done")))
        assert net.native_ws_recv_blocking(own, int(SOON * 1000)) is None
        serving.result()
    info = net.native_ws_client_info(own)
    assert (info["state"], info["close_code"], info["close_reason"]) == ("closed", 1000, "done")


def test_a_close_with_the_end_behind_it_while_two_receive(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is decrypting the Close, for which the other waits, who then finds the end of the stream."""
    own, raw = dial()
    serving = Running(agree, raw)
    assert net.native_ws_is_connected(own)
    session = serving.result()
    inbound = importlib.import_module(f"dryad_net._{net.backend}.inbound")
    decrypt, parse_close = Tls.decrypt, inbound.parse_close
    decrypting = threading.Event()

    def slow(self: Tls, data: bytes) -> bytes:
        decrypting.set()
        time.sleep(0.2)  # for the other to come as far
        return decrypt(self, data)

    def slow_too(payload: bytes) -> object:
        time.sleep(0.2)  # for the other to read on
        return parse_close(payload)

    monkeypatch.setattr(Tls, "decrypt", slow)
    monkeypatch.setattr(inbound, "parse_close", slow_too)
    with raw:
        raw.sendall(session.encrypt(frame(CLOSE, close_payload(4000, "done"))))
    first = Running(net.native_ws_recv_blocking, own, int(SOON * 1000))
    assert decrypting.wait(SOON)
    assert net.native_ws_recv_blocking(own, int(SOON * 1000)) is None
    assert first.result() is None
    info = net.native_ws_client_info(own)
    assert (info["state"], info["close_code"], info["close_reason"]) == ("closed", 4000, "done")
