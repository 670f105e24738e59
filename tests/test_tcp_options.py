"""Socket options, on connections and on servers, whose clients inherit them."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

import pytest
from support import SOON, Link, code_of, kernel_socket, port_of, refusal

import dryad_net as net

SOON_MS = int(SOON * 1000)
Dial = Callable[..., Link]
SWITCHES = {
    "nodelay": (net.native_tcp_set_nodelay, socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": (net.native_tcp_set_keepalive, socket.SOL_SOCKET, socket.SO_KEEPALIVE),
}
if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
    SWITCHES["reuseaddr"] = (net.native_tcp_set_reuseaddr, socket.SOL_SOCKET, socket.SO_REUSEADDR)
if hasattr(socket, "SO_REUSEPORT"):
    SWITCHES["reuseport"] = (net.native_tcp_set_reuseport, socket.SOL_SOCKET, socket.SO_REUSEPORT)
SIZES = {
    "recv": (net.native_tcp_set_recv_buffer_size, net.native_tcp_get_recv_buffer_size, socket.SO_RCVBUF),
    "send": (net.native_tcp_set_send_buffer_size, net.native_tcp_get_send_buffer_size, socket.SO_SNDBUF),
}
needs_reuseport = pytest.mark.skipif("reuseport" not in SWITCHES, reason="a system without SO_REUSEPORT")


def option(identifier: int, level: int, name: int) -> int:
    with kernel_socket(identifier) as twin:
        return twin.getsockopt(level, name)


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_what_it_is_named_for(link: Link, server: int, name: str) -> None:
    switch, level, number = SWITCHES[name]
    for identifier in (link.id, server):
        for enable in (True, False, True):
            assert switch(identifier, enable) is None
            assert bool(option(identifier, level, number)) is enable


@pytest.mark.parametrize("name", ["nodelay", "keepalive"])
@pytest.mark.parametrize("enable", [True, False])
def test_clients_inherit_a_switch(server: int, dial: Dial, name: str, enable: bool) -> None:
    switch, level, number = SWITCHES[name]
    switch(server, not enable)
    switch(server, enable)
    assert bool(option(dial(server).id, level, number)) is enable


@pytest.mark.parametrize("name", ["nodelay", "keepalive"])
def test_a_client_that_was_waiting_already_inherits_too(server: int, name: str) -> None:
    switch, level, number = SWITCHES[name]
    net.native_tcp_connect("127.0.0.1", port_of(server))
    for enable in (True, False):
        switch(server, enable)
        net.native_tcp_connect("127.0.0.1", port_of(server))
        accepted = net.native_tcp_accept_blocking(server, SOON_MS)
        assert bool(option(accepted, level, number)) is enable


def test_what_is_set_later_leaves_accepted_clients_alone(server: int, dial: Dial) -> None:
    client = dial(server)
    net.native_tcp_set_nodelay(server, True)
    net.native_tcp_set_timeout(server, 0)
    assert not option(client.id, socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("name", SIZES)
def test_buffer_sizes_are_what_the_kernel_says(link: Link, server: int, name: str) -> None:
    set_size, get_size, number = SIZES[name]
    for identifier in (link.id, server):
        before = get_size(identifier)
        assert type(before) is int
        assert before == option(identifier, socket.SOL_SOCKET, number)
        for size in (20000, 65536, 100000.0):
            assert set_size(identifier, size) is None
            assert get_size(identifier) == option(identifier, socket.SOL_SOCKET, number)
            if sys.platform == "linux":
                assert get_size(identifier) == 2 * size  # socket(7)
            else:
                assert get_size(identifier) >= size


@pytest.mark.parametrize("name", SIZES)
def test_the_system_may_round_a_size(link: Link, name: str) -> None:
    set_size, get_size, _number = SIZES[name]
    set_size(link.id, 1)
    assert get_size(link.id) >= 1


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("waiting", [False, True])
def test_clients_inherit_buffer_sizes(server: int, name: str, waiting: bool) -> None:
    set_size, get_size, _number = SIZES[name]
    if waiting:
        net.native_tcp_connect("127.0.0.1", port_of(server))
    set_size(server, 50000)
    if not waiting:
        net.native_tcp_connect("127.0.0.1", port_of(server))
    assert get_size(net.native_tcp_accept_blocking(server, SOON_MS)) == get_size(server)


@pytest.mark.parametrize("waiting", [False, True])
def test_clients_inherit_the_timeout(server: int, waiting: bool) -> None:
    if waiting:
        net.native_tcp_connect("127.0.0.1", port_of(server))
    net.native_tcp_set_timeout(server, 50)
    if not waiting:
        net.native_tcp_connect("127.0.0.1", port_of(server))
    client = net.native_tcp_accept_blocking(server, SOON_MS)
    begun = time.monotonic()
    assert net.native_tcp_recv_until(client, "\n") is None
    assert time.monotonic() - begun < 10


def test_the_timeout_of_a_server_is_not_its_own(server: int) -> None:
    """accept has none, and accept_blocking an argument."""
    net.native_tcp_set_timeout(server, 0)
    begun = time.monotonic()
    assert net.native_tcp_accept_blocking(server, 60) is None
    assert time.monotonic() - begun >= 0.058


@pytest.mark.parametrize("waiting", [False, True])
def test_clients_inherit_linger(server: int, waiting: bool, plain_sockets: list[socket.socket]) -> None:
    def dial() -> None:
        plain_sockets.append(socket.create_connection(("127.0.0.1", port_of(server)), SOON))

    if waiting:
        dial()
    net.native_tcp_set_linger(server, True, 0)
    if not waiting:
        dial()
    net.native_tcp_close(net.native_tcp_accept_blocking(server, SOON_MS))
    with pytest.raises(ConnectionResetError):
        plain_sockets[0].recv(1)


def test_a_timeout_may_be_set_at_any_time(link: Link) -> None:
    for ms in (0, 1, -1, None, 30000, 2.0):
        assert net.native_tcp_set_timeout(link.id, ms) is None


def test_settings_return_null(link: Link, server: int) -> None:
    for identifier in (link.id, server):
        assert net.native_tcp_set_linger(identifier, True, 5) is None
        assert net.native_tcp_set_linger(identifier, False, 0) is None


def test_servers_reuse_addresses_from_the_start(server: int) -> None:
    if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
        assert option(server, socket.SOL_SOCKET, socket.SO_REUSEADDR)


# ---- SO_REUSEPORT


@needs_reuseport
def test_a_later_listen_joins() -> None:
    first = net.native_tcp_listen(0)
    port = port_of(first)
    assert code_of(net.native_tcp_listen, port) == "E5006"
    net.native_tcp_set_reuseport(first, True)
    second = net.native_tcp_listen(port)
    assert port_of(second) == port
    third = net.native_tcp_listen(port)
    for _ in range(30):
        net.native_tcp_connect("127.0.0.1", port)
    accepted = dict.fromkeys((first, second, third), 0)
    deadline = time.monotonic() + SOON
    while sum(accepted.values()) < 30:
        assert time.monotonic() < deadline
        for server in accepted:
            accepted[server] += net.native_tcp_accept(server) is not None
    # The one that shared its port goes; the others stay.
    net.native_tcp_stop_server(first)
    net.native_tcp_connect("127.0.0.1", port)


@needs_reuseport
def test_a_later_bind_joins() -> None:
    first = net.native_tcp_bind("127.0.0.1", 0)
    net.native_tcp_set_reuseport(first, True)
    assert port_of(net.native_tcp_bind("127.0.0.1", port_of(first))) == port_of(first)


@needs_reuseport
def test_without_it_the_port_is_in_use_again() -> None:
    first = net.native_tcp_listen(0)
    net.native_tcp_set_reuseport(first, True)
    net.native_tcp_set_reuseport(first, False)
    assert "in use" in str(refusal(net.native_tcp_listen, port_of(first)))
