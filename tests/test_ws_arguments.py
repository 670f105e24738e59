"""What every WebSocket function refuses, and how it says so: E3005, E3006 and E3029."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from support import code_of, refusal
from ws_support import WsLink, becomes

import dryad_net as net

FUNCTIONS = {name: function.call for name, function in net.registry["websocket"].items()}
PARAMETERS = [
    (name, parameter) for name, function in net.registry["websocket"].items() for parameter in function.parameters
]

NO_NUMBER = [True, False, 80.5, math.nan, math.inf, -math.inf, "80", b"80", [80], {}, (), 1j, object()]
HUGE = [10**30, -(10**30), 1e300]
SURROGATES = ["\ud800", "a\udfffb", "\udc80"]
NO_TEXT = [None, 5, 1.5, True, b"bytes", ["x"], {}, object()]

BAD: dict[str, list[Any]] = {
    "ids": [
        None,
        5,
        True,
        "12",
        b"12",
        {},
        {1: 2},
        object(),
        iter([1]),
        [None],
        ["1"],
        [True],
        [1.5],
        [math.nan],
        [[1]],
    ],
    "socket_id": [*NO_NUMBER, None],
    "server_id": [*NO_NUMBER, None],
    "client_id": [*NO_NUMBER, None],
    "except_id": [*NO_NUMBER, None],
    "url": [*NO_TEXT, "", "http://127.0.0.1/", "ws://", *SURROGATES],
    "ip": [*NO_TEXT, "", "localhost", "300.1.1.1", "127.0.0.1 ", "127.1", "1\0", *SURROGATES],
    "port": [*NO_NUMBER, *HUGE, None, -1, -1.0, 65536, 65536.0],
    "message": [*NO_TEXT, *SURROGATES],
    "data": [
        *[None, 5, 1.5, True, {}, object(), {1, 2}, iter([1]), "text", ""],
        *[[256], [-1], [1, 2.5], [True], ["a"], [None], [math.nan], [math.inf], [[1]], [10**30]],
        memoryview(b"abcdef")[::2],
    ],
    "size": [*NO_NUMBER, *HUGE, None, 0, -1, -1.0, 0.0],
    "timeout_ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "ms": [*NO_NUMBER, -2, -2.0, -(10**30)],
    "enable": [None, 0, 1, 0.0, 1.0, "true", "", [], object()],
    "headers": [None, 5, True, "X: y", [("X", "y")], {"X": 5}, {"X": "\r\n"}, {5: "x"}, object()],
    "protocol": [None, 5, True, "", "a b", b"chat", [], {}, object(), *SURROGATES],
    "code": [*NO_NUMBER, *HUGE, None, 0, 999, 1005, 1006, 1015, 5000, -1000],
    "reason": [*NO_TEXT, "x" * 124, *SURROGATES],
    "origins": [None, 5, True, "http://a.example", {}, [5], [None], ["no origin"], ["http://a.example/path"], object()],
    "options": [None, 5, "x", [], {"unknown": 1}, {"ca_file": 5}, {"verify": 1}, {"verify": "no"}, {5: "x"}, object()],
    "cert_file": [*NO_TEXT, "", "\ud800"],
    "key_file": [*NO_TEXT, "", "\ud800"],
}


@pytest.fixture
def good(ws_client: WsLink, ws_server: int) -> Callable[[str], list[Any]]:
    """Arguments that a function would take, or refuse for nothing in their form."""
    values: dict[str, Any] = {
        **dict.fromkeys(("socket_id", "client_id", "except_id"), ws_client.id),
        "server_id": ws_server,
        "ids": [ws_server],
        "url": "ws://127.0.0.1:1/",
        "ip": "127.0.0.1",
        "port": 0,
        "message": "x",
        "data": b"x",
        "size": 10,
        "timeout_ms": 0,
        "ms": 0,
        "enable": False,
        "headers": {"X": "y"},
        "protocol": "chat",
        "code": 1000,
        "reason": "",
        "origins": [],
        "options": {"verify": True},
        "cert_file": "no such file",
        "key_file": "no such file",
    }
    return lambda name: [values[parameter] for parameter in net.registry["websocket"][name].parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_a_wrong_value_is_e3006(name: str, parameter: str, good: Callable[[str], list[Any]]) -> None:
    index = net.registry["websocket"][name].parameters.index(parameter)
    for value in BAD[parameter]:
        arguments = good(name)
        arguments[index] = value
        error = refusal(FUNCTIONS[name], *arguments)
        assert error.code == "E3006", value
        assert isinstance(error, net.ArgumentError)


@pytest.mark.parametrize("scope", ["a" * 70, "a\0b", "lo\0b", "\udc80"], ids=ascii)
def test_a_scope_that_can_be_none(scope: str) -> None:
    error = refusal(net.native_ws_bind, f"::1%{scope}", 0)
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


@pytest.mark.parametrize("name", [name for name, parameter in PARAMETERS if parameter.endswith("_id")])
@pytest.mark.parametrize("identifier", [0, -1, 10**12, -(10**30), 10**30])
def test_ids_never_given_out(name: str, identifier: int, good: Callable[[str], list[Any]]) -> None:
    arguments = good(name)
    arguments[0] = identifier
    error = refusal(FUNCTIONS[name], *arguments)
    assert error.code == "E3029"
    assert isinstance(error, net.IdError)


def test_the_count_comes_before_the_values() -> None:
    assert code_of(net.native_ws_send, "no number") == "E3005"
    assert code_of(net.native_net_wait, "no array") == "E3005"


def test_names_of_parameters_may_be_given(ws: WsLink) -> None:
    net.native_ws_send(ws.id, message="by name")
    assert ws.peer.message() == "by name"
    assert net.native_ws_recv_blocking(timeout_ms=0, socket_id=ws.id) is None
    for wrong in ({"mesage": "x"}, {"message": "x", "socket_id": ws.id}, {"message": "x", "more": 1}):
        with pytest.raises(net.ArgumentCountError, match=r"^E3005 native_ws_send: "):
            net.native_ws_send(ws.id, **wrong)


def test_an_error_names_the_id_however_it_was_given(ws: WsLink) -> None:
    ws.peer.close()
    becomes(ws.id, "closed")
    said = f"E5006 native_ws_send: {ws.id}: not connected: the connection was closed (1000)"
    for args, keywords in (
        ((ws.id, "x"), {}),
        ((ws.id,), {"message": "x"}),
        ((), {"socket_id": ws.id, "message": "x"}),
        ((), {"message": "x", "socket_id": ws.id}),
    ):
        with pytest.raises(net.NetworkError) as caught:
            net.native_ws_send(*args, **keywords)
        assert str(caught.value) == said


def test_floats_without_a_fraction_are_numbers(ws: WsLink) -> None:
    """Dryad has no other numbers."""
    identifier = float(ws.id)
    net.native_ws_send(identifier, "x")
    net.native_ws_send_binary(identifier, [120.0])
    assert (ws.peer.message(), ws.peer.message()) == ("x", b"x")
    ws.peer.text("y")
    assert net.native_ws_recv_blocking(identifier, 5000.0) == "y"
    net.native_ws_set_timeout(identifier, 5000.0)
    net.native_ws_set_max_frame_size(identifier, 1000.0)
    server = float(net.native_ws_listen(0.0))
    assert net.native_ws_get_clients(server) == []
    assert net.native_net_wait([identifier, server], 0.0) == []
    net.native_ws_stop_server(server)
    assert net.native_ws_is_connected(identifier) is True


def test_a_string_of_a_subclass_is_a_string(ws: WsLink) -> None:
    class Name(str):
        __slots__ = ()

    net.native_ws_send(ws.id, Name("é"))
    net.native_ws_send(ws.id, Name("plain"))
    assert (ws.peer.message(), ws.peer.message()) == ("é", "plain")


def test_what_is_wrong_is_said_briefly(ws: WsLink) -> None:
    for value in ("x" * 1_000_000, list(range(100_000)), 10**4000, {"key": "x" * 1_000_000}):
        refusal(net.native_ws_recv_blocking, ws.id, value)
    assert "size" in str(refusal(net.native_ws_set_max_frame_size, ws.id, -5))
    assert "-5" in str(refusal(net.native_ws_set_max_frame_size, ws.id, -5))
    assert "data[1]" in str(refusal(net.native_ws_send_binary, ws.id, [0, 256]))


def test_a_refused_send_sends_nothing(ws: WsLink) -> None:
    assert code_of(net.native_ws_send, ws.id, "ab\ud800") == "E3006"
    assert code_of(net.native_ws_send_binary, ws.id, [97, 256]) == "E3006"
    net.native_ws_send(ws.id, "end")
    assert ws.peer.message() == "end"


# ---- native_net_wait


@pytest.mark.parametrize("ids", [[None], ["1"], [True], [1.5], [math.nan], [[1]], [{}]], ids=repr)
def test_ids_that_are_no_numbers(ws: WsLink, ids: list[object]) -> None:
    for given in (ids, [ws.id, *ids]):
        assert code_of(net.native_net_wait, given, 0) == "E3006"


@pytest.mark.parametrize("ms", [True, 1.5, math.nan, "0", [], -2, -2.0])
def test_timeouts_that_are_none(ws: WsLink, ms: object) -> None:
    assert code_of(net.native_net_wait, [ws.id], ms) == "E3006"
