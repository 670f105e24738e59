"""The fixture of the tests that run commands; a plugin of pytest's, because several test modules share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_support import Program


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Programs that are ended after the test at the latest."""
    started: list[Program] = []
    yield started
    for program in started:
        program.clean_up()
