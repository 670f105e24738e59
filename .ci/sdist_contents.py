"""Checks a source distribution against the checkout: sdist_contents.py FILE.tar.gz

It has every file that git tracks, and nothing else but what setuptools adds, so nothing generated.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile

# About the repository on its server, not about the project.
NOT_FOR_THE_ARCHIVE = (".gitignore", ".github/")
ADDED_BY_SETUPTOOLS = ("PKG-INFO", "setup.cfg", "dryad_net.egg-info/")


def main(archive: str) -> str:
    """What is wrong; empty if nothing is."""
    with tarfile.open(archive) as opened:
        packed = {member.name.partition("/")[2] for member in opened.getmembers() if member.isfile()}
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name and not name.startswith(NOT_FOR_THE_ARCHIVE)}
    packed = {name for name in packed if not name.startswith(ADDED_BY_SETUPTOOLS)}
    complaints = [f"missing: {name}" for name in sorted(tracked - packed)]
    return "\n".join(complaints + [f"not in the checkout: {name}" for name in sorted(packed - tracked)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) or 0)
