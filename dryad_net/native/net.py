"""Waiting for any of many connections, servers and UDP sockets: an extension."""

from __future__ import annotations

import os
from typing import Any

from .._backend import waiter
from ..checks import TIMEOUT, Checked, Id, Kind
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

# The waiter of the last call, with the sockets it watched; a thread that finds none makes one for itself.
_idle: list[waiter.Waiter] = []


def _check_ids(value: Any, parameter: str) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return value if type(value) is list else list(value)
    raise Kind("an array of IDs").refuse(value, parameter)


IDS = Checked("an array of IDs", _check_ids)


def _resolve(ids: list[Any]) -> list[Any]:
    return [_ANY.check(identifier, f"ids[{index}]") for index, identifier in enumerate(ids)]


@native("websocket", extension=True, ids=IDS, timeout_ms=TIMEOUT)
def native_net_wait(ids: list[Any], timeout_ms: int) -> list[int]:
    """Wait until there is something to do for one of many connections, servers and UDP sockets.

    ids: an array of IDs of any kind, together. timeout_ms: milliseconds; 0 does not wait, -1 or null
    waits without limit.
    Returns the IDs, in the order of ids, on which a recv or accept would not give null right now, or
    whose peer has closed; an empty array when the time is up. The cost is that of the IDs that have
    something: those that were in the previous call too and have nothing cost nothing.
    Errors: E3029 (an ID that is closed or was never given out). See epoll(7), kqueue(2).
    """
    found = _idle.pop() if _idle else waiter.Waiter()
    try:
        return found.wait(ids, timeout_ms, _resolve)
    finally:
        if _idle:
            found.close()
        else:
            _idle.append(found)


def _start_empty() -> None:
    for inherited in _idle:
        inherited.close()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_empty)
