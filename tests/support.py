"""What the tests share: waiting for a condition, plain sockets as peers, threads, scripts of their own."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hostile_proxy
import pytest
import through_proxy

import dryad_net as net
from dryad_net import service
from dryad_net.table import table

# How long anything may take that should happen at once: generous, for machines that are busy.
SOON = 30.0
# Are programs that tests talk to or compile with an error if they are missing? .ci/run, which installs all, says so.
NOTHING_MISSING = os.environ.get("DRYAD_NET_NOTHING_MISSING") == "1"
FORM = re.compile(r"^E\d{4} native_\w+: .")
HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists() if sys.platform == "linux" else socket.has_ipv6


class Link(NamedTuple):
    """A connection of the library's and the plain Python socket at its other end."""

    id: int
    raw: socket.socket


def wait_until(condition: Callable[[], Any], seconds: float = SOON, what: str = "") -> Any:
    """Call condition until it returns something true; return that, or fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.005)


def refusal(function: Callable[..., Any], *args: Any) -> net.DryadNetError:
    """Call a native function that must fail; return its error, whose form has been checked."""
    with pytest.raises(net.DryadNetError) as caught:
        function(*args)
    error = caught.value
    assert FORM.match(str(error)), str(error)
    assert str(error).startswith(f"{error.code} {function.__name__}: ")
    assert error.function == function.__name__
    assert error.errno is None or error.errno > 0
    assert len(str(error)) < 400
    return error


def code_of(function: Callable[..., Any], *args: Any) -> str:
    """The code of the error with which a call must fail."""
    return refusal(function, *args).code


def port_of(identifier: int) -> int:
    """The local port of a server or connection."""
    return int(net.native_tcp_get_local_addr(identifier)["port"])


@contextlib.contextmanager
def kernel_socket(identifier: int) -> Iterator[socket.socket]:
    """A second descriptor of an ID's socket, to see what was really set on it."""
    own = table.objects[identifier]
    # A socket of Windows' is no descriptor, and tells its family only once it has an address.
    with own._socket.dup() if sys.platform == "win32" else socket.socket(fileno=os.dup(own.fileno())) as twin:
        yield twin


def close_leftovers() -> None:
    """Close whatever IDs a test has left open."""
    names = ("tcp_stop_server", "tcp_close", "udp_close", "ws_stop_server", "ws_close")
    closers = [getattr(net, f"native_{name}", None) for name in names]
    for identifier in list(table.objects):
        for closer in filter(None, closers):
            with contextlib.suppress(net.IdError):
                closer(identifier)


def open_what_stays() -> None:
    """Have the library open the descriptors that it has from the first use on, and keeps: those of the background
    service, of native_net_wait, and the one that tells of connections that are asked in vain."""
    server = net.native_tcp_listen(0)
    connection = net.native_tcp_connect("127.0.0.1", port_of(server))
    net.native_net_wait([server, connection], 1)
    for _ in range(8):
        net.native_tcp_recv(connection, 1)
    net.native_tcp_close(connection)
    net.native_tcp_stop_server(server)
    # The background gives the others back; whoever counts descriptors next must not count those.
    wait_until(lambda: service.service.task_count() == 0, 2 * SOON)


# ---- plain sockets

# Below the ports that systems hand out (RFC 6335, section 6: from 49152; Linux: from 32768): nobody
# else, such as a test that runs at the same time, is given one of these by chance.
UNUSED_PORTS = range(20000, 30000)


def next_port() -> int:
    """One of UNUSED_PORTS, another each time, for all test runs on this machine together.

    Whoever is given one serves it only a moment later: chosen by chance, it was sometimes given to two.
    """
    if not hasattr(os, "getuid"):  # Windows
        # Not by random's own generator, which hypothesis starts from the same seed everywhere.
        return random.SystemRandom().choice(UNUSED_PORTS)
    import fcntl

    path = Path(tempfile.gettempdir(), f"dryad_net-tests-{os.getuid()}.port")
    with path.open("a+b") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        turn = int(counter.read() or random.SystemRandom().randrange(len(UNUSED_PORTS))) + 1
        counter.truncate(0)
        counter.write(b"%d" % turn)
    return UNUSED_PORTS[turn % len(UNUSED_PORTS)]


def free_ports(count: int, ip: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Ports of an address that nobody serves, for TCP or UDP (SOCK_DGRAM)."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            port = next_port()
            probe = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, kind))
            with contextlib.suppress(OSError):
                probe.bind((ip, port))
                ports.append(port)
        return ports


def plain_listener(host: str = "127.0.0.1", backlog: int = 16) -> socket.socket:
    """A plain listening socket on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.settimeout(SOON)
    listening.bind((host, 0))
    listening.listen(backlog)
    return listening


def reset(raw: socket.socket) -> None:
    """Close a plain socket with a reset (SO_LINGER of zero seconds, socket(7))."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    raw.close()


