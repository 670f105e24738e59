"""Where the files are that a host needs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from .modules import FILES, FOLDER, LIBRARY_NAME, text


def library() -> Path | None:
    """The C library, or None: it is built with the compiled half, so a pure installation has none."""
    found = FOLDER / LIBRARY_NAME
    return found if found.exists() else None


def header() -> Path:
    """The header of the C library."""
    return FOLDER / "dryad_net.h"


def modules() -> Path:
    """The folder of the .dryad modules, which open the library by its path.

    A wheel is built before anybody knows where it will be installed, and a script cannot ask where a
    module lies. So the modules that name this library are written when somebody asks for them: into
    the user's cache, which outlives an upgrade (XDG Base Directory Specification), or, for a user who
    has none, into the installation. Errors: OSError (neither can be written to).
    """
    found = library()
    if found is None:
        return FOLDER
    wanted = {file: text(file, str(found)) for file in FILES}
    try:
        return _up_to_date(_cache(), wanted)
    except (OSError, RuntimeError):  # no home folder is a RuntimeError
        return _up_to_date(FOLDER, wanted)


def _cache() -> Path:
    """A folder of this installation's own."""
    installation = hashlib.sha256(bytes(FOLDER)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "dryad_net", installation)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _up_to_date(folder: Path, wanted: dict[str, str]) -> Path:
    for file, content in wanted.items():
        path = folder / file
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            _replace(path, content)
    return folder


def _replace(path: Path, content: str) -> None:
    """Write a file at once, so that a script that starts meanwhile finds the old or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
