"""KeyboardInterrupt, or another handler's doing, in the middle of functions: where Python runs signals' handlers."""

from __future__ import annotations

import dis
import itertools
import sys
import threading
from collections.abc import Callable, Container, Iterable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import dryad_net as net

LIBRARY = Path(net.__file__).parent


class _Every(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


EVERY = _Every()  # of the library's functions
# Functions of the standard library that are interrupted only if a test asks for it.
STANDARD_THREADING = (Path(threading.__file__),)


def ctrl_c() -> None:
    raise KeyboardInterrupt


def interrupt_at(step: int, functions: Container[str], act: Callable[[], object], files: tuple[Path, ...] = ()) -> Any:
    """A trace function that has something happen after a call that they make: where a signal's handler may run.

    functions: the library's; also those of the same names in other `files`.
    """
    left = step

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "opcode" and frame.f_lasti in after_calls(frame.f_code):
            left -= 1
            if left == 0:
                sys.settrace(None)
                act()
        return trace

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        file = Path(frame.f_code.co_filename)
        if frame.f_code.co_name not in functions or not (file in files or file.is_relative_to(LIBRARY)):
            return None
        frame.f_trace = trace  # first: else 3.13 tells of no instruction
        frame.f_trace_opcodes = True
        return trace

    return enter


@cache
def after_calls(code: CodeType) -> set[int]:
    """The offsets of the instructions behind those that call something, or let a generator's caller go on.

    Not where a ``with`` or a ``try`` ends between the two: what a handler raises comes out of the call, inside it.
    """
    instructions = list(dis.get_instructions(code))
    parse = getattr(dis, "_parse_exception_table", None)  # none up to Python 3.10, where that is no matter of place
    entries = parse(code) if parse is not None else ()
    return {
        behind.offset
        for before, behind in itertools.pairwise(instructions)
        if (before.opname.startswith("CALL") or before.opname == "YIELD_VALUE")
        and handler_of(entries, before.offset) == handler_of(entries, behind.offset)
    }


def handler_of(entries: Iterable[Any], offset: int) -> object:
    """What catches an exception of this instruction, of a code's exception table; None for nothing."""
    return next((entry.target for entry in entries if entry.start <= offset < entry.end), None)


def interrupted(
    step: int,
    functions: Container[str],
    call: Callable[[], object],
    act: Callable[[], object] = ctrl_c,
    files: tuple[Path, ...] = (),
) -> bool:
    """Make a call that is interrupted after the step-th call of these functions. Returns whether it came so far."""
    reached: list[bool] = []

    def handler() -> None:
        reached.append(True)
        act()

    before = sys.gettrace()
    sys.settrace(interrupt_at(step, functions, handler, files))
    try:
        call()
    except KeyboardInterrupt:
        pass  # what was begun is the background's now
    finally:
        sys.settrace(before)
    return bool(reached)


def comes_out(
    step: int,
    functions: Container[str],
    call: Callable[[], object],
    act: Callable[[], object] = ctrl_c,
    raised: type[BaseException] = KeyboardInterrupt,
    files: tuple[Path, ...] = (),
) -> bool:
    """As interrupted(), and see that what `act` raises comes out of the call, and nothing else does."""
    came: list[bool] = []

    def noting() -> None:
        try:
            call()
        except raised:
            came.append(True)

    reached = interrupted(step, functions, noting, act, files)
    assert came == [True] * reached, f"step {step}"
    return reached
