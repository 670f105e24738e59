"""Names to addresses, within a deadline."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from . import threads
from .errors import ArgumentError, NetworkTimeoutError, from_os_error, join_host_port, show


class Resolved(NamedTuple):
    """An address as the socket module takes it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


def as_ip_port(address: tuple[str, int]) -> dict[str, str | int]:
    """An address as scripts see it."""
    return {"ip": address[0], "port": address[1]}


def resolve(
    host: str, port: int, kind: socket.SocketKind, deadline: float, unwanted: Callable[[], bool] | None = None
) -> list[Resolved]:
    """All addresses of a host, in the order to try them.

    host: a name or an IP address; kind: SOCK_STREAM or SOCK_DGRAM; deadline: monotonic seconds; unwanted: whether
    the answer is of no use any more, which ends the wait as if the time were up.
    Errors: NetworkError (no such name), NetworkTimeoutError, ArgumentError (what can be no name).
    """
    subject = join_host_port(host, port)
    try:
        return _numeric(host, port, kind)
    except socket.gaierror:
        pass  # not a numeric address: a name
    except UnicodeError:
        raise _no_host(host) from None
    outcome = _name_lookup(host, port, kind).wait(deadline, unwanted)
    if outcome is None:
        raise NetworkTimeoutError("the name was not resolved in time").about(subject)
    if isinstance(outcome, UnicodeError):
        raise _no_host(host)
    if isinstance(outcome, OSError):
        raise from_os_error(outcome).about(subject) from outcome
    return outcome


def read_ip(ip: str, port: int, kind: socket.SocketKind) -> Resolved:
    """An IP address that a function takes as its parameter `ip`, as the socket module takes it.

    Errors: OSError (its scope names no interface), ArgumentError (its scope can be no name).
    """
    try:
        return _numeric(ip, port, kind)[0]
    except UnicodeError:
        raise ArgumentError(f"ip: must be an IP address, not {show(ip)}") from None


def _numeric(host: str, port: int, kind: socket.SocketKind) -> list[Resolved]:
    """The address that a host is. Errors: socket.gaierror (a name), UnicodeError (what can be no name)."""
    if "\0" in host:  # C would take what is before it for the name
        raise UnicodeError
    return _look_up(host, port, kind, socket.AI_NUMERICHOST)


class _Lookup:
    """A name being looked up in a thread of its own: getaddrinfo(3) can be neither limited nor interrupted.

    Whoever gives up leaves it running for the next one who asks, so that a name can be resolved
    without ever waiting, and asking often does not pile up threads.
    """

    def __init__(self, host: str, port: int, kind: socket.SocketKind) -> None:
        self._key = (host, port, kind)
        self._outcome: list[Resolved] | OSError | UnicodeError | None = None
        self._done = threads.Latch()
        self.kept_until = float("inf")
        try:
            threads.start(self._run, "resolver")
        except OSError as error:
            raise from_os_error(error) from error

    def _run(self) -> None:
        host, port, kind = self._key
        try:
            self._outcome = _look_up(host, port, kind, 0)
        except (OSError, UnicodeError) as error:
            self._outcome = error
        finally:
            self.kept_until = time.monotonic() + _KEPT_SECONDS
            self._done.set()

    def wait(
        self, deadline: float, unwanted: Callable[[], bool] | None
    ) -> list[Resolved] | OSError | UnicodeError | None:
        """What came of it; None if that is not known in time, or `unwanted` says so first."""
        # The answer is one event and what makes it unwanted another, and a thread can wait for one only.
        look = float("inf") if unwanted is None else _LOOK_SECONDS
        while not self._done.wait(min(deadline, time.monotonic() + look)):
            if time.monotonic() >= deadline or (unwanted is not None and unwanted()):
                return None
        _lookups.pop(self._key, None)
        return self._outcome


# How often who waits for a name looks whether it is still wanted.
_LOOK_SECONDS = 0.05
# How long an answer that nobody waited for is kept for whoever asks next.
_KEPT_SECONDS = 30.0
_lookups: dict[tuple[str, int, socket.SocketKind], _Lookup] = {}


def _name_lookup(host: str, port: int, kind: socket.SocketKind) -> _Lookup:
    """The look-up of this name that is under way, or a new one."""
    now = time.monotonic()
    for key, lookup in list(_lookups.items()):
        if lookup.kept_until < now:
            _lookups.pop(key, None)
    running = _lookups.get((host, port, kind))
    if running is None:
        running = _lookups[host, port, kind] = _Lookup(host, port, kind)
    return running


def _no_host(host: str) -> ArgumentError:
    return ArgumentError(f"host: must be a host name or an IP address, not {show(host)}")


def _look_up(host: str, port: int, kind: socket.SocketKind, flags: int) -> list[Resolved]:
    found = socket.getaddrinfo(host, port, type=kind, flags=flags | socket.AI_NUMERICSERV)
    addresses = [
        _plain(Resolved(family, (str(sockaddr[0]), int(sockaddr[1]), *sockaddr[2:])))
        for family, _kind, _protocol, _name, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
    return list(dict.fromkeys(addresses))


def _plain(address: Resolved) -> Resolved:
    """An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as the IPv4 address it is."""
    if address.family == socket.AF_INET6:
        mapped = ipaddress.IPv6Address(address.sockaddr[0].partition("%")[0]).ipv4_mapped
        if mapped is not None:
            return Resolved(socket.AF_INET, (str(mapped), address.sockaddr[1]))
    return address


# In the child of a fork no thread is left to finish a look-up.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lookups.clear)
