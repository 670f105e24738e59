"""Out of descriptors: an error that says so, and service as before when there are some again."""

from __future__ import annotations

import sys

import pytest
from support import run_script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_NOFILE")

PREPARE = """
import errno, os, resource, socket, time
import dryad_net as net
server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
own = net.native_tcp_connect("127.0.0.1", port)
client = net.native_tcp_accept_blocking(server, 10000)

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


def test_accept_says_so_and_serves_again() -> None:
    run_script(
        PREPARE
        + """
waiting = socket.create_connection(("127.0.0.1", port))
waiting.sendall(b"still here")
held = use_up()
for call, args in ((net.native_tcp_accept, ()), (net.native_tcp_accept_blocking, (5000,)),
                   (net.native_tcp_accept_blocking, (-1,))):
    assert failure(call, server, *args).startswith(f"E5006 {call.__name__}: ")
assert net.native_tcp_get_clients(server) == [client]
os.close(held.pop())
accepted = net.native_tcp_accept_blocking(server, 10000)
assert net.native_tcp_recv_blocking(accepted, 100, 10000) == "still here"
waiting.close()
"""
    )


def test_connect_and_listen_say_so() -> None:
    run_script(
        PREPARE
        + """
held = use_up()
assert "native_tcp_connect" in failure(net.native_tcp_connect, "127.0.0.1", port)
assert "native_tcp_listen" in failure(net.native_tcp_listen, 0)
assert "native_tcp_bind" in failure(net.native_tcp_bind, "127.0.0.1", 0)
for fd in held[:3]:
    os.close(fd)
net.native_tcp_close(net.native_tcp_connect("127.0.0.1", port))
net.native_tcp_stop_server(net.native_tcp_listen(0))
"""
    )


def test_what_is_open_goes_on_without_descriptors() -> None:
    run_script(
        PREPARE
        + """
use_up()
net.native_tcp_send(own, "line\\n")
assert net.native_tcp_recv_until(client, "\\n") == "line\\n"
net.native_tcp_set_timeout(own, 200)
begun = time.monotonic()
assert net.native_tcp_recv_until(own, "\\n") is None
assert net.native_tcp_recv_blocking(own, 10, 200) is None
assert time.monotonic() - begun >= 0.398
data = bytes(range(256)) * 16384
assert net.native_tcp_broadcast(server, data) == 1
net.native_tcp_close(client)
received = b""
while net.native_tcp_is_connected(own):
    received += net.native_tcp_recv_bytes_blocking(own, 1 << 20, 10000) or b""
assert received == data, len(received)
"""
    )


def test_the_background_service_is_ready_from_the_first_connection_on() -> None:
    """Closing when nothing is left loses nothing either: its descriptors are taken beforehand."""
    run_script(
        """
import os, resource, socket
import dryad_net as net
listening = socket.create_server(("127.0.0.1", 0))
own = net.native_tcp_connect(*listening.getsockname())
raw = listening.accept()[0]
raw.settimeout(10)
raw.sendall(b"unread")
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))) , 4096))
net.native_tcp_set_timeout(own, 0)
sent = net.native_tcp_send(own, bytes(range(256)) * 65536)
net.native_tcp_close(own)
received = b""
while part := raw.recv(65536):
    received += part
    raw.sendall(b"late input")
assert len(received) == sent
"""
    )


def test_accept_is_null_without_descriptors_where_nobody_waits() -> None:
    """accept(2) says that there are none before it looks whether anybody is there."""
    run_script(
        PREPARE
        + """
held = use_up()
assert net.native_tcp_accept(server) is None
assert net.native_tcp_accept_blocking(server, 100) is None
os.close(held[0])
with socket.socket() as late:
    late.connect(("127.0.0.1", port))
    assert "native_tcp_accept_blocking" in failure(net.native_tcp_accept_blocking, server, 10000)
    os.close(held[1])
    assert net.native_tcp_accept_blocking(server, 10000) is not None
"""
    )
