"""dryad-net demo: the library at work over loopback, in a few seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from .._backend import backend
from ..version import __version__
from . import demo_tcp, demo_udp, demo_ws
from .transcript import Transcript, UnexpectedError


class Part(NamedTuple):
    """One protocol's share of the demonstration."""

    title: str
    show: Callable[[Transcript], None]


PARTS = (Part("TCP", demo_tcp.show), Part("UDP", demo_udp.show), Part("WebSocket", demo_ws.show))


def run() -> int:
    """Run all parts; returns 0 only if every call did what it should."""
    print(f"dryad_net {__version__}, the {backend} half. What was called, and what came back:")
    for part in PARTS:
        transcript = Transcript()
        print(f"\n==== {part.title}")
        try:
            part.show(transcript)
        except UnexpectedError as error:
            sys.stdout.flush()
            print(f"\ndemo failed ({part.title}): {error}", file=sys.stderr)
            return 1
        print(f"\n{part.title}: {transcript.calls} calls, each did what it should.")
    return 0
