"""Ctrl-C, or a handler that sends, in the middle of a send or a broadcast: what is sent goes out whole and once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest
from interrupt_support import interrupted
from support import Link, Running
from ws_support import Upgrade, WsLink

import dryad_net as net

pytestmark = pytest.mark.skipif(net.backend != "pure", reason="the compiled half sends and counts in one step")
STEPS = 40  # more than these functions make calls for one message
# Where a send(2) is made, and who calls it for a message and a broadcast.
SENDING = ("_flush_queue", "_wait_for_turn", "_send_in_turn_or_queue")
SENT_LATE = ("_send_queued", "_take_back", "<genexpr>")
BROADCASTING = ("_flush_queue", "flush", "_transmit", "offer", "_offer_message")


def what_comes(link: WsLink) -> list[str | bytes]:
    """The messages that arrive before one that is sent now."""
    marking = Running(net.native_ws_send, link.id, "behind it")
    came = [link.peer.message()]
    while came[-1] != "behind it":
        came.append(link.peer.message())
    marking.result()
    return came[:-1]


@pytest.mark.parametrize("size", [10, 300_000])
def test_never_twice(ws: WsLink, size: int) -> None:
    # Python 3.12 tells of a function's instructions from the second call on.
    interrupted(sys.maxsize, SENDING, partial(net.native_ws_send, ws.id, "told of"))
    assert what_comes(ws) == ["told of"]
    outcomes = []
    for step in range(1, STEPS):
        message = str(step) * size
        interrupted(step, SENDING, partial(net.native_ws_send, ws.id, message))
        came = what_comes(ws)
        assert came in ([], [message])
        outcomes.append(len(came))
    assert outcomes[0] == 0  # interrupted before anything was begun
    assert outcomes[-1] == 1  # not interrupted any more


def test_a_broadcast_is_never_torn(ws_server: int, ws_dial: Upgrade) -> None:
    """More than the kernel takes at once: the rest must follow."""
    link = ws_dial(ws_server)
    net.native_ws_set_timeout(link.id, -1)
    outcomes = []
    for step in range(1, STEPS):
        message = str(step % 10) * 8_000_000
        interrupted(step, BROADCASTING, partial(net.native_ws_broadcast, ws_server, message))
        came = what_comes(link)
        assert came in ([], [message])
        outcomes.append(len(came))
    assert outcomes[0] == 0
    assert outcomes[-1] == 1


def test_nor_that_of_a_stream(server: int, dial: Callable[..., Link]) -> None:
    link = dial(server)
    net.native_tcp_set_timeout(link.id, -1)
    sizes = []
    for step in range(1, STEPS):
        message = b"%d" % (step % 10) * 8_000_000
        interrupted(step, BROADCASTING, partial(net.native_tcp_broadcast, server, message))
        marking = Running(net.native_tcp_send, link.id, "#")
        came = b""
        while not came.endswith(b"#"):
            came += link.raw.recv(1 << 20)
        marking.result()
        assert came in (b"#", message + b"#")
        sizes.append(len(came))
    assert sizes[0] == 1
    assert sizes[-1] > 1


def test_a_handler_that_broadcasts_while_a_send_is_held_up(ws_server: int, ws_dial: Upgrade) -> None:
    """Its message comes behind; the send goes on as if nothing had been."""
    link = ws_dial(ws_server)
    large = "x" * 8_000_000  # more than the kernel takes
    broadcast = partial(net.native_ws_broadcast, ws_server, "from the handler")

    def interrupted_at(step: int) -> bool:
        net.native_ws_set_timeout(link.id, 100)
        came_so_far = interrupted(step, SENT_LATE, partial(net.native_ws_send, link.id, large), broadcast)
        net.native_ws_set_timeout(link.id, -1)  # for what tells that nothing more comes
        return came_so_far

    assert not interrupted_at(sys.maxsize)
    assert what_comes(link) == [large]
    steps = 0
    while interrupted_at(steps + 1):
        steps += 1
        assert what_comes(link) == [large, "from the handler"]
    assert steps
    assert what_comes(link) == [large]
