"""Runs every benchmark, one after the other, and puts their figures into one JSON file.

With --publish it then draws the chart and writes the tables of README.md and docs/performance.md from it.
On a machine that others use too, run it two or three times with --calmest: which run counts is then decided by how
steady its times were, and not by what they say.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHART = HERE.parent / "docs" / "benchmarks.png"
SUBJECTS = (
    *("system_calls", "calls", "tcp_echo", "recv_until", "bulk_recv", "udp", "udp_echo", "memory"),
    *("techniques", "decode", "mask", "ws_echo", "ws_server", "ws_handshake", "ws_broadcast", "ws_memory", "ws_many"),
)
# The fewest rounds that count, and short ones: everything in about ten minutes.
QUICK = ("--rounds", "7", "--seconds", "0.07")
# Its one round has each half open 20,000 connections; it takes no number of rounds from here.
ONCE = "ws_many"


def run(subject: str, passed_on: list[str]) -> dict[str, Any] | None:
    """One benchmark's report; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.json"
        given = [] if subject == ONCE else passed_on
        started = time.monotonic()
        done = subprocess.run([sys.executable, str(HERE / f"{subject}.py"), "--json", str(target), *given])
        print(f"\n{subject}: {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            return None
        report: dict[str, Any] = json.loads(target.read_text())
        return report


def unrest(report: dict[str, Any]) -> float:
    """How far apart a contender's slowest and fastest round were: 1 for not at all."""
    rounds = [contender.get("cpu_ns") for case in report.get("cases", []) for contender in case.get("contenders", [])]
    return statistics.fmean([max(each) / min(each) for each in rounds if each and min(each) > 0] or [1.0])


def keep(subject: str, report: dict[str, Any], target: Path, calmest: bool) -> None:
    """Put a report into the file, beside those of other subjects; at once, so that a run can be cut short.

    calmest: unless that has the figures of a calmer run.
    """
    target.parent.mkdir(exist_ok=True)
    reports = json.loads(target.read_text()) if target.exists() else {}
    if not calmest or subject not in reports or unrest(report) < unrest(reports[subject]):
        reports[subject] = report
    ordered = {each: reports[each] for each in SUBJECTS if each in reports}
    target.write_text(json.dumps(ordered, indent=1) + "\n")


def publish(figures: Path) -> None:
    """The chart and the tables, each by its own command."""
    subprocess.run([sys.executable, str(HERE / "chart.py"), str(figures), str(CHART)], check=True)
    subprocess.run([sys.executable, str(HERE / "tables.py"), str(figures)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--json", type=Path, default=None, help="write all figures to this file, beside what else is there"
    )
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, help="these subjects alone")
    parser.add_argument("--calmest", action="store_true", help="unless the file has the figures of a calmer run")
    parser.add_argument("--quick", action="store_true", help=f"the same as {' '.join(QUICK)}")
    parser.add_argument("--publish", action="store_true", help="chart and tables from what --json has written")
    options, passed_on = parser.parse_known_args()
    if options.publish and options.json is None:
        parser.error("--publish needs --json")
    if options.quick:
        passed_on = [*QUICK, *passed_on]
    failed = []
    for subject in options.only:
        report = run(subject, passed_on)
        if report is None:
            failed.append(subject)
        elif options.json is not None:
            keep(subject, report, options.json, options.calmest)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if options.publish:
        publish(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
