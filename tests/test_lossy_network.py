"""Packets lost, late, out of order and twice, between two network namespaces: TCP, WebSocket and UDP as promised."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Running
from udp_support import Namespace, namespaces, run

CABLE = Path(__file__).parent / "lossy_cable.py"

# Sends what it is sent back, until the other end closes.
ECHO_TCP = """
server = net.native_tcp_listen(5000)
say("ready")
client = net.native_tcp_accept_blocking(server, 60000)
while net.native_tcp_is_connected(client):
    data = net.native_tcp_recv_bytes_blocking(client, 65536, 60000)
    if data:
        assert net.native_tcp_send(client, data) == len(data)
net.native_tcp_close(client)
say("done")
"""
CALL_TCP = """
import threading
net_socket = net.native_tcp_connect("10.9.8.2", 5000)
data = bytes(range(251)) * 2000
sender = threading.Thread(target=net.native_tcp_send, args=(net_socket, data))
sender.start()
back = b""
while len(back) < len(data):
    part = net.native_tcp_recv_bytes_blocking(net_socket, 65536, 60000)
    assert part, len(back)
    back += part
sender.join()
assert back == data
for number in range(20):
    net.native_tcp_send(net_socket, f"line {number}\\n")
assert [net.native_tcp_recv_until(net_socket, "\\n") for _ in range(20)] == [f"line {n}\\n" for n in range(20)]
net.native_tcp_close(net_socket)
say("right")
"""
ECHO_WS = """
server = net.native_ws_listen(5000)
say("ready")
net.native_net_wait([server], 60000)
client = net.native_ws_accept(server)
while net.native_ws_is_connected(client):
    text = net.native_ws_recv_blocking(client, 60000)
    if text is not None:
        net.native_ws_send(client, text)
say(net.native_ws_client_info(client)["close_code"])
"""
CALL_WS = """
own = net.native_ws_connect("ws://10.9.8.2:5000/")
messages = ["x" * (size * 997 % 30000) + str(size) for size in range(40)]
for message in messages:
    net.native_ws_send(own, message)
assert [net.native_ws_recv_blocking(own, 60000) for _ in messages] == messages
net.native_ws_ping(own)
for _ in range(600):  # either way may take a few attempts
    assert net.native_ws_recv_blocking(own, 100) is None
    if net.native_ws_client_info(own)["latency_ms"] is not None:
        break
say("right", net.native_ws_client_info(own)["latency_ms"] >= 9)  # 5 ms each way at least
net.native_ws_close(own)
wait_for_word()
"""
ECHO_UDP = """
ours = net.native_udp_socket()
net.native_udp_bind(ours, 5000)
say("ready")
while True:
    received = net.native_udp_recv_blocking(ours, 60000)
    net.native_udp_send(ours, received["data"], received["ip"], received["port"])
"""
CALL_UDP = """
ours = net.native_udp_socket()
sent = [f"datagram {number} " + "x" * (number * 7 % 1200) for number in range(300)]
heard = []
for each in sent:
    assert net.native_udp_send(ours, each, "10.9.8.2", 5000) == len(each)
    received = net.native_udp_recv_blocking(ours, 5)
    if received:
        heard.append(received["data"])
while (received := net.native_udp_recv_blocking(ours, 1000)) is not None:
    heard.append(received["data"])
stats = net.native_udp_get_stats(ours)
assert stats["packets_sent"] == 300 and stats["packets_received"] == len(heard) and stats["send_errors"] == 0
assert set(heard) <= set(sent)
say("right", 100 < len(set(heard)) < 300, len(heard) > len(set(heard)))
"""
# A peer that is there no more: only the keepalive can find out. Its 20 s are made one here.
HALF_OPEN = """
import time
import dryad_net.websocket
dryad_net.websocket.KEEPALIVE_SECONDS = 1.0
own = net.native_ws_connect("ws://10.9.8.2:5000/")
net.native_ws_set_keepalive(own, True)
net.native_ws_send(own, "hello")
assert net.native_ws_recv_blocking(own, 60000) == "hello"
say("cut it")
wait_for_word()
begun = time.monotonic()
try:
    net.native_ws_recv_blocking(own, 60000)
except net.NetworkError as error:
    say(error.code, 1.0 < time.monotonic() - begun < 20, "1011" in str(error))
"""


class Lossy:
    """A lossy cable, as a process of its own."""

    def __init__(self, machines: list[Namespace]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(CABLE), *(each.name for each in machines), "0.03", "0.02", "20", "15"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return str(Running(self.process.stdout.readline).result()).strip()

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.line() == word

    def end(self) -> list[int]:
        """End it. Returns how many packets it has carried, lost and repeated."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        counts = [int(word) for word in self.line().split()]
        self.process.stdout.close()
        assert self.process.wait(20) == 0
        return counts


@pytest.fixture
def lossy() -> Iterator[tuple[list[Namespace], Lossy]]:
    """Two machines and what is between them: of a hundred packets 3 are lost and 2 come twice, 5 to 35 ms late."""
    if not Path("/dev/net/tun").exists():
        pytest.fail("the lossy cable needs /dev/net/tun")
    with namespaces("west", "east") as machines, contextlib.ExitStack() as stack:
        cable = Lossy(machines)
        stack.callback(cable.process.kill)
        yield machines, cable
        for machine in machines:
            machine.end_scripts()
        carried, lost, repeated = cable.end()
        assert carried > 0
        assert lost + repeated > 0


@pytest.mark.parametrize(
    ("echo", "call", "said"),
    [(ECHO_TCP, CALL_TCP, "right"), (ECHO_WS, CALL_WS, "right True"), (ECHO_UDP, CALL_UDP, "right True True")],
    ids=["tcp", "ws", "udp"],
)
def test_everything_is_right(lossy: tuple[list[Namespace], Lossy], echo: str, call: str, said: str) -> None:
    (west, east), _cable = lossy
    server = run(east, echo)
    assert server.line() == "ready"
    client = run(west, call)
    line = client.line()
    assert line == said, line or client.process.communicate()[1]


def test_a_peer_who_is_gone_without_a_word(lossy: tuple[list[Namespace], Lossy]) -> None:
    (west, east), cable = lossy
    server = run(east, ECHO_WS)
    assert server.line() == "ready"
    client = run(west, HALF_OPEN)
    assert client.line() == "cut it"
    cable.tell("cut")
    client.tell("go on")
    assert client.line() == "E5006 True True"
