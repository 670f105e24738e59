"""fork: the child starts empty, and the parent goes on undisturbed."""

from __future__ import annotations

import os

import pytest
from support import run_script

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

# A child reports by its exit status, so that nothing is printed twice.
PREPARE = """
import os, socket, sys, threading, time, warnings
import dryad_net as net
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12 on

def ends_well(child):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as error:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status

def code(call, *args):
    try:
        call(*args)
    except net.DryadNetError as error:
        return error.code + (" closed" if "closed" in str(error) else "")

server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
own = net.native_tcp_connect("127.0.0.1", port)
client = net.native_tcp_accept_blocking(server, 10000)

def talk():
    net.native_tcp_send(own, "ping")
    assert net.native_tcp_recv_blocking(client, 10, 10000) == "ping"
    net.native_tcp_send(client, "line\\nmore")
    assert net.native_tcp_recv_until(own, "\\n") == "line\\n"
    assert net.native_tcp_recv_blocking(own, 10, 10000) == "more"

def talk_anew():
    s = net.native_tcp_listen(0)
    a = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(s)["port"])
    b = net.native_tcp_accept_blocking(s, 10000)
    assert min(a, b, s) > max(own, client, server)
    net.native_tcp_send(a, "hello")
    assert net.native_tcp_recv_blocking(b, 10, 10000) == "hello"
    assert net.native_tcp_broadcast(s, b"x" * 3000000) == 1
    net.native_tcp_stop_server(s)
    received = 0
    while net.native_tcp_is_connected(a):
        received += len(net.native_tcp_recv_blocking(a, 100000, 10000) or "")
    assert received == 3000000, received
    net.native_tcp_close(a)
"""


def test_no_id_is_known_to_the_child() -> None:
    run_script(
        PREPARE
        + """
def child():
    for identifier in (own, client, server):
        for call in (net.native_tcp_is_connected, net.native_tcp_close, net.native_tcp_recv_all,
                     net.native_tcp_stop_server, net.native_tcp_get_local_addr, net.native_tcp_kick_client):
            assert code(call, identifier) == "E3029", (call, code(call, identifier))
ends_well(child)
talk()
"""
    )


def test_inherited_descriptors_are_closed() -> None:
    run_script(
        PREPARE
        + """
def child():
    targets = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert not [target for target in targets if "socket:" in target or "anon_inode" in target], targets
if os.path.exists("/proc/self/fd"):
    ends_well(child)
talk()
"""
    )


def test_the_parents_connections_go_on() -> None:
    run_script(
        PREPARE
        + """
net.native_tcp_send(client, "unread in the parent")
for _ in range(3):
    ends_well(talk_anew)
assert net.native_tcp_is_connected(own)
assert net.native_tcp_recv_blocking(own, 100, 10000) == "unread in the parent"
talk()
net.native_tcp_close(client)
assert net.native_tcp_recv_blocking(own, 10, 10000) is None  # no copy in a child keeps it open
"""
    )


def test_a_child_that_lives_on_keeps_nothing_open() -> None:
    run_script(
        PREPARE
        + """
reading, writing = os.pipe()
forked, started = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.write(started, b"!")
    os.read(reading, 1)
    os._exit(0)
os.read(forked, 1)
net.native_tcp_close(client)
assert net.native_tcp_recv_blocking(own, 10, 10000) is None
net.native_tcp_stop_server(server)
net.native_tcp_stop_server(net.native_tcp_listen(port))
os.close(writing)
assert os.waitpid(pid, 0)[1] == 0
"""
    )


def test_fork_beside_the_background_thread() -> None:
    run_script(
        PREPARE
        + """
import dryad_net.service
dryad_net.service.CLOSE_SECONDS = 60   # what is closed here is read last
data = bytes(range(256)) * 32768
assert net.native_tcp_broadcast(server, data) == 1   # queued for a client that does not read
other = net.native_tcp_connect("127.0.0.1", port)
closing = net.native_tcp_accept_blocking(server, 10000)
assert net.native_tcp_broadcast(server, data) == 2
net.native_tcp_close(closing)
def child():
    assert code(net.native_tcp_recv, own, 1) == "E3029"
    talk_anew()
for _ in range(3):
    ends_well(child)
def read(identifier, size):
    received = b""
    while len(received) < size:
        received += net.native_tcp_recv_bytes_blocking(identifier, 1 << 20, 10000)
    return received
assert read(own, 2 * len(data)) == data + data
assert read(other, len(data)) == data
assert net.native_tcp_recv_blocking(other, 10, 10000) is None
""",
        seconds=120,
    )


def test_fork_while_other_threads_wait() -> None:
    run_script(
        PREPARE
        + """
found = []
threads = [threading.Thread(target=lambda: found.append(net.native_tcp_recv_blocking(own, 10, -1))),
           threading.Thread(target=lambda: found.append(net.native_tcp_accept_blocking(server, -1)))]
for thread in threads:
    thread.start()
time.sleep(0.1)
for _ in range(3):
    ends_well(talk_anew)
net.native_tcp_send(client, "x")
net.native_tcp_connect("127.0.0.1", port)
for thread in threads:
    thread.join()
assert "x" in found and max(f for f in found if f != "x") > own
"""
    )


def test_ids_of_the_child_are_unknown_to_the_parent() -> None:
    """And the child's own children start empty too."""
    run_script(
        PREPARE
        + """
def child():
    mine = net.native_tcp_listen(0)
    assert mine > client
    def grandchild():
        assert code(net.native_tcp_accept, mine) == "E3029"
        talk_anew()
    ends_well(grandchild)
    assert net.native_tcp_accept(mine) is None
ends_well(child)
assert code(net.native_tcp_recv, client + 1, 1) == "E3029"
talk()
"""
    )


def test_a_child_exits_normally_and_quietly() -> None:
    run_script(
        PREPARE
        + """
net.native_tcp_broadcast(server, b"x" * (1 << 23))
pid = os.fork()
if pid == 0:
    own = net.native_tcp_listen(0)
    sys.exit(0)  # with everything that an interpreter does at exit
assert os.waitpid(pid, 0)[1] == 0
assert len(net.native_tcp_recv_blocking(own, 100, 10000)) == 100
"""
    )
