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
    module lies. So the path is written into the modules when somebody asks for them; where the
    installation cannot be written to, into copies in the user's cache (XDG Base Directory
    Specification).
    """
    found = library()
    if found is None:
        return FOLDER
    wanted = {file: text(file, str(found)) for file in FILES}
    try:
        return _up_to_date(FOLDER, wanted)
    except OSError:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        installation = hashlib.sha256(bytes(FOLDER)).hexdigest()[:16]
        folder = cache / "dryad_net" / installation
        folder.mkdir(parents=True, exist_ok=True)
        return _up_to_date(folder, wanted)


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
