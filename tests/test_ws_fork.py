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
        return error.code

def wait_for(call, *args):
    deadline = time.monotonic() + 10
    while (found := call(*args)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return found

def dial(server):
    own = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/")
    net.native_ws_recv(own)
    client = wait_for(net.native_ws_accept, server)
    assert net.native_ws_is_connected(own)
    return own, client

server = net.native_ws_listen(0)
own, client = dial(server)

def talk():
    net.native_ws_send(own, "ping")
    assert net.native_ws_recv_blocking(client, 10000) == "ping"
    net.native_ws_send(client, "pong")
    assert net.native_ws_recv_blocking(own, 10000) == "pong"

def talk_anew():
    s = net.native_ws_listen(0)
    a, b = dial(s)
    assert min(a, b, s) > max(own, client, server)
    net.native_ws_send(a, "hello")
    assert net.native_net_wait([a, b], 10000) == [b]
    assert net.native_ws_recv_blocking(b, 10000) == "hello"
    assert net.native_ws_broadcast_binary(s, bytes(3000000)) == 1
    net.native_ws_stop_server(s)
    assert net.native_ws_recv_binary_blocking(a, 10000) == bytes(3000000)
    assert net.native_ws_recv_blocking(a, 10000) is None
    net.native_ws_close(a)
"""


def test_no_id_is_known_to_the_child() -> None:
    run_script(
        PREPARE
        + """
closing, its_client = dial(server)
net.native_ws_close(closing)
def child():
    for identifier in (own, client, server, closing):
        for call in (net.native_ws_is_connected, net.native_ws_close, net.native_ws_recv, net.native_ws_get_state,
                     net.native_ws_stop_server, net.native_ws_get_local_addr, net.native_ws_kick_client):
            assert code(call, identifier) == "E3029", (call, code(call, identifier))
    assert code(net.native_net_wait, [own], 0) == "E3029"
ends_well(child)
talk()
"""
    )


def test_inherited_descriptors_are_closed() -> None:
    run_script(
        PREPARE
        + """
waiting = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/")
while net.native_ws_get_state(waiting) != "open":
    time.sleep(0.001)
listening = socket.create_server(("127.0.0.1", 0))
connecting = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
listening.close()
net.native_net_wait([own, client], 0)
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
net.native_ws_send(client, "unread in the parent")
for _ in range(3):
    ends_well(talk_anew)
assert net.native_ws_is_connected(own)
assert net.native_ws_recv_blocking(own, 10000) == "unread in the parent"
talk()
net.native_ws_close(client)
assert net.native_ws_recv_blocking(own, 10000) is None
assert net.native_ws_client_info(own)["close_code"] == 1000
"""
    )


def test_the_parents_background_work_goes_on() -> None:
    run_script(
        PREPARE
        + """
data = bytes(range(256)) * 32768
assert net.native_ws_broadcast_binary(server, data) == 1
for _ in range(3):
    ends_well(talk_anew)
assert net.native_ws_recv_binary_blocking(own, 10000) == data
net.native_ws_ping(own)
while net.native_ws_client_info(own)["latency_ms"] is None:
    net.native_ws_recv(own)
"""
    )


def test_masking_keys_of_parent_and_child_differ() -> None:
    run_script(
        PREPARE
        + """
def keys():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        a = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
        net.native_ws_recv(a)
        raw = listening.accept()[0]
    raw.settimeout(10)
    stream = raw.makefile("rb")
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        head += stream.readline()
    import base64, hashlib
    key = [line.split(b": ")[1].strip() for line in head.splitlines() if line.lower().startswith(b"sec-websocket-key")]
    digest = base64.b64encode(hashlib.sha1(key[0] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    raw.sendall(b"HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                b"Sec-WebSocket-Accept: " + digest + b"\\r\\n\\r\\n")
    found = {key[0]}
    for _ in range(20):
        net.native_ws_send(a, "")
        found.add(stream.read(6)[2:])
    net.native_ws_close(a)
    return found

keys()
reading, writing = os.pipe()
def child():
    os.write(writing, (" ".join(each.hex() for each in keys()) + "\\n").encode())
ends_well(child)
ends_well(child)
os.close(writing)
sets = [set(line.split()) for line in os.read(reading, 100000).decode().splitlines()]
sets.append({each.hex() for each in keys()})
assert len(sets) == 3 and len(set.union(*sets)) == sum(map(len, sets)), sets
"""
    )


def test_fork_while_other_threads_wait() -> None:
    run_script(
        PREPARE
        + """
found = []
threads = [threading.Thread(target=lambda: found.append(net.native_ws_recv_blocking(own, -1))),
           threading.Thread(target=lambda: found.append(net.native_net_wait([server], -1)))]
for thread in threads:
    thread.start()
time.sleep(0.1)
for _ in range(3):
    ends_well(talk_anew)
net.native_ws_send(client, "x")
late = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(server)['port']}/")
for thread in threads:
    thread.join()
assert "x" in found and [server] in found, found
"""
    )


def test_a_child_exits_normally_and_quietly() -> None:
    run_script(
        PREPARE
        + """
net.native_ws_broadcast_binary(server, bytes(1 << 23))
pid = os.fork()
if pid == 0:
    own = net.native_ws_listen(0)
    sys.exit(0)  # with everything that an interpreter does at exit
assert os.waitpid(pid, 0)[1] == 0
assert len(net.native_ws_recv_binary_blocking(own, 10000)) == 1 << 23
"""
    )
