"""The tables of the README and of docs/performance.md are those of the figures in benchmarks/results."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
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
    return fresh(monkeypatch, "tables", "harness", "figures", "network")


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


IN_ITS_NETWORK = """
import os, socket, network
print(network.enter())
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    print(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(bytes(1)).decode())
print(os.readlink("/proc/self/ns/net"))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has network namespaces")
def test_what_is_measured_on_is_what_is_said() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_ITS_NETWORK], cwd=BENCHMARKS, capture_output=True, text=True, check=True, timeout=30
    )
    said, congestion_control, namespace = done.stdout.splitlines()
    assert said.endswith(f", {congestion_control}")
    assert ("namespace" in said) == (namespace != os.readlink("/proc/self/ns/net"))
