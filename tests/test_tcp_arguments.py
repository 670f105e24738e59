"""What every TCP function refuses, and how it says so: E3005 and E3006."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import pytest
from support import Link, code_of, port_of, refusal

import dryad_net as net

FUNCTIONS = {name: function.call for name, function in net.registry["tcp"].items()}
PARAMETERS = [(name, parameter) for name, function in net.registry["tcp"].items() for parameter in function.parameters]

NO_NUMBER = [True, False, 80.5, math.nan, math.inf, -math.inf, "80", b"80", [80], {}, (), 1j, object()]
HUGE = [10**30, -(10**30), 1e300]
# What a surrogate must be to stand for a received byte: U+DC80 to U+DCFF.
LONE_SURROGATES = ["\ud800", "a\udfffb", "\udc7f", "\udc00"]

BAD: dict[str, list[Any]] = {
    "socket_id": [*NO_NUMBER, None],
    "server_id": [*NO_NUMBER, None],
    "client_id": [*NO_NUMBER, None],
    "host": [None, 5, True, "", b"localhost", ["x"], "a\0b", "\0", *LONE_SURROGATES, "\udcff"],
    "ip": [None, 5, True, "", b"127.0.0.1", "localhost", "300.1.1.1", "127.0.0.1 ", "127.1", "\ud800", "1\0"],
    "port": [*NO_NUMBER, *HUGE, None, -1, -1.0, 65536, 65536.0],
    "data": [
        *[None, 5, 1.5, True, {}, object(), {1, 2}, iter([1])],
        *LONE_SURROGATES,
        *[[256], [-1], [1, 2.5], [True], ["a"], [None], [math.nan], [math.inf], [[1]], [10**30]],
        memoryview(b"abcdef")[::2],
    ],
    "size": [*NO_NUMBER, *HUGE, None, 0, -1, -1.0, 0.0],
    "delimiter": [None, 5, True, "", b"\n", ["\n"], *LONE_SURROGATES],
    "timeout_ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "timeout": [*NO_NUMBER, *HUGE, None, -1, -1.0],
    "backlog": [*NO_NUMBER, *HUGE, None, 0, -1],
    "enable": [None, 0, 1, 0.0, 1.0, "true", "", [], object()],
}


@pytest.fixture
def good(link: Link, server: int) -> Callable[[str], list[Any]]:
    """Arguments that a function would take."""
    values: dict[str, Any] = {
        "socket_id": link.id,
        "server_id": server,
        "client_id": link.id,
        "host": "127.0.0.1",
        "ip": "127.0.0.1",
        "port": 9,
        "data": b"x",
        "size": 10,
        "delimiter": "\n",
        "timeout_ms": 0,
        "ms": 0,
        "timeout": 0,
        "backlog": 10,
        "enable": True,
    }
    return lambda name: [values[parameter] for parameter in net.registry["tcp"][name].parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_wrong_value_is_e3006(name: str, parameter: str, good: Callable[[str], list[Any]]) -> None:
    index = net.registry["tcp"][name].parameters.index(parameter)
    bad = BAD[parameter] + ([0] if (name, parameter) == ("native_tcp_connect", "port") else [])
    for value in bad:
        arguments = good(name)
        arguments[index] = value
        error = refusal(FUNCTIONS[name], *arguments)
        assert error.code == "E3006", value
        assert isinstance(error, net.ArgumentError)
        assert error.errno is None


@pytest.mark.parametrize("scope", ["a" * 70, "a\0b", "lo\0b", "\udc80"], ids=ascii)
def test_a_scope_that_can_be_none(scope: str) -> None:
    error = refusal(net.native_tcp_bind, f"::1%{scope}", 0)
    assert error.code == "E3006"
    assert ": ip: must be an IP address, not " in str(error)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_count_is_e3005(name: str, good: Callable[[str], list[Any]]) -> None:
    arguments = good(name)
    for wrong in ([], arguments[:-1], [*arguments, None], arguments * 5):
        if len(wrong) == len(arguments):
            continue
        error = refusal(FUNCTIONS[name], *wrong)
        assert error.code == "E3005"
        assert isinstance(error, net.ArgumentCountError)


def test_the_count_comes_before_the_values() -> None:
    assert code_of(net.native_tcp_recv, "no number") == "E3005"


def test_names_of_parameters_may_be_given(link: Link) -> None:
    assert net.native_tcp_send(link.id, data=b"12345") == 5
    assert net.native_tcp_recv(size=5, socket_id=link.id) is None
    for wrong in ({"sise": 5}, {"size": 5, "socket_id": link.id}, {"size": 5, "more": 1}):
        with pytest.raises(net.ArgumentCountError, match=r"^E3005 native_tcp_recv: "):
            net.native_tcp_recv(link.id, **wrong)


def test_floats_without_a_fraction_are_numbers(link: Link) -> None:
    """Dryad has no other numbers."""
    link.raw.sendall(b"abcdef")
    identifier = float(link.id)
    assert net.native_tcp_recv_blocking(identifier, 6.0, 5000.0) == "abcdef"
    link.raw.sendall(b"abcdef")
    assert net.native_tcp_recv_bytes_blocking(identifier, 6.0, 5000.0) == b"abcdef"
    assert net.native_tcp_recv(identifier, 6.0) is None
    assert net.native_tcp_is_connected(identifier) is True
    net.native_tcp_set_timeout(identifier, 0.0)
    assert net.native_tcp_recv_until(identifier, "\n") is None
    net.native_tcp_set_linger(identifier, True, 1.0)
    server = net.native_tcp_listen(0.0)
    net.native_tcp_set_backlog(float(server), 5.0)
    net.native_tcp_close(net.native_tcp_connect("127.0.0.1", float(port_of(server))))
    assert isinstance(net.native_tcp_accept_blocking(server, -1.0), int)
    net.native_tcp_close(identifier)
    assert net.native_tcp_is_connected(identifier) is False


def test_ints_of_a_subclass_are_numbers(link: Link) -> None:
    number = enum.IntEnum("number", {"ID": link.id, "SIZE": 7})
    assert net.native_tcp_recv(number.ID, number.SIZE) is None


def test_very_long_timeouts_are_fine(link: Link) -> None:
    for ms in (2**31, 2**40, 2**53, float(2**53)):
        link.raw.sendall(b"x\n")
        net.native_tcp_set_timeout(link.id, ms)
        assert net.native_tcp_recv_until(link.id, "\n") == "x\n"
        link.raw.sendall(b"x")
        assert net.native_tcp_recv_blocking(link.id, 1, ms) == "x"


def test_very_large_sizes_are_fine(link: Link) -> None:
    for size in (2**31, 2**40, 2**53, float(2**53)):
        link.raw.sendall(b"xyz")
        assert net.native_tcp_recv_blocking(link.id, size, 5000) == "xyz"
        link.raw.sendall(b"xyz")
        assert net.native_tcp_recv_bytes_blocking(link.id, size, 5000) == b"xyz"
        assert net.native_tcp_recv(link.id, size) is None


def test_a_released_buffer_is_refused(link: Link) -> None:
    view = memoryview(bytearray(b"abc"))
    view.release()
    assert code_of(net.native_tcp_send, link.id, view) == "E3006"


def test_what_is_wrong_is_said_briefly(link: Link) -> None:
    for value in ("x" * 1_000_000, list(range(100_000)), 10**4000, 10**5000, {"key": "x" * 1_000_000}):
        refusal(net.native_tcp_recv, link.id, value)
    assert len(str(refusal(net.native_tcp_recv, 10**5000, 1))) < 400
    assert "size" in str(refusal(net.native_tcp_recv, link.id, -5))
    assert "-5" in str(refusal(net.native_tcp_recv, link.id, -5))
    assert "data[1]" in str(refusal(net.native_tcp_send, link.id, [0, 256]))


def test_a_refused_send_sends_nothing(link: Link) -> None:
    for value in ([97, 98, 256], "ab\ud800", ["a"]):
        assert code_of(net.native_tcp_send, link.id, value) == "E3006"
    net.native_tcp_send(link.id, "end")
    net.native_tcp_close(link.id)
    assert link.raw.recv(100) == b"end"


def test_errors_are_of_one_family() -> None:
    for error, code in (
        (net.ArgumentCountError, "E3005"),
        (net.ArgumentError, "E3006"),
        (net.IdError, "E3029"),
        (net.NetworkError, "E5006"),
        (net.NetworkTimeoutError, "E5007"),
    ):
        assert issubclass(error, net.DryadNetError)
        assert error.code == code
