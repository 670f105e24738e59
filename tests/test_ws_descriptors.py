"""Out of descriptors: service as before for whoever is there, and for the others when there are some again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import run_script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_NOFILE")
HERE = Path(__file__).parent

PREPARE = """
import errno, os, resource, socket, sys, time
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from support import wait_until
from ws_support import Peer, accept_of, plain_client, request, status_of, ws_port
server = net.native_ws_listen(0)
port = ws_port(server)
peer = plain_client(server)
peer.say(request())
client = accept_of(server)
peer.head()

def use_up():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    return held

def failure(call, *args):
    try:
        call(*args)
    except net.NetworkError as error:
        assert error.code == "E5006" and error.errno == errno.EMFILE, error
        return str(error)
    raise AssertionError("no error")
"""


def test_clients_wait_until_there_are_some_again() -> None:
    run_script(
        PREPARE
        + """
late = Peer(socket.create_connection(("127.0.0.1", port)), True)
late.raw.settimeout(0.5)
wait_until(lambda: len(os.listdir("/dev/fd")) > 0)
early = [Peer(socket.create_connection(("127.0.0.1", port)), True) for _ in range(3)]
waiting = [socket.socket() for _ in range(3)]
held = use_up()
for each in waiting:
    each.connect(("127.0.0.1", port))
    each.sendall(request())
used = time.process_time()
begun = time.monotonic()
while time.monotonic() - begun < 0.4:
    assert net.native_ws_accept(server) is None
    time.sleep(0.01)
assert time.process_time() - used < 0.3   # and nobody spins meanwhile
net.native_ws_send(client, "served")
assert peer.message() == "served"
for fd in held:
    os.close(fd)
found = [accept_of(server) for _ in waiting]
assert len(set(found)) == 3
for each in waiting:
    each.settimeout(10)
    assert status_of(Peer(each, True).head()) == 101
""",
        HERE,
    )


def test_connect_and_listen_say_so() -> None:
    run_script(
        PREPARE
        + """
held = use_up()
url = f"ws://127.0.0.1:{port}/"
assert "native_ws_connect" in failure(net.native_ws_connect, url)
assert "native_ws_listen" in failure(net.native_ws_listen, 0)
assert "native_ws_bind" in failure(net.native_ws_bind, "127.0.0.1", 0)
for fd in held:
    os.close(fd)
own = net.native_ws_connect(url)
assert net.native_ws_is_connected(own)
net.native_ws_stop_server(net.native_ws_listen(0))
""",
        HERE,
    )


def test_what_is_open_goes_on_without_descriptors() -> None:
    run_script(
        PREPARE
        + """
own = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
other = accept_of(server)
assert net.native_ws_is_connected(own)
assert net.native_net_wait([own, other, server], 0) == []
use_up()
net.native_ws_send(own, "hello")
assert net.native_net_wait([own, other, server], 5000) == [other]
assert net.native_ws_recv_blocking(other, 10000) == "hello"
begun = time.monotonic()
assert net.native_ws_recv_blocking(own, 200) is None
assert net.native_net_wait([own, other, server], 200) == []
assert time.monotonic() - begun >= 0.398
data = bytes(range(256)) * 16384
assert net.native_ws_broadcast_binary(server, data) == 2
assert net.native_ws_recv_binary_blocking(own, 10000) == data
net.native_ws_close(other)
assert net.native_ws_recv_blocking(own, 10000) is None
assert net.native_ws_client_info(own)["close_code"] == 1000
peer.send(9, b"ping")
assert peer.message() == data and peer.expect(10) == b"ping"
""",
        HERE,
    )


def test_a_closed_connection_gives_its_descriptor_back() -> None:
    """Also before the script closes it."""
    run_script(
        PREPARE
        + """
def count():
    return len(os.listdir("/dev/fd"))
before = count()
peers = []
for _ in range(20):
    each = plain_client(server)
    each.say(request())
    accept_of(server)
    peers.append(each)
assert count() == before + 40
for each in peers:
    each.close(1000)
    each.hang_up()
wait_until(lambda: count() == before)
assert len(net.native_ws_get_clients(server)) == 1
""",
        HERE,
    )
