"""What the model-based tests share: how much they try, and what goes for every ID.

A few seconds and always the same in the suite; DRYAD_NET_MODEL_EXAMPLES=20000 tries so many
sequences of calls, other ones each time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support import SOON, close_leftovers, code_of, wait_until

import dryad_net as net
from dryad_net.table import table

MANY = int(os.environ.get("DRYAD_NET_MODEL_EXAMPLES", "0"))
# What a call that does not wait may take, on a busy machine, where the garbage collector may come in the middle of it;
# one that does wait takes the 10 s of a close, or a timeout of 30 s.
AT_ONCE = 8.0
DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
NEVER_GIVEN_OUT = (0, -1, 10**12)
choices = st.integers(0, 2**16)


def model_settings(examples: int, steps: int = 30) -> settings:
    """How much is tried: so many sequences of so many steps, in the suite."""
    return settings(
        max_examples=MANY or examples,
        stateful_step_count=steps,
        derandomize=not MANY,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def chosen(items: list[Any], choice: int) -> Any:
    """One of several, as a number says."""
    return items[choice % len(items)]


def at_once(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a call that must not wait."""
    begun = time.monotonic()
    result = function(*args)
    assert time.monotonic() - begun < AT_ONCE, function.__name__
    return result


class Life(RuleBasedStateMachine):
    """IDs of one kind, open and closed. Owns them; all descriptors are given back at the end.

    A subclass says which functions take such an ID, with the rest of their arguments, and which of
    them do nothing on a closed one.
    """

    calls: ClassVar[dict[str, tuple[Any, ...]]] = {}
    harmless: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []
        self.closed: list[int] = []
        # Of another kind than any of the functions takes.
        self.foreign: list[int] = []
        self.descriptors = len(os.listdir(DESCRIPTORS))

    def new(self, identifier: Any) -> int:
        """An ID was handed out: one that never was before."""
        assert type(identifier) is int
        assert not self.given or identifier > self.given[-1]
        assert identifier in table.objects
        self.given.append(identifier)
        return identifier

    def gone(self, identifier: int) -> None:
        """An ID was closed."""
        assert identifier not in table.objects
        self.closed.append(identifier)

    @rule(choice=choices, which=choices)
    def call_on_a_closed_id(self, choice: int, which: int) -> None:
        if not self.closed:
            return
        name = chosen(sorted(self.calls), which)
        function, identifier = getattr(net, name), chosen(self.closed, choice)
        if name in self.harmless:
            assert at_once(function, identifier, *self.calls[name]) == self.harmless[name]
        else:
            assert code_of(function, identifier, *self.calls[name]) == "E3029"

    @rule(choice=choices, which=choices)
    def call_on_a_foreign_id(self, choice: int, which: int) -> None:
        name = chosen(sorted(self.calls), which)
        identifier = chosen([*NEVER_GIVEN_OUT, *self.foreign], choice)
        assert code_of(getattr(net, name), identifier, *self.calls[name]) == "E3029"

    @invariant()
    def exactly_these_are_open(self) -> None:
        assert sorted(table.objects) == sorted(set(self.given) - set(self.closed))

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            close_leftovers()
        wait_until(lambda: len(os.listdir(DESCRIPTORS)) <= self.descriptors, SOON + 2, "descriptors given back")

    def finish(self) -> None:
        """Close everything, and see what the peers have."""
        raise NotImplementedError
