"""Everything that can go wrong, with its code, on one page.

A script's ``catch (e)`` sees only the message, so the message starts with the language's own error
code, then names the function, then the value and the reason:
``E5006 native_tcp_connect: 127.0.0.1:9: connection refused (ECONNREFUSED)``.

Below the native functions an error does not know which of them was called; that is added where it
leaves the library (``registry.Declaration.explain``).
"""

from __future__ import annotations

import contextlib
import errno as _errno
import os
import reprlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


# What a signal's handler may meet: the thread below it cannot go on before it returns, so there is no waiting for it.
ALREADY_SENDING = "this thread is in the middle of sending on it already"

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 60


def show(value: object) -> str:
    """A value as an error message shows it: never long, whatever it is."""
    try:
        return _shown.repr(value)
    except Exception:  # an int of thousands of digits, or somebody's own __repr__
        return f"<{type(value).__name__}>"


def join_host_port(host: str, port: int) -> str:
    """host:port as people write it: IPv6 addresses in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class DryadNetError(Exception):
    """What every failure raises.

    Attributes: ``code`` (such as "E5006"), ``function`` (the native function's name, or None),
    ``errno`` (the system's error number, or None), ``subject`` (what it is about: an ID, an address;
    or None), ``detail`` (the reason).
    """

    code = "E5006"

    def __init__(self, detail: str, *, function: str | None = None, errno: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.function = function
        self.errno = errno
        self.subject: str | None = None

    def __str__(self) -> str:
        where = f" {self.function}" if self.function else ""
        subject = f"{self.subject}: " if self.subject is not None else ""
        return f"{self.code}{where}: {subject}{self.detail}"

    def about(self, subject: object) -> Self:
        """Say what the error is about; returns self."""
        self.subject = subject if isinstance(subject, str) else show(subject)
        return self


class ArgumentCountError(DryadNetError):
    """E3005: a wrong number of arguments."""

    code = "E3005"


class ArgumentError(DryadNetError):
    """E3006: an argument of a wrong type, or a value out of range."""

    code = "E3006"


class IdError(DryadNetError):
    """E3029: no such ID, an ID that is closed, or one of another kind."""

    code = "E3029"


class NetworkError(DryadNetError):
    """E5006: the network, the peer or a limit said no."""

    code = "E5006"


class NetworkTimeoutError(DryadNetError):
    """E5007: the time was up."""

    code = "E5007"


def from_errno(number: int, words: str = "") -> NetworkError:
    """The network error for a system call's errno, in words of one's own where the system's say too little."""
    return NetworkError(_reason(number, words), errno=number)


def is_the_systems(error: BaseException) -> bool:
    """Is it for the library to deal with? An OSError without an errno is not: a signal's handler has raised it."""
    return not isinstance(error, OSError) or error.errno is not None


def let_through(error: BaseException) -> None:
    """At the head of what deals with a refusal of the system's: raise again what is none.

    A handler's TimeoutError, as scripts raise it for alarm(2), is an OSError too; it comes as it is.
    """
    try:
        if not is_the_systems(error):
            raise error
    finally:
        del error  # or its traceback, which has this frame, would keep alive what it has until there is a collection


class suppress(contextlib.suppress):  # noqa: N801  # as it is called there
    """The standard library's, but for what let_through() lets through."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return error is not None and is_the_systems(error) and super().__exit__(kind, error, trace)


def from_os_error(error: OSError) -> NetworkError:
    """The network error for an OSError of the system's or the standard library's.

    Errors: the OSError itself, if it is neither's; see let_through.
    """
    try:
        let_through(error)
        if isinstance(error, socket.gaierror):
            # getaddrinfo's numbers are its own (EAI_*), not errno's.
            return NetworkError(_lower_first(error.strerror or str(error)))
        return from_errno(error.errno or 0)
    finally:
        del error  # as there


_WINSOCK = 10000  # from here on, the numbers are those of Windows' sockets
# Windows' C library has no words for its sockets' errors: these are POSIX'.
_WORDS = {
    "EACCES": "permission denied",
    "EADDRINUSE": "address already in use",
    "EADDRNOTAVAIL": "cannot assign requested address",
    "EAFNOSUPPORT": "address family not supported by protocol",
    "ECONNABORTED": "software caused connection abort",
    "ECONNREFUSED": "connection refused",
    "ECONNRESET": "connection reset by peer",
    "EHOSTUNREACH": "no route to host",
    "EMSGSIZE": "message too long",
    "ENETDOWN": "network is down",
    "ENETRESET": "network dropped connection on reset",
    "ENETUNREACH": "network is unreachable",
    "ENOBUFS": "no buffer space available",
    "ENOPROTOOPT": "protocol not available",
    "ENOTSOCK": "socket operation on non-socket",
    "EOPNOTSUPP": "operation not supported",
    "ESHUTDOWN": "cannot send after transport endpoint shutdown",
    "ETIMEDOUT": "connection timed out",
}
# Where the system's own words would puzzle somebody who knows scripts and not POSIX.
_PLAINER = {_errno.EDESTADDRREQ: "not connected", _errno.ENOTCONN: "not connected"}


def _reason(number: int, words: str) -> str:
    name = _errno.errorcode.get(number, f"errno {number}").removeprefix("WSA")
    return f"{words or words_for(number)} ({name})"


def words_for(number: int) -> str:
    """What an errno means, in words."""
    if number in _PLAINER:
        return _PLAINER[number]
    if number >= _WINSOCK:
        return _WORDS.get(_errno.errorcode.get(number, "").removeprefix("WSA"), "the system refuses it")
    return _lower_first(os.strerror(number))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
