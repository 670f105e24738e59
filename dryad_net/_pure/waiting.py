"""The waiter that is kept from one wait on many sockets to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DryadNetError
from .waiter import Waiter


class Kept:
    """Waits with the waiter of the last call, and the sockets that it watches.

    A thread that finds it in use makes one for itself.
    """

    def __init__(self, resolve: Callable[[list[Any]], list[Any]]) -> None:
        """resolve: see Waiter.wait()."""
        self.waiter: Waiter | None = None
        self._resolve = resolve

    def wait(self, ids: list[Any], timeout_ms: int) -> list[int]:
        """Waiter.wait(), but never None."""
        kept = self.waiter or self._made()
        try:
            found = kept.wait(ids, timeout_ms, self._resolve)
        except DryadNetError:
            raise
        except BaseException:
            # Whatever a signal's handler raised may have come in the middle of a change.
            self.drop(kept)
            raise
        return self._wait_once(ids, timeout_ms) if found is None else found

    def _made(self) -> Waiter:
        made = Waiter()
        kept = self.waiter
        if kept is None:
            kept = self.waiter = made
        else:
            made.close()  # making it has let another thread make one
        return kept

    def _wait_once(self, ids: list[Any], timeout_ms: int) -> list[int]:
        own = Waiter()
        try:
            return own.wait(ids, timeout_ms, self._resolve) or []
        finally:
            own.close()

    def drop(self, kept: Waiter) -> None:
        """Have nobody begin to wait with this one any more."""
        if self.waiter is kept:
            self.waiter = None
        kept.close()

    def forget(self) -> None:
        """In the child of a fork: whoever was waiting with it is not here."""
        kept = self.waiter
        if kept is not None:
            self.waiter = None
            kept.abandon()
