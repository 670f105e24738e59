"""Datagrams: one call a receive, one a send, for both families where the system has both."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import struct
import sys
import time
from collections.abc import Callable

from ..errors import (
    IdError,
    NetworkError,
    NetworkTimeoutError,
    from_errno,
    from_os_error,
    join_host_port,
    let_through,
)
from .sock import LONGEST_WAIT, READABLE, WINDOWS, WRITABLE, Socket, address_tuple, deadline_after

LARGEST = 65536  # more than any datagram's payload
LARGEST_PAYLOAD = 65507  # of IPv4 (RFC 768, RFC 791); IPv6 would take 20 bytes more

_SOCKADDR_SIZE = 16  # struct sockaddr, all zero: AF_UNSPEC is 0

# The kernel's own drop count of a socket: SO_MEMINFO and SK_MEMINFO_DROPS (Linux 4.12, linux/sock_diag.h).
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8

# Windows says on any socket that somebody it has sent to does not listen, or cannot be reached; elsewhere
# only one that has chosen its peer hears of it.
_ABOUT_OTHERS = (errno.ECONNRESET, errno.ENETRESET)


class Destination:
    """An address that can be sent to, bound or connected, in the form the socket wants.

    family: the socket's; ip: a numeric address; port; scope: an interface's index, for link-local ones.
    Errors: OSError (EAFNOSUPPORT), if a socket of that family cannot reach it.
    """

    def __init__(self, family: int, ip: str, port: int, scope: int = 0) -> None:
        version = ipaddress.ip_address(ip).version
        self.sockaddr: tuple[str, int] | tuple[str, int, int, int]
        if family == socket.AF_INET6:
            self.sockaddr = (ip if version == 6 else f"::ffff:{ip}", port, 0, scope)
        elif version == 4:
            self.sockaddr = (ip, port)
        else:
            raise OSError(errno.EAFNOSUPPORT, "")


class Datagram(Socket):
    """A UDP socket and what has gone through it.

    Owns the socket, and remembers the last destination sent to.
    """

    def __init__(self, handle: Socket | socket.socket) -> None:
        super().__init__(handle)
        self._connected = False
        self._remembered: tuple[str, int, Destination] | None = None
        self.timeout_ms = 30000
        self.bytes_sent = self.bytes_received = self.packets_sent = self.packets_received = 0
        self.packets_truncated = self.send_errors = 0

    def set_timeout(self, timeout_ms: int) -> None:
        """Bound the calls that may wait to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    def bind(self, address: Destination) -> None:
        """bind(2). Errors: OSError."""
        self._socket.bind(address.sockaddr)

    def connect(self, address: Destination) -> None:
        """connect(2): where send() goes, and whose datagrams alone are received. Errors: OSError."""
        self._socket.connect(address.sockaddr)
        self._connected = True

    def disconnect(self) -> bool:
        """Have no peer any more. Returns False if there was none."""
        if not self._connected:
            return False
        self._connected = False
        if WINDOWS:
            self._socket.connect(("0.0.0.0" if self._socket.family == socket.AF_INET else "::", 0))
        else:
            # The socket module cannot say AF_UNSPEC, which connect(2) takes for "nobody".
            nobody = ctypes.create_string_buffer(_SOCKADDR_SIZE)
            ctypes.CDLL(None).connect(self._socket.fileno(), nobody, _SOCKADDR_SIZE)
        return True

    def drops(self) -> int:
        """How many datagrams the kernel dropped for want of room; 0 where it does not tell."""
        if not sys.platform.startswith("linux"):
            return 0
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(memory)[_MEMINFO_DROPS]) if len(memory) == _MEMINFO.size else 0

    # ---- receiving

    def recv(self) -> dict[str, str | int] | None:
        """The datagram that is there, as text, without waiting.

        Returns {"data", "ip", "port"}, or None: nothing came, or closed.
        Errors: NetworkError (an ICMP error on a connected socket).
        """
        return self._as_text(self._receive(LARGEST, 0))

    def recv_blocking(self, timeout_ms: int) -> dict[str, str | int] | None:
        """recv() that waits.

        timeout_ms: 0 does not wait, -1 waits without limit.
        """
        return self._as_text(self._receive(LARGEST, timeout_ms))

    def recv_bytes(self) -> dict[str, bytes | int | str] | None:
        """recv() without decoding."""
        received = self._receive(LARGEST, 0)
        if received is None:
            return None
        data, ip, port = received
        return {"data": data, "ip": ip, "port": port}

    def recv_from(self, size: int) -> dict[str, str | int] | None:
        """recv() within the timeout, cut to `size` bytes."""
        return self._as_text(self._receive(min(size, LARGEST), self.timeout_ms))

    def _as_text(self, received: tuple[bytes, str, int] | None) -> dict[str, str | int] | None:
        if received is None:
            return None
        data, ip, port = received
        return {"data": data.decode("utf-8", "surrogateescape"), "ip": ip, "port": port}

    def _receive(self, size: int, timeout_ms: int) -> tuple[bytes, str, int] | None:
        deadline = deadline_after(timeout_ms)
        # One byte more than asked for tells whether there was more; Windows loses what does not fit, with an error.
        room = LARGEST if WINDOWS else min(size + 1, LARGEST)
        while not self._closed:
            try:
                data, sockaddr = self._socket.recvfrom(room)
            except BlockingIOError:
                if not self._wait(READABLE, deadline):
                    return None
                continue
            except OSError as error:
                let_through(error)
                if self._closed:
                    return None
                if WINDOWS and not self._connected:
                    if error.errno in _ABOUT_OTHERS:
                        continue
                    if error.errno == errno.EINVAL and self.local_address()[1] == 0:
                        if not self._pause(deadline):
                            return None
                        continue
                raise from_os_error(error) from error
            cut = data[:size]
            self.packets_received += 1
            self.bytes_received += len(cut)
            self.packets_truncated += len(data) > size
            return (cut, *address_tuple(sockaddr))
        return None

    def _pause(self, deadline: float | None) -> bool:
        """Wait a while, on Windows, where a socket that is not bound cannot be waited on. False: the time is up."""
        left = LONGEST_WAIT if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, LONGEST_WAIT))
        return True

    # ---- sending

    # Where a host is that was not remembered; subclasses define it.
    find_destination: Callable[[str, int], Destination]

    def remember(self, host: str, port: int, destination: Destination) -> None:
        """Have send_to() know where this host and port are, until another one is remembered."""
        self._remembered = (host, port, destination)

    def send_to(self, data: str | bytes | memoryview, host: str, port: int) -> int:
        """Send one datagram to a host.

        data: an ASCII str or a bytes-like object. Where a host is that was not remembered,
        find_destination(host, port) tells, which subclasses define.
        Returns the datagram's size. Errors: NetworkError, NetworkTimeoutError, IdError (closed meanwhile).
        """
        remembered = self._remembered
        if remembered is not None and remembered[:2] == (host, port):
            return self._send(data, remembered[2])
        return self._send(data, self.find_destination(host, port))

    def send(self, data: str | bytes | memoryview) -> int:
        """Send one datagram to where the socket is connected; see send_to()."""
        return self._send(data, None)

    def _send(self, data: str | bytes | memoryview, destination: Destination | None) -> int:
        view = data.encode() if isinstance(data, str) else data
        deadline = deadline_after(self.timeout_ms)
        if len(view) > LARGEST_PAYLOAD:
            raise self._refused(from_errno(errno.EMSGSIZE), destination)
        while not self._closed:
            try:
                if destination is None:
                    sent = self._socket.send(view)
                else:
                    sent = self._socket.sendto(view, destination.sockaddr)
            except BlockingIOError:
                if not self._wait(WRITABLE, deadline) and not self._closed:
                    self.send_errors += 1
                    raise NetworkTimeoutError("not sent before the time was up") from None
                continue
            except OSError as error:
                raise self._refused(from_os_error(error), destination) from error
            self.packets_sent += 1
            self.bytes_sent += sent
            return sent
        raise IdError("closed")

    def _refused(self, problem: NetworkError, destination: Destination | None) -> NetworkError:
        """Count a send that the system refused. Returns the error, which names where it would have gone."""
        self.send_errors += 1
        if destination is not None:
            problem.about(join_host_port(*address_tuple(destination.sockaddr)))
        return problem
