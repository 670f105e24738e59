"""What a signal's handler raises comes as it is, also if it is an OSError, as TimeoutError is: the usual alarm(2)."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable

import pytest
from interrupt_support import EVERY, comes_out
from support import close_leftovers, port_of, run_script
from ws_support import SOON_MS, shorten, ws_port

import dryad_net as net

PREPARE = """
import faulthandler, signal, socket, time
import dryad_net as net
faulthandler.dump_traceback_later(25, exit=True)

class Alarm(TimeoutError):
    pass

def alarm(*_):
    raise Alarm

def slow(host, *args, **named):
    if not named["flags"] & socket.AI_NUMERICHOST:
        time.sleep(1)
    return look_up(host, *args, **named)

look_up, socket.getaddrinfo = socket.getaddrinfo, slow
signal.signal(signal.SIGALRM, alarm)
server = net.native_tcp_listen(0)
port = net.native_tcp_get_local_addr(server)["port"]
own = net.native_tcp_connect("127.0.0.1", port)
client = net.native_tcp_accept_blocking(server, 20000)
net.native_tcp_set_timeout(own, -1)
web = net.native_ws_listen(0)
ws = net.native_ws_connect(f"ws://127.0.0.1:{net.native_ws_get_local_addr(web)['port']}/")
assert net.native_ws_is_connected(ws)
net.native_ws_set_timeout(ws, -1)
udp = net.native_udp_socket()
net.native_udp_bind(udp, 0)
mute = socket.create_server(("127.0.0.1", 0))
silent = net.native_ws_connect(f"ws://127.0.0.1:{mute.getsockname()[1]}/")
large = "x" * (1 << 24)
"""

WAITS = {
    "connect to a name": 'net.native_tcp_connect("localhost", port)',
    "accept": "net.native_tcp_accept_blocking(server, -1)",
    "recv": "net.native_tcp_recv_blocking(own, 10, -1)",
    "recv_until": 'net.native_tcp_recv_until(own, "\\n")',
    "send": "net.native_tcp_send(own, large)",
    "udp recv": "net.native_udp_recv_blocking(udp, -1)",
    "handshake": "net.native_ws_is_connected(silent)",
    "ws recv": "net.native_ws_recv_blocking(ws, -1)",
    "ws send": "[net.native_ws_send(ws, large) for _ in range(1000)]",  # what the peer reads ahead has an end
    "net_wait": "net.native_net_wait([own, ws, udp], -1)",
}


@pytest.mark.skipif(sys.platform == "win32", reason="no setitimer")
@pytest.mark.parametrize("wait", WAITS)
def test_a_wait(wait: str) -> None:
    text = f"""
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    {WAITS[wait]}
except Alarm as error:
    print("as it is", error.__cause__)
"""
    assert run_script(PREPARE + text) == "as it is None\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGUSR1")
def test_the_start_of_a_thread() -> None:
    """Whose own error, where there are no more threads, is a RuntimeError too."""
    text = """
from dryad_net import threads

def raising(*_):
    raise RuntimeError("the handler's")

signal.signal(signal.SIGUSR1, raising)
make_latch = threads.Latch

class Latch(make_latch):
    def wait(self, until):
        signal.raise_signal(signal.SIGUSR1)

threads.Latch = Latch
try:
    threads.start(int, "interrupted")
except RuntimeError as error:
    print(error)
"""
    assert run_script(PREPARE + text) == "the handler's\n"


class AlarmError(TimeoutError):
    """What the handler raises."""


def alarm() -> None:
    raise AlarmError


def tcp() -> list[int]:
    server = net.native_tcp_listen(0)
    own = net.native_tcp_connect("127.0.0.1", port_of(server))
    assert net.native_tcp_accept_blocking(server, SOON_MS) is not None
    return [own, server]


def ws() -> list[int]:
    server = net.native_ws_listen(0)
    own = net.native_ws_connect(url_of_server(server))
    net.native_ws_set_timeout(own, SOON_MS)
    return [own, server]


def ws_open() -> list[int]:
    own, server = ws()
    assert net.native_ws_is_connected(own)
    return [own, server]


def udp() -> list[int]:
    own = net.native_udp_socket()
    net.native_udp_bind_addr(own, "127.0.0.1", 0)
    return [own]


def url_of_server(server: int) -> str:
    return f"ws://127.0.0.1:{ws_port(server)}/"


def send_to_itself(own: int) -> None:
    net.native_udp_send(own, "x", "127.0.0.1", net.native_udp_get_local_addr(own)["port"])
    assert net.native_udp_recv_blocking(own, SOON_MS) is not None


CALLS: dict[str, tuple[Callable[[], list[int]], Callable[[int, int], object]]] = {
    "tcp_listen": (list, lambda *_: net.native_tcp_listen(0)),
    "tcp_connect": (tcp, lambda _own, server: net.native_tcp_connect("127.0.0.1", port_of(server))),
    "tcp_accept": (tcp, lambda _own, server: net.native_tcp_accept(server)),
    "tcp_send": (tcp, lambda own, _server: net.native_tcp_send(own, "x")),
    "tcp_recv": (tcp, lambda own, _server: net.native_tcp_recv(own, 10)),
    "tcp_broadcast": (tcp, lambda _own, server: net.native_tcp_broadcast(server, "x")),
    "tcp_close": (tcp, lambda own, _server: net.native_tcp_close(own)),
    "udp_socket": (list, lambda *_: net.native_udp_socket()),
    "udp_send and recv": (udp, lambda own, _: send_to_itself(own)),
    "ws_listen": (list, lambda *_: net.native_ws_listen(0)),
    "ws_connect": (ws, lambda _own, server: net.native_ws_connect(url_of_server(server))),
    "ws_is_connected": (ws, lambda own, _server: net.native_ws_is_connected(own)),
    "ws_send": (ws_open, lambda own, _server: net.native_ws_send(own, "x")),
    "ws_recv": (ws_open, lambda own, _server: net.native_ws_recv(own)),
    "ws_set_keepalive": (ws_open, lambda own, _server: net.native_ws_set_keepalive(own, True)),
    "ws_close": (ws_open, lambda own, _server: net.native_ws_close(own)),
}


# A socket that was interrupted on its way to an ID is closed by its object, as Python's own are.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("name", CALLS)
def test_at_any_moment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the way takes it for a refusal of the system's, which much is done without."""
    shorten(monkeypatch, CLOSE_SECONDS=0.2)
    make, call = CALLS[name]
    for step in itertools.count(1):
        own, server = [*make(), 0, 0][:2]
        reached = comes_out(step, EVERY, lambda: call(own, server), alarm, AlarmError)  # noqa: B023
        close_leftovers()
        if not reached:
            break
