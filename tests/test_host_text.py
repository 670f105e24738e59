"""Strings through libdryad_net: nothing is lost, whatever the bytes; null is not ""."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from host_support import Host
from support import SOON, plain_listener, read_exactly

from dryad_net.host.portable import from_portable, to_portable

pytest_plugins = ["host_fixtures"]

# As dryad_net has it, and as portable text.
TEXTS = {
    "ASCII": ("a line\t\r", "a line\t\r"),
    "UTF-8": ("héllo, wörld \N{SNOWMAN} \N{GRINNING FACE}", "héllo, wörld \N{SNOWMAN} \N{GRINNING FACE}"),
    "NUL": ("a\0b\0", "a\uef00b\uef00"),
    "not UTF-8": ("a\udcff\udc80b", "a\uefff\uef80b"),
    "half a character": ("\udce2\udc98", "\uefe2\uef98"),
    "the private characters themselves": (
        "\uef00-\uef80\uefff",
        "\uefee\uefbc\uef80-\uefee\uefbe\uef80\uefee\uefbf\uefbf",
    ),
    "others that begin as they do": ("\ue000\uefe0\uf000", "\ue000\uefee\uefbf\uefa0\uf000"),
}
TEXT = pytest.mark.parametrize(("text", "portable"), TEXTS.values(), ids=TEXTS)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@TEXT
def test_portable_text(text: str, portable: str) -> None:
    assert to_portable(text) == portable
    assert from_portable(portable) == text
    assert "\0" not in portable
    portable.encode("utf-8")


def test_every_byte_has_its_own_portable_text() -> None:
    for byte in range(256):
        text = bytes([byte]).decode("utf-8", "surrogateescape")
        assert from_portable(to_portable(text)) == text
        assert len(to_portable(text)) == 1


@pytest.fixture
def linked(shared_host: Host) -> Any:
    """A connection of the host's, and the plain socket at its other end."""
    host = shared_host
    with plain_listener() as listening:
        identifier = host.native("native_tcp_connect", "127.0.0.1", listening.getsockname()[1])
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SOON)
        yield host, identifier, raw


@TEXT
def test_both_ways(linked: tuple[Host, int, socket.socket], text: str, portable: str) -> None:
    host, identifier, raw = linked
    exact = as_bytes(text)

    def arrives() -> bool:
        return read_exactly(raw, len(exact)) == exact

    assert host.native("native_tcp_send", identifier, text) == len(exact)
    assert arrives()
    assert host.native("native_tcp_send", identifier, portable, door="dryad_net_call_utf8") == len(exact)
    assert arrives()
    assert host.typed("dryad_net_tcp_send", "i64", identifier, portable) == len(exact)
    assert arrives()
    assert host.native("native_tcp_send", identifier, list(exact)) == len(exact)
    assert arrives()

    def receive(door: str) -> str:
        raw.sendall(exact + b"\n")
        return str(host.native("native_tcp_recv_until", identifier, "\n", door=door))

    assert receive("dryad_net_call") == text + "\n"
    assert receive("dryad_net_call_utf8") == portable + "\n"
    raw.sendall(exact + b"\n")
    assert host.typed("dryad_net_tcp_recv_until", "string", identifier, "\n") == portable + "\n"
    assert host.c("dryad_net_length", "i64") == len(f"{portable}\n".encode())


def test_a_delimiter_that_is_not_utf_8(linked: tuple[Host, int, socket.socket]) -> None:
    host, identifier, raw = linked
    raw.sendall(b"one\xff\0two\xff\0")
    assert host.typed("dryad_net_tcp_recv_until", "string", identifier, "\uefff\uef00") == "one\uefff\uef00"
    assert host.native("native_tcp_recv_until", identifier, "\udcff\0") == "two\udcff\0"


def test_null_is_not_empty(shared_host: Host) -> None:
    host = shared_host
    client, accepted = host.tcp_pair()
    assert host.typed("dryad_net_tcp_recv", "string", accepted, 10) is None
    assert host.typed("dryad_net_tcp_recv_all", "string", accepted) == ""
    client, accepted = host.ws_pair()
    assert host.typed("dryad_net_ws_recv", "string", accepted) is None
    assert host.typed("dryad_net_ws_send", "i32", client, "") == 0
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 5000) == ""
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 0) is None
    # A pointer that is null (a script's null is one) is the empty string.
    assert host.typed("dryad_net_ws_send", "i32", client, None) == 0
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 5000) == ""


def test_bytes_of_typed_functions(shared_host: Host) -> None:
    host = shared_host
    client, accepted = host.tcp_pair()
    assert host.typed("dryad_net_tcp_send_bytes", "i64", client, "abc", 2) == 2
    assert host.typed("dryad_net_tcp_recv_bytes_blocking", "string", accepted, 10, 5000) == "ab"
    assert host.c("dryad_net_length", "i64") == 2
    assert host.typed("dryad_net_tcp_recv_bytes", "string", accepted, 10) is None
    client, accepted = host.ws_pair()
    assert host.typed("dryad_net_ws_send_binary", "i32", client, "abc", 3) == 0
    assert host.typed("dryad_net_ws_recv_binary_blocking", "string", accepted, 5000) == "abc"
    assert host.typed("dryad_net_ws_recv_binary", "string", accepted) is None
