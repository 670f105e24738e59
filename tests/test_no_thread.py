"""A machine that gives no more threads: what needs the background says so or does without, and leaves nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import run_script

HERE = Path(__file__).parent

# What Python raises where the system refuses a thread (pthread_create(3): EAGAIN).
PREPARE = """
import errno, os, socket, sys, threading
sys.path.insert(0, sys.argv[1])
import dryad_net as net
from dryad_net.table import table
from support import plain_listener, wait_until
from ws_support import CLOSE, PING, PONG, TEXT, becomes, plain_server, response, url_of
start = threading.Thread.start

def refuse(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse

def failure(call, *args):
    try:
        call(*args)
    except net.NetworkError as error:
        assert (error.code, error.errno) == ("E5006", errno.EAGAIN), error
        return
    raise AssertionError("no error")

def opened(listening):
    own = net.native_ws_connect(url_of(listening))
    peer = plain_server(listening)
    assert net.native_ws_recv(own) is None
    peer.say(response(peer.head()))
    becomes(own, "open")
    return own, peer
"""


def run(text: str) -> None:
    run_script(PREPARE + text, HERE)


def test_names_are_not_resolved_and_addresses_are_connected() -> None:
    run(
        """
with plain_listener() as listening:
    port = listening.getsockname()[1]
    failure(net.native_tcp_connect, "localhost", port)
    failure(net.native_ws_connect, f"ws://localhost:{port}/")
    own = net.native_tcp_connect("127.0.0.1", port)
    peer = listening.accept()[0]
    net.native_tcp_send(own, "there")
    assert peer.recv(100) == b"there"
    peer.sendall(b"and back")
    assert net.native_tcp_recv_blocking(own, 100, 10000) == "and back"
    net.native_tcp_close(own)
    assert peer.recv(100) == b""
    peer.close()
assert not table.objects
"""
    )


@pytest.mark.skipif(sys.platform == "win32", reason="nothing lists descriptors there")
def test_a_websocket_server_is_refused_and_leaves_nothing() -> None:
    """Its clients' handshakes are the background's."""
    run(
        """
before = len(os.listdir("/dev/fd"))
for _ in range(10):
    failure(net.native_ws_listen, 0)
assert not table.objects
assert len(os.listdir("/dev/fd")) <= before + 3  # those that the background keeps
threading.Thread.start = start
net.native_ws_stop_server(net.native_ws_listen(0))
"""
    )


@pytest.mark.parametrize("end", ["peer", "script"])
def test_calls_serve_a_websocket_connection_themselves(end: str) -> None:
    run(
        f"end = {end!r}"
        + """
with plain_listener() as listening:
    own, peer = opened(listening)
    net.native_ws_send(own, "there")
    assert peer.message() == "there"
    peer.text("and back")
    assert net.native_ws_recv_blocking(own, 10000) == "and back"
    peer.send(PING, b"!")
    peer.text("after it")
    assert net.native_ws_recv_blocking(own, 10000) == "after it"
    assert peer.expect(PONG) == b"!"
    if end == "peer":
        peer.close(1001, "bye")
        becomes(own, "closed")
        assert net.native_ws_client_info(own)["close_reason"] == "bye"
    net.native_ws_close(own)
    peer.raw.settimeout(10)
    assert peer.closing()[0] in (1000, 1001)
    peer.hang_up()
assert not table.objects
"""
    )
