"""Each page says in HTML which language it is in; Sphinx itself knows one for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from languages import language_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def say_language(_app: Sphinx | None, page: str, _template: str, context: dict[str, Any], _document: object) -> None:
    """Have the template write the page's language where it writes the project's (html-page-context)."""
    context["language"] = language_of(page).tag


def setup(app: Sphinx) -> dict[str, Any]:
    """What Sphinx calls."""
    app.connect("html-page-context", say_language)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
