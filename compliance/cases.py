"""The cases of the Autobahn test suite 25.10.1, and selections of them."""

from __future__ import annotations

from collections.abc import Iterable

# How many cases a group has: "6.22" has 6.22.1 to 6.22.34. Written down here, so that a case the
# runner leaves out is noticed.
GROUPS = {
    "1.1": 8, "1.2": 8, "2": 11, "3": 7, "4.1": 5, "4.2": 5, "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4, "6.10": 3,
    "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5, "6.18": 5, "6.19": 5,
    "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7,
    "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2,
    "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6,
    "10.1": 1,
    "12.1": 18, "12.2": 18, "12.3": 18, "12.4": 18, "12.5": 18,
    "13.1": 18, "13.2": 18, "13.3": 18, "13.4": 18, "13.5": 18, "13.6": 18, "13.7": 18,
}  # fmt: skip

# What the suite itself only reports, because RFC 6455 leaves it open: a Close while a message is
# under way (7.1.6), codes that have no meaning (7.13).
INFORMATIONAL = frozenset({"7.1.6", "7.13.1", "7.13.2"})

# What kosoku's server leaves out (UNIMPLEMENTED), whatever the client: it agrees to no
# client_no_context_takeover that the client did not offer by name. wstest runs these.
NOT_BY_KOSOKU = ("13.2", "13.5", "13.6")

# Half a minute each way: everything but size and compression, and of these one of each kind.
QUICK = (
    "1", "2", "3", "4", "5", "6", "7",
    "9.1.1", "9.1.2", "9.2.1", "9.2.2", "9.3.4", "9.4.4", "9.5.3", "9.6.3", "9.7.1", "9.8.1",
    "10",
    "12.1.1", "12.1.3", "12.2.2", "12.3.3", "12.4.3", "12.5.3",
    "13.1.1", "13.1.11", "13.2.2", "13.3.3", "13.4.2", "13.5.3", "13.6.3", "13.7.2",
)  # fmt: skip


def every() -> list[str]:
    """All 517 cases in the suite's order."""
    return [f"{group}.{number}" for group, count in GROUPS.items() for number in range(1, count + 1)]


def select(wanted: Iterable[str]) -> list[str]:
    """The cases that are named, or whose group is: "9", "9.1" and "9.1.1" are groups or cases.

    Errors: ValueError for a name that is neither.
    """
    chosen = set()
    for name in wanted:
        found = {case for case in every() if case == name or case.startswith(f"{name}.")}
        if not found:
            raise ValueError(f"there is no case and no group {name}")
        chosen |= found
    return [case for case in every() if case in chosen]
