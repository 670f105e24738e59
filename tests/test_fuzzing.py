"""The cases that fuzzing has kept, without a fuzzer; what was found once stays found. See fuzzing/README.md."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dryad_net as net

FUZZING = Path(__file__).resolve().parent.parent / "fuzzing"
TARGETS = sorted(path.stem for path in (FUZZING / "targets").glob("[!_]*.py"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus(target: str) -> None:
    """In a process of its own: a case may end it, and the natives' target imports the library twice."""
    assert list((FUZZING / "corpus" / target).iterdir())
    done = subprocess.run(
        [sys.executable, "-I", FUZZING / "run.py", "--replay", "--target", target],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "DRYAD_NET_BACKEND": net.backend},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no finding" in done.stdout
