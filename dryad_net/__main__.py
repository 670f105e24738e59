"""The command line: python -m dryad_net, or dryad-net."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from .command.arguments import parser
from .errors import DryadNetError

PACKAGE = "dryad_net"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 if it failed, 130 if Ctrl-C cut it short.

    Bad usage ends the process with status 2, as argparse does it.
    """
    for stream in (sys.stdout, sys.stderr):
        # What is printed holds whatever a peer sent; no terminal's encoding may turn that into an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except DryadNetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (as head does); the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _is_built(package: str | os.PathLike[str]) -> bool:
    """Has this package folder a compiled half for this Python?"""
    return PathFinder.find_spec(f"{PACKAGE}._compiled.buffer", [str(Path(package, "_compiled"))]) is not None


def _installed_main() -> Callable[[], int]:
    """The main() to run: the installed package's, if Python found bare sources in front of it.

    ``python -m`` puts the working directory first on the import path. In a checkout that is the
    sources, whose compiled half pip has built into the installed package and nowhere else: right
    after ``pip install .`` the user would see the pure half and think that the build had failed.
    Only sources without a compiled half step back, and only for a package that has one; so an
    editable install, a build in place and a checkout that is not installed run where they are.
    """
    package = Path(__file__).resolve().parent
    if Path(sys.path[0]).resolve() != package.parent or _is_built(package):
        return main
    installed = PathFinder.find_spec(PACKAGE, sys.path[1:])
    if installed is None or not any(map(_is_built, installed.submodule_search_locations or ())):
        return main
    del sys.path[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    found: Callable[[], int] = importlib.import_module(f"{PACKAGE}.__main__").main
    return found


if __name__ == "__main__":
    sys.exit(_installed_main()())
