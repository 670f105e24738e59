"""IDs: handed out once, of one kind, and what becomes of the calls on closed ones (E3029)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import Link, code_of, port_of, refusal

import dryad_net as net

REST: dict[str, list[Any]] = {
    "native_tcp_send": [b"x"],
    "native_tcp_recv": [10],
    "native_tcp_recv_blocking": [10, 0],
    "native_tcp_recv_bytes": [10],
    "native_tcp_recv_bytes_blocking": [10, 0],
    "native_tcp_recv_until": ["\n"],
    "native_tcp_broadcast": [b"x"],
    "native_tcp_accept_blocking": [0],
    "native_tcp_set_backlog": [10],
    "native_tcp_set_timeout": [0],
    "native_tcp_set_nodelay": [True],
    "native_tcp_set_keepalive": [True],
    "native_tcp_set_reuseaddr": [True],
    "native_tcp_set_reuseport": [True],
    "native_tcp_set_linger": [False, 0],
    "native_tcp_set_recv_buffer_size": [65536],
    "native_tcp_set_send_buffer_size": [65536],
}
WITH_ID = {name: f for name, f in net.registry["tcp"].items() if f.parameters and f.parameters[0].endswith("_id")}
# These answer for servers as well as for connections.
EITHER = {name for name in WITH_ID if "_set_" in name or "_get_" in name} - {
    "native_tcp_set_backlog",
    "native_tcp_get_clients",
    "native_tcp_get_peer_addr",
}
ON_SERVERS = {name for name, f in WITH_ID.items() if f.parameters[0] == "server_id"} | EITHER
ON_CONNECTIONS = (set(WITH_ID) - ON_SERVERS) | EITHER
HARMLESS_WHEN_CLOSED = {
    "native_tcp_close": None,
    "native_tcp_kick_client": None,
    "native_tcp_stop_server": None,
    "native_tcp_is_connected": False,
}


def call(name: str, identifier: object) -> Any:
    return WITH_ID[name].call(identifier, *REST.get(name, []))


def refused(name: str, identifier: object) -> str:
    error = refusal(WITH_ID[name].call, identifier, *REST.get(name, []))
    assert error.code == "E3029"
    assert isinstance(error, net.IdError)
    return str(error)


@pytest.mark.parametrize("name", WITH_ID)
def test_an_id_never_given_out(name: str) -> None:
    for identifier in (0, -1, 2**40, 10**30, -0.0, -7.0, 1e300):
        assert "closed" not in refused(name, identifier)


@pytest.mark.parametrize("name", sorted(set(WITH_ID) - ON_SERVERS))
def test_a_server_where_a_connection_is_meant(name: str, server: int) -> None:
    assert "server" in refused(name, server)
    assert net.native_tcp_get_clients(server) == []


@pytest.mark.parametrize("name", sorted(set(WITH_ID) - ON_CONNECTIONS))
def test_a_connection_where_a_server_is_meant(name: str, link: Link) -> None:
    assert "connection" in refused(name, link.id)
    assert net.native_tcp_is_connected(link.id)


@pytest.mark.parametrize("name", sorted(ON_CONNECTIONS))
def test_a_closed_connection(name: str, link: Link) -> None:
    net.native_tcp_close(link.id)
    for identifier in (link.id, float(link.id)):
        if name in HARMLESS_WHEN_CLOSED:
            assert call(name, identifier) is HARMLESS_WHEN_CLOSED[name]
        else:
            assert "closed" in refused(name, identifier)


@pytest.mark.parametrize("name", sorted(ON_SERVERS))
def test_a_closed_server(name: str, server: int) -> None:
    net.native_tcp_stop_server(server)
    if name in HARMLESS_WHEN_CLOSED:
        assert call(name, server) is HARMLESS_WHEN_CLOSED[name]
    else:
        assert "closed" in refused(name, server)


def test_kicking_an_own_connection(pair: tuple[int, int]) -> None:
    own, accepted = pair
    refused("native_tcp_kick_client", own)
    assert net.native_tcp_is_connected(own)
    assert net.native_tcp_is_connected(accepted)


def test_ids_count_up_and_are_never_reused(server: int) -> None:
    given = []
    for _ in range(5):
        own = net.native_tcp_connect("127.0.0.1", port_of(server))
        accepted = net.native_tcp_accept_blocking(server, 5000)
        other = net.native_tcp_listen(0)
        given += [own, accepted, other]
        net.native_tcp_close(own)
        net.native_tcp_close(accepted)
        net.native_tcp_stop_server(other)
    assert all(type(identifier) is int and identifier > 0 for identifier in given)
    assert given == sorted(set(given))
    assert all(code_of(net.native_tcp_recv, identifier, 1) == "E3029" for identifier in given)


def test_the_message_names_the_id(server: int, link: Link) -> None:
    assert str(server) in refused("native_tcp_recv", server)
    net.native_tcp_close(link.id)
    assert str(link.id) in refused("native_tcp_recv", link.id)
    assert str(link.id) in refused("native_tcp_send", float(link.id))


@pytest.mark.parametrize("closer", [net.native_tcp_close, net.native_tcp_kick_client])
def test_closing_twice_does_nothing(server: int, dial: Callable[..., Link], closer: Callable[[int], None]) -> None:
    client = dial(server)
    assert closer(client.id) is None
    assert closer(client.id) is None
    assert net.native_tcp_get_clients(server) == []


def test_stopping_twice_does_nothing(server: int) -> None:
    assert net.native_tcp_stop_server(server) is None
    assert net.native_tcp_stop_server(server) is None
