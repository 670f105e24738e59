"""Peers that mean harm: what each sends, what the server holds for it, and what another client notices.

    python tests/hostile_peers.py [--half compiled pure] [--attack NAME ...]    prints the table of docs/security.md

Every attack runs in a process of its own against a server in another; a client that behaves talks to
the server all the while. tests/test_hostile_peers.py runs the same, smaller, and holds it to limits.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

from ws_support import (  # noqa: E402
    BINARY,
    CONTINUATION,
    DEFLATE,
    MASK,
    PING,
    TEXT,
    Peer,
    deflated,
    frame,
    request,
)

MIB = 1 << 20

# The victim: echoes text, sends everybody what one asks for, and never reads on the paths /unread.
VICTIM = """
import sys
import dryad_net as net
web = net.native_ws_bind("127.0.0.1", 0)
net.native_ws_set_compression(web, True)
tcp = net.native_tcp_bind("127.0.0.1", 0)
print(net.native_ws_get_local_addr(web)["port"], net.native_tcp_get_local_addr(tcp)["port"], flush=True)
ids = [web, tcp]
kept = []
lines = set()
def drop(id):
    ids.remove(id)
    (net.native_tcp_close if id in lines else net.native_ws_close)(id)
while True:
    for id in net.native_net_wait(ids, -1):
        try:
            if id == web:
                client = net.native_ws_accept(web)
                if client is not None:
                    net.native_ws_set_timeout(client, 2000)
                    (kept if net.native_ws_client_info(client)["path"] == "/unread" else ids).append(client)
            elif id == tcp:
                client = net.native_tcp_accept(tcp)
                if client is not None:
                    net.native_tcp_set_timeout(client, 0)
                    lines.add(client)
                    ids.append(client)
            elif id in lines:
                line = net.native_tcp_recv_until(id, "\\n")
                if line is not None:
                    net.native_tcp_send(id, line)
                elif not net.native_tcp_is_connected(id):
                    drop(id)
            else:
                if net.native_ws_recv_binary(id) is not None:
                    continue
                text = net.native_ws_recv(id)
                if text is None:
                    if not net.native_ws_is_connected(id):
                        drop(id)
                elif text.startswith("everybody "):
                    net.native_ws_broadcast_except(web, id, "x" * int(text[10:]))
                else:
                    net.native_ws_send(id, text)
        except net.DryadNetError:
            drop(id)
