"""Interpreter exit: quick, quiet, and what was sent before a close still arrives."""

from __future__ import annotations

import time

import pytest
from support import Running, finish, plain_listener, run_script, script
from ws_support import plain_server, response

PREPARE = """
import socket, sys, threading, time
import dryad_net as net
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
def waiting(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
"""
WAYS = {
    "open connections": "",
    "unread input": 'net.native_ws_send(own, "unread")',
    "a queued broadcast": "net.native_ws_broadcast_binary(server, bytes(1 << 23))",
    "closing": "net.native_ws_close(own)",
    "everything closing": "net.native_ws_close(own); net.native_ws_stop_server(server)",
    "a handshake not begun": "net.native_ws_connect(url)",
    "a handshake under way": """
listening = socket.create_server(("127.0.0.1", 0))
connecting = net.native_ws_connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/")
net.native_ws_recv(connecting)""",
    "a client with half a request": """
raw = socket.create_connection(("127.0.0.1", net.native_ws_get_local_addr(server)["port"]))
raw.sendall(b"GET / HT")""",
    "a thread in recv_blocking": "waiting(net.native_ws_recv_blocking, own, -1)",
    "a thread in net_wait": "waiting(net.native_net_wait, [own, server, client], -1)",
    "a thread in send": "waiting(lambda: [net.native_ws_send_binary(own, bytes(1 << 24)) for _ in range(9)])",
    "a thread in each, closed": """
waiting(net.native_ws_recv_blocking, own, -1)
waiting(net.native_net_wait, [own, client], -1)
net.native_ws_stop_server(server)""",
    "keepalive": "net.native_ws_set_keepalive(own, True); net.native_ws_set_keepalive(client, True)",
    "many connections": """
for _ in range(100):
    dial()
net.native_ws_broadcast(server, "x" * 100000)""",
    "sys.exit in between": "import atexit; atexit.register(net.native_ws_close, own); sys.exit()",
    "names deleted": "del sys.modules['dryad_net'], net",
}


@pytest.mark.parametrize("way", WAYS)
def test_quick_and_quiet(way: str) -> None:
    begun = time.monotonic()
    run_script(PREPARE + WAYS[way], seconds=20)
    assert time.monotonic() - begun < 10


def test_no_thread_before_there_is_work_for_it() -> None:
    text = "import dryad_net as net, threading\n"
    assert run_script(text + "print(threading.active_count())") == "1\n"
    assert run_script(text + "net.native_tcp_listen(0); print(threading.active_count())") == "1\n"


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_send_close_exit_delivers_everything(size: int) -> None:
    with plain_listener() as listening:
        child = script(
            """
import sys
import dryad_net as net
own = net.native_ws_connect(f"ws://127.0.0.1:{sys.argv[1]}/")
net.native_ws_send_binary(own, bytes(int(sys.argv[2])))
net.native_ws_close(own)
""",
            listening.getsockname()[1],
            size,
        )
        peer = plain_server(listening)
    with peer.raw:
        peer.say(response(peer.head()))

        def read() -> tuple[object, object]:
            return peer.message(), peer.answer_close()

        reader = Running(read)
        finish(child)
        assert reader.result() == (bytes(size), (1000, ""))


def test_exit_without_a_close_ends_the_connection() -> None:
    with plain_listener() as listening:
        child = script(
            """
import sys
import dryad_net as net
own = net.native_ws_connect(f"ws://127.0.0.1:{sys.argv[1]}/")
net.native_ws_send(own, "last words")
""",
            listening.getsockname()[1],
        )
        peer = plain_server(listening)
    with peer.raw:
        peer.say(response(peer.head()))
        assert peer.message() == "last words"
        finish(child)
        found = peer.read()
        assert found is None or found.opcode == 8
