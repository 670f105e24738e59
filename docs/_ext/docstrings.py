"""The form of a native function's docstring, taken apart.

What it does, in a sentence.

socket_id: what the argument is, with its unit; every argument in order.
    What does not fit in the line goes on indented.
Returns what comes back.
Errors: E3006 (why), E5006 (why).
Limits: those that apply, where there are any.
See recv(2); RFC 6455, 5.6.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_ERROR = r"(E\d{4}) \(([^()]*)\)"
_ERRORS = re.compile(rf"{_ERROR}(?:, {_ERROR})*\.")
_ENTRY = re.compile(r"(Returns|See) (.*)|(\w+): (.*)")


class Documented(NamedTuple):
    """What is said about a native function.

    does: a sentence; arguments: what each is, by name; returns; errors: why, by code; limits: "" where
    none apply; sources: what "See" names.
    """

    does: str
    arguments: dict[str, str]
    returns: str
    errors: dict[str, str]
    limits: str
    sources: tuple[str, ...]


def parse(text: str) -> Documented:
    """Take a docstring apart. Errors: ValueError, if it does not have the form."""
    does, _, body = inspect.cleandoc(text).partition("\n\n")
    if "\n" in does or not does.endswith("."):
        raise ValueError(f"not a sentence in one line: {does!r}")
    entries = _entries(body)
    returns, errors = entries.pop("Returns"), entries.pop("Errors")
    limits, sources = entries.pop("Limits", ""), entries.pop("See", "")
    for entry in (returns, errors, *entries.values(), *filter(None, [limits, sources])):
        if not entry.endswith("."):
            raise ValueError(f"no full stop at the end of {entry!r}")
    return Documented(
        does, entries, returns, _errors(errors), limits, tuple(sources[:-1].split("; ")) if sources else ()
    )


def _entries(body: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        if line.startswith("    ") and name:
            entries[name] += f" {line.strip()}"
            continue
        found = _ENTRY.fullmatch(line)
        if found is None:
            raise ValueError(f"neither an entry nor indented: {line!r}")
        name = found[1] or found[3]
        if name in entries:
            raise ValueError(f"twice: {name!r}")
        entries[name] = found[2] or found[4]
    order = [name for name in entries if name in ("Returns", "Errors", "Limits", "See")]
    if order[:2] != ["Returns", "Errors"] or list(entries)[-len(order) :] != order or order[2:] != sorted(order[2:]):
        raise ValueError(f"not arguments, Returns, Errors, Limits, See in this order: {list(entries)}")
    return entries


def _errors(text: str) -> dict[str, str]:
    if not _ERRORS.fullmatch(text):
        raise ValueError(f"not codes with a reason each: {text!r}")
    found = re.findall(_ERROR, text)
    if [code for code, _reason in found] != sorted({code for code, _reason in found}):
        raise ValueError(f"codes twice or out of order: {text!r}")
    return dict(found)