"""


class Ports(NamedTuple):
    """Where the victim serves."""

    web: int
    tcp: int


# ---- attacks: each returns, in words, what it met with


def knock(ports: Ports, receive_buffer: int | None = None) -> Peer:
    raw = socket.socket()
    raw.settimeout(60)
    if receive_buffer:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.connect(("127.0.0.1", ports.web))
    return Peer(raw, client=True)


def enter(ports: Ports, *headers: str, path: str = "/", receive_buffer: int | None = None) -> Peer:
    peer = knock(ports, receive_buffer)
    peer.say(request(*headers, path=path))
    peer.head()
    return peer


def met(peer: Peer) -> str:
    """What comes of a WebSocket connection that was misused."""
    try:
        while (found := peer.read()) is not None:
            if found.opcode == 8:
                return f"closed with {int.from_bytes(found.payload[:2], 'big')}"
    except (OSError, AssertionError):
        return "cut off"
    return "ended"


def counted(sockets: list[socket.socket]) -> str:
    """How many of these are open still, and what the others were told."""
    open_ones = 0
    told = set()
    for each in sockets:
        each.setblocking(False)
        try:
            told.add(each.recv(100).split(b"\r\n")[0].decode("latin-1") or "nothing")
        except BlockingIOError:
            open_ones += 1
        except OSError:
            told.add("a reset")
    return f"{open_ones} of {len(sockets)} still open{''.join(f', others: {each}' for each in sorted(told))}"


def silent_connections(ports: Ports, scale: float) -> str:
    sockets = [knock(ports).raw for _ in range(int(4000 * scale))]
    time.sleep(1)
    return counted(sockets)


def silent_members(ports: Ports, scale: float) -> str:
    """Connections that are open and say nothing, as those are whose other end is gone."""
    sockets = [enter(ports).raw for _ in range(int(2000 * scale))]
    return counted(sockets)


def slow_handshakes(ports: Ports, scale: float) -> str:
    peers = [knock(ports) for _ in range(int(500 * scale))]
    head = request()
    begun = time.monotonic()
    for byte in head[: int(40 + 60 * scale)]:
        for each in peers:
            with contextlib.suppress(OSError):
                each.say(bytes([byte]))
        time.sleep(0.05)
    while time.monotonic() - begun < 10.5 and scale >= 1:
        time.sleep(0.1)
    return counted([each.raw for each in peers])


def header_flood(ports: Ports, scale: float) -> str:
    answer = ""
    for _ in range(int(100 * scale) or 1):
        peer = knock(ports)
        peer.say(request()[:-2])
        with contextlib.suppress(OSError):
            for number in range(4000):
                peer.say(b"X-%d: %s\r\n" % (number, b"y" * 100))
        try:
            answer = peer.raw.recv(100).split(b"\r\n")[0].decode()
        except OSError:
            answer = "cut off"
    return answer


def slow_writer(ports: Ports, scale: float) -> str:
    peers = [enter(ports) for _ in range(int(200 * scale))]
    data = frame(TEXT, b"x" * 60000, mask=MASK)
    for byte in data[: int(20 + 40 * scale)]:
        for each in peers:
            each.say(bytes([byte]))
        time.sleep(0.05)
    return counted([each.raw for each in peers])


def slow_reader(ports: Ports, scale: float) -> str:
    """Takes nothing of what everybody is sent."""
    slow = enter(ports, receive_buffer=4096)
    friend = enter(ports)
    for _ in range(40):
        friend.text(f"everybody {MIB}")
        friend.text("done")
        friend.message()
    return met(slow) if scale else ""


def unread_messages(ports: Ports, scale: float) -> str:
    """Sends for ever to a script that does not read."""
    peer = enter(ports, path="/unread")
    peer.raw.settimeout(2)
    block = frame(BINARY, bytes(100_000), mask=MASK)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 512 * MIB:
            peer.raw.sendall(block)
            sent += len(block)
    return f"stopped after {sent // MIB} MiB" if sent < 512 * MIB else "never stopped"


def ping_flood(ports: Ports, scale: float) -> str:
    peer = enter(ports, receive_buffer=4096)
    block = frame(PING, b"x" * 125, mask=MASK) * 1000
    sent = 0
    peer.raw.settimeout(2)
    with contextlib.suppress(TimeoutError):
        for _ in range(int(1000 * scale)):
            peer.raw.sendall(block)
            sent += 1000
    return f"{sent} pings"


def tiny_fragments(ports: Ports, scale: float) -> str:
    peer = enter(ports)
    block = frame(CONTINUATION, b"xy", fin=False, mask=MASK) * 1000
    peer.say(frame(BINARY, b"xy", fin=False, mask=MASK))
    for _ in range(int(500 * scale)):
        peer.say(block)
    peer.say(frame(CONTINUATION, b"", mask=MASK))
    peer.text("done")
    return f"{peer.message()} after {int(500_000 * scale)} fragments"


def compression_bomb(ports: Ports, scale: float) -> str:
    peer = enter(ports, DEFLATE)
    payload = deflated(bytes(int(1024 * MIB * scale)))
    peer.say(frame(BINARY, payload, rsv=4, mask=MASK))
    return met(peer)


def bombs_within_the_limit(ports: Ports, scale: float) -> str:
    """Messages that inflate to just what is allowed, one after the other."""
    peer = enter(ports, DEFLATE)
    block = frame(BINARY, deflated(bytes(64 * MIB)), rsv=4, mask=MASK)
    count = int(20 * scale) or 1
    for _ in range(count):
        peer.say(block)
    peer.text("done")
    return f"{len(peer.frames())} answer after {count} messages"


def announced_giant(ports: Ports, scale: float) -> str:
    answer = ""
    for length in (1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        peer = enter(ports)
        peer.say(frame(BINARY, b"x" * 100, length=length, form=64, mask=MASK))
        answer = f"{answer}, {met(peer)}"
    return answer[2:]


def announced_and_not_sent(ports: Ports, scale: float) -> str:
    """The largest frame there may be, from many, of which nothing comes."""
    peers = [enter(ports) for _ in range(int(500 * scale))]
    for each in peers:
        each.say(frame(BINARY, b"x", length=16 * MIB, form=64, mask=MASK))
    time.sleep(1)
    return counted([each.raw for each in peers])


def mask_missing(ports: Ports, scale: float) -> str:
    peer = enter(ports)
    peer.say(frame(TEXT, b"plain") * 1000)
    return met(peer)


def endless_line(ports: Ports, scale: float) -> str:
    """TCP, to recv_until: bytes without the delimiter."""
    with socket.create_connection(("127.0.0.1", ports.tcp), 20) as raw:
        sent = 0
        try:
            while sent < 256 * MIB:
                raw.sendall(bytes(MIB))
                sent += MIB
        except OSError:
            return f"cut off after {sent // MIB} MiB"
    return f"all {sent // MIB} MiB taken, and let go"


ATTACKS: dict[str, Callable[[Ports, float], str]] = {
    attack.__name__: attack
    for attack in (
        silent_connections,
        silent_members,
        slow_handshakes,
        header_flood,
        slow_writer,
        slow_reader,
        unread_messages,
        ping_flood,
        tiny_fragments,
        compression_bomb,
        bombs_within_the_limit,
        announced_giant,
        announced_and_not_sent,
        mask_missing,
        endless_line,
    )
}


# ---- measuring


class Figures(NamedTuple):
    """What an attack met with and cost: bytes held at most, the server's seconds of CPU, seconds that
    it took, and milliseconds of the other client's round trips, the middle and the longest."""

    outcome: str
    held: int
    cpu: float
    seconds: float
    median_ms: float
    longest_ms: float


