"""Writes the tables of README.md and docs/performance.md from the JSON of run_all.py: no figure is copied by hand.

    python benchmarks/tables.py benchmarks/results/NAME.json

A table stands between `<!-- figures: NAME -->` and `<!-- end of figures -->`; what is between is replaced.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import figures
from harness import amount

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(.*?)(<!-- end of figures -->)", re.DOTALL)
Reports = dict[str, Any]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def by_contenders(corner: str, rows: Sequence[tuple[list[str], list[str]]]) -> str:
    """Rows with the contenders that their columns are of: a table for those in succession that have the same."""
    groups = itertools.groupby(rows, key=lambda row: row[0])
    return "\n\n".join(markdown([corner, *names], [cells for _, cells in group]) for names, group in groups)


def summary(reports: Reports) -> str:
    """One row for each line of the chart."""
    rows = []
    for row in figures.summary(reports):
        best = f"{row.best}: {amount(row.peers_ns[row.best])}, {row.peers[row.best]:.2f}" if row.peers else ""
        pure = "" if row.pure is None else f"{row.pure:.2f}"
        rows.append([row.label, amount(row.floor_ns), f"{amount(row.ours_ns)}, **{row.ours:.2f}**", best, pure])
    return markdown(["processor time, ratio to C", "C", "dryad_net, compiled", "best peer", "pure"], rows)


def machine(reports: Reports) -> str:
    """The sentence that says what it was measured on."""
    rounds = sorted({report["rounds"] for subject, report in reports.items() if subject != "ws_many"})
    loads = [report["machine"]["load"] for report in reports.values() if "load" in report["machine"]]
    busy = f" Load average while it ran: up to {max(loads):.0f}." if loads else ""
    networks = " or ".join(sorted({report["machine"]["network"] for report in reports.values()}))
    return f"{figures.machine(reports)}; {networks}; {rounds[0]} interleaved rounds.{busy}"


def subject(reports: Reports, name: str) -> str:
    """Every case of a subject: what the floor takes, and each contender's ratio by processor time and by the clock."""
    cases = [case for case in reports[name]["cases"] if "contenders" in case]
    if not cases:
        return ""
    rows = []
    for case in cases:
        contenders = figures.present(case)
        cells = [f"{contender['ratio_cpu']:.2f} / {contender['ratio_wall']:.2f}" for contender in contenders[1:]]
        article = "an" if case["operation"][0] in "aeiou" else "a"
        floor = f"{amount(contenders[0]['median_cpu_ns'])} {article} {case['operation']}"
        rows.append(([contender["name"] for contender in contenders], [case["title"], floor, *cells]))
    return by_contenders("", rows)


def notes(reports: Reports, name: str) -> str:
    """What the library aims at in a subject, and whether it is reached."""
    return "\n".join(f"- {note}" for note in reports[name]["notes"])


def memory(reports: Reports) -> str:
    """Bytes of an idle connection."""
    rows = [
        ([name for name, _ in medians], [f"{title}, {point}", *(f"{held:,.0f}" for _, held in medians)])
        for title, point, medians in figures.memory(reports)
    ]
    return by_contenders("bytes of the process", rows)


def block(reports: Reports, name: str) -> str | None:
    """A block by name; None where its subject was not measured, and what stands there stays."""
    whole: dict[str, Callable[[Reports], str]] = {"summary": summary, "machine": machine, "memory": memory}
    if name in whole:
        return whole[name](reports)
    kind, _, of = name.partition("-")
    if of not in reports:
        return None
    return {"subject": subject, "notes": notes}[kind](reports, of)


def fill(path: Path, reports: Reports) -> None:
    """Replace what is in the blocks of a page."""

    def replaced(match: re.Match[str]) -> str:
        made = block(reports, match[2])
        return match[0] if made is None else f"{match[1]}{made}\n{match[4]}"

    path.write_text(BLOCK.sub(replaced, path.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("figures", type=Path, help="the JSON that run_all.py wrote")
    reports = figures.load(parser.parse_args().figures)
    for page in PAGES:
        fill(page, reports)


if __name__ == "__main__":
    main()
