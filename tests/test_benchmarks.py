"""The tables of the README and of docs/performance.md are those of the figures in benchmarks/results."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
FIGURES = BENCHMARKS / "results" / "latest.json"


def fresh(monkeypatch: pytest.MonkeyPatch, name: str, *imported: str) -> Any:
    """A module of benchmarks/, with those that it imports, whatever else has these names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for each in (name, *imported):
        monkeypatch.delitem(sys.modules, each, raising=False)
    return importlib.import_module(name)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    return fresh(monkeypatch, "tables", "harness", "figures")


def test_no_figure_is_copied_by_hand(tables: Any, tmp_path: Path) -> None:
    reports = importlib.import_module("figures").load(FIGURES)
    for page in tables.PAGES:
        copy = tmp_path / page.name
        copy.write_text(page.read_text())
        tables.fill(copy, reports)
        assert copy.read_text() == page.read_text(), page


def test_every_subject_of_the_pages_was_measured(tables: Any) -> None:
    reports = importlib.import_module("figures").load(FIGURES)
    for page in tables.PAGES:
        names = [match[2] for match in tables.BLOCK.finditer(page.read_text())]
        assert names
        assert all(tables.block(reports, name) for name in names)


def test_only_blocks_are_replaced(tables: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures: subject-nothing -->\nold\n<!-- end of figures -->\nbehind\n")
    tables.fill(page, {})
    assert page.read_text() == "before\n<!-- figures: subject-nothing -->\nold\n<!-- end of figures -->\nbehind\n"


def test_the_calmest_run_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_all = fresh(monkeypatch, "run_all")
    target = tmp_path / "results" / "figures.json"

    def report(*nanoseconds: float) -> dict[str, Any]:
        return {"cases": [{"contenders": [{"name": "C", "cpu_ns": list(nanoseconds)}]}]}

    for calmest, given, kept in (
        (True, report(10, 15), report(10, 15)),
        (True, report(5, 10), report(10, 15)),
        (True, report(20, 22), report(20, 22)),
        (False, report(5, 10), report(5, 10)),
    ):
        run_all.keep("udp", given, target, calmest)
        assert json.loads(target.read_text()) == {"udp": kept}
    assert run_all.unrest({"cases": [{"operation": "without rounds"}]}) == 1
