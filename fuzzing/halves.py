"""Both halves of the whole library in one process."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from unittest import mock

from core_support import HALVES

import dryad_net


def libraries() -> dict[str, ModuleType]:
    """The library, once for each half that was built. The IDs of both begin at 1.

    One of them is what was imported already, since an extension module is loaded once in a process;
    the other is imported from the beginning. Afterwards it knows its own modules, and nothing is mixed up.
    """
    found = {dryad_net.backend: dryad_net}
    for half in HALVES:
        if half not in found:
            found[half] = _import_again(half)
    return found


def _import_again(half: str) -> ModuleType:
    names = [name for name in sys.modules if name.partition(".")[0] == "dryad_net"]
    before = {name: sys.modules.pop(name) for name in names}
    try:
        with mock.patch.dict(os.environ, DRYAD_NET_BACKEND=half):
            imported = importlib.import_module("dryad_net")
        assert imported.backend == half
        return imported
    finally:
        sys.modules.update(before)
