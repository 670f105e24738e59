"""The two halves of the core have the same modules, classes, methods and parameters."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import re
from pathlib import Path

import pytest

from dryad_net import _backend

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src_pyx").glob("*.pyx"))
NAMES = [source.stem for source in SOURCES]
BUILT = importlib.util.find_spec("dryad_net._compiled.buffer") is not None
needs_compiled = pytest.mark.skipif(
    not BUILT and os.environ.get("DRYAD_NET_BACKEND") == "pure", reason="only the pure half was asked for and built"
)

# "    def name(self, size_t size, bint final=False):", over several lines too.
_CLASS = re.compile(r"^cdef class (\w+)(?:\((\w+)\))?", re.MULTILINE)
_FUNCTION = re.compile(r"^(    )?(?:cp)?def (?!class)(?:[\w ]+ )?(\w+)\(([^)]*)\)", re.MULTILINE)


def parameter_names(text: str) -> list[str]:
    """The names in a Cython parameter list."""
    names = []
    for parameter in filter(str.strip, text.split(",")):
        declared = parameter.partition("=")[0].replace(" not None", "").split()
        names.append(declared[-1].lstrip("*"))
    return [name for name in names if name != "self"]


def compiled_interface(name: str) -> dict[str, list[str]]:
    """Public functions and methods ("Class.method") of a .pyx, with their parameters' names."""
    text = (ROOT / "src_pyx" / f"{name}.pyx").read_text()
    classes = [(match.start(), match[1]) for match in _CLASS.finditer(text)]
    found = {}
    for match in _FUNCTION.finditer(text):
        if match[2].startswith("_"):
            continue
        owner = [each for start, each in classes if start < match.start()][-1] + "." if match[1] else ""
        found[owner + match[2]] = parameter_names(match[3])
    return found


def with_inherited(interface: dict[str, list[str]], text: str) -> dict[str, list[str]]:
    """A compiled interface completed by the methods of base classes, of this module or another."""
    everywhere = {each: names for name in NAMES for each, names in compiled_interface(name).items()}
    sources = [(ROOT / "src_pyx" / f"{name}.pyx").read_text() for name in NAMES]
    bases = {match[1]: match[2] for source in sources for match in _CLASS.finditer(source)}
    complete = dict(interface)
    for match in _CLASS.finditer(text):
        base = match[2]
        while base is not None:
            for each, names in everywhere.items():
                owner, _, method = each.partition(".")
                if method and owner == base:
                    complete.setdefault(f"{match[1]}.{method}", names)
            base = bases.get(base)
    return complete


def pure_interface(name: str) -> dict[str, list[str]]:
    """The same of a module of the pure half, with what its classes inherit."""
    module = importlib.import_module(f"dryad_net._pure.{name}")
    found = {}
    for owner, value in vars(module).items():
        if owner.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            for method, function in inspect.getmembers(value, inspect.isfunction):
                if not method.startswith("_"):
                    found[f"{owner}.{method}"] = list(inspect.signature(function).parameters)[1:]
        elif inspect.isfunction(value):
            found[owner] = list(inspect.signature(value).parameters)
    return found


def test_the_halves_have_the_same_modules() -> None:
    pure = sorted(path.stem for path in (ROOT / "dryad_net" / "_pure").glob("*.py") if path.stem != "__init__")
    assert pure == NAMES
    assert sorted(_backend.MODULES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_functions_methods_and_parameters(name: str) -> None:
    text = (ROOT / "src_pyx" / f"{name}.pyx").read_text()
    compiled, pure = with_inherited(compiled_interface(name), text), pure_interface(name)
    assert compiled
    assert {each: pure.get(each) for each in compiled} == compiled
    # What is a C function on the compiled side is a Python one here; methods have no such excuse.
    assert {each for each in pure if "." in each} == {each for each in compiled if "." in each}


@needs_compiled
@pytest.mark.parametrize("name", NAMES)
def test_what_was_built_is_what_the_source_says(name: str) -> None:
    module = importlib.import_module(f"dryad_net._compiled.{name}")
    for each in compiled_interface(name):
        value = module
        for part in each.split("."):
            value = getattr(value, part)
        assert callable(value)
        assert value.__doc__, f"{each} has no docstring"


@needs_compiled
@pytest.mark.parametrize("name", NAMES)
def test_attributes_that_the_compiled_half_shows(name: str) -> None:
    compiled = importlib.import_module(f"dryad_net._compiled.{name}")
    pure = importlib.import_module(f"dryad_net._pure.{name}")
    for owner, value in vars(compiled).items():
        if not inspect.isclass(value) or value.__module__ != compiled.__name__:
            continue
        for attribute, descriptor in vars(value).items():
            if inspect.isgetsetdescriptor(descriptor) and not attribute.startswith("_"):
                assert f"self.{attribute}" in inspect.getsource(getattr(pure, owner)), attribute


def used_of_the_seam() -> set[tuple[str, str]]:
    """(module, name) for every name of the core that the layers above it mention."""
    found = set()
    for path in (ROOT / "dryad_net").rglob("*.py"):
        if path.parent.name in ("_pure", "_compiled"):
            continue
        tree = ast.parse(path.read_text())
        seam = {
            alias.asname or alias.name: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "_backend"
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in seam:
                found.add((seam[node.value.id], node.attr))
    return {(module, name) for module, name in found if module in NAMES}


@needs_compiled
@pytest.mark.parametrize("half", ["_compiled", "_pure"])
def test_both_halves_have_what_the_layers_above_use(half: str) -> None:
    used = used_of_the_seam()
    assert ("stream", "Stream") in used
    for module, name in used:
        assert hasattr(importlib.import_module(f"dryad_net.{half}.{module}"), name), f"{module}.{name}"
