"""dryad-net paths: where the files are that a host which is not Python needs."""

from __future__ import annotations

import sys

from ..host import locations

WHAT = ("library", "header", "modules")
NOT_BUILT = "the library was not built: it comes with the compiled half (DRYAD_NET_BUILD=compiled says why it cannot)"


def run(what: str | None) -> int:
    """Print one of WHAT, or all with their names; returns the exit status: 1 if the one is not there."""
    if what is None:
        for name in WHAT:
            print(f"{name + ':':<10}{_find(name) or NOT_BUILT}")
        return 0
    found = _find(what)
    if found is None:
        print(NOT_BUILT, file=sys.stderr)
        return 1
    print(found)
    return 0


def _find(what: str) -> str | None:
    path = {"library": locations.library, "header": locations.header, "modules": locations.modules}[what]()
    return None if path is None else str(path)