class Bystander(threading.Thread):
    """A client that behaves: a round trip every few milliseconds, each timed."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(daemon=True)
        self._peer = enter(ports)
        self._finished = threading.Event()
        self.trips: list[float] = []
        self.failed = ""

    def trip(self) -> float:
        begun = time.perf_counter()
        self._peer.text("hello")
        answer = self._peer.message()
        while answer != "hello":
            answer = self._peer.message()  # what everybody is sent
        return (time.perf_counter() - begun) * 1000

    def run(self) -> None:
        while not self._finished.wait(0.005):
            try:
                self.trips.append(self.trip())
            except Exception as error:
                self.failed = repr(error)
                return

    def finish(self) -> None:
        """Errors: AssertionError, if it was not served to the end."""
        self._finished.set()
        self.join(30)
        assert not self.failed, self.failed
        assert not self.is_alive(), "the other client waits in vain"
        self.trip()
        self._peer.hang_up()


def status_of(pid: int, field: str) -> int:
    """A size in /proc/PID/status, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def cpu_of(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, scale: float, environment: dict[str, str]) -> Figures:
    """One attack on a server of its own."""
    victim = subprocess.Popen(
        [sys.executable, "-I", "-c", VICTIM], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    try:
        ports = Ports(*map(int, victim.stdout.readline().split()))
        bystander = Bystander(ports)
        for _ in range(20):
            bystander.trip()
        before, cpu_before, begun = status_of(victim.pid, "VmRSS"), cpu_of(victim.pid), time.monotonic()
        Path(f"/proc/{victim.pid}/clear_refs").write_text("5")  # the peak begins anew (proc(5))
        bystander.start()
        attacker = subprocess.run(
            [sys.executable, str(HERE), "--run", name, str(scale), *map(str, ports)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
        bystander.finish()
        assert victim.poll() is None, "the server has ended"
        return Figures(
            attacker.stdout.strip(),
            max(status_of(victim.pid, "VmHWM") - before, 0),
            cpu_of(victim.pid) - cpu_before,
            time.monotonic() - begun,
            statistics.median(bystander.trips),
            max(bystander.trips),
        )
    finally:
        victim.kill()
        victim.wait()
        victim.stdout.close()


def all_descriptors() -> None:
    """Have as many as this process may."""
    import resource  # which Windows does not have

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        all_descriptors()
        name, scale, *ports = sys.argv[2:]
        print(ATTACKS[name](Ports(*map(int, ports)), float(scale)))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--half", nargs="+", default=["compiled", "pure"], help="the halves that are attacked")
    parser.add_argument("--attack", nargs="+", default=list(ATTACKS), choices=ATTACKS, help="these alone")
    options = parser.parse_args()
    all_descriptors()
    print("| attack | half | it meets with | memory held | CPU of the server | others: median, longest |")
    print("|---|---|---|---|---|---|")
    for name in options.attack:
        for half in options.half:
            found = measure(name, 1.0, {"DRYAD_NET_BACKEND": half})
            print(
                f"| {name.replace('_', ' ')} | {half} | {found.outcome} | {found.held / MIB:.1f} MiB "
                f"| {found.cpu:.2f} s of {found.seconds:.1f} s | {found.median_ms:.2f} ms, {found.longest_ms:.0f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
