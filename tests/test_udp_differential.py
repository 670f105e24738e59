"""Both halves make the same of the same datagrams, whatever is in them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from udp_support import plain

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dryad_net._compiled.datagram") is None, reason="the compiled half was not built"
)

# Bytes of all kinds, text, and text with a few bytes broken.
BROKEN = st.tuples(st.text(max_size=60), st.binary(max_size=3), st.text(max_size=60)).map(
    lambda parts: parts[0].encode() + parts[1] + parts[2].encode()[1:]
)
DATAGRAMS = st.lists(
    st.tuples(
        st.one_of(st.binary(max_size=300), st.text(max_size=150).map(str.encode), BROKEN),
        st.one_of(st.integers(1, 400), st.integers(1, 2**40)),
        st.sampled_from(["recv", "recv_bytes", "recv_from"]),
        st.integers(0, 2),
    ),
    max_size=8,
)
ASCII = st.text(st.characters(max_codepoint=127))
SENDINGS = st.lists(st.tuples(st.one_of(st.binary(max_size=300), ASCII), st.integers(0, 1), st.booleans()), max_size=6)
COUNTS = ("bytes_sent", "bytes_received", "packets_sent", "packets_received", "packets_truncated", "send_errors")
often = settings(max_examples=150)


class Half:
    """A datagram socket of one half, bound to loopback, without IDs or checks around it."""

    def __init__(self, package: str) -> None:
        datagram = importlib.import_module(f"dryad_net.{package}.datagram")
        sock = importlib.import_module(f"dryad_net.{package}.sock")
        made = plain()
        self.address = made.getsockname()
        self.looked_up = 0

        def find_destination(_socket: Any, host: str, port: int) -> Any:
            self.looked_up += 1
            return datagram.Destination(socket.AF_INET, host, port)

        own_kind = type("Own", (datagram.Datagram,), {"find_destination": find_destination})
        self.socket = own_kind(sock.adopt(made))
        self.make_destination = datagram.Destination

    def receive(self, how: str, size: int) -> Any:
        return self.socket.recv_from(size) if how == "recv_from" else getattr(self.socket, how)()

    def counts(self) -> dict[str, int]:
        return {name: getattr(self.socket, name) for name in COUNTS}


@contextlib.contextmanager
def halves() -> Iterator[list[Half]]:
    made: list[Half] = []
    try:
        for package in ("_compiled", "_pure"):
            made.append(Half(package))
            made[-1].socket.set_timeout(10000)
        yield made
    finally:
        for half in made:
            half.socket.begin_close()
            half.socket.release()


@contextlib.contextmanager
def peers(count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(plain()) for _ in range(count)]


def test_receiving() -> None:
    with halves() as both, peers(3) as senders:

        @often
        @given(DATAGRAMS)
        def check(datagrams: list[tuple[bytes, int, str, int]]) -> None:
            for data, _size, _how, sender in datagrams:
                for half in both:
                    senders[sender].sendto(data, half.address)
            for data, size, how, sender in datagrams:
                compiled, pure = (half.receive(how, size) for half in both)
                assert compiled == pure
                cut = data[:size] if how == "recv_from" else data
                expected = cut if how == "recv_bytes" else cut.decode("utf-8", "surrogateescape")
                ip, port = senders[sender].getsockname()
                assert compiled == {"data": expected, "ip": ip, "port": port}
                assert list(compiled) == list(pure)
            assert [half.socket.recv() for half in both] == [None, None]
            assert both[0].counts() == both[1].counts()

        check()


def test_sending() -> None:
    with halves() as both, peers(2) as receivers:

        @often
        @given(SENDINGS)
        def check(datagrams: list[tuple[bytes | str, int, bool]]) -> None:
            for data, receiver, remembered in datagrams:
                raw = data.encode() if isinstance(data, str) else data
                ip, port = receivers[receiver].getsockname()
                for half in both:
                    if remembered:
                        half.socket.remember(ip, port, half.make_destination(socket.AF_INET, ip, port))
                    assert half.socket.send_to(data, ip, port) == len(raw)
                    assert receivers[receiver].recvfrom(1000) == (raw, half.address)
            assert both[0].counts() == both[1].counts()
            assert both[0].looked_up == both[1].looked_up

        check()
