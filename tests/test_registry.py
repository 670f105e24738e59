"""The exported functions are those of the specification (data/functions.json), and the registry tells of them."""

from __future__ import annotations

import gc
import inspect
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

import dryad_net as net

# The modules that have landed; each must be complete.
SPECIFIED = json.loads((Path(__file__).parent / "data" / "functions.json").read_text())
BY_MODULE = {name: [each for each in SPECIFIED if each["module"] == name] for name in ("tcp", "udp", "websocket")}
EXTENSIONS = {
    "tcp": {
        "native_tcp_recv_bytes": ("socket_id", "size"),
        "native_tcp_recv_bytes_blocking": ("socket_id", "size", "timeout_ms"),
    },
    "udp": {"native_udp_recv_bytes": ("socket_id",)},
    "websocket": {
        "native_net_wait": ("ids", "timeout_ms"),
        "native_ws_bind": ("ip", "port"),
        "native_ws_close_with": ("socket_id", "code", "reason"),
        "native_ws_get_local_addr": ("socket_id",),
        "native_ws_listen_tls": ("port", "cert_file", "key_file"),
        "native_ws_recv_binary_blocking": ("socket_id", "timeout_ms"),
        "native_ws_set_max_message_size": ("socket_id", "size"),
        "native_ws_set_origins": ("server_id", "origins"),
        "native_ws_set_tls": ("socket_id", "options"),
    },
}


def test_the_specification_is_whole() -> None:
    assert {name: len(functions) for name, functions in BY_MODULE.items()} == {"tcp": 29, "udp": 26, "websocket": 26}


@pytest.mark.parametrize("function", SPECIFIED, ids=lambda function: function["name"])
def test_a_specified_function(function: dict[str, Any]) -> None:
    check(function["name"], function["module"], tuple(function["params"]), extension=False)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in EXTENSIONS for name in EXTENSIONS[module]])
def test_an_extension(module: str, name: str) -> None:
    check(name, module, EXTENSIONS[module][name], extension=True)


def check(name: str, module: str, parameters: tuple[str, ...], extension: bool) -> None:
    call = getattr(net, name)
    entry = net.registry[module][name]
    assert name in net.__all__
    assert isinstance(entry, net.NativeFunction)
    assert (entry.name, entry.module, entry.extension) == (name, module, extension)
    assert entry.parameters == parameters
    assert entry.arity == len(parameters)
    assert len(entry.kinds) == len(parameters)
    assert all(isinstance(kind, str) and kind for kind in entry.kinds)
    assert entry.call is call
    assert call.__name__ == name
    assert tuple(inspect.signature(call).parameters) == parameters
    assert inspect.getdoc(call)
    assert "Returns" in call.__doc__ or "As native_" in call.__doc__


@pytest.mark.parametrize("module", EXTENSIONS)
def test_nothing_else_is_in_the_registry(module: str) -> None:
    specified = {function["name"] for function in BY_MODULE[module]}
    assert set(net.registry[module]) == specified | set(EXTENSIONS[module])
    assert {name for name, entry in net.registry[module].items() if entry.extension} == set(EXTENSIONS[module])


def test_the_registry_is_by_module() -> None:
    assert list(net.registry) == ["tcp", "udp", "websocket"]


def test_everything_exported_is_there() -> None:
    assert len(set(net.__all__)) == len(net.__all__)
    for name in net.__all__:
        assert getattr(net, name) is not None
    exported = {name for name in net.__all__ if name.startswith("native_")}
    assert exported == {name for functions in net.registry.values() for name in functions}


def test_what_the_package_says_about_itself() -> None:
    assert net.backend in ("compiled", "pure")
    assert net.__version__.count(".") == 2


def test_an_error_is_gone_with_the_last_reference() -> None:
    """And so is what the frames in its traceback hold; it is no cycle that waits for a collection."""
    gc.disable()
    try:
        try:
            net.native_tcp_recv(0, 10)
        except net.DryadNetError as error:
            left = weakref.ref(error)
        assert left() is None
    finally:
        gc.enable()
