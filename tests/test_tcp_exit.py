"""Interpreter exit: quick, quiet, and what was sent before a close still arrives."""

from __future__ import annotations

import socket
import time

import pytest
from support import Running, finish, plain_listener, read_to_end, run_script, script

PREPARE = """
import socket, sys, threading
import dryad_net as net
server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
own = net.native_tcp_connect("127.0.0.1", port)
client = net.native_tcp_accept_blocking(server, 10000)
net.native_tcp_set_timeout(own, -1)
def waiting(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
"""
WAYS = {
    "open connections": "",
    "unread input": 'net.native_tcp_send(own, "unread")',
    "a queued broadcast": 'net.native_tcp_broadcast(server, b"x" * (1 << 23))',
    "a queued broadcast, closed": """
net.native_tcp_broadcast(server, b"x" * (1 << 23))
net.native_tcp_stop_server(server)""",
    "a thread in recv_blocking": "waiting(net.native_tcp_recv_blocking, own, 10, -1)",
    "a thread in recv_until": 'waiting(net.native_tcp_recv_until, own, "x")',
    "a thread in accept_blocking": "waiting(net.native_tcp_accept_blocking, server, -1)",
    "a thread in send": 'waiting(net.native_tcp_send, own, b"x" * (1 << 26))',
    "a thread in each": """
waiting(net.native_tcp_recv_blocking, own, 10, -1)
waiting(net.native_tcp_accept_blocking, server, None)
waiting(net.native_tcp_send, own, b"x" * (1 << 26))
net.native_tcp_broadcast(server, b"x" * (1 << 23))""",
    "a closing server with waiting threads": """
waiting(net.native_tcp_recv_blocking, own, 10, -1)
waiting(net.native_tcp_accept_blocking, server, None)
net.native_tcp_stop_server(server)""",
    "many connections": """
for _ in range(100):
    net.native_tcp_connect("127.0.0.1", port)
    net.native_tcp_accept_blocking(server, 10000)
net.native_tcp_broadcast(server, b"x" * 100000)""",
    "sys.exit in between": "import atexit; atexit.register(net.native_tcp_close, own); sys.exit()",
    "names deleted": "del sys.modules['dryad_net'], net",
}


@pytest.mark.parametrize("way", WAYS)
def test_quick_and_quiet(way: str) -> None:
    begun = time.monotonic()
    run_script(PREPARE + WAYS[way], seconds=20)
    assert time.monotonic() - begun < 10


def test_only_imported() -> None:
    assert run_script("import dryad_net, threading; print(threading.active_count())") == "1\n"


def test_no_thread_before_there_is_work_for_it() -> None:
    assert run_script(PREPARE + "print(threading.active_count())") == "1\n"


@pytest.mark.parametrize("end", ["", "net.native_tcp_close(own)"])
def test_a_linger_does_not_hold_the_exit_up(end: str) -> None:
    """The peer reads nothing: a close(2) that lingers would wait for all of the minute."""
    with plain_listener() as listening:
        child = script(
            f"""
import sys
import dryad_net as net
own = net.native_tcp_connect("127.0.0.1", int(sys.argv[1]))
net.native_tcp_set_linger(own, True, 60)
net.native_tcp_set_timeout(own, 0)
assert net.native_tcp_send(own, bytes(1 << 26)) > 0
{end}
print("that is all", flush=True)
""",
            listening.getsockname()[1],
        )
        with listening.accept()[0]:
            assert child.stdout is not None
            assert child.stdout.readline() == "that is all\n"
            begun = time.monotonic()
            finish(child)
            assert time.monotonic() - begun < 10


@pytest.mark.parametrize("pause", [0, 0.0005])
@pytest.mark.parametrize("unread", [False, True])
def test_send_close_exit_delivers_everything(pause: float, unread: bool) -> None:
    size = 2_000_000
    with plain_listener() as listening:
        child = script(
            """
import sys
import dryad_net as net
own = net.native_tcp_connect("127.0.0.1", int(sys.argv[1]))
if int(sys.argv[3]):
    net.native_tcp_recv_blocking(own, 1, 10000)  # some of it, so that the rest is there
assert net.native_tcp_send(own, bytes(range(250)) * (int(sys.argv[2]) // 250)) == int(sys.argv[2])
net.native_tcp_close(own)
""",
            listening.getsockname()[1],
            size,
            int(unread),
        )
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(15)
        if unread:
            raw.sendall(b"never read " * 100)
        reader = Running(read_to_end, raw, pause, 65536)
        finish(child)
        assert reader.result() == bytes(range(250)) * (size // 250)


def test_a_broadcast_then_exit_delivers_to_who_reads() -> None:
    child = script(
        """
import dryad_net as net
server = net.native_tcp_listen(0)
print(net.native_tcp_get_local_addr(server)["port"], flush=True)
client = net.native_tcp_accept_blocking(server, 10000)
assert net.native_tcp_broadcast(server, bytes(range(250)) * 40000) == 1
net.native_tcp_stop_server(server)
"""
    )
    with socket.create_connection(("127.0.0.1", int(child.stdout.readline())), 15) as raw:
        assert read_to_end(raw) == bytes(range(250)) * 40000
    finish(child)
