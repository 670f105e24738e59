"""Waiting for any of many connections, servers and UDP sockets: an extension."""

from __future__ import annotations

import os
from typing import Any

from .._backend import waiter
from ..checks import FAST_LIST, TIMEOUT, Checked, Id, Kind
from ..datagram import DatagramSocket
from ..errors import DryadNetError
from ..listener import Server as TcpServer
from ..registry import native
from ..stream import Connection as TcpConnection
from ..websocket import Connection as WebSocketConnection
from ..websocket_server import Server as WebSocketServer

_ANY = Id(
    "a connection, a server or a UDP socket",
    *(TcpConnection, WebSocketConnection, DatagramSocket, TcpServer, WebSocketServer),
)

# The waiter of the last call, with the sockets it watched; a thread that finds it in use makes one for itself.
_kept: waiter.Waiter | None = None


def _check_ids(value: Any, parameter: str) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return value if type(value) is list else list(value)
    raise Kind("an array of IDs").refuse(value, parameter)


IDS = Checked("an array of IDs", _check_ids)
IDS.fast = FAST_LIST


def _resolve(ids: list[Any]) -> list[Any]:
    return [_ANY.check(identifier, f"ids[{index}]") for index, identifier in enumerate(ids)]


@native("websocket", extension=True, ids=IDS, timeout_ms=TIMEOUT)
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
    global _kept
    kept = _kept
    if kept is None:
        kept = _kept = waiter.Waiter()
    try:
        found = kept.wait(ids, timeout_ms, _resolve)
    except DryadNetError:
        raise
    except BaseException:
        # Whatever a signal handler raised may have come in the middle of a change.
        if _kept is kept:
            _kept = None
        kept.close()
        raise
    return _wait_once(ids, timeout_ms) if found is None else found


def _wait_once(ids: list[Any], timeout_ms: int) -> list[int]:
    own = waiter.Waiter()
    try:
        return own.wait(ids, timeout_ms, _resolve) or []
    finally:
        own.close()


def _forget_waiter() -> None:
    """In the child of a fork: whoever was waiting with it is not here."""
    global _kept
    if _kept is not None:
        _kept.abandon()
        _kept = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_waiter)
