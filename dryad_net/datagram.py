"""A UDP socket: hosts to destinations, broadcast, multicast groups, statistics."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
import time

from . import log
from ._backend import datagram, sock
from .addresses import Resolved, read_ip, resolve
from .errors import (
    ArgumentError,
    IdError,
    NetworkError,
    NetworkTimeoutError,
    from_errno,
    from_os_error,
    join_host_port,
    let_through,
    show,
    suppress,
)
from .options import BROADCAST
from .table import table
from .threads import completed

# How long a name keeps the address it was resolved to; a numeric address keeps it for ever.
NAME_SECONDS = 30.0
BROADCAST_ADDRESS = "255.255.255.255"  # the limited broadcast address (RFC 919, section 7)

# By default Linux gives a socket what any other socket of the machine has joined, too (ip(7), ipv6(7)).
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_LARGEST_INDEX = 2**32 - 1  # an interface's index is an unsigned int (RFC 3493, 4)
_LONGEST_INDEX = len(str(_LARGEST_INDEX))
_NO_ROUTE = (errno.ENODEV, errno.ENETUNREACH, errno.EADDRNOTAVAIL)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class DatagramSocket(datagram.Datagram):
    """An open UDP socket, for IPv4 and IPv6 peers alike where the machine has both.

    Owns its descriptor until close().
    """

    __slots__ = ("_bound", "_groups", "_names", "_second_attempts", "family", "id")

    kind = "a UDP socket"

    def __init__(self, handle: sock.Socket, identifier: int, family: int) -> None:
        super().__init__(handle)
        self.id = identifier
        self.family = family
        self._bound: Resolved | None = None  # the address that the script has bound, if it named one
        self._groups: dict[str, int] = {}
        self._second_attempts = 0
        self._names: dict[tuple[str, int], tuple[datagram.Destination, float]] = {}

    def close(self) -> None:
        """Close at once; who waits in a receive wakes."""
        with completed(self):
            if self.begin_close():
                log.note(log.DEBUG, self, "closed")
                self.after_close()

    def after_close(self) -> None:
        """What is left to do once it is closed; where that was interrupted, all of it again."""
        table.retire(self.id)
        self.release()

    # ---- addresses

    def find_destination(self, host: str, port: int) -> datagram.Destination:
        """Where a host is. Errors: NetworkError, NetworkTimeoutError, ArgumentError (what can be no name)."""
        known = self._names.get((host, port))
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = self._resolve(host, port)
        destination = self._destination(found[0], port)
        if _is_numeric(host):
            self.remember(host, port, destination)
        else:
            if len(self._names) >= 64:  # a script that talks to many names needs no more memory for it
                self._names.clear()
            self._names[host, port] = (destination, time.monotonic() + NAME_SECONDS)
        return destination

    def _resolve(self, host: str, port: int) -> list[Resolved]:
        """All addresses of a host that this socket can reach."""
        seconds = float("inf") if self.timeout_ms < 0 else self.timeout_ms / 1000
        try:
            found = resolve(host, port, socket.SOCK_DGRAM, time.monotonic() + seconds, self.is_closed)
        except (NetworkError, NetworkTimeoutError):
            self._refuse_if_closed()
            raise
        self._refuse_if_closed()
        return self._usable(found, host, port)

    def _refuse_if_closed(self) -> None:
        if self.is_closed():
            raise IdError("closed")

    def _usable(self, found: list[Resolved], host: str, port: int) -> list[Resolved]:
        """Those of a host's addresses that this socket can reach."""
        wanted = self._reached_family()
        usable = [address for address in found if wanted in (None, address.family)]
        if not usable:
            version = "IPv4" if wanted == socket.AF_INET else "IPv6"
            raise NetworkError(f"this socket is {version} only (EAFNOSUPPORT)", errno=errno.EAFNOSUPPORT).about(
                join_host_port(host, port)
            )
        return usable

    def _reached_family(self) -> int | None:
        """The one family that this socket reaches; None if it is both."""
        if self._bound is not None and self._bound.sockaddr[0] != "::":  # which is both families
            return self._bound.family
        return socket.AF_INET if self.family == socket.AF_INET else None

    def _destination(self, address: Resolved, port: int) -> datagram.Destination:
        scope = address.sockaddr[3] if len(address.sockaddr) == 4 else 0
        return datagram.Destination(self.family, address.sockaddr[0].partition("%")[0], port, scope)

    def bind_to(self, ip: str, port: int) -> None:
        """Receive on one address, or on every interface in both families if ip is "".

        Errors: NetworkError, ArgumentError (the scope of the address can be none).
        """
        try:
            if not ip:
                self.bind(self._every_interface(port))
                return
            address = self._usable([read_ip(ip, port, socket.SOCK_DGRAM)], ip, port)[0]
            self.bind(self._destination(address, port))
        except OSError as error:
            problem = from_os_error(error)
            if error.errno == errno.EINVAL and self.local_address()[1]:
                problem = from_errno(error.errno, "the socket is bound already")
            raise problem.about(join_host_port(ip or "*", port)) from error
        self._bound = address

    def connect_to(self, host: str, port: int) -> None:
        """Send to, and receive from, one peer only: the first address of the host that can be used."""
        found = self._resolve(host, port)
        try:
            self._leave_peer()
            self._connect_to_first(found, port)
        except OSError as error:
            self._refuse_if_closed()
            problem = from_os_error(error)
            own = self.local_address()[0]
            if error.errno == errno.EINVAL and own:
                problem = from_errno(error.errno, f"no way there from {own}, where this socket is bound")
            raise problem.about(join_host_port(host, port)) from error

    def _connect_to_first(self, found: list[Resolved], port: int) -> None:
        problem: OSError | None = None
        for address in found:
            try:
                self.connect(self._destination(address, port))
                return
            except OSError as error:
                let_through(error)
                problem = problem or error
        assert problem is not None
        raise problem

    def _leave_peer(self) -> None:
        """Dissolve the connection there is: the source address chosen for that peer may not lead to others.

        The system gives the port back with it if it was the system that chose it (connect(2)); peers
        know this socket by its port, so that is taken again, on the address that the script has bound.
        """
        port = self.local_address()[1]
        if not self.disconnect():
            return
        self.get_option(socket.SOL_SOCKET, socket.SO_ERROR)  # takes it: what that peer refused the next one does not
        if self.local_address()[1] != port:
            with suppress(OSError):  # somebody else was faster
                self.bind(self._own_address(port))

    def _own_address(self, port: int) -> datagram.Destination:
        # Not 0.0.0.0: bound to it, an IPv6 socket keeps the source address chosen for one peer for all others.
        if self._bound is None or self._bound.sockaddr[0] in ("::", "0.0.0.0"):
            return self._every_interface(port)
        return self._destination(self._bound, port)

    def _every_interface(self, port: int) -> datagram.Destination:
        return datagram.Destination(self.family, "::" if self.family == socket.AF_INET6 else "0.0.0.0", port)

    # ---- sending

    def broadcast(self, data: str | bytes, port: int) -> int:
        """Send one datagram to every host of the local network; see send_to()."""
        try:
            return self.send_to(data, BROADCAST_ADDRESS, port)
        except NetworkError as error:
            problem = error
            if error.errno == errno.EACCES and not self.get_option(*BROADCAST):
                problem = from_errno(error.errno, "broadcast is switched off")
            raise problem.about(join_host_port(BROADCAST_ADDRESS, port)) from None

    def multicast(self, data: str | bytes, group: str, port: int) -> int:
        """Send one datagram to a multicast group, over loopback on a machine without a network; see send_to()."""
        try:
            return self._multicast(data, group, port)
        except ArgumentError:
            raise _no_interface(group) from None  # only a group's scope is not checked before
        except NetworkError as error:
            raise error.about(join_host_port(group, port)) from None
        except OSError as error:
            self._refuse_if_closed()
            raise from_os_error(error).about(join_host_port(group, port)) from error

    def _multicast(self, data: str | bytes, group: str, port: int) -> int:
        try:
            return self.send_to(data, group, port)
        except NetworkError as error:
            loopback = _loopback_index()
            if error.errno not in _NO_ROUTE or not loopback:
                raise
            self._send_multicast_over(loopback)
            self._second_attempts += 1
            try:
                return self.send_to(data, group, port)
            finally:
                self._send_multicast_over(0)  # a network that comes up later is used

    def _send_multicast_over(self, interface: int) -> None:
        """Choose the interface, 0 for the one that the system's routes say."""
        # With an address: a machine without a network has none that the system would choose (ip(7)).
        address = socket.inet_aton("127.0.0.1" if interface else "0.0.0.0")
        request = struct.pack("=4s4si", b"", address, interface)
        if not sys.platform.startswith("linux"):
            request = address
        self.set_option(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        if self.family == socket.AF_INET6:
            self.set_option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)

    # ---- multicast groups

    def join(self, group: str) -> None:
        """Receive what is sent to a group, on the interface that the system's routes give it.

        Errors: NetworkError (joined already, ...), ArgumentError (no such interface).
        """
        address, scope = _parse_group(group)
        try:
            self._groups[group] = self._join(address, scope)
        except OSError as error:
            raise _membership_problem(error, "joined already", errno.EADDRINUSE).about(group) from error

    def _join(self, address: Address, scope: int) -> int:
        """Join a group. Returns the index of the interface it is joined on, 0 for that of the system's routes."""
        try:
            self._change_membership(address, scope, join=True)
        except OSError as error:
            # A machine without a route for the group still has its loopback interface.
            loopback = _loopback_index()
            if scope or error.errno not in _NO_ROUTE or not loopback:
                raise
            scope = loopback
            self._change_membership(address, scope, join=True)
        return scope

    def leave(self, group: str) -> None:
        """Receive it no longer. Errors: NetworkError (not joined), ArgumentError (no such interface)."""
        address, scope = _parse_group(group)
        try:
            self._change_membership(address, self._groups.get(group, scope), join=False)
        except OSError as error:
            # ENODEV: there is not even an interface that it could be joined on.
            raise _membership_problem(error, "not joined", errno.EADDRNOTAVAIL, errno.ENODEV).about(group) from error
        self._groups.pop(group, None)

    def _change_membership(self, address: Address, interface: int, join: bool) -> None:
        if address.version == 4:
            option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
            if sys.platform.startswith("linux"):
                request = struct.pack("=4s4si", address.packed, b"", interface)  # struct ip_mreqn, ip(7)
            else:
                request = address.packed + bytes(4)  # struct ip_mreq
            self.set_option(socket.IPPROTO_IP, option, request)
        elif self.family != socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "")
        else:
            option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
            # struct ipv6_mreq (RFC 3493, 5.2)
            self.set_option(socket.IPPROTO_IPV6, option, struct.pack("=16sI", address.packed, interface))

    def set_multicast_ttl(self, ttl: int) -> None:
        """How many hops a multicast datagram may travel (ip(7), ipv6(7))."""
        self.set_option(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        if self.family == socket.AF_INET6:
            self.set_option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)

    def set_multicast_loop(self, enable: bool) -> None:
        """Do this machine's own members of a group receive what is sent from here? (ip(7), ipv6(7))"""
        self.set_option(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, enable)
        if self.family == socket.AF_INET6:
            self.set_option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, enable)

    def stats(self) -> dict[str, int]:
        """What has gone through the socket."""
        return {
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "packets_sent": self.packets_sent,
            "packets_received": self.packets_received,
            "packets_lost": self.drops(),
            "packets_truncated": self.packets_truncated,
            # A first attempt that failed is no error: the second one tells.
            "send_errors": self.send_errors - self._second_attempts,
        }


