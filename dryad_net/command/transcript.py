"""Calling native functions in the open: each call and what came back is printed and checked."""

from __future__ import annotations

import reprlib
from typing import Any, Final

import dryad_net

from ..errors import DryadNetError

ANYTHING: Final = object()

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 60
_shown.maxdict = _shown.maxlist = 20


class UnexpectedError(Exception):
    """A call did not do what it is documented to do."""


class Transcript:
    """The calls of a demonstration so far: how many there were, and which IDs they gave out."""

    def __init__(self) -> None:
        self.calls = 0
        self._ids: set[int] = set()

    def title(self, text: str) -> None:
        """Say what the next calls show."""
        print(f"\n# {text}")

    def call(self, name: str, *args: Any, returns: object = ANYTHING) -> Any:
        """Call a native function. Errors: UnexpectedError, if it fails or returns something else than ``returns``."""
        shown = self._shown(name, args)
        try:
            result = getattr(dryad_net, name)(*args)
        except DryadNetError as error:
            raise UnexpectedError(f"{shown} raised {error}") from error
        print(f"{shown} -> {_shown.repr(result)}")
        if returns is not ANYTHING and (result != returns or type(result) is not type(returns)):
            raise UnexpectedError(f"{shown} returned {_shown.repr(result)}, not {_shown.repr(returns)}")
        return result

    def call_for_id(self, name: str, *args: Any) -> int:
        """Call a native function that returns a new ID."""
        result = self.call(name, *args)
        if type(result) is not int or result < 1 or result in self._ids:
            raise UnexpectedError(f"{self._shown(name, args)} returned {_shown.repr(result)}, which is no new ID")
        self._ids.add(result)
        return result

    def call_in_vain(self, name: str, *args: Any, code: str) -> None:
        """Call a native function that must fail with this code at the start of its message."""
        shown = self._shown(name, args)
        try:
            result = getattr(dryad_net, name)(*args)
        except DryadNetError as error:
            print(f"{shown} raises {error}")
            if not str(error).startswith(f"{code} {name}: "):
                raise UnexpectedError(f"{shown} raised {error}, not {code}") from error
        else:
            raise UnexpectedError(f"{shown} returned {_shown.repr(result)} instead of raising {code}")

    def check(self, holds: bool, claim: str) -> None:
        """State something about what came back. Errors: UnexpectedError, if it does not hold."""
        if not holds:
            raise UnexpectedError(f"it does not hold that {claim}")

    def _shown(self, name: str, args: tuple[Any, ...]) -> str:
        self.calls += 1
        return f"{name}({', '.join(map(_shown.repr, args))})"
