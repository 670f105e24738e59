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


@pytest.mark.parametrize("outer", ["send", "broadcast"])
@pytest.mark.parametrize("kind", ["deflate", "tls"])
def test_a_handler_that_sends_where_it_interrupts(kind: str, outer: str) -> None:
    """It cannot wait for what it interrupts: it sends, or is told so at once. No message is torn or lost."""
    assert (
        run(
            kind,
            """
import faulthandler
faulthandler.dump_traceback_later(60, exit=True)
own, client = friends()
received = collect(own)
texts = []
def collect_texts():
    while texts[-1:] != ["last"]:
        texts.append(net.native_ws_recv_blocking(own, SOON))
reader = threading.Thread(target=collect_texts)
reader.start()
said = 0
refused = set()
def tick(*_):
    global said
    begun = time.monotonic()
    try:
        net.native_ws_send(client, "tick")
        said += 1
    except net.NetworkError as error:
        refused.add(error.detail)
        assert time.monotonic() - begun < 10
large = random.Random(1).randbytes(1 << 18)  # forty of them may wait to be read, or to be sent
signal.signal(signal.SIGALRM, tick)
sent = 0
for attempt in range(40):
    signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0003 * attempt)
    if OUTER == "send":
        net.native_ws_send_binary(client, large)
        sent += 1
    else:
        # One that a handler's comes into the middle of does not reach this client on the pure half.
        sent += net.native_ws_broadcast_binary(server, large)
    signal.setitimer(signal.ITIMER_REAL, 0)
net.native_ws_send_binary(client, b"last")
net.native_ws_send(client, "last")
assert received() == [large] * sent + [b"last"]
reader.join(30)
assert texts == ["tick"] * said + ["last"], (said, len(texts))
assert refused <= {"this thread is in the middle of sending on it already"}, refused
print("well")
""".replace("OUTER", repr(outer)),
        )
        == "well\n"
    )


def test_a_handler_that_sends_where_the_peer_does_not_read() -> None:
    """Also without a timeout, and when it comes again and again."""
    assert (
        run(
            "plain",
            """
import faulthandler, socket, struct
faulthandler.dump_traceback_later(60, exit=True)
raw = socket.create_connection(("127.0.0.1", port))
raw.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n")
assert net.native_net_wait([server], SOON) == [server]
client = net.native_ws_accept(server)
net.native_ws_set_timeout(client, -1)
refused = []
def tick(*_):
    for name, *data in (("send", "tick"), ("send_binary", b"tick"), ("ping",)):
        try:
            getattr(net, "native_ws_" + name)(client, *data)
        except net.NetworkError as error:
            refused.append(error.detail)
    if len(refused) < 9:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    else:
        reader.start()
large = random.Random(1).randbytes(15 << 20)  # one frame, and more than any kernel takes
wire = bytearray()
expected = bytes([0x82, 127]) + struct.pack(">Q", len(large)) + large + bytes([0x81, 6]) + b"usable"
def read():
    while b"\\r\\n\\r\\n" not in wire:
        wire.extend(raw.recv(1))
    wire.clear()
    while len(wire) < len(expected):
        wire.extend(raw.recv(1 << 16))
reader = threading.Thread(target=read)
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.3)
net.native_ws_send_binary(client, large)
net.native_ws_send(client, "usable")
reader.join(30)
assert wire == expected
assert refused == ["this thread is in the middle of sending on it already"] * 9, refused
print("well")
""",
        )
        == "well\n"
    )
