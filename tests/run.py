"""Runs the test suite twice, once over each half of the library: python tests/run.py [pytest arguments].

The library must be installed in this Python: the checkout itself is not imported. Each run is shared
out to several processes (pytest-xdist), because the tests wait more than they compute; `-n 0` keeps
it in one, and so does whatever needs that, such as `--pdb -n 0`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HALVES = ("compiled", "pure")
# Four on two processors took a third of the time that one process takes; they wait more than they compute.
WORKERS = min(max(4, os.cpu_count() or 1), 8)


def run(half: str, arguments: list[str]) -> int:
    """One run of the suite, in a process of its own; returns its exit status."""
    print(f"\n======== dryad_net, {half} half ========", flush=True)
    # -I keeps the working directory, and with it the checkout, out of the import path.
    # worksteal: a session's fixtures, such as a browser, are for neighbouring tests, which it leaves together.
    command = [sys.executable, "-I", "-m", "pytest", f"-n{WORKERS}", "--dist=worksteal", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "DRYAD_NET_BACKEND": half}, check=False).returncode


def main() -> int:
    """Both halves, also if the first fails; the exit status is 0 only if both are well."""
    outcomes = {half: run(half, sys.argv[1:]) for half in HALVES}
    print()
    for half, status in outcomes.items():
        print(f"{half} half: {'passed' if status == 0 else f'FAILED (pytest exit status {status})'}")
    return max(map(abs, outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
