"""Signals' handlers that use the library in the middle of what they interrupt: nothing waits for itself."""

from __future__ import annotations

import sys

import pytest
from support import run_script

import dryad_net as net

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

PREPARE = """
import faulthandler, signal
import dryad_net as net
faulthandler.dump_traceback_later(20, exit=True)
"""


def test_an_id_while_another_is_handed_out() -> None:
    text = """
from dryad_net.table import table
found = []

def connect(*_):
    found.append(net.native_tcp_listen(0))

def make(identifier):
    signal.raise_signal(signal.SIGUSR1)
    return identifier

def fail(identifier):
    signal.raise_signal(signal.SIGUSR1)
    raise MemoryError

signal.signal(signal.SIGUSR1, connect)
found.append(table.add(make))
try:
    table.add(fail)
except MemoryError:
    found.append(net.native_tcp_listen(0))
signal.signal(signal.SIGUSR1, lambda *_: None)
try:
    table.add(fail)
except MemoryError:
    found.append(net.native_tcp_listen(0))
assert sorted(set(found)) == sorted(found), found
assert all(table.was_given_out(each) for each in found)
print(max(found))
"""
    # Six were handed out, and one lost; one that nobody got, with no other after it, is given to the next.
    assert run_script(PREPARE + text) == "6\n"


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half's has no lock")
def test_a_socket_while_another_is_given_to_the_poller() -> None:
    text = """
import socket
from dryad_net._backend import poll, sock

class Watched(sock.Socket):
    def fileno(self):
        signal.raise_signal(signal.SIGUSR1)
        return super().fileno()

pair = [kind(each) for kind, each in zip((Watched, sock.Socket), socket.socketpair())]
poller = poll.Poller()
signal.signal(signal.SIGUSR1, lambda *_: poller.arm(pair[1], 2, poll.WRITE))
poller.arm(pair[0], 1, poll.WRITE)
print(sorted(poller.wait(1000)))
"""
    assert run_script(PREPARE + text) == "[1, 2]\n"


@pytest.mark.skipif(net.backend != "pure", reason="the compiled half takes note of it without a call in between")
def test_a_client_dropped_in_the_middle_of_what_is_queued_for_it() -> None:
    """By a handler's broadcast, which is one too many."""
    text = """
from dryad_net.table import table
server = net.native_tcp_listen(0)
own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
client = net.native_tcp_accept_blocking(server, 20000)
connection = table.find(client)
plain = connection._socket

class Interrupted:
    def __getattr__(self, name):
        return getattr(plain, name)
    def send(self, *args):
        connection._socket = plain
        sent = plain.send(*args)
        signal.raise_signal(signal.SIGUSR1)
        return sent

connection._socket = Interrupted()
signal.signal(signal.SIGUSR1, lambda *_: print(net.native_tcp_broadcast(server, bytes(17 << 20))))
print(net.native_tcp_broadcast(server, "abc"))
print(net.native_tcp_recv_blocking(own, 10, 20000))
"""
    assert run_script(PREPARE + text) == "0\n0\nabc\n"


def test_a_connection_in_the_middle_of_its_handshake() -> None:
    """Nothing can be sent before that is complete, and it waits for the handler."""
    text = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
own = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
net.native_ws_set_timeout(own, -1)
errors = []

def send(*_):
    for call in (net.native_ws_send, net.native_ws_ping):
        try:
            call(own, *["early"] * (call is net.native_ws_send))
        except net.NetworkTimeoutError as error:
            errors.append(error.detail)
    assert net.native_ws_recv_blocking(own, -1) is None
    net.native_ws_close(own)

signal.signal(signal.SIGALRM, send)
signal.setitimer(signal.ITIMER_REAL, 0.3)
print(net.native_ws_recv_blocking(own, -1))
assert errors == ["the handshake was not complete before the time was up"] * 2, errors
"""
    assert run_script(PREPARE + text) == "None\n"


@pytest.mark.parametrize("name", ["native_ws_send", "native_ws_broadcast"])
def test_a_broadcast_while_a_message_is_compressed(name: str) -> None:
    """It goes out before that one, which refers to what was compressed before it and to nothing else."""
    text = """
import random, types, zlib
from dryad_net import deflate
armed = False

class Telling:
    def __init__(self, *args):
        self.flush = (made := zlib.compressobj(*args)).flush
        self.made = made

    def compress(self, data):
        global armed
        compressed = self.made.compress(data)
        if armed:
            armed = False
            signal.raise_signal(signal.SIGUSR1)
        return compressed

deflate.zlib = types.SimpleNamespace(**{**vars(zlib), "compressobj": Telling})
server = net.native_ws_listen(0)
net.native_ws_set_compression(server, True)
own = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/")
net.native_ws_set_compression(own, True)
assert net.native_ws_is_connected(own)
assert net.native_net_wait([server], 20000) == [server]
client = net.native_ws_accept(server)
signal.signal(signal.SIGUSR1, lambda *_: net.native_ws_broadcast(server, "tick " * 20))
message = random.Random(1).randbytes(1000).hex()
for armed in (False, True, False):
    net.NAME(client if "NAME" == "native_ws_send" else server, message)
for expected in (message, "tick " * 20, message, message):
    assert net.native_ws_recv_blocking(own, 10000) == expected
print("well")
"""
    assert run_script(PREPARE + text.replace("NAME", name)) == "well\n"


BACKGROUND = """
import threading, time
from dryad_net import service, threads
start, make = threads.start, service.poll.Poller
server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
pairs = [(net.native_tcp_connect("127.0.0.1", port), net.native_tcp_accept_blocking(server, 20000)) for _ in range(2)]
service.service = service.Service()
large = bytes(8 << 20)  # more than any kernel takes

def all_arrives():
    for own, _client in pairs:
        left = len(large)
        while left:
            left -= len(net.native_tcp_recv_bytes_blocking(own, left, 20000))
    time.sleep(0.3)
    print([thread.name for thread in threading.enumerate()].count("dryad_net service"))
"""


@pytest.mark.parametrize("name", ["start", "Poller"])
def test_the_background_while_it_is_being_made(name: str) -> None:
    """A handler needs it too: both are served, by one."""
    text = """
def make_and_tell(made):
    signal.raise_signal(signal.SIGUSR1)
    return made

if NAME == "start":
    threads.start = lambda *args: make_and_tell(start(*args))
else:
    service.poll.Poller = lambda: make_and_tell(make())

def broadcast(*_):
    threads.start, service.poll.Poller = start, make
    connections[1].broadcast(large)

from dryad_net.table import table
connections = [table.find(client) for _own, client in pairs]
signal.signal(signal.SIGUSR1, broadcast)
connections[0].broadcast(large)
all_arrives()
"""
    assert run_script(PREPARE + BACKGROUND + text.replace("NAME", repr(name))) == "1\n"


def test_an_exception_while_the_background_is_started() -> None:
    """The thread that runs already stays the only one."""
    text = """
class Stop(Exception):
    pass

def start_and_raise(*args):
    threads.start = start
    start(*args)
    raise Stop

threads.start = start_and_raise
try:
    net.native_tcp_broadcast(server, large)
except Stop:
    print("stopped")
net.native_tcp_close(pairs.pop()[1])
from dryad_net.table import table
service.hand_over(table.find(pairs[0][1]), service.poll.WRITE)
all_arrives()
"""
    assert run_script(PREPARE + BACKGROUND + text) == "stopped\n1\n"
