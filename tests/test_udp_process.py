"""Descriptors, fork, Ctrl-C and the end of the process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from conftest import open_descriptors
from support import Running, finish, run_script, script, wait_until
from udp_support import bound

import dryad_net as net

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

FORK = """
import os
import dryad_net as net

parent = net.native_udp_socket()
net.native_udp_bind_addr(parent, "127.0.0.1", 0)
port = net.native_udp_get_local_addr(parent)["port"]
net.native_udp_send(parent, "queued", "127.0.0.1", port)
if os.fork() == 0:
    status = 1
    try:
        for call, rest in ((net.native_udp_recv, ()), (net.native_udp_send, ("x", "127.0.0.1", port)),
                           (net.native_udp_get_stats, ())):
            try:
                call(parent, *rest)
            except net.IdError:
                continue
            raise SystemExit("the child knows the parent's ID")
        own = net.native_udp_socket()
        assert own > parent
        net.native_udp_send(own, "from the child", "127.0.0.1", port)
        answer = net.native_udp_recv_blocking(own, 10000)
        assert answer["data"] == "welcome", answer
        net.native_udp_close(own)
        status = 0
    finally:
        os._exit(status)
assert net.native_udp_recv_blocking(parent, 10000)["data"] == "queued"
received = net.native_udp_recv_blocking(parent, 10000)
assert received["data"] == "from the child", received
net.native_udp_send(parent, "welcome", received["ip"], received["port"])
_pid, status = os.wait()
assert status == 0, status
assert net.native_udp_get_local_addr(parent)["port"] == port
net.native_udp_send(parent, "still here", "127.0.0.1", port)
assert net.native_udp_recv_blocking(parent, 10000)["data"] == "still here"
print("well")
"""

FORK_DESCRIPTORS = """
import os
import dryad_net as net

def sockets():
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass
    return [each for each in found if each.startswith("socket:")]

before = len(sockets())
ids = [net.native_udp_socket() for _ in range(5)]
assert len(sockets()) == before + 5
pid = os.fork()
if pid == 0:
    os._exit(len(sockets()) - before)
assert os.waitpid(pid, 0)[1] == 0
assert len(sockets()) == before + 5
print("well")
"""

# What waits, then a line that says so, then Ctrl-C; the socket works afterwards.
INTERRUPTED = """
import dryad_net as net
ours = net.native_udp_socket()
net.native_udp_bind_addr(ours, "127.0.0.1", 0)
port = net.native_udp_get_local_addr(ours)["port"]
net.native_udp_set_timeout(ours, None)
try:
    print("ready", flush=True)
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
net.native_udp_send(ours, "after", "127.0.0.1", port)
print(net.native_udp_recv_blocking(ours, 10000)["data"])
"""


def test_close_gives_the_descriptor_back() -> None:
    before = len(open_descriptors())
    for _ in range(3):
        identifiers = [bound()[0] for _ in range(20)]
        assert len(open_descriptors()) == before + 20
        for identifier in identifiers:
            net.native_udp_close(identifier)
        assert len(open_descriptors()) == before


def test_close_under_a_waiting_thread_gives_the_descriptor_back() -> None:
    before = len(open_descriptors())
    ours, _port = bound()
    waiting = Running(net.native_udp_recv_blocking, ours, -1).wait_asleep()
    net.native_udp_close(ours)
    assert waiting.result() is None
    wait_until(lambda: len(open_descriptors()) == before)


def test_waiting_leaves_no_descriptor_behind() -> None:
    ours, _port = bound()
    before = len(open_descriptors())
    for _ in range(20):
        assert net.native_udp_recv_blocking(ours, 30) is None
    assert len(open_descriptors()) == before


def test_a_failed_call_leaves_no_descriptor_behind() -> None:
    _ours, port = bound("")
    second = net.native_udp_socket()
    before = len(open_descriptors())
    for _ in range(10):
        for function, arguments in (
            (net.native_udp_bind, [port]),
            (net.native_udp_send, [b"x" * 70000, "127.0.0.1", port]),
            (net.native_udp_send_connected, ["x"]),
        ):
            with pytest.raises(net.NetworkError):
                function(second, *arguments)
    assert len(open_descriptors()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_no_descriptors_left() -> None:
    output = run_script(
        """
import resource
import dryad_net as net
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
ids = []
try:
    while len(ids) < 100:
        ids.append(net.native_udp_socket())
except net.NetworkError as error:
    print(error)
# A waiting receive needs one more, and waits without it.
assert net.native_udp_recv_blocking(ids[0], 60) is None
net.native_udp_close(ids.pop())
ids.append(net.native_udp_socket())
"""
    )
    assert output.startswith("E5006 native_udp_socket: ")
    assert "EMFILE" in output


@needs_fork
def test_fork() -> None:
    assert run_script(FORK) == "well\n"


@needs_fork
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_fork_closes_what_was_inherited() -> None:
    assert run_script(FORK_DESCRIPTORS) == "well\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
@pytest.mark.parametrize(
    "call", ["net.native_udp_recv_blocking(ours, -1)", "net.native_udp_recv_from(ours, 100)"], ids=["blocking", "from"]
)
def test_ctrl_c_gets_through(call: str) -> None:
    process = script(INTERRUPTED.format(call=call))
    try:
        assert process.stdout is not None
        assert Running(process.stdout.readline).result() == "ready\n"
        looks = 0

        def asleep() -> bool:
            nonlocal looks
            state = Path(f"/proc/{process.pid}/stat")
            waiting = not state.exists() or state.read_text().rpartition(") ")[2].startswith("S")
            looks = looks + 1 if waiting else 0
            return looks >= 20

        wait_until(asleep)
        process.send_signal(signal.SIGINT)
        assert Running(process.stdout.readline).result(5.0) == "interrupted\n"
        assert finish(process) == "after\n"
    finally:
        process.kill()


def test_the_end_is_quiet_with_open_sockets() -> None:
    output = run_script(
        """
import threading
import dryad_net as net
ids = [net.native_udp_socket() for _ in range(5)]
for each in ids:
    net.native_udp_bind(each, 0)
threading.Thread(target=net.native_udp_recv_blocking, args=(ids[0], -1), daemon=True).start()
net.native_udp_send(ids[1], "x", "localhost", net.native_udp_get_local_addr(ids[2])["port"])
print("end")
"""
    )
    assert output == "end\n"
