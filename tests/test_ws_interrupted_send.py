"""Ctrl-C in the middle of a send: the message does not go out twice, wherever the interpreter was."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from support import Running
from ws_support import WsLink

import dryad_net as net

pytestmark = pytest.mark.skipif(net.backend != "pure", reason="the compiled half sends and counts in one step")
STEPS = 24  # more than sending one message has lines


def interrupt_at(step: int) -> Any:
    """A trace function that raises KeyboardInterrupt before a line of _flush_queue(), as a signal's handler may."""
    left = step

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return line

    def call(frame: FrameType, event: str, argument: Any) -> Any:
        return line if frame.f_code.co_name == "_flush_queue" else None

    return call


@pytest.mark.parametrize("size", [10, 300_000])
def test_never_twice(ws: WsLink, size: int) -> None:
    before = sys.gettrace()
    outcomes = []
    for step in range(1, STEPS):
        message = str(step) * size
        sys.settrace(interrupt_at(step))
        try:
            net.native_ws_send(ws.id, message)
        except KeyboardInterrupt:
            pass  # what was begun is the background's now
        finally:
            sys.settrace(before)
        marking = Running(net.native_ws_send, ws.id, "behind it")
        came = [ws.peer.message()]
        while came[-1] != "behind it":
            came.append(ws.peer.message())
        marking.result()
        assert came[:-1] in ([], [message])
        outcomes.append(len(came) - 1)
    assert outcomes[0] == 0  # interrupted before anything was begun
    assert outcomes[-1] == 1  # not interrupted any more