def open_socket() -> DatagramSocket:
    """Open a UDP socket for both families, or for IPv4 where the machine has nothing else.

    Errors: OSError (no descriptors left).
    """
    try:
        made = _make(socket.AF_INET6)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            raise
        made = _make(socket.AF_INET)
    family = int(made.family)
    handle = sock.adopt(made)
    opened: DatagramSocket = table.add(lambda identifier: DatagramSocket(handle, identifier, family))
    log.note(log.DEBUG, opened, "opened")
    return opened


def _make(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if sys.platform.startswith("linux"):
            made.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    except BaseException:
        made.close()
        raise
    return made


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parse_group(group: str) -> tuple[Address, int]:
    """The group's address and the interface its scope names, 0 for any (RFC 4007, 11)."""
    ip, _percent, scope = group.partition("%")
    if not scope:
        return ipaddress.ip_address(ip), 0
    try:
        return ipaddress.ip_address(ip), _interface_index(scope)
    except (OSError, ValueError) as error:  # the latter for what no interface can be called, or numbered
        let_through(error)
        raise _no_interface(group) from None


def _interface_index(scope: str) -> int:
    """The interface that a scope names or numbers, 0 for any. Errors: OSError, ValueError (there is none)."""
    if not (scope.isascii() and scope.isdigit()):
        try:
            return socket.if_nametoindex(scope)
        except OSError as error:
            raise ValueError(str(error)) from None  # its own has no errno; see errors.let_through
    if len(scope) > _LONGEST_INDEX or int(scope) > _LARGEST_INDEX:  # if_indextoname() would cut it off
        raise ValueError
    index = int(scope)
    if index:
        socket.if_indextoname(index)
    return index


def _no_interface(group: str) -> ArgumentError:
    ip, _percent, scope = group.partition("%")
    return ArgumentError(f"group_ip: no interface {show(scope)} for {ip}")


def _membership_problem(error: OSError, words: str, *numbers: int) -> NetworkError:
    """The network error for an OSError, in these words for what the system says by these errnos."""
    return from_errno(error.errno, words) if error.errno in numbers else from_os_error(error)


def _loopback_index() -> int:
    """The loopback interface's index, 0 if it cannot be found."""
    for index, name in socket.if_nameindex():
        if name in ("lo", "lo0", "loopback_0"):  # Linux, the BSDs, Windows
            return index
    return 0
