"""Signals' handlers in the middle of compressing, encrypting and their opposites: they send, or they raise."""

from __future__ import annotations

import sys

import pytest
from support import run_script
from tls_support import FILES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX timers")

PREPARE = """
import os, random, signal, sys, threading, time
import dryad_net as net
SOON = 30000
kind, cert, key, authority = sys.argv[1:]
if kind == "tls":
    server = net.native_ws_listen_tls(0, cert, key)
else:
    server = net.native_ws_listen(0)
    net.native_ws_set_compression(server, True)
port = net.native_ws_get_local_addr(server)["port"]

def friends():
    own = net.native_ws_connect(f"{'wss' if kind == 'tls' else 'ws'}://127.0.0.1:{port}/")
    net.native_ws_set_timeout(own, SOON)
    if kind == "tls":
        net.native_ws_set_tls(own, {"ca_file": authority})
    else:
        net.native_ws_set_compression(own, True)
    assert net.native_ws_is_connected(own)
    assert net.native_net_wait([server], SOON) == [server]
    return own, net.native_ws_accept(server)

class Stop(Exception):
    pass

def stop(*_):
    raise Stop

def collect(identifier):
    messages = []
    def run():
        try:
            while not messages or messages[-1] not in (b"last", None):
                messages.append(net.native_ws_recv_binary_blocking(identifier, SOON))
        except net.NetworkError as error:
            messages.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    def result():
        thread.join(30)
        assert not thread.is_alive()
        return messages
    return result
"""


def run(kind: str, text: str) -> str:
    return run_script(PREPARE + text, kind, FILES.cert, FILES.key, FILES.ca, seconds=90)


@pytest.mark.parametrize("kind", ["deflate", "tls"])
def test_a_handler_that_sends(kind: str) -> None:
    """What it says has arrived; no message is torn, and none comes before one that it refers to."""
    assert (
        run(
            kind,
            """
own, client = friends()
received = collect(own)
said = []
def tick(*_):
    said.append(net.native_ws_broadcast_binary(server, b"tick"))
    if going_on:
        signal.setitimer(signal.ITIMER_REAL, 0.003)  # not before, or a busy machine does nothing else
large = random.Random(1).randbytes(1 << 18)
signal.signal(signal.SIGALRM, tick)
going_on = True
signal.setitimer(signal.ITIMER_REAL, 0.002)
for _ in range(20):
    net.native_ws_send_binary(client, large)
going_on = False
signal.setitimer(signal.ITIMER_REAL, 0)
net.native_ws_send_binary(client, b"last")
messages = received()
sent = [each for each in messages if each != b"tick"]
assert sent == [large] * 20 + [b"last"], [repr(each)[:80] for each in messages]
assert messages.count(b"tick") == sum(said)
print("well")
""",
        )
        == "well\n"
    )


@pytest.mark.parametrize("kind", ["deflate", "tls"])
def test_a_handler_that_raises_while_sending(kind: str) -> None:
    """The peer gets whole messages and nothing else; over TLS, of which half is lost, it gets no more."""
    assert (
        run(
            kind,
            """
large = random.Random(1).randbytes(2 << 20)
signal.signal(signal.SIGALRM, stop)
stops = 0
for attempt in range(6):
    own, client = friends()
    received = collect(client)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.004 * attempt)
        net.native_ws_send_binary(own, large)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        stops += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        net.native_ws_send_binary(own, b"second")
        net.native_ws_send_binary(own, b"last")
    except net.NetworkError:
        assert kind == "tls"
    messages = received()
    if messages[-1] is None or isinstance(messages[-1], net.NetworkError):
        assert kind == "tls", messages
        assert "bad record" not in repr(messages[-1]), messages
        messages.pop()
    rest = messages[1:] if messages[:1] == [large] else messages
    assert rest in ([], [b"second", b"last"]), [repr(each)[:80] for each in messages]
    net.native_ws_close(own)
    net.native_ws_close(client)
assert stops
print("well")
""",
        )
        == "well\n"
    )


@pytest.mark.parametrize("kind", ["deflate", "tls"])
def test_a_handler_that_raises_while_receiving(kind: str) -> None:
    """A message is given out whole, or the connection is over and says why; the peer is not blamed."""
    assert (
        run(
            kind,
            """
large = bytes(20 << 20) if kind == "deflate" else random.Random(1).randbytes(8 << 20)
signal.signal(signal.SIGALRM, stop)
stops = 0
for attempt in range(6):
    own, client = friends()
    def send():
        try:
            for message in (large, b"1", b"2", b"3"):
                net.native_ws_send_binary(client, message)
        except net.DryadNetError:
            pass
    sender = threading.Thread(target=send)
    sender.start()
    assert net.native_net_wait([own], SOON) == [own]
    messages = []
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.006 * attempt)
        messages.append(net.native_ws_recv_binary_blocking(own, SOON))
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        stops += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        while messages[-1:] != [b"3"]:
            messages.append(net.native_ws_recv_binary_blocking(own, SOON))
            assert messages[-1] is not None
    except net.NetworkError as error:
        assert "an exception interrupted" in str(error), error
    # Raised when the call had its message in hand already: Python drops that.
    if messages[:1] == [b"1"]:
        messages.insert(0, large)
    assert messages == [large, b"1", b"2", b"3"][:len(messages)], [repr(each)[:80] for each in messages]
    net.native_ws_close(own)
    net.native_ws_close(client)
    sender.join(30)
print("well")
""",
        )
        == "well\n"
    )
