"""What every UDP function refuses, and how it says so: E3005, E3006 and E3029."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from support import code_of, refusal
from udp_support import bound, local_port, receive

import dryad_net as net

UDP = net.registry["udp"]
PARAMETERS = [(name, parameter) for name, function in UDP.items() for parameter in function.parameters]
WITH_ID = [name for name, function in UDP.items() if function.parameters]

NO_NUMBER = [True, False, 80.5, math.nan, math.inf, -math.inf, "80", b"80", [80], {}, (), 1j, object()]
HUGE = [10**30, -(10**30), 1e300]
# What a surrogate must be to stand for a received byte: U+DC80 to U+DCFF.
LONE_SURROGATES = ["\ud800", "a\udfffb", "\udc7f", "\udc00"]
NO_ADDRESS = [None, 5, True, "", b"127.0.0.1", "localhost", "300.1.1.1", "127.0.0.1 ", "127.1", "\ud800", "1\0"]

BAD: dict[str, list[Any]] = {
    "socket_id": [*NO_NUMBER, None],
    "host": [None, 5, True, "", b"localhost", ["x"], "a\0b", "\0", *LONE_SURROGATES, "\udcff"],
    "ip": NO_ADDRESS,
    "group_ip": [
        *NO_ADDRESS,
        *["127.0.0.1", "223.255.255.255", "240.0.0.0", "255.255.255.255", "0.0.0.0"],
        *["::1", "::", "fe80::1", "fe00::1", "::ffff:10.0.0.1"],
    ],
    "port": [*NO_NUMBER, *HUGE, None, -1, -1.0, 65536, 65536.0],
    "data": [
        *[None, 5, 1.5, True, {}, object(), {1, 2}, iter([1])],
        *LONE_SURROGATES,
        *[[256], [-1], [1, 2.5], [True], ["a"], [None], [math.nan], [math.inf], [[1]], [10**30]],
        memoryview(b"abcdef")[::2],
    ],
    "max_size": [*NO_NUMBER, *HUGE, None, 0, -1, -1.0, 0.0],
    "size": [*NO_NUMBER, *HUGE, None, 0, -1, -1.0, 0.0],
    "timeout_ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "ttl": [*NO_NUMBER, *HUGE, None, -1, -1.0, 256, 256.0],
    "enable": [None, 0, 1, 0.0, 1.0, "true", "", [], object()],
}
MAY_BE_ZERO = ("native_udp_bind", "native_udp_bind_addr")


def good(name: str, identifier: Any) -> list[Any]:
    """Arguments that a function would take."""
    values: dict[str, Any] = {
        "socket_id": identifier,
        "host": "127.0.0.1",
        "ip": "127.0.0.1",
        "group_ip": "239.1.2.3",
        "port": 9,
        "data": b"x",
        "max_size": 10,
        "size": 65536,
        "timeout_ms": 0,
        "ms": 0,
        "ttl": 1,
        "enable": True,
    }
    return [values[parameter] for parameter in UDP[name].parameters]


def test_all_of_the_specification_is_there() -> None:
    assert len([name for name, function in UDP.items() if not function.extension]) == 26
    assert [name for name, function in UDP.items() if function.extension] == ["native_udp_recv_bytes"]
    for name, function in UDP.items():
        assert getattr(net, name) is function.call
        assert function.arity == len(function.parameters)


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_wrong_value_is_e3006(name: str, parameter: str) -> None:
    identifier = net.native_udp_socket()
    index = UDP[name].parameters.index(parameter)
    bad = BAD[parameter] + ([0, 0.0] if parameter == "port" and name not in MAY_BE_ZERO else [])
    for value in bad:
        arguments = good(name, identifier)
        arguments[index] = value
        error = refusal(UDP[name].call, *arguments)
        assert error.code == "E3006", value
        assert isinstance(error, net.ArgumentError)
        assert error.errno is None
    assert net.native_udp_get_stats(identifier)["packets_sent"] == 0


@pytest.mark.parametrize("name", UDP)
def test_a_wrong_count_is_e3005(name: str) -> None:
    arguments = good(name, net.native_udp_socket())
    for wrong in ([], arguments[:-1], [*arguments, None], arguments * 5):
        if len(wrong) == len(arguments):
            continue
        error = refusal(UDP[name].call, *wrong)
        assert error.code == "E3005"
        assert isinstance(error, net.ArgumentCountError)


def test_the_count_comes_before_the_values() -> None:
    assert code_of(net.native_udp_recv_from, "no number") == "E3005"
    assert code_of(net.native_udp_send, -1, None) == "E3005"


def test_names_of_parameters_may_be_given() -> None:
    identifier, port = bound()
    assert net.native_udp_send(identifier, b"12345", port=port, host="127.0.0.1") == 5
    assert net.native_udp_recv_from(max_size=5, socket_id=identifier)["data"] == "12345"
    for wrong in ({"sise": 5}, {"max_size": 5, "socket_id": identifier}, {"max_size": 5, "more": 1}):
        with pytest.raises(net.ArgumentCountError, match=r"^E3005 native_udp_recv_from: "):
            net.native_udp_recv_from(identifier, **wrong)


def test_floats_without_a_fraction_are_numbers() -> None:
    """Dryad has no other numbers."""
    identifier = float(net.native_udp_socket())
    net.native_udp_bind_addr(identifier, "127.0.0.1", 0.0)
    port = float(local_port(identifier))
    for receiver in (
        lambda: net.native_udp_recv_blocking(identifier, 5000.0),
        lambda: net.native_udp_recv_from(identifier, 10.0),
    ):
        assert net.native_udp_send(identifier, [97.0, 98.0], "127.0.0.1", port) == 2
        assert receiver() == {"data": "ab", "ip": "127.0.0.1", "port": int(port)}
    net.native_udp_set_timeout(identifier, 0.0)
    assert net.native_udp_recv_from(identifier, 10.0) is None
    net.native_udp_set_multicast_ttl(identifier, 3.0)
    net.native_udp_set_recv_buffer_size(identifier, 65536.0)
    net.native_udp_connect(identifier, "127.0.0.1", port)
    net.native_udp_close(identifier)
    net.native_udp_close(identifier)


def test_very_long_timeouts_and_sizes_are_fine() -> None:
    identifier, port = bound()
    for number in (2**31, 2**40, 2**53, float(2**53), 2**62):
        net.native_udp_set_timeout(identifier, number)
        net.native_udp_send(identifier, "x", "127.0.0.1", port)
        assert net.native_udp_recv_from(identifier, number)["data"] == "x"
        net.native_udp_send(identifier, "y", "127.0.0.1", port)
        assert net.native_udp_recv_blocking(identifier, number)["data"] == "y"
    assert net.native_udp_get_stats(identifier)["packets_truncated"] == 0


def test_what_is_wrong_is_said_briefly() -> None:
    identifier = net.native_udp_socket()
    for value in ("x" * 1_000_000, list(range(100_000)), 10**4000, {"key": "x" * 1_000_000}):
        refusal(net.native_udp_recv_from, identifier, value)
    assert "max_size" in str(refusal(net.native_udp_recv_from, identifier, -5))
    assert "-5" in str(refusal(net.native_udp_recv_from, identifier, -5))
    assert "data[1]" in str(refusal(net.native_udp_send, identifier, [0, 256], "127.0.0.1", 9))


def test_a_released_buffer_is_refused() -> None:
    view = memoryview(bytearray(b"abc"))
    view.release()
    assert code_of(net.native_udp_send, net.native_udp_socket(), view, "127.0.0.1", 9) == "E3006"


# What no interface is called, nor numbered: a number too great, one that no interface has, other digits.
NO_INTERFACE = ["nosuchinterface", "a" * 70, "a\0b", "\udc80", "é", "-1", "1_0"]
NO_INTERFACE += ["4294967296", "4294967297", "9" * 5000, "99999999", "²", "\u0661"]
in_vain = pytest.mark.parametrize("scope", NO_INTERFACE, ids=lambda scope: ascii(scope)[:20])


@in_vain
@pytest.mark.parametrize("function", [net.native_udp_join_multicast, net.native_udp_leave_multicast])
def test_a_group_on_an_interface_that_is_not_there(function: Callable[..., Any], scope: str) -> None:
    error = refusal(function, net.native_udp_socket(), f"ff02::1%{scope}")
    assert error.code == "E3006"
    assert ": group_ip: no interface " in str(error)
    assert str(error).endswith(" for ff02::1")


@pytest.mark.parametrize("scope", ["a" * 70, "a\0b", "\udc80"], ids=ascii)
def test_a_scope_that_can_be_none(scope: str) -> None:
    identifier = net.native_udp_socket()
    for function, arguments, said in (
        (net.native_udp_bind_addr, (f"::1%{scope}", 0), ": ip: must be an IP address, not "),
        (net.native_udp_multicast_send, ("x", f"ff02::1%{scope}", 9), ": group_ip: no interface "),
        (net.native_udp_send, ("x", f"::1%{scope}", 9), ": host: must be a host name or an IP address, not "),
        (net.native_udp_connect, (f"::1%{scope}", 9), ": host: must be a host name or an IP address, not "),
    ):
        error = refusal(function, identifier, *arguments)
        assert error.code == "E3006"
        assert said in str(error)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        (net.native_udp_recv_from, [(0,), (-1,), (None,), ("10",), (1.5,), (True,), (), (10, 10)]),
        (net.native_udp_recv_blocking, [(-2,), ("10",), (math.nan,), (1.5,), (), (10, 10)]),
        (net.native_udp_recv, [(10,)]),
        (net.native_udp_recv_bytes, [(10,)]),
    ],
)
def test_no_datagram_is_lost_to_a_wrong_argument(function: Callable[..., Any], wrong: list[tuple[Any, ...]]) -> None:
    identifier, port = bound()
    net.native_udp_send(identifier, "still here", "127.0.0.1", port)
    for arguments in wrong:
        assert code_of(function, identifier, *arguments) in ("E3005", "E3006")
    assert net.native_udp_get_stats(identifier)["packets_received"] == 0
    assert receive(identifier)["data"] == "still here"


# ---- IDs


def refused(name: str, identifier: object) -> str:
    error = refusal(UDP[name].call, *good(name, identifier))
    assert error.code == "E3029"
    assert isinstance(error, net.IdError)
    return str(error)


@pytest.mark.parametrize("name", WITH_ID)
def test_an_id_never_given_out(name: str) -> None:
    for identifier in (0, -1, 2**40, 10**30, -0.0, -7.0, 1e300):
        assert "closed" not in refused(name, identifier)


@pytest.mark.parametrize("name", WITH_ID)
def test_an_id_of_another_kind(name: str, server: int, pair: tuple[int, int]) -> None:
    assert "server" in refused(name, server)
    assert "connection" in refused(name, pair[0])
    assert net.native_tcp_is_connected(pair[0])
    assert "UDP" in str(refusal(net.native_tcp_recv, net.native_udp_socket(), 10))
    assert code_of(net.native_tcp_stop_server, net.native_udp_socket()) == "E3029"
    assert code_of(net.native_tcp_is_connected, net.native_udp_socket()) == "E3029"


@pytest.mark.parametrize("name", WITH_ID)
def test_a_closed_id(name: str) -> None:
    identifier, _port = bound()
    assert net.native_udp_close(identifier) is None
    for value in (identifier, float(identifier)):
        if name == "native_udp_close":
            assert net.native_udp_close(value) is None
        else:
            message = refused(name, value)
            assert "closed" in message
            assert str(identifier) in message


def test_ids_count_up_and_are_never_reused(server: int) -> None:
    given = []
    for _ in range(5):
        given.append(net.native_udp_socket())
        given.append(net.native_tcp_listen(0))
        net.native_udp_close(given[-2])
    assert all(type(identifier) is int and identifier > server for identifier in given)
    assert given == sorted(set(given))
