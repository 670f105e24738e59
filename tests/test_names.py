"""Looking names up: within the time there is, without losing what comes late."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from support import code_of, wait_until

import dryad_net as net


def no_more_waiting(ours: int, port: int) -> bool:
    """Has a send that may not wait got through?"""
    try:
        net.native_udp_send(ours, "hello", "localhost", port)
    except net.NetworkTimeoutError:
        return False
    return True


def test_a_name_can_be_sent_to_without_ever_waiting() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(10)
        ours = net.native_udp_socket()
        net.native_udp_bind_addr(ours, "127.0.0.1", 0)
        net.native_udp_set_timeout(ours, 0)
        wait_until(lambda: no_more_waiting(ours, peer.getsockname()[1]))
        assert peer.recv(10) == b"hello"
        net.native_udp_close(ours)


def test_who_gives_up_leaves_one_look_up_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    asked: list[str] = []
    original = socket.getaddrinfo

    def slow(host: str, *args: Any, **named: Any) -> Any:
        if host != "slow.invalid":
            return original(host, *args, **named)
        if named.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        asked.append(host)
        answer.wait(10)
        return original("127.0.0.1", *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    ours = net.native_udp_socket()
    net.native_udp_set_timeout(ours, 20)
    for _ in range(3):
        assert code_of(net.native_udp_send, ours, "x", "slow.invalid", 9) == "E5007"
    answer.set()
    net.native_udp_set_timeout(ours, 10_000)
    assert net.native_udp_send(ours, "x", "slow.invalid", 9) == 1
    assert asked == ["slow.invalid"]
    net.native_udp_close(ours)
