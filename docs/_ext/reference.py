"""The reference of the native functions, made from the registry and the docstrings while the pages are read.

A page says which functions it wants where:

    <!-- functions: native_tcp_connect to native_tcp_get_local_addr -->

gets those from one to the other in the order of the registry (of the extensions, if the first is
one). `native_tcp_recv` in any page becomes a link to what is said about it, in the page's language.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from docutils import nodes
from languages import TEXTS, Language, language_of
from listing import FUNCTIONS, functions_between
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from dryad_net import NativeFunction

# A page with functions is out of date when one of these changes.
SOURCES = sorted(
    {str(sys.modules[function.call.__module__].__file__) for function in FUNCTIONS.values()} | {str(TEXTS)}
)
_WANTED = re.compile(r"^<!-- functions: (\w+) to (\w+) -->$", re.MULTILINE)
_NAME = re.compile(r"(?<!`)\bnative_\w+\b(?!\*)")
_CALL = re.compile(r"(native_[a-z_]+)(\(.*\))?", re.DOTALL)
_RFC = re.compile(r"RFC (\d+)((?:, [\d.]+)*)")


def write_functions(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the functions in their place in a page that was read."""
    if _WANTED.search(source[0]):
        for file in SOURCES:
            app.env.note_dependency(file)
    language = language_of(page)
    source[0] = _WANTED.sub(lambda wanted: _reference(functions_between(wanted[1], wanted[2]), language), source[0])


def _reference(functions: list[NativeFunction], language: Language) -> str:
    table = [f"| {language.function} | {language.does} |", "|---|---|"]
    table += [f"| `{function.name}` | {_text(language.describe(function).does)} |" for function in functions]
    return "\n".join([*table, "", *(_function(function, language) for function in functions)])


def _function(function: NativeFunction, language: Language) -> str:
    said = language.describe(function)
    parts = [
        f"({language.prefix}{function.name})=\n### {function.name}({', '.join(function.parameters)})",
        _text(said.does),
        _list(language.arguments, said.arguments),
        f"{language.returns}\n: {_text(said.returns)}",
        _list(language.errors, said.errors),
    ]
    if said.limits:
        parts.append(f"{language.limits}\n: {_text(said.limits)}")
    if said.sources:
        parts.append(f"{language.see}\n: {_RFC.sub(_rfc, '; '.join(said.sources))}.")
    return "\n\n".join(filter(None, parts)) + "\n"


def _list(title: str, items: dict[str, str]) -> str:
    lines = "\n  ".join(f"- `{name}`: {_text(text)}" for name, text in items.items())
    return f"{title}\n: {lines}" if items else ""


def _text(text: str) -> str:
    return _NAME.sub(lambda name: f"`{name[0]}`", text.replace("*", r"\*"))


def _rfc(found: re.Match[str]) -> str:
    """RFC 6455, 5.6 with a link to each section."""
    url = f"https://www.rfc-editor.org/rfc/rfc{found[1]}"
    sections = [f", [{section}]({url}#section-{section})" for section in found[2].split(", ")[1:]]
    return f"[RFC {found[1]}]({url}){''.join(sections)}"


class LinkFunctions(SphinxTransform):
    """The name of a native function in code becomes a link to its reference."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        page = self.env.docname
        for literal in list(self.document.findall(nodes.literal)):
            called = _CALL.fullmatch(literal.astext())
            if called is None or isinstance(literal.parent, (nodes.title, nodes.reference, addnodes.pending_xref)):
                continue
            link = addnodes.pending_xref(
                "",
                literal.deepcopy(),
                refdomain="std",
                reftype="ref",
                reftarget=language_of(page).prefix + called[1],
                refexplicit=True,
                refwarn=True,
                refdoc=page,
            )
            literal.replace_self(link)


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.connect("source-read", write_functions)
    app.add_transform(LinkFunctions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
