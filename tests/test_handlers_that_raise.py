"""What a signal's handler raises comes as it is, also if it is an OSError, as TimeoutError is: the usual alarm(2)."""

from __future__ import annotations

import sys

import pytest
from support import run_script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no setitimer")

PREPARE = """
import faulthandler, signal, socket, time
import dryad_net as net
faulthandler.dump_traceback_later(25, exit=True)

class Alarm(TimeoutError):
    pass

def alarm(*_):
    raise Alarm

def slow(host, *args, **named):
    if not named["flags"] & socket.AI_NUMERICHOST:
        time.sleep(1)
    return look_up(host, *args, **named)

look_up, socket.getaddrinfo = socket.getaddrinfo, slow
signal.signal(signal.SIGALRM, alarm)
server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
own = net.native_tcp_connect("127.0.0.1", port)
client = net.native_tcp_accept_blocking(server, 20000)
net.native_tcp_set_timeout(own, -1)
web = net.native_ws_listen(0)
ws = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(web)['port']}/")
assert net.native_ws_is_connected(ws)
net.native_ws_set_timeout(ws, -1)
udp = net.native_udp_socket()
net.native_udp_bind(udp, 0)
mute = socket.create_server(("127.0.0.1", 0))
silent = net.native_ws_connect(f"ws://127.0.0.1:{mute.getsockname()[1]}/")
large = "x" * (1 << 24)
"""

WAITS = {
    "connect to a name": 'net.native_tcp_connect("localhost", port)',
    "accept": "net.native_tcp_accept_blocking(server, -1)",
    "recv": "net.native_tcp_recv_blocking(own, 10, -1)",
    "recv_until": 'net.native_tcp_recv_until(own, "\\n")',
    "send": "net.native_tcp_send(own, large)",
    "udp recv": "net.native_udp_recv_blocking(udp, -1)",
    "handshake": "net.native_ws_is_connected(silent)",
    "ws recv": "net.native_ws_recv_blocking(ws, -1)",
    "ws send": "[net.native_ws_send(ws, large) for _ in range(1000)]",  # what the peer reads ahead has an end
    "net_wait": "net.native_net_wait([own, ws, udp], -1)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait(wait: str) -> None:
    text = f"""
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    {WAITS[wait]}
except Alarm as error:
    print("as it is", error.__cause__)
"""
    assert run_script(PREPARE + text) == "as it is None\n"


def test_the_start_of_a_thread() -> None:
    """Whose own error, where there are no more threads, is a RuntimeError too."""
    text = """
from dryad_net import threads

def raising(*_):
    raise RuntimeError("the handler's")

signal.signal(signal.SIGUSR1, raising)
make_latch = threads.Latch

class Latch(make_latch):
    def wait(self, until):
        signal.raise_signal(signal.SIGUSR1)

threads.Latch = Latch
try:
    threads.start(int, "interrupted")
except RuntimeError as error:
    print(error)
"""
    assert run_script(PREPARE + text) == "the handler's\n"
