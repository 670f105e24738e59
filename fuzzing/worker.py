"""One target in a process of its own, until libFuzzer has had enough: worker.py TARGET [libFuzzer's arguments]."""

from __future__ import annotations

import shlex
import sys

import atheris
from harness import load

with atheris.instrument_imports(include=["dryad_net", "wsproto"]):
    target = load(sys.argv[1])

# What a regular expression or startswith() compares with is told to libFuzzer too.
atheris.enabled_hooks.add("str")
# To merge, libFuzzer starts its first argument again, through a shell.
itself = shlex.join([sys.executable, *sys.argv[:2]])
atheris.Setup([itself, *sys.argv[2:]], target.one)
atheris.Fuzz()
