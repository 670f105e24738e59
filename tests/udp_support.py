"""What the UDP tests share: sockets of the library's, and network namespaces with nothing but what a test needs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import SOON, Running, free_ports, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)
LOOPBACKS = ["127.0.0.1", "::1"]
GROUPS = ["239.1.2.3", "ff02::1:5000"]
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "discovery.py"


def local_port(identifier: int) -> int:
    """The port that a UDP socket has."""
    return int(net.native_udp_get_local_addr(identifier)["port"])


def bound(ip: str = "127.0.0.1") -> tuple[int, int]:
    """A UDP socket on a free port of an address ("": of every interface), and that port."""
    identifier = net.native_udp_socket()
    if ip:
        net.native_udp_bind_addr(identifier, ip, 0)
    else:
        net.native_udp_bind(identifier, 0)
    return identifier, local_port(identifier)


def receive(identifier: int) -> dict[str, Any]:
    """The next datagram; fails if none comes."""
    received = net.native_udp_recv_blocking(identifier, SOON_MS)
    assert received is not None, "no datagram came"
    return dict(received)


def plain(ip: str = "127.0.0.1") -> socket.socket:
    """A plain UDP socket on a free port of an address."""
    made = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(SOON)
    made.bind((ip, 0))
    return made


def free_port(ip: str = "127.0.0.1") -> int:
    """A port on which nobody listens."""
    return free_ports(1, ip, socket.SOCK_DGRAM)[0]


def is_served(port: int, protocol: str) -> bool:
    """Does somebody serve a port ("udp", "udp6", "tcp", "tcp6")? As Linux lists the sockets, in proc(5)."""
    listening = "0A" if protocol.startswith("tcp") else "07"
    lines = [line.split() for line in Path("/proc/net", protocol).read_text().splitlines()[1:]]
    return any(words[1].endswith(f":{port:04X}") and words[3] == listening for words in lines)


def ended(process: subprocess.Popen[Any]) -> None:
    """End a process that a test has started."""
    process.kill()
    process.communicate()


# ---- network namespaces


def why_no_namespaces() -> str:
    """Why network namespaces cannot be made here; empty if they can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if shutil.which("ip") is None:
        return "making network namespaces needs ip(8) of iproute2"
    name = f"dryad-{os.getpid()}-probe"
    made = ip("netns", "add", name, check=False)
    if made.returncode:
        return f"no network namespace could be made: {made.stderr.strip()}"
    ip("netns", "delete", name)
    return ""


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ip(8)."""
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert not check or result.returncode == 0, f"ip {' '.join(arguments)}: {result.stderr}"
    return result


class Script:
    """A Python script in a namespace, spoken to line by line."""

    def __init__(self, namespace: str, *command: str) -> None:
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, "-I", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DRYAD_NET_BACKEND": net.backend},
        )

    def line(self) -> str:
        """The next line that it prints; "" at its end."""
        assert self.process.stdout is not None
        return str(Running(self.process.stdout.readline).result()).strip()

    def tell(self, text: str) -> None:
        """Write it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()


class Namespace:
    """A network namespace; at first it has a loopback interface, which is up, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = f"dryad-{os.getpid()}-{name}"
        self.scripts: list[Script] = []
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def start(self, *command: str) -> Script:
        """Start Python with these arguments in the namespace."""
        script = Script(self.name, *command)
        self.scripts.append(script)
        return script

    def end_scripts(self) -> None:
        """End what is still running."""
        for script in self.scripts:
            ended(script.process)
        self.scripts.clear()

    def delete(self) -> None:
        """End everything in it, and then itself."""
        self.end_scripts()
        ip("netns", "delete", self.name)

    def join(self, other: Namespace) -> None:
        """Lay a cable: eth0 here and eth0 there, 10.9.8.1 and 10.9.8.2, fd09::1 and fd09::2."""
        ip("link", "add", "eth0", "netns", self.name, "type", "veth", "peer", "name", "eth0", "netns", other.name)
        for namespace, number in ((self.name, 1), (other.name, 2)):
            ip("-n", namespace, "address", "add", f"10.9.8.{number}/24", "broadcast", "10.9.8.255", "dev", "eth0")
            ip("-n", namespace, "address", "add", f"fd09::{number}/64", "dev", "eth0", "nodad")
            ip("-n", namespace, "link", "set", "eth0", "up")
        for namespace, number in ((self.name, 1), (other.name, 2)):
            ip("-n", namespace, "route", "add", "default", "via", f"10.9.8.{3 - number}")

            def is_up(namespace: str = namespace) -> bool:
                # An address is of no use before the system has found nobody else to have it (RFC 4862, 5.4).
                found = ip("-n", namespace, "-6", "address", "show", "dev", "eth0").stdout
                return "fe80::" in found and "tentative" not in found

            wait_until(is_up, 20.0, "the cable's IPv6 addresses")


@contextlib.contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Namespaces for as long as the block lasts; skips the test, saying why, where there can be none."""
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    made: list[Namespace] = []
    try:
        for name in names:
            made.append(Namespace(name))
        yield made
    finally:
        for namespace in made:
            namespace.delete()


# ---- scripts on the machines that namespaces are

# Every script gets its arguments as `args`, and what it prints is what the test looks at.
COMMON = """
import errno, sys
import dryad_net as net
args = sys.argv[1:]
def say(*words):
    print(*words, flush=True)
def wait_for_word():
    assert sys.stdin.readline()
def refused(function, *rest):
    try:
        function(*rest)
    except net.DryadNetError as error:
        return f"{error.code} {errno.errorcode.get(error.errno)}"
    return "no error"
"""

# Binds to port 5000 with whoever else does, joins its arguments, and says what arrives; on the word
# of a datagram it leaves a group or joins one.
MEMBER = """
ours = net.native_udp_socket()
net.native_udp_set_reuseaddr(ours, True)
net.native_udp_bind(ours, 5000)
for group in args:
    net.native_udp_join_multicast(ours, group)
say("ready")
while True:
    received = net.native_udp_recv_blocking(ours, 20000)
    command, _, group = received["data"].partition(" ")
    if command == "leave":
        net.native_udp_leave_multicast(ours, group)
    elif command == "join":
        net.native_udp_join_multicast(ours, group)
    say(received["data"], received["ip"])
"""

# Carries out calls that it is told, line by line, and says what they return.
CALLER = """
ours = net.native_udp_socket()
for line in sys.stdin:
    name, *rest = eval(line)
    try:
        say(getattr(net, "native_udp_" + name)(ours, *rest))
    except net.DryadNetError as error:
        say(error.code, errno.errorcode.get(error.errno))
"""


def run(machine: Namespace, text: str, *args: str) -> Script:
    """Start a script on a machine."""
    return machine.start("-c", COMMON + text, *args)


def member(machine: Namespace, *groups: str, text: str = MEMBER) -> Script:
    """Start a member of these groups; it has joined when this returns."""
    script = run(machine, text, *groups)
    line = script.line()
    assert line == "ready", line or script.process.communicate()[1]
    return script


class Caller:
    """A UDP socket on one of the machines: caller("send", data, host, port) gives what the call prints."""

    def __init__(self, machine: Namespace) -> None:
        self.script = run(machine, CALLER)

    def __call__(self, name: str, *args: object) -> str:
        self.script.tell(repr((name, *args)))
        return self.script.line()
