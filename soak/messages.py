"""Messages that say which they are, and the ledger of what came of them."""

from __future__ import annotations

import random
import threading
import zlib
from collections import Counter

LARGEST = 1 << 20
# Printable ASCII and what takes two, three and four bytes, so that cuts fall inside characters too.
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + "é€😀" * 4
_POOL = "".join(random.Random(1).choices(_ALPHABET, k=LARGEST))


def text(life: str, index: int, size: int) -> str:
    """The message of this number in a life, of about so many characters; no two are the same."""
    start = zlib.crc32(f"{life}#{index}".encode()) % (LARGEST // 2)
    return f"{life}#{index} {_POOL[start : start + size]}"


class Failure(Exception):  # noqa: N818 - what the soak is looking for, not an error of ours
    """Something that must not happen has happened; the argument says what."""


class Ledger:
    """What all clients together have done. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lives: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.size: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.failures: list[str] = []

    def lived(self, kind: str, messages: int, size: int, cut: bool) -> None:
        """A life is over, as it should be. messages, size: what was checked; cut: a fault ended it early."""
        with self._lock:
            self.lives[kind] += 1
            self.messages[kind] += messages
            self.size[kind] += size
            self.cut[kind] += cut

    def failed(self, where: str, what: str) -> None:
        """Something has gone wrong."""
        with self._lock:
            self.failures.append(f"{where}: {what}")

    def table(self) -> str:
        """One row for each kind of life."""
        rows = [("", "lives", "cut by a fault", "messages checked", "MiB")]
        for kind in sorted(self.lives):
            size = f"{self.size[kind] / (1 << 20):.1f}"
            rows.append((kind, *(str(each[kind]) for each in (self.lives, self.cut, self.messages)), size))
        total = f"{self.size.total() / (1 << 20):.1f}"
        rows.append(("all", *(str(each.total()) for each in (self.lives, self.cut, self.messages)), total))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                [row[0].ljust(widths[0]), *(each.rjust(width) for each, width in zip(row[1:], widths[1:], strict=True))]
            )
            for row in rows
        )
