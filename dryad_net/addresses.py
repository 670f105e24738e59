"""Names to addresses, within a deadline."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import NamedTuple

from .errors import ArgumentError, NetworkTimeoutError, from_os_error, show


class Resolved(NamedTuple):
    """An address as the socket module takes it."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


def join_host_port(host: str, port: int) -> str:
    """host:port as people write it: IPv6 addresses in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def as_ip_port(address: tuple[str, int]) -> dict[str, str | int]:
    """An address as scripts see it."""
    return {"ip": address[0], "port": address[1]}


def resolve(host: str, port: int, kind: socket.SocketKind, deadline: float) -> list[Resolved]:
    """All addresses of a host, in the order to try them.

    host: a name or an IP address; kind: SOCK_STREAM or SOCK_DGRAM; deadline: monotonic seconds.
    Errors: NetworkError (no such name), NetworkTimeoutError, ArgumentError (what can be no name).
    """
    subject = join_host_port(host, port)
    if "\0" in host:  # C would take what is before it for the name
        raise _no_host(host)
    try:
        return _look_up(host, port, kind, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # not a numeric address: a name
    except UnicodeError:
        raise _no_host(host) from None
    # getaddrinfo(3) can be neither limited nor interrupted: it runs in a thread that is not waited for.
    outcome: list[list[Resolved] | OSError | UnicodeError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            outcome.append(_look_up(host, port, kind, 0))
        except (OSError, UnicodeError) as error:
            outcome.append(error)
        finally:
            done.set()

    threading.Thread(target=look_up, name="dryad_net resolver", daemon=True).start()
    if not done.wait(max(deadline - time.monotonic(), 0)):
        raise NetworkTimeoutError("the name was not resolved in time").about(subject)
    result = outcome[0]
    if isinstance(result, UnicodeError):
        raise _no_host(host)
    if isinstance(result, OSError):
        raise from_os_error(result).about(subject) from result
    return result


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
