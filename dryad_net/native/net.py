"""Waiting for any of many connections, servers and UDP sockets: an extension."""

from __future__ import annotations

import os
from typing import Any

from .._backend import waiting
from ..checks import FAST_LIST, TIMEOUT, Checked, Id, Kind
from ..datagram import DatagramSocket
from ..listener import Server as TcpServer
from ..registry import native
from ..stream import Connection as TcpConnection
from ..websocket import Connection as WebSocketConnection
from ..websocket_server import Server as WebSocketServer

_ANY = Id(
    "a connection, a server or a UDP socket",
    *(TcpConnection, WebSocketConnection, DatagramSocket, TcpServer, WebSocketServer),
)


def _check_ids(value: Any, parameter: str) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return value if type(value) is list else list(value)
    raise Kind("an array of IDs").refuse(value, parameter)


IDS = Checked("an array of IDs", _check_ids)
IDS.fast = FAST_LIST


def _resolve(ids: list[Any]) -> list[Any]:
    return [_ANY.check(identifier, f"ids[{index}]") for index, identifier in enumerate(ids)]


kept = waiting.Kept(_resolve)


@native("websocket", extension=True, method=kept.wait, ids=IDS, timeout_ms=TIMEOUT)
def native_net_wait(ids: list[Any], timeout_ms: int) -> list[int]:
    """Wait until there is something to do for one of many connections, servers and UDP sockets.

    ids: an array of IDs of any kind, together.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns an array of IDs, in the order of ids: those on which a receive or an accept would not give
        null right now, or whose peer has closed; an empty array when the time is up. Those that were in
        the previous call too and have nothing cost nothing.
    Errors: E3006 (wrong type or out of range), E3029 (an ID that is closed or was never given out),
        E5006 (no descriptors left).
    See epoll(7); kqueue(2).
    """


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=kept.forget)
