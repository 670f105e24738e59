"""Signals: Ctrl-C gets through at once, and any other signal leaves a wait as it was."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from support import SOON, finish, plain_listener, run_script, script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PREPARE = """
import signal, socket, sys, threading, time
import dryad_net as net
signal.signal(signal.SIGINT, signal.default_int_handler)
server = net.native_tcp_listen(0)
own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
client = net.native_tcp_accept_blocking(server, 10000)
net.native_tcp_set_timeout(own, -1)
"""
INTERRUPTED = """
print("waiting", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
USABLE = """
net.native_tcp_send(client, "line\\n")
assert net.native_tcp_recv_until(own, "\\n") == "line\\n"
assert net.native_tcp_accept(server) is None
net.native_tcp_set_timeout(own, 5000)
assert net.native_tcp_send(own, "x") == 1
print("usable")
"""
FULL = """
net.native_tcp_set_send_buffer_size(own, 65536)
"""
DRAIN = """
drained = 0
while net.native_tcp_recv_bytes_blocking(client, 1 << 20, 300):
    pass
"""
WAITS = {
    "recv_blocking": "net.native_tcp_recv_blocking(own, 10, -1)",
    "recv_bytes_blocking": "net.native_tcp_recv_bytes_blocking(own, 10, 3600000)",
    "recv_until": 'net.native_tcp_recv_until(own, "\\n")',
    "accept_blocking": "net.native_tcp_accept_blocking(server, -1)",
    "send": 'net.native_tcp_send(own, b"x" * (1 << 26))',
}


def interrupt_when_asleep(pid: int) -> None:
    """SIGINT to a child once it has slept for a while: it is inside the call that waits."""
    looks = 0
    deadline = time.monotonic() + SOON
    while looks < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
        if os.path.exists(f"/proc/{pid}/stat"):
            with open(f"/proc/{pid}/stat") as file:
                looks = looks + 1 if file.read().rpartition(") ")[2].startswith("S") else 0
        else:
            looks += 1
    os.kill(pid, signal.SIGINT)


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c(name: str) -> None:
    text = PREPARE + INTERRUPTED.format(call=WAITS[name])
    text += DRAIN + USABLE if name == "send" else USABLE
    child = script(text)
    assert child.stdout.readline() == "waiting\n"
    interrupt_when_asleep(child.pid)
    begun = time.monotonic()
    assert child.stdout.readline() == "interrupted\n"
    assert time.monotonic() - begun < 5
    assert finish(child) == "usable\n"


def test_ctrl_c_beside_the_background_thread() -> None:
    """The signal is for the script's thread, whichever the system gives it to."""
    text = PREPARE + 'net.native_tcp_broadcast(server, b"x" * (1 << 23))\n'
    text += INTERRUPTED.format(call="net.native_tcp_recv_blocking(client, 10, -1)")
    child = script(text)
    assert child.stdout.readline() == "waiting\n"
    interrupt_when_asleep(child.pid)
    assert finish(child) == "interrupted\n"


def test_ctrl_c_while_connecting() -> None:
    with plain_listener(backlog=0) as silent:
        text = """
import signal, socket, sys
import dryad_net as net
signal.signal(signal.SIGINT, signal.default_int_handler)
fillers = [socket.socket() for _ in range(8)]
for filler in fillers:
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", int(sys.argv[1])))
print("waiting", flush=True)
try:
    net.native_tcp_connect("127.0.0.1", int(sys.argv[1]))
    print("interrupted")  # a system that answers for a full queue
except KeyboardInterrupt:
    print("interrupted")
"""
        child = script(text, silent.getsockname()[1])
        assert child.stdout.readline() == "waiting\n"
        interrupt_when_asleep(child.pid)
        assert finish(child, SOON) == "interrupted\n"


def test_an_exception_of_any_handler_gets_through() -> None:
    child = script(
        PREPARE
        + """
class Stop(Exception):
    pass
def stop(*_):
    raise Stop
signal.signal(signal.SIGUSR1, stop)
threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGUSR1)).start()
try:
    net.native_tcp_recv_until(own, "never")
except Stop:
    print("stopped")
"""
        + USABLE
    )
    assert finish(child) == "stopped\nusable\n"


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
net.native_tcp_set_timeout(own, 300)
for wait in (
    lambda: net.native_tcp_recv_blocking(own, 10, 300),
    lambda: net.native_tcp_recv_until(own, "x"),
    lambda: net.native_tcp_accept_blocking(server, 300),
):
    begun, before = time.monotonic(), count
    assert wait() is None
    assert 0.298 <= time.monotonic() - begun < 10
    assert count > before
net.native_tcp_set_timeout(own, -1)
data = bytes(range(256)) * 40000
received = []
def read():
    while sum(map(len, received)) < len(data):
        received.append(net.native_tcp_recv_bytes_blocking(client, 100000, 10000))
        time.sleep(0.001)
reader = threading.Thread(target=read, daemon=True)
reader.start()
assert net.native_tcp_send(own, data) == len(data)
reader.join()
assert b"".join(received) == data
running = False
disturber.join()
"""
        + USABLE
    )
    assert finish(child) == "usable\n"


def test_a_handler_that_sends_where_it_interrupts() -> None:
    """It cannot wait for what it interrupts, and is told so at once; nothing is torn."""
    text = """
import faulthandler, signal, threading
import dryad_net as net
faulthandler.dump_traceback_later(60, exit=True)
server = net.native_tcp_listen(0)
own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
client = net.native_tcp_accept_blocking(server, 20000)
net.native_tcp_set_timeout(client, -1)
refused = []
received = bytearray()
def read():
    while len(received) < SIZE:
        received.extend(net.native_tcp_recv_bytes_blocking(own, 65536, 20000))
reader = threading.Thread(target=read)
def tick(*_):
    try:
        net.native_tcp_send(client, "tick")
    except net.NetworkError as error:
        refused.append(str(error))
    if len(refused) < 3:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    else:
        reader.start()
SIZE = 24 << 20
data = bytes(range(256)) * (SIZE // 256)
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.3)
assert net.native_tcp_send(client, data) == SIZE
reader.join(30)
assert received == data
reason = f"E5006 native_tcp_send: {client}: this thread is in the middle of sending on it already"
assert refused == [reason] * 3, refused
assert net.native_tcp_send(client, "usable") == 6
assert net.native_tcp_recv_blocking(own, 6, 20000) == "usable"
print("well")
"""
    assert run_script(text, seconds=90) == "well\n"
