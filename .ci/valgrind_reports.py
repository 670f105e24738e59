"""What valgrind has found that is the library's: valgrind_reports.py FILE.xml...

Everything valgrind reports counts, but for one thing: memory that is lost at exit and in whose allocation the
library had no part, which is what Python never gives back. A list of Python's functions to be suppressed
would be shorter, and would hide what the library does inside any of them.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree

# In the path of every file of the library's that is loaded (site-packages, or Debian's dist-packages).
LIBRARY = "-packages/dryad_net/"


def lines(error: ElementTree.Element) -> list[str]:
    """A report as text, one line for each function."""
    said = [error.findtext("what") or error.findtext("xwhat/text") or error.findtext("kind") or "?"]
    for part in error:
        if part.tag == "auxwhat":
            said.append(f"  {part.text}")
        elif part.tag == "stack":
            said += [f"    {place(frame)}" for frame in part]
    return said


def place(frame: ElementTree.Element) -> str:
    """Where a function is: in a line, or else in a file."""
    where = frame.findtext("obj", "?")
    if frame.findtext("file"):
        where = f"{frame.findtext('file')}:{frame.findtext('line')} in {where}"
    return f"{frame.findtext('fn', '?')} ({where})"


def counts(error: ElementTree.Element) -> bool:
    """Is it more than memory that Python has lost?"""
    leaked = error.findtext("kind", "").startswith("Leak_")
    return not leaked or any(LIBRARY in (each.text or "") for each in error.iter("obj"))


def main(files: list[str]) -> int:
    """Print what counts; 0 if nothing does."""
    found, others = [], 0
    for file in files:
        try:
            errors = list(ElementTree.parse(file).iter("error"))
        except ElementTree.ParseError as error:
            found.append([f"{file}: not finished: {error}"])
            continue
        for error in errors:
            if counts(error):
                found.append(lines(error))
            else:
                others += 1
    for report in found:
        print(*report, sep="\n", end="\n\n")
    print(f"{len(found)} reports; {others} leaks of Python's own")
    return int(bool(found) or not files)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
