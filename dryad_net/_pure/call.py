"""The way into a native function: count the arguments, check them, ID to object, name the errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import DryadNetError

if TYPE_CHECKING:
    from ..registry import Declaration


def bind(declaration: Declaration) -> Callable[..., Any]:
    """Make the function that scripts call.

    declaration: a registry.Declaration.
    Returns a function that takes its arguments by position or name, checks them, calls
    declaration.function with what they stand for, and raises nothing but documented errors.
    """
    function = declaration.function
    arity = len(declaration.parameters)
    checks = [(kind.check, name) for kind, name in zip(declaration.kinds, declaration.parameters, strict=True)]

    def call(*args: Any, **keywords: Any) -> Any:
        try:
            arranged = declaration.arrange(args, keywords) if keywords or len(args) != arity else args
            return function(*[check(value, name) for (check, name), value in zip(checks, arranged, strict=True)])
        except (DryadNetError, OSError) as error:
            explained = declaration.explain(error, args, keywords)
            try:
                if explained is error:
                    raise
                raise explained from error
            finally:
                del explained  # its traceback has this frame: they would hold each other until there is a collection

    call.__name__ = call.__qualname__ = declaration.name
    call.__module__ = declaration.module
    call.__doc__ = declaration.doc
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in declaration.parameters]
    )
    return call
