"""Dryad in colours: JavaScript's lexer, and the directives that load modules."""

from __future__ import annotations

from typing import Any, ClassVar

from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment
from sphinx.application import Sphinx


class DryadLexer(JavascriptLexer):
    """What ```dryad blocks are coloured with."""

    name = "Dryad"
    aliases = ("dryad",)
    tokens: ClassVar[dict[str, Any]] = {
        **JavascriptLexer.tokens,
        "root": [(r"#<\w+>", Comment.Preproc), *JavascriptLexer.tokens["root"]],
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.add_lexer("dryad", DryadLexer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
