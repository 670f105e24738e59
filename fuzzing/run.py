"""Fuzzes the library, or replays the cases that are kept: one command each.

    python fuzzing/run.py --seconds 600                     # every target, 600 s in all
    python fuzzing/run.py --seconds 600 --target frames     # one
    python fuzzing/run.py --replay                          # every case of the corpus once; needs no atheris
    python fuzzing/run.py --target frames --case FILE       # one case

Good is: no finding. A case that fails is kept in build/fuzzing/, and its name is printed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # python -I leaves it out
from harness import CORPUS, HERE, LONGEST_CASE, TARGETS, corpus_of, load, replay

FINDINGS = HERE.parent / "build" / "fuzzing"
# One case, also on a busy machine; whatever takes longer hangs.
CASE_SECONDS = 20
MEMORY_MB = 2048
# Beyond what was asked: starting, and the case that is running at the end.
GRACE_SECONDS = 120


class Report(NamedTuple):
    """How a run ended."""

    target: str
    executions: int
    seconds: float
    status: int
    output: str


def dictionary(target: str) -> str:
    """A target's words in libFuzzer's form."""
    words = load(target).WORDS
    return "".join('"{}"\n'.format("".join(f"\\x{byte:02x}" for byte in word)) for word in words)


def fuzz(target: str, seconds: int, seed: int, grow: bool) -> Report:
    """Fuzz a target for so many seconds in a process of its own, beginning with the corpus."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / target
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, "new")
        new.mkdir()
        words = Path(folder, "words")
        words.write_text(dictionary(target))
        options = {
            "max_total_time": seconds,
            "timeout": CASE_SECONDS,
            "rss_limit_mb": MEMORY_MB,
            "max_len": LONGEST_CASE,
            "artifact_prefix": f"{FINDINGS}/{target}-",
            "dict": words,
            "print_final_stats": 1,
            "seed": seed,
        }
        command = [sys.executable, str(HERE / "worker.py"), target]
        command += [f"-{name}={value}" for name, value in options.items()]
        started = time.monotonic()
        status, output = _run([*command, str(new), str(kept)], seconds + GRACE_SECONDS)
        elapsed = time.monotonic() - started
        if grow and status == 0:
            _grow(target, new, Path(folder))
    return Report(target, _executions(output), elapsed, status, output)


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False, cwd=HERE.parent
        )
    except subprocess.TimeoutExpired as late:
        return 1, (late.output or b"").decode(errors="replace") + f"\nnot ended after {seconds:.0f} s\n"
    return done.returncode, done.stdout.decode(errors="replace")


def _executions(output: str) -> int:
    found = re.search(r"stat::number_of_executed_units: (\d+)", output) or re.search(r"Done (\d+) runs", output)
    return int(found[1]) if found else 0


def _grow(target: str, new: Path, folder: Path) -> None:
    """Add to the corpus what covers more than it does."""
    merged = folder / "merged"
    merged.mkdir()
    command = [sys.executable, str(HERE / "worker.py"), target, "-merge=1", f"-max_len={LONGEST_CASE}"]
    status, output = _run([*command, str(merged), str(CORPUS / target), str(new)], 600)
    if status:
        print(output)
        return
    for path in merged.iterdir():
        shutil.copy(path, CORPUS / target / path.name[:12])


def tell(report: Report) -> None:
    """One line about a run; all that a failed one said."""
    outcome = "no finding" if report.status == 0 else f"FINDING (status {report.status})"
    print(f"{report.target:10} {report.executions:>9} cases in {report.seconds:5.0f} s  {outcome}", flush=True)
    if report.status:
        print(report.output)


def main() -> int:
    """Runs what the arguments say; the exit status is 0 only if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    parser.add_argument("--seconds", type=int, default=60, help="how long, for all targets together")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer's random numbers; 0: another each time")
    parser.add_argument("--grow", action="store_true", help="add what covers more to the corpus")
    parser.add_argument("--replay", action="store_true", help="only run the cases of the corpus, without atheris")
    parser.add_argument("--case", type=Path, help="only run this case, without atheris")
    arguments = parser.parse_args()
    if arguments.case and not arguments.target:
        parser.error("--case needs --target")
    targets = [arguments.target] if arguments.target else TARGETS
    if arguments.case:
        replay(targets[0], [arguments.case])
        return 0
    if arguments.replay:
        for target in targets:
            replay(target, corpus_of(target))
            print(f"{target:10} {len(corpus_of(target)):>9} cases of the corpus    no finding", flush=True)
        return 0
    reports = []
    for target in targets:
        reports.append(fuzz(target, max(arguments.seconds // len(targets), 1), arguments.seed, arguments.grow))
        tell(reports[-1])
    found = sum(report.status != 0 for report in reports)
    print(f"{sum(report.executions for report in reports)} cases in {len(targets)} targets, findings: {found}")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
