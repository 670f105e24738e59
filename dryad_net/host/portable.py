"""Portable text: strings for hosts that can hold neither NUL nor lone surrogates.

A C string ends at its first NUL, and a string of Rust's, which Dryad's are, is valid Unicode: there
is no lone surrogate in it, with which Python stands for a byte that is not UTF-8 (surrogateescape,
PEP 383). Portable text has a private character for these bytes, U+EF00 + byte, and writes those
private characters themselves, should somebody send them, as the bytes of their UTF-8. So every text
has one portable form, and that form gives the same bytes back.
"""

from __future__ import annotations

import re

ESCAPE = 0xEF00
_NEEDS_ESCAPE = re.compile("[\0\uef00\uef80-\uefff\udc80-\udcff]")
_ESCAPED = re.compile("[\uef00\uef80-\uefff]+")


def to_portable(text: str) -> str:
    """A string of dryad_net's as portable text."""
    return text if text.isascii() and "\0" not in text else _NEEDS_ESCAPE.sub(_escape, text)


def from_portable(text: str) -> str:
    """The string that a portable text stands for; anything else is left as it is."""
    return text if text.isascii() else _ESCAPED.sub(_unescape, text)


def _escape(found: re.Match[str]) -> str:
    return "".join(chr(ESCAPE + byte) for byte in found[0].encode("utf-8", "surrogateescape"))


def _unescape(found: re.Match[str]) -> str:
    return bytes(ord(character) - ESCAPE for character in found[0]).decode("utf-8", "surrogateescape")
