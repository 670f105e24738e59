"""Soaks the library: servers and clients, faults, and a judgement at the end. See README.md.

python -I soak/run.py --seconds 60 [--seed 7]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

import lives
import memory_support
import process
import servers
import trustme
from messages import Failure, Ledger

import dryad_net as net
from dryad_net import service
from dryad_net.table import table

ENDING_SECONDS = 20.0  # a close may take 10 s
LAST_LIVES_SECONDS = 150.0
# Memory is compared between rounds, when all their connections are gone.
ROUNDS = 3
LONGEST_ROUND = 120.0
PROTOCOLS = ("tcp", "ws", "tcp", "ws", "udp")  # of the clients, in turn
KEPT_DESCRIPTORS = 1  # src_pyx/idle.h keeps one from its first use on
IDLE_SECONDS = 2.0
IDLE_SHARE = 0.15  # the servers look five times a second whether they are to stop; a spin is 1

# One thread for all clients or one each; wss or ws; compressed or not.
WS_SERVERS = (
    *((False, False, False), (False, False, True), (False, True, False)),
    *((True, True, True), (True, False, False)),
)

Lead = Callable[[lives.Life], None]


class World:
    """All servers, and the kinds of lives that clients may lead with them."""

    def __init__(self, ledger: Ledger, seed: str, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        ca, cert, key = (str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
        authority.cert_pem.write_to_path(ca)
        certificate.cert_chain_pems[0].write_to_path(cert)
        certificate.private_key_pem.write_to_path(key)

        def tcp(name: str, threads: bool) -> servers.Server:
            return self._start(servers.EchoServer(name, *_tcp_server(), ledger, servers.TCP, threads))

        def ws(name: str, threads: bool, secure: bool, compression: bool) -> servers.Server:
            identifier = net.native_ws_listen_tls(0, cert, key) if secure else net.native_ws_listen(0)
            net.native_ws_set_compression(identifier, compression)
            port = net.native_ws_get_local_addr(identifier)["port"]
            return self._start(servers.EchoServer(name, identifier, port, ledger, servers.WS, threads))

        self.servers: list[servers.Server] = []
        self.leads: dict[str, list[tuple[str, Lead]]] = {"tcp": [], "ws": [], "udp": []}
        for threads in (False, True):
            server = tcp("tcp threads" if threads else "tcp one thread", threads)
            self._add("tcp", server.name, lives.tcp_echo, server)
            self._add("tcp", f"{server.name}, half-closed", lives.tcp_half_close, server)
            self._add("tcp", f"{server.name}, vanishing", lives.tcp_vanish, server)
        for threads, secure, compression in WS_SERVERS:
            scheme = "wss" if secure else "ws"
            name = f"{scheme}{' compressed' if compression else ''}{' threads' if threads else ' one thread'}"
            server = ws(name, threads, secure, compression)
            url = scheme + "://127.0.0.1:{}/"
            self._add("ws", name, lives.ws_echo, server, url, ca if secure else None, compression, not threads)
            self._add("ws", f"{name}, vanishing", lives.ws_vanish, server)
        broadcaster = self._start(servers.Broadcaster("tcp broadcast", *_tcp_server(), ledger, servers.TCP, seed))
        self._add("tcp", broadcaster.name, lives.tcp_subscribe, broadcaster)
        identifier = net.native_ws_listen(0)
        port = net.native_ws_get_local_addr(identifier)["port"]
        broadcaster = self._start(servers.Broadcaster("ws broadcast", identifier, port, ledger, servers.WS, seed))
        self._add("ws", broadcaster.name, lives.ws_subscribe, broadcaster)
        identifier = net.native_udp_socket()
        net.native_udp_bind(identifier, 0)
        port = net.native_udp_get_local_addr(identifier)["port"]
        server = self._start(servers.UdpEcho("udp", identifier, port, ledger))
        self._add("udp", "udp echo", lives.udp_echo, server)
        self._add("udp", "udp refused", lives.udp_refused, server)

    def _start(self, server: servers.Server) -> servers.Server:
        self.servers.append(server)
        server.start()
        return server

    def _add(self, protocol: str, kind: str, lead: Callable[..., None], *args: object) -> None:
        self.leads[protocol].append((kind, lambda life: lead(life, *args)))

    def stop(self) -> None:
        """Stop all servers."""
        for server in self.servers:
            server.stop()


def _tcp_server() -> tuple[int, int]:
    identifier = net.native_tcp_listen(0)
    return identifier, net.native_tcp_get_local_addr(identifier)["port"]


class Client(threading.Thread):
    """Leads one life after the other until the time is up."""

    def __init__(self, number: int, protocol: str, world: World, ledger: Ledger, seed: str, until: float) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.leads = world.leads[protocol]
        self.ledger = ledger
        self.seed = seed
        self.until = until
        self.now = ""

    def run(self) -> None:
        count = 0
        while time.monotonic() < self.until:
            name = f"{self.seed}/{self.number}/{count}"
            rng = random.Random(name)
            kind, lead = rng.choice(self.leads)
            life = lives.Life(name, rng)
            self.now = f"{kind}, life {name}"
            try:
                lead(life)
                self.ledger.lived(kind, life.checked, life.size, life.cut)
            except Failure as failure:
                self.ledger.failed(f"{self.now}, {life.fault}", str(failure))
            except Exception as error:
                self.ledger.failed(f"{self.now}, {life.fault}", f"{type(error).__name__}: {error}")
            count += 1


def soak(seconds: float, seed: str, clients: int, ledger: Ledger) -> list[tuple[str, str, bool]]:
    """Run it all. Returns what was measured at the end: what, how much, and whether that is as it should be."""
    # What native_net_wait and the background keep from their first use on.
    warm = [net.native_udp_socket(), net.native_udp_socket()]
    net.native_net_wait(warm, 1)
    for each in warm:
        net.native_udp_close(each)
    service.prepare()
    descriptors, threads = process.descriptors(), threading.active_count()
    rounds = max(ROUNDS, int(seconds / LONGEST_ROUND))
    held = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(ledger, seed, Path(folder))
        for number in range(rounds):
            lead_lives(world, f"{seed}/{number}", clients, seconds / rounds, ledger)
            # Only servers are left now, with nothing to do.
            resting = threads + 1 + len(world.servers)
            wait_until(lambda: all_is_quiet(len(world.servers), resting), ENDING_SECONDS)  # noqa: B023
            held.append(memory_support.held())
        used = time.process_time()
        idle = process.idle_share(IDLE_SECONDS)
        world.stop()
    wait_until(lambda: process.descriptors() <= descriptors + KEPT_DESCRIPTORS and not table.objects, ENDING_SECONDS)
    wait_until(lambda: all_is_quiet(0, threads + 1), ENDING_SECONDS)
    left = process.descriptors() - descriptors
    more_threads = threading.active_count() - threads
    tasks = service.service.task_count()
    return [
        ("IDs left", str(len(table.objects)), not table.objects),
        ("descriptors left, of which one is kept for waits", str(left), left <= KEPT_DESCRIPTORS),
        ("threads left, of which one is the service's", str(more_threads), more_threads <= 1),
        ("background tasks left", str(tasks), tasks == 0),
        *((f"held after round {number}", str(each), True) for number, each in enumerate(held, 1)),
        ("held after the last as after the second round", "", process.is_flat(held)),
        ("processor while idle", f"{idle:.1%}", idle <= IDLE_SHARE),
        ("processor in all", f"{used:.0f} s", True),
    ]


def lead_lives(world: World, seed: str, clients: int, seconds: float, ledger: Ledger) -> None:
    """Have so many clients lead lives for so long, and wait for the last ones to end."""
    until = time.monotonic() + seconds
    running = [
        Client(number, PROTOCOLS[number % len(PROTOCOLS)], world, ledger, seed, until) for number in range(clients)
    ]
    for client in running:
        client.start()
    for client in running:
        client.join(max(until + LAST_LIVES_SECONDS - time.monotonic(), 0))
        if client.is_alive():
            ledger.failed(client.now, "it does not end")


def all_is_quiet(tasks: int, threads: int) -> bool:
    """Are no more than these left: of the background's tasks, and of threads?"""
    return service.service.task_count() <= tasks and threading.active_count() <= threads


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, but no longer than that."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--clients", type=int, default=10, help="how many lead lives at once")
    options = parser.parse_args()
    if "MALLOC_ARENA_MAX" not in os.environ:
        # One arena for all threads: what each of them has free would look like growth (mallopt(3)).
        os.environ["MALLOC_ARENA_MAX"] = "1"
        os.execv(sys.executable, [sys.executable, "-I", *sys.argv, "--seed", options.seed])
    print(f"soak of the {net.backend} half for {options.seconds:g} s, --seed {options.seed}", flush=True)
    ledger = Ledger()
    measured = soak(options.seconds, options.seed, options.clients, ledger)
    print(ledger.table())
    for what, how_much, good in measured:
        print(f"{what}: {how_much or ('yes' if good else 'no')}{'' if good else '    WRONG'}")
    for failure in ledger.failures[:50]:
        print(f"FAILED {failure}")
    if len(ledger.failures) > 50:
        print(f"and {len(ledger.failures) - 50} more")
    well = not ledger.failures and all(good for _what, _how_much, good in measured)
    print("passed" if well else "FAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
