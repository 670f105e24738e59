"""Signals: Ctrl-C gets through at once, and any other signal leaves a wait as it was."""

from __future__ import annotations

import sys

import pytest
from support import SOON, finish, script
from test_tcp_signals import interrupt_when_asleep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PREPARE = """
import signal, socket, sys, threading, time
import dryad_net as net
signal.signal(signal.SIGINT, signal.default_int_handler)
server = net.native_ws_listen(0)
url = f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/"

def dial():
    own = net.native_ws_connect(url)
    net.native_ws_recv(own)
    while (client := net.native_ws_accept(server)) is None:
        time.sleep(0.001)
    assert net.native_ws_is_connected(own)
    return own, client

own, client = dial()
net.native_ws_set_timeout(own, -1)
with socket.create_server(("127.0.0.1", 0)) as listening:
    silent = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
    stays = listening.accept()[0]
net.native_ws_set_timeout(silent, -1)
"""
INTERRUPTED = """
print("waiting", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
USABLE = """
net.native_ws_send(client, "hello")
assert net.native_ws_recv_blocking(own, 10000) == "hello"
assert net.native_ws_accept(server) is None
print("usable")
"""
WAITS = {
    "recv_blocking": "net.native_ws_recv_blocking(own, -1)",
    "recv_binary_blocking": "net.native_ws_recv_binary_blocking(own, 3600000)",
    "the handshake in send": 'net.native_ws_send(silent, "x")',
    "the handshake in recv_blocking": "net.native_ws_recv_blocking(silent, -1)",
    "the handshake in is_connected": "net.native_ws_is_connected(silent)",
    "net_wait": "net.native_net_wait([own, server], -1)",
    "net_wait on one": "net.native_net_wait([own], None)",
}


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c(name: str) -> None:
    child = script(PREPARE + INTERRUPTED.format(call=WAITS[name]) + USABLE)
    assert child.stdout.readline() == "waiting\n"
    interrupt_when_asleep(child.pid)
    assert child.stdout.readline() == "interrupted\n"
    assert finish(child, SOON) == "usable\n"


def test_ctrl_c_in_send() -> None:
    """What was not sent whole by then goes out in the background, or never began: no frame is cut."""
    child = script(
        PREPARE
        + INTERRUPTED.format(
            call="""
    for number in range(1000):
        net.native_ws_send_binary(own, number.to_bytes(4, "big") + bytes(1000000))"""
        )
        + """
numbers = []
while (message := net.native_ws_recv_binary_blocking(client, 500)) is not None:
    assert len(message) == 1000004
    numbers.append(int.from_bytes(message[:4], "big"))
assert numbers == list(range(len(numbers)))
net.native_ws_send(own, "behind")
assert net.native_ws_recv_blocking(client, 10000) == "behind"
"""
        + USABLE
    )
    assert child.stdout.readline() == "waiting\n"
    interrupt_when_asleep(child.pid)
    assert finish(child) == "interrupted\nusable\n"


def test_other_signals_do_not_end_a_wait() -> None:
    child = script(
        PREPARE
        + """
count = 0
def handle(*_):
    global count
    count += 1
signal.signal(signal.SIGUSR1, handle)
running = True
def disturb():
    while running:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        time.sleep(0.01)
disturber = threading.Thread(target=disturb, daemon=True)
disturber.start()
net.native_ws_set_timeout(silent, 300)
def handshake():
    try:
        net.native_ws_send(silent, "x")
    except net.NetworkTimeoutError:
        return None
for wait, nothing in (
    (lambda: net.native_ws_recv_blocking(own, 300), None),
    (lambda: net.native_ws_recv_binary_blocking(own, 300), None),
    (lambda: net.native_net_wait([own, server, client], 300), []),
    (handshake, None),
):
    begun, before = time.monotonic(), count
    assert wait() == nothing
    assert 0.298 <= time.monotonic() - begun < 10
    assert count > before
data = bytes(range(256)) * 40000
received = []
reader = threading.Thread(target=lambda: received.append(net.native_ws_recv_binary_blocking(client, 20000)))
reader.start()
net.native_ws_send_binary(own, data)
reader.join()
assert received == [data]
running = False
disturber.join()
"""
        + USABLE
    )
    assert finish(child) == "usable\n"


def test_an_exception_of_any_handler_gets_through() -> None:
    child = script(
        PREPARE
        + """
class Stop(Exception):
    pass
def stop(*_):
    raise Stop
signal.signal(signal.SIGUSR1, stop)
for wait in (lambda: net.native_ws_recv_blocking(own, -1), lambda: net.native_net_wait([own], -1)):
    threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1)).start()
    try:
        wait()
    except Stop:
        print("stopped")
"""
        + USABLE
    )
    assert finish(child) == "stopped\nstopped\nusable\n"
