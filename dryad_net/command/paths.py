"""dryad-net paths: where the files are that a host which is not Python needs."""

from __future__ import annotations

import sys

from ..host import locations

WHAT = ("library", "header", "modules")
NOT_BUILT = "the library was not built: it comes with the compiled half (DRYAD_NET_BUILD=compiled says why it cannot)"


def run(what: str | None) -> int:
    """Print one of WHAT, or all with their names; returns the exit status: 1 if the one is not there."""
    try:
        found = {name: _find(name) for name in ([what] if what else WHAT)}
    except OSError as error:
        print(f"the modules cannot be written: {error}", file=sys.stderr)
        return 1
    if what is None:
        for name, path in found.items():
            print(f"{name + ':':<10}{path or NOT_BUILT}")
    elif found[what] is None:
        print(NOT_BUILT, file=sys.stderr)
        return 1
    else:
        print(found[what])
    return 0


def _find(what: str) -> str | None:
    path = {"library": locations.library, "header": locations.header, "modules": locations.modules}[what]()
    return None if path is None else str(path)
