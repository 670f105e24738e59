"""Every native function with any arguments, in any order: a documented result or a documented error.

The same calls are made on both halves, and what is wrong with their arguments is the same on both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from arguments import argument
from halves import libraries
from source import Source
from world import World

import dryad_net

WORDS = (b"\r\n", b"GET / HTTP/1.1\r\n", b"\x81\x85", b"\x88\x82", b"\x89\x80", "é".encode(), b"\xff")
MOST_CALLS = 40
# A difference that depends on when something arrived is not there every time.
ATTEMPTS = 3

LIBRARIES = libraries()
FUNCTIONS = tuple(function.name for functions in dryad_net.registry.values() for function in functions.values())
ARGUMENT_CODES = ("E3005", "E3006", "E3029")
CODES = (*ARGUMENT_CODES, "E5006", "E5007")
# What is refused with E3006 though the argument was in order before the handshake.
HANDSHAKE_OVER = "compression was not negotiated in the handshake, which is over"
GIVING_IDS = ("_connect", "_listen", "_listen_tls", "_bind", "_accept", "_accept_blocking", "_socket")
# What the declarations say that is returned, where it is not a type's name.
TYPES: dict[str, tuple[type, ...]] = {
    "None": (type(None),),
    "Received": (dict,),
    **{each.__name__: (each,) for each in (int, str, bytes, bool, dict, list)},
}


class Outcome(NamedTuple):
    """What became of a call; ran: whether its arguments were in order."""

    function: str
    result: str
    ran: bool
    known: int  # how many IDs there were


def _declared(library: ModuleType) -> Iterator[tuple[str, tuple[type, ...]]]:
    """What each native function returns, by the annotations of its declaration."""
    for path in sorted(Path(library.__file__ or "", "..", "native").resolve().glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("native_"):
                assert node.returns is not None
                names = re.sub(r"\[.*\]", "", ast.unparse(node.returns)).split(" | ")
                yield node.name, tuple(each for name in names for each in TYPES[name])


RETURNS = dict(_declared(dryad_net))


def one(data: bytes) -> None:
    """Calls, and what the peers do between them."""
    for attempt in range(1, ATTEMPTS + 1):
        outcomes = [_run(library, Source(data)) for library in LIBRARIES.values()]
        difference = next((pair for pair in zip(*outcomes, strict=False) if not _agree(*pair)), None)
        if difference is None:
            return
        assert attempt < ATTEMPTS, difference


def _agree(*outcomes: Outcome) -> bool:
    """Are these the same, or had they other IDs before, because something came later?"""
    first = outcomes[0]
    if any(each.known != first.known or each.function != first.function for each in outcomes):
        return True
    return all(each.ran is first.ran and (each.ran or each.result == first.result) for each in outcomes)


def _run(library: ModuleType, source: Source) -> list[Outcome]:
    world = World(library)
    outcomes = []
    try:
        for _ in range(MOST_CALLS):
            if not source:
                break
            turn = source.number(0, 7)
            if turn == 7:
                world.peer_acts(source)
            elif turn == 6 and source.number(0, 3) == 3:
                world.add_peer(source.pick(world.identifiers), source.boolean())
            else:
                outcomes.append(_call(world, source))
    finally:
        world.close()
    return outcomes


def _call(world: World, source: Source) -> Outcome:
    name = source.pick(FUNCTIONS)
    known = len(world.identifiers)
    function = getattr(world.net, name)
    arguments = [argument(source, world, parameter) for parameter in _parameters(world.net, name)]
    if source.number(0, 31) == 31:
        arguments = arguments[:-1] if source.boolean() else [*arguments, None]
    _keep_at_home(world, name, arguments)
    try:
        result = function(*arguments)
    except world.net.DryadNetError as error:
        assert error.code in CODES
        assert str(error).startswith(f"{error.code} {name}: "), str(error)
        assert len(str(error)) < 400
        # On time it depends as well whether the background has completed a handshake.
        ran = error.code not in ARGUMENT_CODES or str(error).endswith(HANDSHAKE_OVER)
        return Outcome(name, error.code, ran, known)
    assert type(result) in RETURNS[name], (name, result)
    if name.endswith(GIVING_IDS) and result is not None:
        world.created(result)
    return Outcome(name, type(result).__name__, True, known)


def _parameters(library: ModuleType, name: str) -> tuple[str, ...]:
    return next(functions[name].parameters for functions in library.registry.values() if name in functions)


def _keep_at_home(world: World, name: str, arguments: list[Any]) -> None:
    """Nothing leaves the machine: no broadcasts, and multicasts no further than this host."""
    setting = {
        "native_udp_broadcast": (world.net.native_udp_set_broadcast, False),
        "native_udp_multicast_send": (world.net.native_udp_set_multicast_ttl, 0),
    }.get(name)
    if setting is not None:
        try:
            setting[0](arguments[0], setting[1])
        except (world.net.DryadNetError, IndexError):
            return  # then the call itself is refused, too
