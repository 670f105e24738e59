"""What is kept of peers from one call to the next: senders' addresses and destinations."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
from typing import Any

import pytest
from support import HAS_IPV6, refusal
from udp_support import bound, plain, receive

import dryad_net as net

LOCAL = ["127.0.0.1", "127.0.0.2", *(["::1"] if HAS_IPV6 else [])]


def test_senders_by_turns() -> None:
    ours, port = bound("")
    chosen = random.Random(7)
    with contextlib.ExitStack() as stack:
        # Ports and addresses that differ in one of the two only, and in the family.
        raws = [(ip, stack.enter_context(plain(ip))) for ip in LOCAL for _ in range(3)]
        for number in range(200):
            ip, raw = chosen.choice(raws)
            raw.sendto(b"%d" % number, ("::1" if ":" in ip else "127.0.0.1", port))
            assert receive(ours) == {"data": str(number), "ip": ip, "port": raw.getsockname()[1]}


def test_the_same_port_of_several_addresses() -> None:
    ours, port = bound("")
    with plain("127.0.0.1") as first, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind(("127.0.0.3", first.getsockname()[1]))
        for raw in (first, second, second, first, second):
            raw.sendto(b"x", ("127.0.0.1", port))
            received = receive(ours)
            assert (received["ip"], received["port"]) == raw.getsockname()


def test_destinations_by_turns() -> None:
    ours = net.native_udp_socket()
    peers = [(ip, *bound(ip)) for ip in LOCAL for _ in range(2)]
    sequence = [*peers, *reversed(peers), *itertools.chain.from_iterable(zip(peers, peers, strict=True))]
    for number, (ip, identifier, port) in enumerate(sequence):
        assert net.native_udp_send(ours, str(number), ip, port) == len(str(number))
        assert receive(identifier)["data"] == str(number)
    assert all(net.native_udp_recv(identifier) is None for _ip, identifier, _port in peers)


def test_a_name_and_its_address_by_turns() -> None:
    ours = net.native_udp_socket()
    first, first_port = bound("")
    second, second_port = bound("")
    for number in range(12):
        for host in ("localhost", "127.0.0.1", "localhost"):
            for identifier, port in ((first, first_port), (second, second_port)):
                net.native_udp_send(ours, f"{host} {number}", host, port)
                assert receive(identifier)["data"] == f"{host} {number}"


def test_a_host_that_is_equal_but_not_the_same_object() -> None:
    ours = net.native_udp_socket()
    peer, port = bound()
    for _ in range(3):
        net.native_udp_send(ours, "x", "".join(["127.", "0.0.1"]), float(port))
        assert receive(peer)["data"] == "x"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_repeated_destination_is_not_looked_up_again(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[Any] = []
    original = socket.getaddrinfo

    def getaddrinfo(*args: Any, **named: Any) -> Any:
        looked_up.append(args)
        return original(*args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ours = net.native_udp_socket()
    peer, port = bound("")
    net.native_udp_send(ours, "x", host, port)
    looked_up.clear()
    for _ in range(20):
        net.native_udp_send(ours, "x", host, port)
    assert looked_up == []
    assert all(receive(peer)["data"] == "x" for _ in range(21))


def test_a_destination_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_args: Any, **_named: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    ours = net.native_udp_socket()
    peer, port = bound("")
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert refusal(net.native_udp_send, ours, "x", "localhost", port).code == "E5006"
    net.native_udp_send(ours, "x", "localhost", port)
    assert receive(peer)["data"] == "x"


def test_more_names_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **named: Any) -> Any:
        if host.startswith("peer-"):
            if named.get("flags", 0) & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "not known")
            host = f"127.0.0.{int(host[5:]) + 1}"
        return original(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ours, out = net.native_udp_socket(), net.native_udp_socket()
    net.native_udp_bind_addr(ours, "0.0.0.0", 0)
    port = int(net.native_udp_get_local_addr(ours)["port"])
    for _ in range(2):
        for number in range(200):
            net.native_udp_send(out, str(number), f"peer-{number}", port)
            assert receive(ours)["data"] == str(number)
