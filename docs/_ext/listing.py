"""Which functions a page of the reference wants; without Sphinx, so that the tests can ask it too."""

from __future__ import annotations

from dryad_net import NativeFunction, registry

FUNCTIONS = {name: function for module in registry.values() for name, function in module.items()}


def functions_between(first: str, last: str) -> list[NativeFunction]:
    """The functions from the first to the last, in the registry's order."""
    same = [function for function in FUNCTIONS.values() if function.extension == FUNCTIONS[first].extension]
    names = [function.name for function in same]
    return same[names.index(first) : names.index(last) + 1]
