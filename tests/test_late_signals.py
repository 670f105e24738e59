"""Ctrl-C between the last look for a signal and the system call that waits, which does not end that call."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import finish, preloaded, script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD, and Linux's system calls")

PREPARE = """
import ctypes, signal, socket, sys, time
import dryad_net as net
signal.signal(signal.SIGINT, signal.default_int_handler)
SOON = 20000
server = net.native_tcp_listen(0)
own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
client = net.native_tcp_accept_blocking(server, SOON)
net.native_tcp_set_timeout(own, -1)
web = net.native_ws_listen(0)
ws = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(web)['port']}/")
net.native_ws_set_timeout(ws, SOON)
assert net.native_ws_is_connected(ws)
udp = net.native_udp_socket()
net.native_udp_bind(udp, 0)
interrupt_before = ctypes.CDLL(None).interrupt_before
"""
WAITS = {
    "tcp_recv_blocking": "net.native_tcp_recv_blocking(own, 10, -1)",
    "tcp_recv_until": 'net.native_tcp_recv_until(own, "\\n")',
    "tcp_accept_blocking": "net.native_tcp_accept_blocking(server, 3600000)",
    "tcp_send": 'net.native_tcp_send(own, b"x" * (1 << 26))',
    "ws_recv_blocking": "net.native_ws_recv_blocking(ws, -1)",
    "udp_recv_blocking": "net.native_udp_recv_blocking(udp, -1)",
    "net_wait": "net.native_net_wait([own, ws, udp], -1)",
}


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("name", WAITS)
def test_it_gets_through(name: str, nth: int, tmp_path: Path) -> None:
    """Whichever system call of those that one call waits in is the one that it does not end."""
    text = f"""
interrupt_before({nth})
try:
    {WAITS[name]}
except KeyboardInterrupt:
    print("interrupted")
"""
    late = preloaded(Path(__file__).parent / "signals" / "late.c", tmp_path)
    assert finish(script(PREPARE + text, environment={"LD_PRELOAD": late})) == "interrupted\n"
