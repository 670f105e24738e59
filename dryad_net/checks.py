"""What the parameters of native functions may be, and how a wrong one is refused.

A kind turns the argument of a call into what the function works with, or raises. The compiled
calls take the common cases themselves, as ``fast`` tells them, and come here with all others; so
a kind with ``fast`` set must pass those unchanged.
"""

from __future__ import annotations

import ipaddress
import operator
import sys
from collections.abc import Callable
from typing import Any, Final

from .errors import ArgumentError, IdError, show
from .table import table

# What the compiled calls may decide by themselves.
FAST_NOTHING: Final = 0
FAST_ID: Final = 1  # an int in the table whose object is of one of the kind's types
FAST_NUMBER: Final = 2  # an int from low to high
FAST_DATA: Final = 3  # bytes, or an ASCII str
FAST_TEXT: Final = 4  # an ASCII str that is not empty
FAST_MESSAGE: Final = 5  # an ASCII str
FAST_BYTES: Final = 6  # bytes
FAST_LIST: Final = 7  # a list

C_INT_MAX: Final = 2**31 - 1


class Kind:
    """What one parameter may be. ``name`` says it in words."""

    fast = FAST_NOTHING
    low = high = 0
    types: tuple[type, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, value: Any, parameter: str) -> Any:
        """The argument as the function takes it. Errors: ArgumentError, IdError."""
        raise self.refuse(value, parameter)

    def refuse(self, value: object, parameter: str, reason: str = "") -> ArgumentError:
        """The error for an argument that is not of this kind."""
        return ArgumentError(f"{parameter}: {reason or f'must be {self.name}'}, not {show(value)}")


def whole_number(value: Any) -> int | None:
    """A number without a fraction as an int; None for everything else (bool, NaN, infinity, 80.5)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return operator.index(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


class Number(Kind):
    """A whole number in a range; null may stand for one outside it."""

    fast = FAST_NUMBER

    def __init__(self, name: str, low: int, high: int, null: int | None = None) -> None:
        either = ", or null" if null is not None else ""
        super().__init__(f"{name} (a whole number from {low} to {high}{either})")
        self.low = low
        self.high = high
        self.null = null

    def check(self, value: Any, parameter: str) -> int:
        if value is None and self.null is not None:
            return self.null
        number = whole_number(value)
        if number is None or not self.low <= number <= self.high:
            raise self.refuse(value, parameter)
        return number


class Boolean(Kind):
    """True or False, and neither 0 nor 1."""

    def check(self, value: Any, parameter: str) -> bool:
        if value is True or value is False:
            return bool(value)
        raise self.refuse(value, parameter)


class Text(Kind):
    """A string that is not empty and can be sent: UTF-8, with lone surrogates only for bytes that were
    received so."""

    fast = FAST_TEXT

    def check(self, value: Any, parameter: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.refuse(value, parameter)
        encode(value, parameter)
        return value[:]  # of a subclass: the plain string in it


class Address(Text):
    """An IP address, IPv4 or IPv6, an IPv4-mapped one as the IPv4 address it is."""

    fast = FAST_NOTHING

    def check(self, value: Any, parameter: str) -> str:
        return str(self.parse(super().check(value, parameter), parameter))

    def parse(self, value: str, parameter: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address. Errors: ArgumentError."""
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            raise self.refuse(value, parameter) from None
        return getattr(address, "ipv4_mapped", None) or address


