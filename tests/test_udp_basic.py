"""Datagrams there and back: families, addresses, text, sizes."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from support import HAS_IPV6, refusal
from udp_support import LOOPBACKS, SOON_MS, bound, free_port, local_port, plain, receive

import dryad_net as net

needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 on this machine")
ip_of_both = pytest.mark.parametrize("ip", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
LONGEST = 65507

# Bytes, and the text that they are.
TEXTS = [
    (b"plain", "plain"),
    ("Olá, ção €, 𝄞".encode(), "Olá, ção €, 𝄞"),
    (b"", ""),
    (b"\0a\0", "\0a\0"),
    (b"\xef\xbb\xbfbom", "\ufeffbom"),
    (b"\xff\xfe", "\udcff\udcfe"),
    (b"a\xc3", "a\udcc3"),
    (b"\xc3(", "\udcc3("),
    (b"\xed\xa0\x80", "\udced\udca0\udc80"),
    (b"\xc0\x80", "\udcc0\udc80"),
    (bytes(range(128, 256)), "".join(chr(0xDC00 + byte) for byte in range(128, 256))),
]


@ip_of_both
def test_there_and_back(ip: str) -> None:
    ours, port = bound(ip)
    other = net.native_udp_socket()
    assert net.native_udp_send(other, "question", ip, port) == 8
    received = receive(ours)
    assert received == {"data": "question", "ip": ip, "port": local_port(other)}
    assert list(received) == ["data", "ip", "port"]
    assert type(received["port"]) is int
    assert net.native_udp_send(ours, b"answer", received["ip"], received["port"]) == 6
    assert receive(other) == {"data": "answer", "ip": ip, "port": port}
    assert net.native_udp_recv(ours) is None
    assert net.native_udp_recv(other) is None


@ip_of_both
def test_with_plain_sockets(ip: str) -> None:
    ours, port = bound(ip)
    with plain(ip) as raw:
        raw.sendto(b"in", (ip, port))
        assert receive(ours) == {"data": "in", "ip": ip, "port": raw.getsockname()[1]}
        net.native_udp_send(ours, "out", ip, raw.getsockname()[1])
        data, sender = raw.recvfrom(100)
        assert (data, sender[:2]) == (b"out", (ip, port))


@needs_ipv6
def test_one_socket_serves_both_families() -> None:
    ours = net.native_udp_socket()
    with plain("127.0.0.1") as four, plain("::1") as six:
        for _ in range(2):
            for raw, ip in ((four, "127.0.0.1"), (six, "::1")):
                net.native_udp_send(ours, ip, ip, raw.getsockname()[1])
                data, sender = raw.recvfrom(100)
                assert (data, sender[:2]) == (ip.encode(), (ip, local_port(ours)))
                raw.sendto(b"back", sender)
                assert receive(ours) == {"data": "back", "ip": ip, "port": raw.getsockname()[1]}


@needs_ipv6
def test_bind_receives_from_both_families() -> None:
    ours, port = bound("")
    assert net.native_udp_get_local_addr(ours) == {"ip": "::", "port": port}
    for ip in (*LOOPBACKS, *LOOPBACKS):
        with plain(ip) as raw:
            raw.sendto(b"x", (ip, port))
            assert receive(ours) == {"data": "x", "ip": ip, "port": raw.getsockname()[1]}


def test_bind_to_a_port_of_ones_choice() -> None:
    port = free_port()
    ours = net.native_udp_socket()
    assert net.native_udp_bind(ours, port) is None
    assert local_port(ours) == port
    other = net.native_udp_socket()
    assert net.native_udp_bind_addr(other, "127.0.0.1", free_port()) is None
    net.native_udp_send(other, "x", "127.0.0.1", port)
    assert receive(ours)["port"] == local_port(other)


def test_local_address() -> None:
    ours = net.native_udp_socket()
    assert net.native_udp_get_local_addr(ours)["port"] == 0
    with plain() as raw:
        net.native_udp_send(ours, "x", "127.0.0.1", raw.getsockname()[1])
        assert local_port(ours) == raw.recvfrom(10)[1][1]
    for ip in [*LOOPBACKS] if HAS_IPV6 else ["127.0.0.1"]:
        address = net.native_udp_get_local_addr(bound(ip)[0])
        assert address["ip"] == ip
        assert type(address["port"]) is int


@needs_ipv6
def test_mapped_addresses_are_the_ipv4_ones() -> None:
    ours, port = bound("::ffff:127.0.0.1")
    assert net.native_udp_get_local_addr(ours) == {"ip": "127.0.0.1", "port": port}
    net.native_udp_send(ours, "x", "::ffff:127.0.0.1", port)
    assert receive(ours) == {"data": "x", "ip": "127.0.0.1", "port": port}
    net.native_udp_connect(ours, "::ffff:127.0.0.1", port)
    net.native_udp_send_connected(ours, "y")
    assert receive(ours)["ip"] == "127.0.0.1"


@needs_ipv6
def test_an_address_of_the_family_that_was_not_bound() -> None:
    for own, other in (LOOPBACKS, LOOPBACKS[::-1]):
        ours, port = bound(own)
        assert refusal(net.native_udp_send, ours, "x", other, port).code == "E5006"
        assert refusal(net.native_udp_connect, ours, other, port).code == "E5006"
        net.native_udp_send(ours, "x", own, port)
        assert receive(ours)["ip"] == own


@pytest.mark.parametrize("ip", ["0.0.0.0", pytest.param("::", marks=needs_ipv6)])
def test_every_address_of_one_family_or_both(ip: str) -> None:
    ours, port = bound(ip)
    assert net.native_udp_get_local_addr(ours)["ip"] == ip
    net.native_udp_send(ours, "x", "127.0.0.1", port)
    assert receive(ours) == {"data": "x", "ip": "127.0.0.1", "port": port}


@needs_ipv6
@pytest.mark.parametrize("order", [LOOPBACKS, LOOPBACKS[::-1]], ids="-".join)
@pytest.mark.parametrize("ip", ["", "::", "0.0.0.0", *LOOPBACKS])
def test_of_a_names_addresses_one_that_can_be_reached(
    ip: str, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **named: Any) -> Any:
        if host != "both.invalid":
            return original(host, *args, **named)
        if named.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return [found for each in order for found in original(each, *args, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ours, port = bound(ip)
    reached = {"": order[0], "::": order[0], "0.0.0.0": "127.0.0.1"}.get(ip, ip)
    for _ in range(2):
        net.native_udp_send(ours, "by name", "both.invalid", port)
        assert receive(ours) == {"data": "by name", "ip": reached, "port": port}
    net.native_udp_connect(ours, "both.invalid", port)
    net.native_udp_send_connected(ours, "connected")
    assert receive(ours)["data"] == "connected"


def test_localhost() -> None:
    ours, port = bound("")
    net.native_udp_send(ours, "by name", "localhost", port)
    received = receive(ours)
    assert (received["data"], received["ip"] in LOOPBACKS) == ("by name", True)


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_args: object, **_named: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    ours = net.native_udp_socket()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for function, arguments in ((net.native_udp_send, ["x"]), (net.native_udp_connect, [])):
        error = refusal(function, ours, *arguments, "nobody.invalid", 9)
        assert error.code == "E5006"
        assert "nobody.invalid:9" in str(error)


def test_an_address_that_is_not_this_machines() -> None:
    error = refusal(net.native_udp_bind_addr, net.native_udp_socket(), "192.0.2.1", 0)
    assert (error.code, error.errno) == ("E5006", errno.EADDRNOTAVAIL)
    assert "192.0.2.1" in str(error)


# ---- text and bytes


@pytest.mark.parametrize(("data", "text"), TEXTS)
def test_text(data: bytes, text: str) -> None:
    ours, port = bound()
    with plain() as raw:
        for receiver in (
            lambda: net.native_udp_recv_blocking(ours, SOON_MS),
            lambda: net.native_udp_recv_from(ours, 1000),
            lambda: net.native_udp_recv(ours),
        ):
            raw.sendto(data, ("127.0.0.1", port))
            received = receiver()
            assert received == {"data": text, "ip": "127.0.0.1", "port": raw.getsockname()[1]}
            assert net.native_udp_send(ours, received["data"], received["ip"], received["port"]) == len(data)
            assert raw.recv(1000) == data
        net.native_udp_connect(ours, *raw.getsockname())
        assert net.native_udp_send_connected(ours, text) == len(data)
        assert raw.recv(1000) == data


@pytest.mark.parametrize(("data", "_text"), TEXTS)
def test_bytes(data: bytes, _text: str) -> None:
    ours, port = bound()
    forms: list[Any] = [data, bytearray(data), memoryview(data), list(data), [float(byte) for byte in data]]
    for form in forms:
        assert net.native_udp_send(ours, form, "127.0.0.1", port) == len(data)
        received = net.native_udp_recv_bytes(ours)
        assert received == {"data": data, "ip": "127.0.0.1", "port": port}
        assert type(received["data"]) is bytes
    assert net.native_udp_recv_bytes(ours) is None


def test_bytes_and_text_of_the_same_sender_by_turns() -> None:
    ours, port = bound()
    for number in range(6):
        net.native_udp_send(ours, f"é{number}", "127.0.0.1", port)
        if number % 2:
            assert net.native_udp_recv_bytes(ours)["data"] == f"é{number}".encode()
        else:
            assert net.native_udp_recv(ours)["data"] == f"é{number}"


def test_a_result_is_the_callers_own() -> None:
    ours, port = bound()
    net.native_udp_send(ours, "one", "127.0.0.1", port)
    net.native_udp_send(ours, "two", "127.0.0.1", port)
    first = receive(ours)
    first["ip"] = "changed"
    first["more"] = 1
    assert receive(ours) == {"data": "two", "ip": "127.0.0.1", "port": port}
    assert first["data"] == "one"


def test_datagrams_stay_apart_and_in_order() -> None:
    ours, port = bound()
    for number in range(50):
        net.native_udp_send(ours, str(number), "127.0.0.1", port)
    assert [receive(ours)["data"] for _ in range(50)] == [str(number) for number in range(50)]


# ---- sizes


@ip_of_both
def test_the_longest_datagram_arrives_whole(ip: str) -> None:
    ours, port = bound(ip)
    data = bytes(range(256)) * 256
    for size in (LONGEST, LONGEST - 1, 1, 65000):
        assert net.native_udp_send(ours, data[:size], ip, port) == size
        assert net.native_udp_recv_bytes(ours)["data"] == data[:size]
        assert net.native_udp_send(ours, "x" * size, ip, port) == size
        assert len(receive(ours)["data"]) == size
        assert net.native_udp_send(ours, data[:size], ip, port) == size
        assert len(net.native_udp_recv_from(ours, 1_000_000)["data"].encode("utf-8", "surrogateescape")) == size
    assert net.native_udp_get_stats(ours)["packets_truncated"] == 0


@ip_of_both
def test_a_longer_one_is_refused(ip: str) -> None:
    ours, port = bound(ip)
    for size in (LONGEST + 1, 65528, 65536, 1_000_000):
        error = refusal(net.native_udp_send, ours, b"x" * size, ip, port)
        assert (error.code, error.errno) == ("E5006", errno.EMSGSIZE)
        assert "message too long" in str(error)
        assert error.subject == (f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")
    net.native_udp_connect(ours, ip, port)
    assert refusal(net.native_udp_send_connected, ours, b"x" * (LONGEST + 1)).errno == errno.EMSGSIZE
    assert net.native_udp_send_connected(ours, b"x" * LONGEST) == LONGEST
    assert len(receive(ours)["data"]) == LONGEST


@ip_of_both
def test_an_empty_datagram_is_data(ip: str) -> None:
    ours, port = bound(ip)
    empties: list[Any] = ["", b"", []]
    for empty in empties:
        assert net.native_udp_send(ours, empty, ip, port) == 0
    assert net.native_udp_recv(ours) == {"data": "", "ip": ip, "port": port}
    assert net.native_udp_recv_bytes(ours) == {"data": b"", "ip": ip, "port": port}
    assert net.native_udp_recv_from(ours, 1) == {"data": "", "ip": ip, "port": port}
    assert net.native_udp_recv(ours) is None
    stats = net.native_udp_get_stats(ours)
    assert (stats["packets_sent"], stats["packets_received"]) == (3, 3)


@pytest.mark.parametrize(
    ("text", "size", "cut"),
    [
        ("abcdef", 3, "abc"),
        ("abcdef", 6, "abcdef"),
        ("abcdef", 7, "abcdef"),
        ("aé", 2, "a\udcc3"),
        ("€€", 1, "\udce2"),
        ("€€", 2, "\udce2\udc82"),
        ("€€", 4, "€\udce2"),
        ("𝄞", 3, "\udcf0\udc9d\udc84"),
    ],
)
def test_a_datagram_is_cut(text: str, size: int, cut: str) -> None:
    ours, port = bound()
    net.native_udp_send(ours, text, "127.0.0.1", port)
    net.native_udp_send(ours, "next", "127.0.0.1", port)
    assert net.native_udp_recv_from(ours, size) == {"data": cut, "ip": "127.0.0.1", "port": port}
    # What was cut off is gone: the next call gives the next datagram.
    assert receive(ours)["data"] == "next"
    stats = net.native_udp_get_stats(ours)
    assert stats["packets_truncated"] == (len(text.encode()) > size)
    assert stats["bytes_received"] == min(len(text.encode()), size) + 4
    assert stats["packets_received"] == 2
