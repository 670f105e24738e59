"""Connecting: names, both families, several addresses, and how it fails."""

from __future__ import annotations

import errno
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import HAS_IPV6, SOON, code_of, plain_listener, refusal, reset

import dryad_net as net

SOON_MS = int(SOON * 1000)
Address = tuple[str, int]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with plain_listener() as raw:
        yield raw


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port nobody listens on, and nobody else can get meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def silent() -> Iterator[Address]:
    """An address where no attempt to connect is answered: the queue of its listener is full."""
    with plain_listener(backlog=0) as raw:
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(raw.getsockname())
            fillers.append(filler)
        probe = socket.socket()
        probe.settimeout(0.5)
        try:
            probe.connect(raw.getsockname())
            answered = True
        except TimeoutError:
            answered = False
        probe.close()
        if answered:
            pytest.skip("this system answers for a full queue")
        yield raw.getsockname()
        for filler in fillers:
            filler.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: Address) -> None:
    """Let the name "several.invalid" have these addresses."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "several.invalid":
            return real(host, *args, **kwargs)
        if kwargs.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_names_and_addresses(listening: socket.socket, host: str) -> None:
    identifier = net.native_tcp_connect(host, listening.getsockname()[1])
    with listening.accept()[0] as raw:
        assert type(identifier) is int
        assert net.native_tcp_send(identifier, "hello") == 5
        assert raw.recv(5) == b"hello"


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")
@pytest.mark.parametrize("host", ["::1", "0:0:0:0:0:0:0:1"])
def test_ipv6(host: str) -> None:
    with plain_listener("::1") as listening:
        identifier = net.native_tcp_connect(host, listening.getsockname()[1])
        with listening.accept()[0]:
            assert net.native_tcp_get_peer_addr(identifier) == {"ip": "::1", "port": listening.getsockname()[1]}


def test_refused(unused_port: int) -> None:
    error = refusal(net.native_tcp_connect, "127.0.0.1", unused_port)
    assert error.code == "E5006"
    assert error.errno == errno.ECONNREFUSED
    assert str(error) == f"E5006 native_tcp_connect: 127.0.0.1:{unused_port}: connection refused (ECONNREFUSED)"


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")
def test_refused_over_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as held:
        held.bind(("::1", 0))
        port = held.getsockname()[1]
        assert f"[::1]:{port}: connection refused" in str(refusal(net.native_tcp_connect, "::1", port))


@pytest.mark.parametrize("host", ["nosuch.invalid", "no such name.invalid", "x" * 63 + ".invalid"])
def test_a_name_that_is_none(host: str) -> None:
    error = refusal(net.native_tcp_connect, host, 80)
    assert error.code == "E5006"
    assert host in str(error)


@pytest.mark.parametrize("host", ["x" * 64 + ".invalid", "x" * 300, "a..b", ".", "é" * 80, "%", "[::1]"])
def test_what_can_be_no_name_is_refused_with_one_of_our_errors(host: str) -> None:
    assert code_of(net.native_tcp_connect, host, 80) in ("E3006", "E5006")


def test_the_next_address_is_tried_when_one_refuses(
    listening: socket.socket, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = listening.getsockname()
    resolve_to(monkeypatch, ("127.0.0.1", unused_port), ("127.0.0.1", unused_port), target)
    begun = time.monotonic()
    identifier = net.native_tcp_connect("several.invalid", target[1])
    assert time.monotonic() - begun < 5
    assert net.native_tcp_get_peer_addr(identifier) == {"ip": target[0], "port": target[1]}
    listening.accept()[0].close()


def test_the_next_address_is_tried_beside_one_that_is_silent(
    listening: socket.socket, silent: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = listening.getsockname()
    resolve_to(monkeypatch, silent, silent, target)
    begun = time.monotonic()
    identifier = net.native_tcp_connect("several.invalid", target[1])
    assert time.monotonic() - begun < 10
    assert net.native_tcp_get_peer_addr(identifier)["port"] == target[1]
    listening.accept()[0].close()


def test_all_addresses_refuse(unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ("127.0.0.1", unused_port), ("127.0.0.1", unused_port))
    error = refusal(net.native_tcp_connect, "several.invalid", unused_port)
    assert (error.code, error.errno) == ("E5006", errno.ECONNREFUSED)
    assert f"several.invalid:{unused_port}" in str(error)


def test_nobody_answers(silent: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dryad_net.connect.CONNECT_SECONDS", 0.4)  # instead of 30
    begun = time.monotonic()
    error = refusal(net.native_tcp_connect, *silent)
    assert 0.35 < time.monotonic() - begun < 10
    assert error.code == "E5007"
    assert isinstance(error, net.NetworkTimeoutError)
    assert f"{silent[0]}:{silent[1]}" in str(error)


def test_many_connections_one_after_another(listening: socket.socket) -> None:
    for _ in range(50):
        identifier = net.native_tcp_connect(*listening.getsockname())
        with listening.accept()[0] as raw:
            net.native_tcp_close(identifier)
            assert raw.recv(1) == b""


# ---- what only a race or an odd system shows: the socket is made so that it always happens


def sockets_that(monkeypatch: pytest.MonkeyPatch, connect: Callable[[socket.socket, Any], int]) -> None:
    """Let the sockets that attempts are made with connect like this: connect(socket, address)."""

    class Odd(socket.socket):
        def connect_ex(self, address: Any) -> int:
            return connect(super(), address)

    monkeypatch.setattr("dryad_net.connect.socket.socket", Odd)


@pytest.mark.skipif(sys.platform != "linux", reason="what others do with a simultaneous open is theirs")
def test_a_socket_that_is_connected_to_itself_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give the attempt the very port that it goes to, and then nobody refuses it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def connect(attempt: Any, address: Any) -> int:
        attempt.bind(address)
        return int(attempt.connect_ex(address))

    sockets_that(monkeypatch, connect)
    error = refusal(net.native_tcp_connect, "127.0.0.1", port)
    assert (error.code, error.errno) == ("E5006", errno.ECONNREFUSED)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's option")
def test_the_system_gives_up_first(silent: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """After TCP's own time, which the machine's settings may make shorter than ours."""

    def connect(attempt: Any, address: Any) -> int:
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        return int(attempt.connect_ex(address))

    sockets_that(monkeypatch, connect)
    error = refusal(net.native_tcp_connect, *silent)
    assert (error.code, error.errno) == ("E5007", errno.ETIMEDOUT)


def test_a_family_that_the_system_does_not_have(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without IPv6 says so when the socket is made; the name's other addresses are tried."""
    real = socket.socket

    def make(family: int, *args: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return real(family, *args)

    target = listening.getsockname()
    resolve_to(monkeypatch, ("::1", target[1]), target)
    monkeypatch.setattr("dryad_net.connect.socket.socket", make)
    identifier = net.native_tcp_connect("several.invalid", target[1])
    monkeypatch.undo()
    assert net.native_tcp_get_peer_addr(identifier)["ip"] == target[0]
    listening.accept()[0].close()
    resolve_to(monkeypatch, ("::1", target[1]))
    monkeypatch.setattr("dryad_net.connect.socket.socket", make)
    error = refusal(net.native_tcp_connect, "several.invalid", target[1])
    assert (error.code, error.errno) == ("E5006", errno.EAFNOSUPPORT)


@pytest.mark.parametrize("protocol", ["tcp", "ws"])
def test_a_peer_that_is_gone_as_soon_as_it_was_there(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """It resets before anybody has asked who it is: an error that says so, and no descriptor is left."""

    def connect_and_be_reset(attempt: Any, address: Any) -> int:
        attempt.setblocking(True)
        failed = int(attempt.connect_ex(address))
        reset(listening.accept()[0])
        select.select([attempt.fileno()], [], [], SOON)
        attempt.setblocking(False)
        return failed

    sockets_that(monkeypatch, connect_and_be_reset)
    host, port = listening.getsockname()
    if protocol == "tcp":
        error = refusal(net.native_tcp_connect, host, port)
    else:
        error = refusal(net.native_ws_connect, f"ws://{host}:{port}/")
    assert (error.code, error.errno) == ("E5006", errno.ECONNRESET)
    assert f"{host}:{port}: connection reset by peer" in str(error)