class MulticastAddress(Address):
    """The IP address of a multicast group."""

    def parse(self, value: str, parameter: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        address = super().parse(value, parameter)
        if not address.is_multicast:
            raise self.refuse(value, parameter)
        return address


class Data(Kind):
    """What can be sent: a string, or bytes in any form. Becomes an ASCII str or a bytes-like object."""

    fast = FAST_DATA

    def check(self, value: Any, parameter: str) -> str | bytes | memoryview:
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value if value.isascii() else encode(value, parameter)
        if isinstance(value, (list, tuple)):
            return self._from_numbers(value, parameter)
        try:
            view = memoryview(value)
        except (TypeError, ValueError, BufferError):  # no buffer, or one that was released
            raise self.refuse(value, parameter) from None
        if not view.c_contiguous:
            raise self.refuse(value, parameter, "must be contiguous in memory")
        return view.cast("B") if view.nbytes else b""

    def _from_numbers(self, value: list[Any] | tuple[Any, ...], parameter: str) -> bytes:
        numbers = bytearray()
        for index, item in enumerate(value):
            number = whole_number(item)
            if number is None or not 0 <= number <= 255:
                raise self.refuse(item, f"{parameter}[{index}]", "must be a byte (a whole number from 0 to 255)")
            numbers.append(number)
        return bytes(numbers)


class Bytes(Data):
    """Bytes in any form. Becomes a bytes-like object."""

    fast = FAST_BYTES

    def check(self, value: Any, parameter: str) -> Any:
        if isinstance(value, str):
            raise self.refuse(value, parameter)
        return super().check(value, parameter)


class Message(Kind):
    """Text that is strict UTF-8, perhaps empty. Becomes an ASCII str or UTF-8 in bytes."""

    fast = FAST_MESSAGE

    def check(self, value: Any, parameter: str) -> str | bytes:
        if not isinstance(value, str):
            raise self.refuse(value, parameter)
        if value.isascii():
            return value[:]
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise ArgumentError(
                f"{parameter}: a lone surrogate, {show(value[error.start])}, at index {error.start}"
            ) from None


class Checked(Kind):
    """What a function of its own checks."""

    def __init__(self, name: str, function: Callable[[Any, str], Any]) -> None:
        super().__init__(name)
        self._function = function

    def check(self, value: Any, parameter: str) -> Any:
        return self._function(value, parameter)


def encode(text: str, parameter: str) -> bytes:
    """Text as the bytes that are sent. Errors: ArgumentError for a surrogate that is no escaped byte."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"{parameter}: a lone surrogate that is no escaped byte, {show(text[error.start])}, at index {error.start}"
        ) from None


class Id(Kind):
    """The ID of something open; becomes the object behind it."""

    fast = FAST_ID

    def __init__(self, name: str, *types: type) -> None:
        super().__init__(name)
        self.types = types

    def check(self, value: Any, parameter: str) -> Any:
        found = table.find(self.number(value, parameter))
        if not isinstance(found, self.types):
            raise IdError(f"{found.kind}, not {self.name}").about(found.id)
        return found

    def number(self, value: Any, parameter: str) -> int:
        """The ID itself. Errors: ArgumentError if it is no number."""
        number = whole_number(value)
        if number is None:
            raise self.refuse(value, parameter, f"must be the ID of {self.name}")
        return number


class IdOrClosed(Id):
    """As Id, but an ID that is closed becomes None, whatever it was."""

    def check(self, value: Any, parameter: str) -> Any:
        number = self.number(value, parameter)
        if number not in table.objects and table.was_given_out(number):
            return None
        return super().check(number, parameter)


PORT = Number("a port", 1, 65535)
LISTEN_PORT = Number("a port, 0 for any free one", 0, 65535)
SIZE = Number("a size in bytes", 1, sys.maxsize)
KERNEL_SIZE = Number("a size in bytes", 1, C_INT_MAX)
BACKLOG = Number("a number of connections", 1, C_INT_MAX)
TTL = Number("a number of hops", 0, 255)
LINGER = Number("seconds", 0, C_INT_MAX)
TIMEOUT = Number("milliseconds, -1 for no limit", -1, sys.maxsize, null=-1)
BOOLEAN = Boolean("a boolean")
HOST = Text("a host name or an IP address")
ADDRESS = Address("an IP address")
MULTICAST_ADDRESS = MulticastAddress("the IP address of a multicast group")
DELIMITER = Text("a string that is not empty")
DATA = Data("a string or an array of bytes")
BYTES = Bytes("an array of bytes")
MESSAGE = Message("a string")
