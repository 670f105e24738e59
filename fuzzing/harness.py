"""What run.py and its workers share: the targets, their corpus, and running a case without a fuzzer."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("[!_]*.py"))
# Longer cases find nothing that shorter ones do not, and are slower.
LONGEST_CASE = 4096

# The tests' own models and oracles are the targets', too. (python -I leaves out the script's folder.)
for _folder in (HERE, HERE.parent / "tests"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))


def load(name: str) -> ModuleType:
    """A target's module."""
    return importlib.import_module(f"targets.{name}")


def corpus_of(name: str) -> list[Path]:
    """The cases that are kept for a target."""
    return sorted((CORPUS / name).iterdir())


def replay(name: str, cases: list[Path]) -> None:
    """Run these cases without a fuzzer, and say which one fails."""
    one = load(name).one
    for path in cases:
        try:
            one(path.read_bytes())
        except BaseException:
            print(f"{name}: {path} fails", file=sys.stderr)
            raise
