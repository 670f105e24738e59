"""The pure half as Windows gets it: without what only POSIX systems have, as far as Linux can show it.

In a process of its own the names that Windows' Python does not have are taken away, and the library
is imported as if the platform were Windows. What Windows itself does (its error numbers, Ctrl-C in
select) is not seen here; tests.yml runs the suite there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dryad_net as net

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there it is so anyway"),
    pytest.mark.skipif(net.backend != "pure", reason="the compiled half is not for Windows"),
]

WITHOUT_POSIX = """
import ctypes, multiprocessing, os, select, selectors, signal, socket, subprocess, sys
import pytest
LACKING = {
    os: ("fork", "forkpty", "register_at_fork", "geteuid", "getuid", "sysconf", "set_blocking", "getrandom", "waitid"),
    select: ("poll", "epoll", "kqueue", "devpoll"),
    selectors: ("PollSelector", "EpollSelector", "KqueueSelector", "DevpollSelector"),
    signal: ("pthread_sigmask", "pthread_kill", "sigwait", "setitimer", "alarm", "SIGALRM", "SIGUSR1"),
    socket: ("AF_UNIX", "SO_REUSEPORT", "MSG_DONTWAIT", "MSG_NOSIGNAL", "SOCK_CLOEXEC", "SOCK_NONBLOCK"),
}
for module, names in LACKING.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
selectors.DefaultSelector = selectors.SelectSelector
def socketpair():  # over TCP, as Windows' Python does it
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connecting = socket.create_connection(listening.getsockname())
        return listening.accept()[0], connecting
socket.socketpair = socketpair
import h11, ipaddress, logging, reprlib, ssl, tempfile, traceback, wsproto, zlib  # as they are here
platform, sys.platform = sys.platform, "win32"
sys.modules["fcntl"] = sys.modules["termios"] = sys.modules["resource"] = None
import dryad_net
sys.platform = platform
for name in ("fcntl", "termios", "resource"):
    del sys.modules[name]
"""


def run(text: str, *args: str) -> str:
    """Run a script after that, which must end well; returns what it printed."""
    ended = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT_POSIX + text, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DRYAD_NET_BACKEND": "pure"},
        cwd=Path(__file__).resolve().parent.parent,
        timeout=170,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-8000:]
    return ended.stdout


def test_the_demo() -> None:
    printed = run("from dryad_net.__main__ import main\nsys.exit(main(['demo']))")
    assert "the pure half" in printed


@pytest.mark.parametrize(
    "files",
    [
        ["test_tcp_connect", "test_tcp_recv", "test_tcp_until", "test_tcp_server", "test_udp_basic"],
        ["test_net_wait", "test_tcp_threads", "test_ws_messages", "test_ws_close", "test_ws_tls"],
    ],
)
def test_the_suite(files: list[str]) -> None:
    """Files of the suite that need none of it themselves."""
    run("sys.exit(pytest.main(sys.argv[1:]))", "-p", "no:cacheprovider", "-q", *(f"tests/{file}.py" for file in files))
