"""IDs: hand out, look up, retire; never reused.

One counter for the whole process, so that a stale ID can never reach somebody else's connection.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from .errors import IdError


class Table:
    """The objects behind the IDs that are open.

    ``objects`` is the same dict for ever: the compiled calls look IDs up in it themselves.
    """

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self._lock = threading.RLock()  # a signal's handler may come while another ID is handed out
        self._last = 0
        self._forgotten = 0

    def add(self, make: Callable[[int], Any]) -> Any:
        """Hand out the next ID.

        make: called with the ID, returns the object behind it.
        """
        with self._lock:
            identifier = self._last = self._last + 1  # no call in between, so no handler either
            try:
                made = make(identifier)
            except BaseException:
                if self._last == identifier:  # nobody has had it, so it is the next one's
                    self._last = identifier - 1
                raise
        self.objects[identifier] = made
        return made

    def retire(self, identifier: int) -> None:
        """Close an ID for ever; nothing happens if it is closed."""
        self.objects.pop(identifier, None)

    def was_given_out(self, identifier: int) -> bool:
        """Was this ID handed out by this process (and not by the parent it was forked from)?"""
        return self._forgotten < identifier <= self._last

    def find(self, identifier: int) -> Any:
        """The object behind an ID. Errors: IdError, if there is none (any more)."""
        found = self.objects.get(identifier)
        if found is not None:
            return found
        if self.was_given_out(identifier):
            raise IdError("closed").about(identifier)
        raise IdError("no such ID").about(identifier)

    def start_empty(self) -> list[Any]:
        """In the child of a fork: know no ID. Returns the objects that were inherited.

        The counter goes on, so that an ID of the parent's never names something of the child's.
        """
        inherited = list(self.objects.values())
        self.objects.clear()
        self._lock = threading.RLock()
        self._forgotten = self._last
        return inherited


table = Table()


def _abandon_inherited() -> None:
    for inherited in table.start_empty():
        inherited.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_inherited)
