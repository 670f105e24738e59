"""Ctrl-C while a thread is started or waited for: it gets through, and no thread is left that never begins.

The standard library's Thread.start() and Event wait with a threading.Condition, which a handler that
raises in the middle tears apart: its lock stays taken, or is given back twice, and then the error about
that takes the place of what was raised.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from interrupt_support import STANDARD_THREADING, comes_out
from support import SOON, plain_listener, wait_until
from ws_support import SOON_MS

import dryad_net as net
from dryad_net import addresses, service, threads

# Where Python runs on the way to a thread that runs, and back from it.
STARTING = ("start", "wait", "set", "take", "__enter__", "__exit__", "_release_save", "_acquire_restore", "_is_owned")
CLOSING = ("_after_close", "hand_over", "_start_thread")
MORE_THAN_ENOUGH = 200


def alive(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"dryad_net {name}"]


def reaches(step: int, functions: tuple[str, ...], call: Callable[[], object]) -> bool:
    """Interrupt a call at this step, also in the standard library. False: it does not come so far."""
    assert step < MORE_THAN_ENOUGH
    return comes_out(step, functions, call, files=STANDARD_THREADING)


def test_a_start() -> None:
    for step in itertools.count(1):
        if not reaches(step, STARTING, lambda: threads.start(int, "interrupted")):
            break
    wait_until(lambda: not alive("interrupted"), what="the end of every thread")


def test_a_close_that_is_left_to_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in itertools.count(1):
        background = service.Service()
        monkeypatch.setattr(service, "service", background)
        with plain_listener() as listener:
            own = net.native_tcp_connect(*listener.getsockname())
            peer, _address = listener.accept()
        reached = reaches(step, STARTING + CLOSING, lambda own=own: net.native_tcp_close(own))  # type: ignore[misc]
        with peer:
            peer.settimeout(SOON)
            assert peer.recv(1) == b""
        wait_until(lambda background=background: not background.task_count(), what="the end of the close")
        background.stop()
        assert background._poller is not None
        background._poller.close()
        if not reached:
            break
    wait_until(lambda: len(alive("service")) <= 1, what="the end of every thread")


def test_the_wait_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the look-up comes to its end, for whoever asks next."""
    answer = threading.Event()
    original = socket.getaddrinfo

    def slow(*args: Any, **named: Any) -> Any:
        if threading.current_thread().name == "dryad_net resolver":
            answer.wait(SOON)
        return original(*args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    for step in itertools.count(1):
        own = net.native_udp_socket()  # which does not know yet where that is
        net.native_udp_set_timeout(own, SOON_MS)
        answer.clear()
        addresses._lookups.clear()
        threading.Timer(0.02, answer.set).start()
        reached = reaches(step, STARTING, lambda own=own: net.native_udp_send(own, "x", "localhost", 9))  # type: ignore[misc]
        net.native_udp_send(own, "x", "localhost", 9)
        net.native_udp_close(own)
        wait_until(lambda: not alive("resolver"), what="the end of the look-up")
        if not reached:
            break
