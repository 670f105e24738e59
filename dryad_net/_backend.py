"""Which half of the byte-level core runs, chosen once at import.

DRYAD_NET_BACKEND: "compiled" (an error if it was not built), "pure", or "auto" (the default:
compiled if it was built). What was built must load: its ImportError is never swallowed.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

MODULES = (
    *("buffer", "scan", "text", "mask", "frame", "message", "sock", "poll", "reader", "receiver"),
    *("stream", "datagram", "transmit", "framed", "source", "inbound", "websocket", "waiter", "waiting", "call"),
)


def _choose() -> tuple[str, str]:
    """The half ("compiled" or "pure") and why."""
    wanted = os.environ.get("DRYAD_NET_BACKEND", "auto")
    built = importlib.util.find_spec(f"{__package__}._compiled.{MODULES[0]}") is not None
    if wanted == "auto":
        return ("compiled", "it was built") if built else ("pure", "the compiled half was not built")
    if wanted == "pure":
        return "pure", "DRYAD_NET_BACKEND=pure"
    if wanted == "compiled":
        if not built:
            raise ImportError("DRYAD_NET_BACKEND=compiled, but the compiled half of dryad_net was not built")
        return "compiled", "DRYAD_NET_BACKEND=compiled"
    raise ImportError(f"DRYAD_NET_BACKEND={wanted}: it must be compiled, pure or auto")


backend, reason = _choose()

__all__ = [
    "MODULES",
    "backend",
    "buffer",
    "call",
    "datagram",
    "frame",
    "framed",
    "inbound",
    "mask",
    "message",
    "poll",
    "reader",
    "reason",
    "receiver",
    "scan",
    "sock",
    "source",
    "stream",
    "text",
    "transmit",
    "waiter",
    "waiting",
    "websocket",
]

if TYPE_CHECKING:
    from ._pure import (
        buffer,
        call,
        datagram,
        frame,
        framed,
        inbound,
        mask,
        message,
        poll,
        reader,
        receiver,
        scan,
        sock,
        source,
        stream,
        text,
        transmit,
        waiter,
        waiting,
        websocket,
    )
else:
    for _name in MODULES:
        globals()[_name] = importlib.import_module(f"{__package__}._{backend}.{_name}")
