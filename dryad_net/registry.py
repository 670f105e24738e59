"""The one place that knows a native function's name, module, parameters and what they may be.

``native`` declares a function; from the declaration come its argument checks, the way its errors
name it, and its entry in ``registry``, from which an interpreter's loader takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from . import _backend
from .checks import Id, Kind
from .errors import ArgumentCountError, ArgumentError, DryadNetError, from_os_error, is_the_systems, show
from .table import table

Result = TypeVar("Result")


class NativeFunction(NamedTuple):
    """A native function as a loader sees it.

    name; module ("tcp", "udp" or "websocket"); parameters: their names; kinds: what each may be, in
    words; arity: how many there are; extension: ours, not the specification's; call: the function,
    which takes that many arguments by position.
    """

    name: str
    module: str
    parameters: tuple[str, ...]
    kinds: tuple[str, ...]
    arity: int
    extension: bool
    call: Callable[..., Any]


registry: dict[str, dict[str, NativeFunction]] = {"tcp": {}, "udp": {}, "websocket": {}}


class Declaration:
    """What the call of a native function needs to know about it; see ``_pure/call.py``."""

    def __init__(self, declared: Callable[..., Any], function: Callable[..., Any], parameters: dict[str, Kind]) -> None:
        self.name = declared.__name__
        self.module = declared.__module__
        self.doc = declared.__doc__ or ""
        self.function = function
        self.parameters = tuple(parameters)
        self.kinds = tuple(parameters.values())
        self.objects = table.objects

    def arrange(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        """Arguments in the order of the parameters. Errors: ArgumentCountError."""
        given = dict(zip(self.parameters, args, strict=False))
        given.update(keywords)
        if len(args) + len(keywords) != len(self.parameters) or given.keys() != set(self.parameters):
            wanted = ", ".join(self.parameters) or "nothing"
            named = "".join(f", {name}=" for name in keywords)
            raise ArgumentCountError(f"takes {len(self.parameters)} ({wanted}), was given {len(args)}{named}")
        return tuple(given[name] for name in self.parameters)

    def explain(
        self, error: DryadNetError | OSError, args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> DryadNetError | OSError:
        """An error from inside as it leaves the library: naming the function, and the ID it is about.

        What a signal's handler has raised comes as it is.
        """
        if not is_the_systems(error):
            return error
        explained = from_os_error(error) if isinstance(error, OSError) else error
        if explained.function is None:
            explained.function = self.name
            names_value = explained.subject is not None or isinstance(explained, (ArgumentCountError, ArgumentError))
            if not names_value and self.kinds and isinstance(self.kinds[0], Id):
                explained.about(show(args[0] if args else keywords[self.parameters[0]]))
        return explained


def native(
    module: str, *, extension: bool = False, method: Callable[..., Any] | None = None, **parameters: Kind
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Declare a native function.

    module: which part of the registry it belongs to; parameters: name and kind, in order.
    The decorated function gets what the kinds make of the arguments: for an ID, the object. Where
    all it would do is call one method of that object, the method is named here and the body left
    empty: in the compiled half that saves a Python call, a third of the cost of a short one.
    """

    def declare(function: Callable[..., Result]) -> Callable[..., Result]:
        declaration = Declaration(function, method or function, parameters)
        call: Callable[..., Result] = _backend.call.bind(declaration)
        registry[module][declaration.name] = NativeFunction(
            declaration.name,
            module,
            declaration.parameters,
            tuple(kind.name for kind in declaration.kinds),
            len(declaration.parameters),
            extension,
            call,
        )
        return call

    return declare
