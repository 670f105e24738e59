"""The pure half as Windows gets it, as far as Linux can show it; tests.yml runs the suite on Windows itself."""

from __future__ import annotations

import ast
import errno
import sys
import threading
import time
from pathlib import Path

import pytest
from windows_support import run_as_windows

import dryad_net as net
from dryad_net import errors, threads
from dryad_net._pure import sock

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there it is so anyway"),
    pytest.mark.skipif(net.backend != "pure", reason="the compiled half is not for Windows"),
]


def test_the_demo() -> None:
    printed = run_as_windows("from dryad_net.__main__ import main\nsys.exit(main(['demo']))")
    assert "the pure half" in printed


@pytest.mark.parametrize(
    "file",
    [
        *("tcp_connect", "tcp_recv", "tcp_until", "tcp_server", "udp_basic"),
        *("net_wait", "tcp_threads", "ws_messages", "ws_close", "ws_tls"),
    ],
)
def test_the_suite(file: str) -> None:
    """Files of the suite that need none of it themselves."""
    run_as_windows("sys.exit(pytest.main(sys.argv[1:]))", "-p", "no:cacheprovider", "-q", f"tests/test_{file}.py")


TWO_SOCKETS = """
udp, sender = net.native_udp_socket(), net.native_udp_socket()
net.native_udp_bind(udp, 0)
port = net.native_udp_get_local_addr(udp)["port"]
"""


def test_a_datagram_is_cut_there_too() -> None:
    """A receive with too little room is an error there, and the datagram is lost."""
    run_as_windows(f"""{TWO_SOCKETS}
for each in "a long one", "another":
    net.native_udp_send(sender, each, "127.0.0.1", port)
assert net.native_udp_recv_from(udp, 4)["data"] == "a lo"
assert net.native_udp_recv_from(udp, 7)["data"] == "another"
assert net.native_udp_get_stats(udp)["packets_truncated"] == 1
""")


def test_a_udp_socket_that_is_not_bound() -> None:
    """It has no address there, and nothing can be received."""
    run_as_windows("""
import time
from pathlib import Path
udp = net.native_udp_socket()
assert net.native_udp_get_local_addr(udp)["port"] == 0
assert net.native_udp_recv(udp) is None
began = time.monotonic()
assert net.native_udp_recv_blocking(udp, 250) is None
assert time.monotonic() - began >= 0.25
net.native_udp_connect(udp, "127.0.0.1", 9)
assert net.native_udp_get_local_addr(udp)["port"]
other = net.native_udp_socket()
assert net.native_udp_recv(other) is None
net.native_udp_bind(other, 0)
net.native_udp_send(udp, "x", "127.0.0.1", net.native_udp_get_local_addr(other)["port"])
assert net.native_udp_recv_blocking(other, 5000)["data"] == "x"
""")


def test_what_is_said_of_other_peers_is_passed_over() -> None:
    """That nobody listens where a datagram went is said there on any socket."""
    run_as_windows(f"""{TWO_SOCKETS}
net.native_udp_send(sender, "x", "127.0.0.1", port)
WindowsSocket.troubles = [OSError(errno.ENETRESET, ""), ConnectionResetError(errno.ECONNRESET, "")]
assert net.native_udp_recv_blocking(udp, 5000)["data"] == "x"
net.native_udp_connect(udp, "127.0.0.1", net.native_udp_get_local_addr(sender)["port"])
WindowsSocket.troubles = [ConnectionResetError(errno.ECONNRESET, "")]
with pytest.raises(net.NetworkError):
    net.native_udp_recv(udp)
assert net.native_udp_recv(udp) is None
""")


def test_a_client_that_is_gone_before_its_accept() -> None:
    """Windows calls that a reset."""
    run_as_windows("""
server = net.native_tcp_listen(0)
WindowsSocket.troubles = [ConnectionResetError(errno.ECONNRESET, "")]
assert net.native_tcp_accept(server) is None
""")


def test_nobody_takes_the_port_of_a_server() -> None:
    """SO_REUSEADDR would let others do it there, so it stays off whatever the script says."""
    run_as_windows("""
server = net.native_tcp_listen(0)
client = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
for each in server, client:
    for enable in True, False:
        net.native_tcp_set_reuseaddr(each, enable)
""")


