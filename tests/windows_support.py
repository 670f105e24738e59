"""The pure half as Windows gets it: what Windows does not have, and what it does otherwise, shown on Linux.

In a process of its own the names that Windows' Python does not have are taken away, sockets say what
Windows' documentation says that they say there, and the library is imported as if that were the platform.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PREAMBLE = """
import ctypes, errno, multiprocessing, os, select, selectors, signal, socket, subprocess, sys, threading
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
plain_select = select.select
def of_the_library(frame):
    return any(frame.f_globals["__name__"].startswith("dryad_net.") for frame in
               (sys._getframe(depth) for depth in range(2, 5)))
def windows_select(reading, writing, failing, seconds=None):
    for sockets in (reading, writing, failing):
        if len(sockets) > 512:
            raise ValueError("too many file descriptors in select()")
    if threading.current_thread() is threading.main_thread() and of_the_library(sys._getframe()):
        assert seconds is not None and seconds <= 0.1, "Ctrl-C would not be heard"
    return plain_select(reading, writing, failing, seconds)
select.select = windows_select
def selector_select(self, reading, writing, _, seconds=None):
    readable, writable, failed = select.select(reading, writing, writing, seconds)
    return readable, writable + failed, []
selectors.SelectSelector._select = selector_select
socket.SO_EXCLUSIVEADDRUSE = ~socket.SO_REUSEADDR
class WindowsSocket(socket.socket):
    exclusive = False
    troubles = []  # what the next accept, or recvfrom, says first
    def _say_trouble(self):
        if WindowsSocket.troubles:
            raise WindowsSocket.troubles.pop()
    def setsockopt(self, level, name, *value):
        if level == socket.SOL_SOCKET and name == socket.SO_EXCLUSIVEADDRUSE:
            self.exclusive, name = True, socket.SO_REUSEADDR
        elif level == socket.SOL_SOCKET and name == socket.SO_REUSEADDR and self.exclusive:
            raise OSError(errno.EINVAL, "")
        super().setsockopt(level, name, *value)
    def getsockname(self):
        name = super().getsockname()
        if name[1] == 0:
            raise OSError(errno.EINVAL, "")
        return name
    def accept(self):
        self._say_trouble()
        return super().accept()
    def recvfrom(self, size):
        self.getsockname()
        self._say_trouble()
        data, sender = super().recvfrom(65536)
        if len(data) > size:
            raise OSError(errno.EMSGSIZE, "")
        return data, sender
socket.socket = WindowsSocket
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
net = dryad_net
"""


def run_as_windows(text: str, *args: str) -> str:
    """Run a script after that, which must end well; returns what it printed."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", PREAMBLE + text, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DRYAD_NET_BACKEND": "pure"},
        cwd=Path(__file__).resolve().parent.parent,
    ) as process:
        try:
            printed, _ = process.communicate(timeout=170)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # pytest then tells what it knows
            printed, _ = process.communicate(timeout=10)
            pytest.fail(f"not at an end after 170 s\n{printed[-8000:]}")
        finally:
            process.kill()
    assert process.returncode == 0, printed[-8000:]
    return printed
