"""TCP: the 10 native functions that set and tell the options of connections and servers."""

from __future__ import annotations

import socket

from ..checks import BOOLEAN, KERNEL_SIZE, LINGER, TIMEOUT
from ..listener import Server
from ..options import KEEPALIVE, NODELAY, RECV_BUFFER, REUSEADDR, REUSEPORT, SEND_BUFFER, Option
from ..registry import native
from ..stream import Connection
from .tcp import EITHER


@native("tcp", socket_id=EITHER, ms=TIMEOUT)
def native_tcp_set_timeout(either: Connection | Server, ms: int) -> None:
    """Bound the calls that may wait and have no timeout argument: native_tcp_send and native_tcp_recv_until.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    ms: milliseconds, 30,000 at first; 0 does not wait, -1 or null waits without limit.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed).
    """
    either.set_timeout(ms)


def _set(either: Connection | Server, option: Option, value: int) -> None:
    if isinstance(either, Server):
        either.set_inherited(option, value)
    else:
        either.set_option(*option, value)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_nodelay(either: Connection | Server, enable: bool) -> None:
    """Switch Nagle's algorithm off or on; it is on at first.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    enable: a boolean; true sends small pieces at once (Nagle's algorithm off), false gathers them.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed), E5006 (the system
        refuses it).
    See tcp(7), TCP_NODELAY; RFC 9293, 3.7.4.
    """
    _set(either, NODELAY, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_keepalive(either: Connection | Server, enable: bool) -> None:
    """Have the system find out whether a silent peer is still there; off at first.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    enable: a boolean. How often the system asks is its own setting (Linux: after two hours).
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed), E5006 (the system
        refuses it).
    See socket(7), SO_KEEPALIVE; tcp(7), tcp_keepalive_time.
    """
    _set(either, KEEPALIVE, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_reuseaddr(either: Connection | Server, enable: bool) -> None:
    """Let a port be listened on again while old connections of it linger; on for servers at first.

    socket_id: the ID of a connection or a server.
    enable: a boolean.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed), E5006 (the system
        refuses it).
    See socket(7), SO_REUSEADDR.
    """
    if not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows has it so, and means something else by the name
        _set(either, REUSEADDR, enable)


@native("tcp", socket_id=EITHER, enable=BOOLEAN)
def native_tcp_set_reuseport(either: Connection | Server, enable: bool) -> None:
    """Let servers share a port; off at first.

    socket_id: the ID of a connection; or of a server, which a later listen on its port in this process
        then joins: the system spreads new clients over both.
    enable: a boolean.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed), E5006 (a system without
        it).
    See socket(7), SO_REUSEPORT.
    """
    _set(either, REUSEPORT, enable)
    if isinstance(either, Server):
        either.reuseport = enable


@native("tcp", socket_id=EITHER, enable=BOOLEAN, timeout=LINGER)
def native_tcp_set_linger(either: Connection | Server, enable: bool, timeout: int) -> None:
    """Set how a close ends a connection that still has something to send.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    enable: a boolean; false is what holds at first: a close delivers everything, in the background.
    timeout: with enable, the seconds to deliver, a number; 0 resets the connection at once.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed), E5006
        (the system refuses it).
    Limits: 10 s for the delivery, whatever timeout says. No close waits.
    See socket(7), SO_LINGER.
    """
    either.set_linger(enable, timeout)


@native("tcp", socket_id=EITHER, size=KERNEL_SIZE)
def native_tcp_set_recv_buffer_size(either: Connection | Server, size: int) -> None:
    """Set the size of the system's receive buffer.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    size: bytes, a number of at least 1; the system may round it, and Linux doubles it.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed), E5006
        (the system refuses it).
    See socket(7), SO_RCVBUF.
    """
    _set(either, RECV_BUFFER, size)


@native("tcp", socket_id=EITHER, size=KERNEL_SIZE)
def native_tcp_set_send_buffer_size(either: Connection | Server, size: int) -> None:
    """Set the size of the system's send buffer.

    socket_id: the ID of a connection; or of a server, for the clients it accepts from now on.
    size: bytes, a number of at least 1; the system may round it, and Linux doubles it.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such connection or server, or closed), E5006
        (the system refuses it).
    See socket(7), SO_SNDBUF.
    """
    _set(either, SEND_BUFFER, size)


@native("tcp", socket_id=EITHER)
def native_tcp_get_recv_buffer_size(either: Connection | Server) -> int:
    """Get the size of the system's receive buffer.

    socket_id: the ID of a connection or a server.
    Returns bytes, as the system says.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed).
    See socket(7), SO_RCVBUF.
    """
    return either.get_option(*RECV_BUFFER)


@native("tcp", socket_id=EITHER)
def native_tcp_get_send_buffer_size(either: Connection | Server) -> int:
    """Get the size of the system's send buffer.

    socket_id: the ID of a connection or a server.
    Returns bytes, as the system says.
    Errors: E3006 (wrong type), E3029 (no such connection or server, or closed).
    See socket(7), SO_SNDBUF.
    """
    return either.get_option(*SEND_BUFFER)