def unread_in_kernel(fd: int) -> int:
    """How many bytes of a socket have arrived and were not read (tcp(7), SIOCINQ)."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"), "little")


def wait_for_event(fd: int, event: int) -> None:
    """Wait until poll() shows an event of a socket, without reading it."""
    poller = select.poll()
    poller.register(fd, event)
    assert poller.poll(SOON * 1000)


def arrives(identifier: int, size: int) -> None:
    """Wait until the system has so many bytes for an ID, which nobody has read."""

    def unread() -> int:
        with contextlib.suppress(BlockingIOError):
            return len(twin.recv(size, socket.MSG_PEEK))
        return 0

    with kernel_socket(identifier) as twin:
        wait_until(lambda: unread() == size, what=f"{size} bytes to arrive")


def reset_arrives(identifier: int) -> None:
    """Wait until the system knows that the peer has reset the connection behind an ID, without asking for it."""
    if not hasattr(select, "poll"):
        return  # Windows: where nothing tells
    with kernel_socket(identifier) as twin:
        wait_for_event(twin.fileno(), 0)  # what is told anyway: POLLERR, POLLHUP (poll(2))


def read_exactly(raw: socket.socket, size: int) -> bytes:
    """So many bytes from a plain socket."""
    parts = bytearray()
    while len(parts) < size:
        part = raw.recv(min(size - len(parts), 1 << 20))
        assert part, f"the stream ended after {len(parts)} of {size} bytes"
        parts += part
    return bytes(parts)


def read_to_end(raw: socket.socket, pause: float = 0.0, block: int = 1 << 18) -> bytes:
    """Everything up to a clean end of stream; a reset is an error. pause: seconds between reads."""
    parts = bytearray()
    while part := raw.recv(block):
        parts += part
        if pause:
            time.sleep(pause)
    return bytes(parts)


# ---- the library's own side


def receive(identifier: int, size: int, seconds: float = SOON) -> bytes:
    """So many bytes from a connection of the library's."""
    parts = bytearray()
    deadline = time.monotonic() + seconds
    while len(parts) < size:
        part = net.native_tcp_recv_bytes_blocking(identifier, size - len(parts), 1000)
        assert part or time.monotonic() < deadline, f"{len(parts)} of {size} bytes"
        parts += part or b""
    return bytes(parts)


def receive_to_end(identifier: int) -> str:
    """Everything as text, by the loop that the contract promises to lose nothing."""
    parts = []
    while net.native_tcp_is_connected(identifier):
        parts.append(net.native_tcp_recv_blocking(identifier, 65536, int(SOON * 1000)) or "")
    return "".join(parts)


def arrived(identifier: int) -> bool:
    """Has the peer's end of stream, or its reset, arrived? Only where nothing unread comes before it."""
    return not net.native_tcp_is_connected(identifier)


def fill(identifier: int) -> int:
    """Send to a peer that does not read until the system takes no more. Returns how many bytes it took."""
    # A size that was set is not tuned any more: full stays full.
    net.native_tcp_set_send_buffer_size(identifier, 65536)
    net.native_tcp_set_timeout(identifier, 100)
    sent = refused = 0
    while refused < 3:
        try:
            sent += net.native_tcp_send(identifier, b"f" * 65536)
            refused = 0
        except net.NetworkTimeoutError:
            refused += 1
            hostile_proxy.rest()
    net.native_tcp_set_timeout(identifier, 30000)
    return sent


# ---- threads


class Running(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call = (function, args)
        self._outcome: list[Any] = []
        self._error: list[BaseException] = []
        self.started = threading.Event()
        self.start()

    def run(self) -> None:
        function, args = self._call
        self.started.set()
        try:
            self._outcome.append(function(*args))
        except BaseException as error:
            self._error.append(error)

    def result(self, seconds: float = 20.0) -> Any:
        """What the call returned; raises what it raised, and fails if it takes longer."""
        self.join(seconds)
        assert not self.is_alive(), "the call has not come back"
        if self._error:
            raise self._error[0]
        return self._outcome[0]

    def wait_asleep(self) -> Running:
        """Return when the thread is inside a system call that waits: asleep at ten looks in a row."""
        assert self.started.wait(SOON)
        status = Path(f"/proc/self/task/{self.native_id}/stat")
        if not status.exists():
            time.sleep(0.3)
            return self
        looks = 0

        def asleep() -> bool:
            nonlocal looks
            try:
                looks = looks + 1 if status.read_text().rpartition(") ")[2].startswith("S") else 0
            except OSError:
                return True  # it has come back already, which the test will see
            return looks >= 10

        wait_until(asleep)
        return self


# ---- scripts in a process of their own


def script(text: str, *args: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a Python script on the same half of the library, not importing the checkout."""
    return subprocess.Popen(
        [sys.executable, "-I", "-c", through_proxy.preamble() + text, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DRYAD_NET_BACKEND": net.backend, **(environment or {})},
    )


def preloaded(source: Path, folder: Path) -> str:
    """The LD_PRELOAD that puts functions of the tests' own, in C, before the system's; compiled into the folder.

    What is there already, such as a sanitizer, wants to come first.
    """
    library = folder / f"{source.stem}.so"
    if not library.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler, "the tests need a C compiler"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()


def finish(process: subprocess.Popen[str], seconds: float = 30.0) -> str:
    """What a script has printed since the last look; it must end by itself, well and without a word on stderr."""
    # Not communicate(): it would miss what readline() has read ahead.
    streams = [Running(stream.read) for stream in (process.stdout, process.stderr)]
    process.stdin.close()
    try:
        process.wait(seconds)
        late = ""
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        late = f"the script has not ended within {seconds} s:\n"
    output, errors = (stream.result() for stream in streams)
    process.stdout.close()
    process.stderr.close()
    assert (late, process.returncode, errors) == ("", 0, ""), f"{late}{process.returncode}\n{output}\n{errors}"
    return output


def foreign() -> dict[str, str]:
    """The environment for a program that has nothing to do with the library: sanitizers, which come before all
    others in every process, get along with few."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def run_script(text: str, *args: object, seconds: float = 30.0) -> str:
    """Run a script to its end; return what it printed."""
    return finish(script(text, *args), seconds)
