"""Connections that break: why is said once, after everything received before has been read."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from support import SOON, Link, Running, arrives, code_of, fill, refusal, reset, wait_until

import dryad_net as net

SOON_MS = int(SOON * 1000)

READS: dict[str, Callable[[int], object]] = {
    "recv": lambda identifier: net.native_tcp_recv(identifier, 10),
    "recv_blocking": lambda identifier: net.native_tcp_recv_blocking(identifier, 10, -1),
    "recv_all": lambda identifier: net.native_tcp_recv_all(identifier),
    "recv_until": lambda identifier: net.native_tcp_recv_until(identifier, "\n"),
    "recv_bytes": lambda identifier: net.native_tcp_recv_bytes(identifier, 10),
    "recv_bytes_blocking": lambda identifier: net.native_tcp_recv_bytes_blocking(identifier, 10, -1),
}


def said(call: Callable[[], object]) -> net.NetworkError | None:
    """The network error of a call, or None."""
    try:
        call()
    except net.NetworkError as error:
        return error
    return None


@pytest.mark.parametrize("name", READS)
def test_a_reset_is_said_once(link: Link, name: str) -> None:
    read = READS[name]
    reset(link.raw)
    error = wait_until(lambda: said(lambda: read(link.id)))
    assert error.code == "E5006"
    assert error.errno == errno.ECONNRESET
    assert str(error).startswith(f"E5006 native_tcp_{name}: ")
    assert "ECONNRESET" in str(error)
    for again in READS.values():
        assert not again(link.id)
    assert net.native_tcp_is_connected(link.id) is False
    for _ in range(3):
        assert code_of(net.native_tcp_send, link.id, b"x") == "E5006"
    assert net.native_tcp_recv(link.id, 10) is None


@pytest.mark.parametrize("name", READS)
def test_what_came_before_the_reset_is_read_first(link: Link, name: str) -> None:
    link.raw.sendall(b"before")
    link.raw.sendall(b" it\n")
    assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == "b"
    reset(link.raw)
    received = ""

    def broke() -> net.NetworkError | None:
        nonlocal received
        try:
            part = READS[name](link.id) or ""
        except net.NetworkError as error:
            return error
        received += part.decode() if isinstance(part, bytes) else str(part)
        return None

    error = wait_until(broke)
    assert error.errno == errno.ECONNRESET
    assert received == "efore it\n"
    assert not READS[name](link.id)


def test_recv_until_gives_null_while_the_rest_is_unread(link: Link) -> None:
    link.raw.sendall(b"rest")
    arrives(link.id, 4)
    net.native_tcp_set_timeout(link.id, 50)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    reset(link.raw)
    for _ in range(3):
        assert net.native_tcp_recv_until(link.id, "\n") is None
    assert net.native_tcp_recv(link.id, 10) == "rest"
    assert wait_until(lambda: said(lambda: net.native_tcp_recv(link.id, 10))).errno == errno.ECONNRESET
    assert net.native_tcp_recv_until(link.id, "\n") is None


def test_half_a_character_comes_out_before_the_error(link: Link) -> None:
    link.raw.sendall(b"\xe2\x82")
    arrives(link.id, 2)
    net.native_tcp_set_timeout(link.id, 50)
    assert net.native_tcp_recv_until(link.id, "\n") is None
    reset(link.raw)
    assert wait_until(lambda: net.native_tcp_recv(link.id, 10)) == "\udce2\udc82"
    assert code_of(net.native_tcp_recv, link.id, 10) == "E5006"
    assert net.native_tcp_recv(link.id, 10) is None


def test_asking_is_connected_does_not_use_the_error_up(link: Link, server: int, dial: Callable[..., Link]) -> None:
    client = dial(server)
    for each in (link, client):
        reset(each.raw)
        wait_until(lambda each=each: not net.native_tcp_is_connected(each.id))
        assert net.native_tcp_get_clients(server) in ([], [client.id])
        assert net.native_tcp_is_connected(each.id) is False
        error = refusal(net.native_tcp_recv, each.id, 10)
        assert (error.code, error.errno) == ("E5006", errno.ECONNRESET)
        assert net.native_tcp_recv(each.id, 10) is None


def test_connected_while_something_is_unread(link: Link) -> None:
    link.raw.sendall(b"rest")
    assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == "r"
    reset(link.raw)
    # "est" may be in the kernel or with us; it counts in both places.
    for letter in "est":
        assert net.native_tcp_is_connected(link.id) is True
        assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == letter
    wait_until(lambda: not net.native_tcp_is_connected(link.id))
    assert code_of(net.native_tcp_recv, link.id, 1) == "E5006"


def test_send_says_it_once_and_goes_on_raising(link: Link) -> None:
    reset(link.raw)
    wait_until(lambda: not net.native_tcp_is_connected(link.id))
    first = refusal(net.native_tcp_send, link.id, b"x")
    assert (first.code, first.errno) == ("E5006", errno.ECONNRESET)
    assert net.native_tcp_recv(link.id, 10) is None
    assert net.native_tcp_recv_all(link.id) == ""
    assert net.native_tcp_recv_until(link.id, "\n") is None
    for _ in range(3):
        assert code_of(net.native_tcp_send, link.id, b"x") == "E5006"


def test_what_was_received_stays_readable_after_a_send_failed(link: Link) -> None:
    link.raw.sendall(b"last words")
    assert net.native_tcp_recv_blocking(link.id, 1, SOON_MS) == "l"
    reset(link.raw)
    wait_until(lambda: said(lambda: net.native_tcp_send(link.id, b"x")))
    received = ""
    while net.native_tcp_is_connected(link.id):
        received += net.native_tcp_recv(link.id, 100) or ""
    assert received == "ast words"
    assert net.native_tcp_recv(link.id, 10) is None
    assert code_of(net.native_tcp_send, link.id, b"x") == "E5006"


@pytest.mark.parametrize("name", ["recv_blocking", "recv_until", "recv_bytes_blocking"])
def test_a_reset_wakes_who_waits(link: Link, name: str) -> None:
    net.native_tcp_set_timeout(link.id, -1)
    waiting = Running(READS[name], link.id).wait_asleep()
    reset(link.raw)
    with pytest.raises(net.NetworkError, match="ECONNRESET"):
        waiting.result()
    assert net.native_tcp_recv(link.id, 10) is None


def test_a_reset_ends_a_send_that_waits(link: Link) -> None:
    fill(link.id)
    net.native_tcp_set_timeout(link.id, -1)
    waiting = Running(net.native_tcp_send, link.id, b"x" * 100_000).wait_asleep()
    reset(link.raw)
    with pytest.raises(net.NetworkError, match="E5006 native_tcp_send"):
        waiting.result()


def test_settings_of_a_broken_connection(link: Link) -> None:
    reset(link.raw)
    wait_until(lambda: not net.native_tcp_is_connected(link.id))
    assert net.native_tcp_get_peer_addr(link.id)["ip"] == "127.0.0.1"
    assert net.native_tcp_get_local_addr(link.id)["port"] > 0
    net.native_tcp_set_timeout(link.id, 10)
    net.native_tcp_close(link.id)
    assert code_of(net.native_tcp_recv, link.id, 10) == "E3029"
