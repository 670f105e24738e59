"""What libdryad_net calls: every native function by its name, JSON in, JSON out.

Nothing here raises but for want of memory: whatever happens is in the envelope, since C cannot
catch it. The layout of the envelope is told in dryad_net.h.
"""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Callable
from typing import Any

from .. import registry
from ..errors import ArgumentError, DryadNetError
from .portable import from_portable, to_portable

__all__ = ["at_exit", "call", "call_utf8", "describe", "from_portable", "functions", "to_portable_bytes"]

_FUNCTIONS = {name: function for module in registry.values() for name, function in module.items()}
# Of all the values there are, only a byte array is unknown to JSON.
_encode = json.JSONEncoder(separators=(",", ":"), default=list).encode


def call(name: bytes, arguments: bytes) -> bytes:
    """The envelope of a call: its strings as JSON has them, lone surrogates included."""
    return _envelope(name, arguments, None, None)


def call_utf8(name: bytes, arguments: bytes) -> bytes:
    """The envelope of a call: its strings as portable text."""
    return _envelope(name, arguments, from_portable, to_portable)


def functions() -> bytes:
    """Every function, as the JSON array of dryad_net_functions."""
    return _encode(
        [
            {
                "name": each.name,
                "module": each.module,
                "parameters": each.parameters,
                "arity": each.arity,
                "extension": each.extension,
            }
            for each in _FUNCTIONS.values()
        ]
    ).encode("ascii")


def describe(error: BaseException) -> str:
    """The message of an error, starting with its code, as portable text."""
    if isinstance(error, DryadNetError):
        return to_portable(str(error))
    return to_portable(f"E5006 dryad_net: {type(error).__name__}: {error}")


def to_portable_bytes(text: str) -> bytes:
    """Portable text as the C string it becomes."""
    return to_portable(text).encode("utf-8")


def at_exit() -> None:
    """What Python does at its end, for a process that ends without ending Python."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _envelope(
    name: bytes,
    arguments: bytes,
    decode: Callable[[str], str] | None,
    encode: Callable[[str], str] | None,
) -> bytes:
    try:
        value = _perform(name.decode("utf-8", "replace"), arguments, decode)
        if encode is not None:
            value = _with_texts(value, encode)
        return b'{"ok":true,"value":%b}' % _encode(value).encode("ascii")
    except BaseException as error:
        code = error.code if isinstance(error, DryadNetError) else DryadNetError.code
        return _encode({"ok": False, "code": code, "error": describe(error)}).encode("ascii")


def _perform(name: str, arguments: bytes, decode: Callable[[str], str] | None) -> Any:
    found = _FUNCTIONS.get(name)
    if found is None:
        raise ArgumentError("there is no such function", function=name or "dryad_net")
    try:
        given = json.loads(arguments) if arguments else []
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"the arguments are not JSON: {error}", function=name) from None
    if not isinstance(given, list):
        raise ArgumentError("the arguments must be a JSON array", function=name)
    if decode is not None:
        given = _with_texts(given, decode)
    return found.call(*given)


def _with_texts(value: Any, convert: Callable[[str], str]) -> Any:
    """A value with all its strings converted, names of properties too."""
    if isinstance(value, str):
        return convert(value)
    if isinstance(value, list):
        # Looked at here, since an array of bytes may have millions of numbers.
        return [_with_texts(each, convert) if isinstance(each, (str, list, dict)) else each for each in value]
    if isinstance(value, dict):
        return {convert(name): _with_texts(each, convert) for name, each in value.items()}
    return value
