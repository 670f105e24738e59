"""docs/pt/functions.toml says in Portuguese what the docstrings say, for every function, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs_support import DOCS
from html_language import say_language
from languages import english, portuguese, portuguese_texts

import dryad_net as net

FUNCTIONS = {name: entry for module in net.registry.values() for name, entry in module.items()}
FIELDS = {"does", "arguments", "returns", "errors", "limits"}
# Words that are wrong without their accents, as they come from a keyboard that has none.
UNACCENTED = (
    *("ate", "apos", "codigo", "conexao", "conexoes", "entao", "inicio", "ja"),
    *("latencia", "maximo", "minimo", "nao", "numero", "numeros", "opcao", "padrao", "porem", "proximo"),
    *("proxima", "recepcao", "sao", "sera", "so", "tambem", "tres", "ultimo", "unico", "varios", "voce"),
)


def test_every_function_is_there_and_none_too_many() -> None:
    assert set(portuguese_texts()) == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_what_its_docstring_has(name: str) -> None:
    assert set(portuguese_texts()[name]) <= FIELDS
    ours, theirs = portuguese(FUNCTIONS[name]), english(FUNCTIONS[name])
    assert tuple(ours.arguments) == FUNCTIONS[name].parameters
    assert list(ours.errors) == list(theirs.errors)
    assert bool(ours.limits) == bool(theirs.limits)
    for text in (ours.does, ours.returns, *ours.arguments.values(), *filter(None, [ours.limits])):
        assert text.endswith("."), text
    for text in ours.errors.values():
        assert text, text
        assert not text.endswith("."), text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_figures_and_names_are_those_of_the_docstring(name: str) -> None:
    """65.507 is written with a full stop in Portuguese, 65,507 in English."""
    ours, theirs = (str(each(FUNCTIONS[name])[:-1]) for each in (portuguese, english))
    for pattern in (r"\d[\d.,]*\d", r"native_\w+"):
        found = {re.sub("[.,]", "", each) for each in re.findall(pattern, ours)}
        expected = {re.sub("[.,]", "", each) for each in re.findall(pattern, theirs)}
        assert found - {"1970"} == expected


@pytest.mark.parametrize("page", sorted((DOCS / "pt").iterdir()), ids=lambda page: page.name)
def test_no_accent_is_missing(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    words = set(re.findall(r"(?<![\w./(])\w+(?![\w./])", text.lower()))
    assert not words & set(UNACCENTED)


def test_its_pages_say_which_language_they_are_in() -> None:
    for page, language in (("pt/inicio", "pt"), ("quickstart", "en"), ("genindex", "en")):
        context = {"language": "en"}
        say_language(None, page, "page.html", context, None)
        assert context["language"] == language
