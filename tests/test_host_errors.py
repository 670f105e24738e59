"""What libdryad_net does with calls that cannot succeed: an answer, always, and never a crash."""

from __future__ import annotations

import re
from typing import Any

import pytest
from host_support import Host

import dryad_net as net

pytest_plugins = ["host_fixtures"]


@pytest.mark.parametrize(
    ("code", "name", "arguments"),
    [
        ("E3005", "native_tcp_connect", ["127.0.0.1"]),
        ("E3006", "native_tcp_connect", ["127.0.0.1", "80"]),
        ("E3006", "native_tcp_connect", ["127.0.0.1", 80.5]),
        ("E3006", "native_tcp_connect", ["127.0.0.1", True]),
        ("E3006", "native_tcp_send", [1, [256]]),
        ("E3006", "native_tcp_send", [1, "\ud800"]),
        ("E3029", "native_tcp_recv", [12345, 10]),
        ("E3029", "native_tcp_recv", [-1, 10]),
        ("E5006", "native_tcp_connect", ["127.0.0.1", 1]),
    ],
)
def test_errors_are_the_library_s(shared_host: Host, code: str, name: str, arguments: list[Any]) -> None:
    connection, _ = shared_host.tcp_pair()
    given = [connection if each == 1 and name == "native_tcp_send" else each for each in arguments]
    assert shared_host.failure(name, *given).startswith(f"{code} {name}: ")


def test_a_timeout(shared_host: Host) -> None:
    client, _ = shared_host.tcp_pair()
    shared_host.native("native_tcp_set_timeout", client, 1)
    # Nobody reads: sooner or later nothing more can be sent.
    for _ in range(100):
        answer = shared_host.envelope("native_tcp_send", [client, "x" * 1_000_000])
        if not answer["ok"]:
            break
    assert answer["code"] == "E5007"


@pytest.mark.parametrize(
    "arguments",
    [
        "[",
        "{}",
        '"text"',
        "1",
        "[1,]",
        "[1] 2",
        "\xff",
        "[" * 100_000,
        '["\\u12"]',
        "[1e5000]",
        "[NaN]",
        "[" + "9" * 5000 + "]",
    ],
)
@pytest.mark.parametrize("door", ["dryad_net_call", "dryad_net_call_utf8"])
def test_arguments_that_are_none(shared_host: Host, door: str, arguments: str) -> None:
    answer = shared_host.envelope("native_tcp_listen", arguments, door)
    assert answer["code"] == "E3006"
    assert answer["error"].startswith("E3006 native_tcp_listen: ")
    assert len(answer["error"]) < 400


@pytest.mark.parametrize("arguments", [None, "", "[]", " [ ] "])
def test_no_arguments(shared_host: Host, arguments: str | None) -> None:
    text = shared_host.c("dryad_net_call", "string", "native_udp_socket", arguments)
    assert re.fullmatch(r'\{"ok":true,"value":\d+\}', text)


@pytest.mark.parametrize("name", ["", None, "native_tcp_nothing", "registry", "native_\N{SNOWMAN}", '"', "x" * 10_000])
def test_names_that_are_none(shared_host: Host, name: str | None) -> None:
    text = shared_host.c("dryad_net_call", "string", name, "[]")
    assert text.startswith('{"ok":false,"code":"E3006","error":"E3006 ')


def test_typed_functions_say_why(shared_host: Host) -> None:
    assert shared_host.typed_failure("dryad_net_tcp_send", "i64", 999, "x").startswith("E3029 native_tcp_send: 999: ")
    assert shared_host.typed_failure("dryad_net_tcp_recv", "string", 0, 10).startswith("E3029 native_tcp_recv: 0: ")
    assert shared_host.typed_failure("dryad_net_tcp_accept", "i64", 999).startswith("E3029 native_tcp_accept: ")
    assert shared_host.typed_failure("dryad_net_tcp_is_connected", "i32", 999).startswith("E3029 ")
    assert shared_host.typed_failure("dryad_net_ws_send", "i32", 999, "x").startswith("E3029 native_ws_send: ")
    client, _ = shared_host.ws_pair()
    # Text that is not Unicode is no WebSocket text (RFC 6455, 5.6).
    assert shared_host.typed_failure("dryad_net_ws_send", "i32", client, "\uefff").startswith("E3006 native_ws_send: ")
    # Too large for an ID, a size, a timeout.
    assert shared_host.typed_failure("dryad_net_ws_recv", "string", 1e300).startswith("E3029 native_ws_recv: ")
    assert shared_host.typed_failure("dryad_net_tcp_recv_all", "string", float("nan")).startswith("E3029 ")
    # An error is said once, and forgotten by the next call.
    assert shared_host.typed("dryad_net_ws_recv", "string", client) is None


def test_the_list_of_functions(shared_host: Host) -> None:
    listed = shared_host.c("dryad_net_functions", "string")
    functions = [each for module in net.registry.values() for each in module.values()]
    assert listed.count('{"name":') == len(functions)
    for each in functions:
        parameters = ",".join(f'"{parameter}"' for parameter in each.parameters)
        assert (
            f'{{"name":"{each.name}","module":"{each.module}","parameters":[{parameters}],"arity":{each.arity},'
            in listed
        )


def test_the_version(shared_host: Host) -> None:
    assert shared_host.c("dryad_net_abi_version", "i32") == 1
