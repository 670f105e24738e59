"""help() of a native function is enough to use it: its docstring has the form of docs/_ext/docstrings.py."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import docs_support  # noqa: F401 - it knows where the module below is
import pytest
from docstrings import Documented, parse
from support import code_of

import dryad_net as net

FUNCTIONS = {name: entry for module in net.registry.values() for name, entry in module.items()}
ID_PARAMETERS = {"socket_id", "server_id", "client_id", "except_id", "ids"}
CODES = {"E3006", "E3029", "E5006", "E5007"}  # E3005 is of all of them, and said once in docs/reference/rules.md
LONGEST_LINE = 110

every_function = pytest.mark.parametrize("name", FUNCTIONS)


def documented(name: str) -> Documented:
    return parse(inspect.getdoc(FUNCTIONS[name].call) or "")


@every_function
def test_it_has_every_argument_in_order(name: str) -> None:
    assert tuple(documented(name).arguments) == FUNCTIONS[name].parameters


@every_function
def test_it_has_the_errors_by_code(name: str) -> None:
    errors = documented(name).errors
    assert set(errors) <= CODES
    assert ("E3006" in errors) == bool(FUNCTIONS[name].parameters)
    assert ("E3029" in errors) == bool(ID_PARAMETERS & set(FUNCTIONS[name].parameters))


@every_function
def test_it_says_what_numbers_count(name: str) -> None:
    units = {
        "timeout_ms": "milliseconds; 0 does not wait, -1 or null waits without limit.",
        "ms": "milliseconds, 30,000 at first; 0 does not wait, -1 or null waits without limit.",
        "size": r"(bytes.*|the most bytes to take), a number of at least 1",
        "max_size": "the most bytes to take, a number of at least 1",
        "port": "a number, (1 to|up to) 65535",
        "ttl": "hops, a number",
        "timeout": "with enable, the seconds",
        "backlog": "a number of connections",
        "enable": "a boolean",
    }
    for parameter, text in documented(name).arguments.items():
        assert re.match(units.get(parameter, "."), text), (parameter, text)


@every_function
def test_it_names_only_functions_that_exist(name: str) -> None:
    named = set(re.findall(r"native_\w+", inspect.getdoc(FUNCTIONS[name].call) or ""))
    assert named <= set(FUNCTIONS)
    assert name not in named


@every_function
def test_it_can_be_read_in_a_terminal(name: str) -> None:
    lines = (inspect.getdoc(FUNCTIONS[name].call) or "").splitlines()
    assert max(map(len, lines[1:])) <= LONGEST_LINE
    assert len(lines[0]) <= 120


@every_function
def test_it_waits_only_where_it_says_so(name: str) -> None:
    """What may wait has a timeout argument, or says what bounds it."""
    if "E5007" in documented(name).errors:
        assert re.search("set_timeout bounds|30 s", documented(name).limits)


@every_function
def test_the_codes_are_those_it_raises(name: str) -> None:
    entry = FUNCTIONS[name]
    if entry.parameters:
        assert code_of(entry.call, *[object()] * entry.arity) == "E3006"
        assert code_of(entry.call) == "E3005"
    if entry.parameters[:1] and entry.parameters[0] in ID_PARAMETERS - {"ids"}:
        assert code_of(entry.call, 0, *[None] * (entry.arity - 1)) == "E3029"


def test_what_has_not_the_form_is_refused() -> None:
    good = "It does.\n\nsize: bytes.\nReturns null.\nErrors: E3006 (wrong type).\nLimits: none.\nSee recv(2); RFC 1, 2."
    said = parse(good)
    assert said == Documented("It does.", {"size": "bytes."}, "null.", {"E3006": "wrong type"}, "none.", said.sources)
    assert said.sources == ("recv(2)", "RFC 1, 2")
    for old, new in (
        ("It does.", "It does"),
        ("size: bytes.", "size: bytes"),
        ("size: bytes.", "size is bytes."),
        ("size: bytes.", "size: bytes.\nsize: bytes."),
        ("Returns null.\n", ""),
        ("E3006 (wrong type)", "E3006"),
        ("E3006 (wrong type)", "E5006 (a), E3006 (b)"),
        ("Limits: none.\nSee", "See x.\nLimits:"),
    ):
        with pytest.raises((ValueError, KeyError)):
            parse(good.replace(old, new))


def test_the_modules_stay_small_enough_to_read() -> None:
    folder = Path(net.__file__).parent / "native"
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in folder.glob("*.py")) <= 500