MANY = 600


def test_more_sockets_than_select_takes() -> None:
    run_as_windows(f"""
import time
from pathlib import Path
sockets = [net.native_udp_socket() for _ in range({MANY})]
for each in sockets:
    net.native_udp_bind(each, 0)
def send(to):
    net.native_udp_send(sockets[0], "x", "127.0.0.1", net.native_udp_get_local_addr(to)["port"])
for ready in sockets[-1], sockets[1]:
    threading.Timer(0.2, send, [ready]).start()
    assert net.native_net_wait(sockets, 10_000) == [ready]
    assert net.native_udp_recv(ready)["data"] == "x"
used = time.process_time()
assert net.native_net_wait(sockets, 500) == []
assert time.process_time() - used < 0.4
threading.Timer(0.2, net.native_udp_close, [sockets[-1]]).start()
assert net.native_net_wait(sockets, 10_000) == [sockets[-1]]
""")


def test_more_sockets_in_the_background_than_select_takes() -> None:
    run_as_windows(f"""
from dryad_net._pure import poll, sock
poller = poll.Poller()
sockets = [sock.Socket(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range({MANY})]
for token, each in enumerate(sockets, 1):
    each._socket.bind(("127.0.0.1", 0))
    poller.arm(each, token, poll.READ)
assert poller.wait(50) == []
for token in {MANY}, 1:
    sockets[1]._socket.sendto(b"x", sockets[token - 1]._socket.getsockname())
    assert poller.wait(10_000) == [token]
threading.Timer(0.2, poller.wake).start()
assert poller.wait(10_000) == []
""")


def test_a_descriptor_that_is_given_to_another_socket_while_it_is_looked_for() -> None:
    """select says that one was closed, and by the time it is looked which, its number is in use again."""
    run_as_windows("""
from dryad_net._pure import sock
plain = select.select
calls = []
def select_of_a_closed_one(*args):
    calls.append(args)
    if len(calls) in (1, 3):  # the others look which it was
        raise OSError(errno.ENOTSOCK if len(calls) == 1 else errno.EBADF, "")
    return plain(*args)
select.select = select_of_a_closed_one
one, other = socket.socketpair()
assert sock.wait_ready({one.fileno(): sock.READABLE}, 0) == set()
assert sock.wait_ready({one.fileno(): sock.READABLE}, 0) == set()
assert len(calls) == 4
""")


def test_a_descriptor_that_was_given_back() -> None:
    """By another thread, between the last look and the wait: nothing refuses it, on any system."""
    for seconds in (0, None):
        assert sock.wait_ready({-1: sock.READABLE}, seconds) == {-1}


def test_errors_that_the_c_library_has_no_words_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(errno.errorcode, 10061, "WSAECONNREFUSED")
    monkeypatch.setitem(errno.errorcode, 10067, "WSAEPROCLIM")
    assert str(errors.from_errno(10061)) == "E5006: connection refused (ECONNREFUSED)"
    assert str(errors.from_errno(10067)) == "E5006: the system refuses it (EPROCLIM)"


def test_who_waits_for_a_lock_looks_up_for_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "UNHEARD_SECONDS", 0.01)
    lock, latch = threading.Lock(), threads.Latch()
    lock.acquire()
    began = time.monotonic()
    assert not threads.take(lock, 0, [])
    assert not threads.take(lock, 0.05, [])
    assert not latch.wait(time.monotonic() + 0.05)
    assert time.monotonic() - began >= 0.1
    for seconds in (-1, 60):
        threading.Timer(0.05, lock.release).start()
        assert threads.take(lock, seconds, [])
    threading.Timer(0.05, latch.set).start()
    assert latch.wait(time.monotonic() + 60)


def test_the_suite_can_be_imported_there() -> None:
    """Modules that Windows' Python does not have are imported where they are needed, or not on Windows."""
    lacking = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
    for path in Path(__file__).parent.glob("*.py"):
        if path.name == "lossy_cable.py":
            continue  # a program for Linux
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Import):
                assert not lacking & {alias.name for alias in statement.names}, path
