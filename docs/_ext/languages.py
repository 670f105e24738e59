"""What the reference says in each language: the words around the functions' texts, and where those come from."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from docstrings import Documented, parse

from dryad_net import NativeFunction

if sys.version_info >= (3, 11):
    import tomllib
else:  # Sphinx and pytest bring it
    import tomli as tomllib

TEXTS = Path(__file__).resolve().parent.parent / "pt" / "functions.toml"


class Language(NamedTuple):
    """The words of the reference.

    tag: the language as HTML has it; prefix: of its labels; describe: what is said about a function.
    """

    tag: str
    prefix: str
    function: str
    does: str
    arguments: str
    returns: str
    errors: str
    limits: str
    see: str
    describe: Callable[[NativeFunction], Documented]


def english(function: NativeFunction) -> Documented:
    """The docstring."""
    return parse(inspect.getdoc(function.call) or "")


@functools.cache
def portuguese_texts() -> dict[str, dict[str, Any]]:
    """All of pt/functions.toml."""
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


def portuguese(function: NativeFunction) -> Documented:
    """The text of pt/functions.toml; the sources are the docstring's."""
    text = portuguese_texts()[function.name]
    return Documented(
        text["does"],
        text.get("arguments", {}),
        text["returns"],
        text["errors"],
        text.get("limits", ""),
        english(function).sources,
    )


ENGLISH = Language(
    *("en", "", "function", "what it does", "Arguments", "Returns", "Errors", "Limits", "See"),
    english,
)
PORTUGUESE = Language(
    *("pt", "pt-", "função", "o que faz", "Argumentos", "Retorna", "Erros", "Limites", "Veja"),
    portuguese,
)


def language_of(page: str) -> Language:
    """The language of a page, by its name."""
    return PORTUGUESE if page.startswith("pt/") else ENGLISH
