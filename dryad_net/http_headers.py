"""The heads of HTTP messages, strictly (RFC 9112), and the grammars of the fields a handshake uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# RFC 9110, 5.6.2
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# RFC 9110, 5.5: no control character but HTAB; what is not ASCII is opaque.
_VALUE: Final = r"[^\x00-\x08\x0a-\x1f\x7f]*"

_is_token = re.compile(_TOKEN).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_are_fields = re.compile(rf"(?:{_TOKEN}:{_VALUE}\r\n)*\r\n").fullmatch
_is_folded = re.compile(r"\r\n[ \t]").search
# RFC 6455, 9.1. A quoted value has to be a token once it is unquoted, so it can contain neither
# a comma nor a semicolon, and a backslash only before a token's character.
_QUOTED: Final = r'"(?:\\?[!#$%&\'*+.^_`|~0-9A-Za-z-])+"'
_PARAMETER: Final = rf"[ \t]*{_TOKEN}[ \t]*(?:=[ \t]*(?:{_TOKEN}|{_QUOTED})[ \t]*)?"
_is_extension = re.compile(rf"({_TOKEN})[ \t]*((?:;{_PARAMETER})*)").fullmatch

# The values of each field, in the order of the message; names in lower case.
Fields = dict[str, list[str]]


class HeadError(Exception):
    """What was received is not what RFC 9112 or a field's own grammar allows; the argument says why."""


def is_token(text: str) -> bool:
    """Is it a token (RFC 9110, 5.6.2)?"""
    return _is_token(text) is not None


def is_value(text: str) -> bool:
    """Can it be a field's value (RFC 9110, 5.5)?"""
    return _is_value(text) is not None


def parse(text: str) -> tuple[str, Fields]:
    """Take a head apart.

    text: all of it, up to and including the empty line.
    Returns the first line and the fields. Errors: HeadError.
    """
    start, _, block = text.partition("\r\n")
    if not _are_fields(block):
        raise HeadError(_why_not(block))
    fields: Fields = {}
    for line in block.split("\r\n")[:-2]:
        name, _, value = line.partition(":")
        name = name.lower()
        values = fields.get(name)
        if values is None:
            fields[name] = [value.strip(" \t")]
        else:
            values.append(value.strip(" \t"))
    return start, fields


def _why_not(block: str) -> str:
    """What is wrong with the fields of a head."""
    if block.startswith((" ", "\t")):
        return "white space before the first header"  # RFC 9112, 2.2
    if _is_folded(block):
        return "a header that goes on in the next line"  # RFC 9112, 5.2
    for line in block.split("\r\n"):
        name, colon, value = line.partition(":")
        if line and not colon:
            return "a header line without a colon"
        if line and name != name.rstrip(" \t"):
            return "white space before the colon of a header"  # RFC 9112, 5.1
        if line and not is_token(name):
            return "an illegal header name"
        if "\n" in value or "\r" in value:
            return "a line that does not end with CRLF"  # RFC 9112, 2.2
        if not is_value(value):
            return "a control character in a header"
    return "no empty line after the headers"


def joined(fields: Fields, name: str) -> str | None:
    """The field's value where it may be given several times, which is the same as commas (RFC 9110, 5.3)."""
    values = fields.get(name)
    return None if values is None else ", ".join(values)


def elements(value: str | None) -> list[str]:
    """The elements of a comma-separated list; empty ones do not count (RFC 9110, 5.6.1.2)."""
    if not value:
        return []
    return [element for element in map(_strip, value.split(",")) if element]


def contains(value: str | None, token: str) -> bool:
    """Is a token, given in lower case, in a comma-separated list, in any case?"""
    return value is not None and token in elements(value.lower())


def tokens(value: str) -> list[str]:
    """The tokens of a comma-separated list. Errors: HeadError for a list that has none, or has anything else."""
    found = elements(value)
    if not found or not all(map(_is_token, found)):
        raise HeadError("not a list of tokens")
    return found


# The parameters of one extension, in order, with None for one without a value.
Parameters = list[tuple[str, "str | None"]]


def extensions(value: str) -> list[tuple[str, Parameters]]:
    """The extensions in a Sec-WebSocket-Extensions (RFC 6455, 9.1). Errors: HeadError."""
    found = []
    # No value that is allowed contains a comma, so one always separates.
    for element in elements(value):
        match = _is_extension(element)
        if match is None:
            raise HeadError("not a list of extensions")
        found.append((match[1], [_parameter(each) for each in match[2].split(";")[1:]]))
    if not found:
        raise HeadError("not a list of extensions")
    return found


def _parameter(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals:
        return _strip(name), None
    value = _strip(value)
    if value.startswith('"'):
        value = value[1:-1].replace("\\", "")
    return _strip(name), value


def _strip(text: str) -> str:
    return text.strip(" \t")


def build(start: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A head: its first line, the fields as they are, and the empty line. All of it is Latin-1."""
    lines = [start, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
