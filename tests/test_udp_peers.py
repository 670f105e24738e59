"""Peers that others wrote: a DNS server and socat."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from support import HAS_IPV6, SOON, finish, foreign, wait_until
from udp_support import SOON_MS, bound, ended, free_port, is_served, receive

import dryad_net as net

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for the peer's port in /proc/net")
needs_socat = pytest.mark.skipif(shutil.which("socat") is None, reason="socat is not installed")
families = pytest.mark.parametrize(
    ("family", "ip"),
    [("4", "127.0.0.1"), pytest.param("6", "::1", marks=pytest.mark.skipif(not HAS_IPV6, reason="no IPv6"))],
)


def start(*command: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=foreign())


@contextlib.contextmanager
def serving(command: Callable[[int], list[str]], ip: str, *protocols: str) -> Iterator[int]:
    """A program that serves a free port, which is what the block gets; another port if somebody else was quicker."""
    problem = ""
    for _ in range(5):
        port = free_port(ip)
        process = start(*command(port))

        def has_begun(port: int = port, process: subprocess.Popen[str] = process) -> bool:
            return process.poll() is not None or all(is_served(port, protocol) for protocol in protocols)

        try:
            wait_until(has_begun)
            if process.poll() is None:
                yield port
                return
            assert process.stderr is not None
            problem = process.stderr.read()
        finally:
            ended(process)
    pytest.fail(f"could not be started: {problem}")


# ---- DNS


@pytest.fixture
def name_server() -> Iterator[int]:
    """The port of a DNS server that knows example.test, and nobody to ask about the rest."""
    program = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("dnsmasq is not installed")

    def command(port: int) -> list[str]:
        return [
            *[program, "--no-daemon", "--conf-file=/dev/null", "--pid-file=", f"--user={getpass.getuser()}"],
            *["--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", f"--port={port}"],
            *["--address=/example.test/192.0.2.7", "--address=/example.test/2001:db8::7"],
        ]

    with serving(command, "127.0.0.1", "udp", "tcp") as port:
        yield port


def question(name: str, kind: int, number: int) -> list[int]:
    """A DNS query (RFC 1035, 4.1), as the array of bytes that a script would make."""
    labels = [byte for label in name.split(".") for byte in (len(label), *label.encode())]
    header = [number >> 8, number & 255, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]
    return [*header, *labels, 0, 0, kind, 0, 1]


def answer_of(data: bytes, asked: list[int], kind: int) -> list[bytes]:
    """The data of an answer's records, after a look at everything before them."""
    assert data[:2] == bytes(asked[:2])
    assert data[2] & 0x80, "not an answer"
    records = int.from_bytes(data[6:8], "big")
    assert data[12 : len(asked)] == bytes(asked[12:])
    at, found = len(asked), []
    for _ in range(records):
        assert data[at : at + 2] == b"\xc0\x0c"  # a pointer to the name in the question
        assert data[at + 2 : at + 6] == bytes([0, kind, 0, 1])
        size = int.from_bytes(data[at + 10 : at + 12], "big")
        found.append(data[at + 12 : at + 12 + size])
        at += 12 + size
    return found


@linux
def test_dns(name_server: int) -> None:
    ours = net.native_udp_socket()
    for kind, address in ((1, bytes([192, 0, 2, 7])), (28, bytes.fromhex("20010db8000000000000000000000007"))):
        # Numbers that are no UTF-8.
        for number in (0x80FF, 0xC3C3, 0x0000):
            asked = question("example.test", kind, number)
            assert net.native_udp_send(ours, asked, "127.0.0.1", name_server) == len(asked)
            received = receive(ours)
            assert (received["ip"], received["port"]) == ("127.0.0.1", name_server)
            data = received["data"].encode("utf-8", "surrogateescape")
            assert answer_of(data, asked, kind) == [address]


@linux
def test_dns_in_bytes_over_a_connected_socket(name_server: int) -> None:
    ours = net.native_udp_socket()
    net.native_udp_connect(ours, "127.0.0.1", name_server)
    asked = question("www.example.test", 1, 0xFFFE)
    net.native_udp_send_connected(ours, asked)
    received = wait_until(lambda: net.native_udp_recv_bytes(ours))
    assert answer_of(received["data"], asked, 1) == [bytes([192, 0, 2, 7])]
    # A name that the server may ask nobody about: refused (RCODE 5).
    asked = question("other.invalid", 1, 0x1234)
    net.native_udp_send_connected(ours, asked)
    data = receive(ours)["data"].encode("utf-8", "surrogateescape")
    assert answer_of(data, asked, 1) == []
    assert data[3] & 0x0F in (3, 5)


# ---- socat


@linux
@needs_socat
@families
def test_socat_echoes(family: str, ip: str) -> None:
    shown = f"[{ip}]" if family == "6" else ip

    def command(port: int) -> list[str]:
        return ["socat", "-b", "65536", f"UDP{family}-LISTEN:{port},bind={shown}", "PIPE"]

    with serving(command, ip, f"udp{family.replace('4', '')}") as port:
        ours = net.native_udp_socket()
        for data in (b"hello", bytes(range(256)), "Olá €".encode(), b"x" * 4000):
            assert net.native_udp_send(ours, data, ip, port) == len(data)
            received = receive(ours)
            assert received == {"data": data.decode("utf-8", "surrogateescape"), "ip": ip, "port": port}


@linux
@needs_socat
@families
def test_socat_sends(family: str, ip: str) -> None:
    ours, port = bound("")
    shown = f"[{ip}]" if family == "6" else ip
    process = start("socat", "-u", "STDIN", f"UDP{family}-SENDTO:{shown}:{port}")
    assert process.stdin is not None
    process.stdin.write("from socat é")
    process.stdin.close()
    received = receive(ours)
    assert (received["data"], received["ip"]) == ("from socat é", ip)
    assert finish(process, SOON) == ""


@linux
@needs_socat
def test_socat_asks_and_is_answered() -> None:
    ours, port = bound()
    process = start("socat", "-t", str(SOON), "-", f"UDP4:127.0.0.1:{port}")
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("question\n")
        process.stdin.flush()
        received = net.native_udp_recv_blocking(ours, SOON_MS)
        assert received is not None
        assert received["data"] == "question\n"
        net.native_udp_send(ours, "answer\n", received["ip"], received["port"])
        assert process.stdout.readline() == "answer\n"
    finally:
        ended(process)
