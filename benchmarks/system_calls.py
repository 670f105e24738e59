"""How many system calls a call makes, counted by strace: no clock, so the figures do not vary."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import calls
import harness
import worker

# Files that are not there: asking for them marks the calls that count in strace's output.
BEGIN, END = "/begin-of-counted-calls", "/end-of-counted-calls"
COUNTED = ("nothing_ours", "send_ours_bytes", "send_ours_text", "something_ours", "set_timeout_ours")


class _Marks(worker.Stopwatch):
    """Marks, in place of measuring."""

    def start(self) -> None:
        with contextlib.suppress(OSError):
            os.stat(BEGIN)

    def stop(self, operations: int) -> None:
        with contextlib.suppress(OSError):
            os.stat(END)
        self.operations += operations


def _count_me(name: str) -> None:
    """Under strace: warm up, then make marked calls and say how many."""
    try:
        run = calls.WORKERS[name]()
    except (ImportError, worker.Unavailable) as error:
        raise SystemExit(str(error)) from None
    run(worker.Stopwatch(), calls.BATCH)
    marks = _Marks()
    run(marks, calls.BATCH)
    print(marks.operations)


def count_system_calls(name: str, backend: str) -> str:
    """The system calls of one call, by name, as strace sees them."""
    strace = shutil.which("strace")
    if strace is None:
        return "not counted: strace is not installed"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "calls"
        done = subprocess.run(
            [strace, "-f", "-o", str(log), sys.executable, __file__, "--worker", name],
            env=os.environ | {"DRYAD_NET_BACKEND": backend},
            capture_output=True,
            text=True,
            timeout=harness.SILENCE_SECONDS,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            return f"not counted: {said[-1] if said else 'strace failed'}"
        counts = _between_marks(log.read_text(errors="replace"))
    operations = int(done.stdout)
    total = sum(counts.values()) / operations
    names = ", ".join(f"{call} {count / operations:.2f}" for call, count in sorted(counts.items()))
    return f"{total:.2f} ({names or 'none'})"


def _between_marks(log: str) -> dict[str, int]:
    """How often each system call was made between the marks, by the thread that made the marks."""
    counts: dict[str, int] = {}
    inside = ""
    for line in log.splitlines():
        thread, _, call = line.partition(" ")
        if BEGIN in call:
            inside = thread
        elif END in call:
            inside = ""
        elif thread == inside and "(" in call and not call.lstrip().startswith(("---", "<...")):
            name = call.split("(")[0].strip()
            counts[name] = counts.get(name, 0) + 1
    return counts


def main() -> None:
    options = harness.arguments(__doc__)
    rows = []
    for backend in ("compiled", "pure"):
        for name in COUNTED:
            what = (calls.WORKERS[name].__doc__ or "").rstrip(".").split(":")[0]
            rows.append([f"dryad_net {backend}, {what} ({name})", count_system_calls(name, backend)])
    harness.print_table("System calls of one call", ["call", "system calls"], rows)
    case = {"title": "System calls of one call", "counts": [{"name": name, "counted": found} for name, found in rows]}
    harness.save("system_calls", [case], options, [])


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        _count_me(given[0])
