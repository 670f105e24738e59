"""For pytest: -p dryad_counting_plugin; see counting.py."""

from __future__ import annotations

import dryad_counting


def pytest_sessionfinish() -> None:
    dryad_counting.write_down()
