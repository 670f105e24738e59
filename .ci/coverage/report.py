"""The lines that no test has reached: report.py BUILD PYTHON_JSON FLOOR

BUILD: the folder that the counting build was made in, with what gcov has counted beside its objects;
PYTHON_JSON: what `coverage json` says. A line of a .pyx counts as reached if any line of the C that
Cython has made of it was. What .ci/coverage/excluded names is left out. The exit status is 1 if
fewer than FLOOR percent of the lines of either half are reached, or if a line that is excluded is not there.
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
EXCLUDED = Path(__file__).with_name("excluded")

# How often each line has run, by file.
Counts = dict[str, dict[int, int]]

# Cython shows a line of the .pyx before the C that it has made of it.
_SHOWN = re.compile(r'^\s*/\* "(?:.*/)?(\w+\.p[yx][xd])":(\d+)$')
_END = re.compile(r"^\s*/\* function exit code \*/|^}|^static .*\{$|^/\*")


def shown_lines(generated: Path) -> dict[int, tuple[str, int]]:
    """By line of a generated .c: the .pyx or .pxd and its line that it is made of."""
    found: dict[int, tuple[str, int]] = {}
    current = None
    in_comment = False
    for number, line in enumerate(generated.read_text().splitlines(), 1):
        shown = _SHOWN.match(line)
        if shown:
            current = (f"src_pyx/{shown[1]}", int(shown[2]))
            in_comment = True
        elif in_comment:
            in_comment = not line.endswith("*/")
        elif _END.match(line):
            current = None
        elif current is not None:
            found[number] = current
    return found


def compiled_counts(build: Path) -> Counts:
    """What gcov has counted, of the .pyx instead of the C made of them."""
    counts: Counts = defaultdict(lambda: defaultdict(int))
    for data in sorted(build.rglob("*.gcno")):
        told = subprocess.run(
            ["gcov", "--json-format", "--stdout", str(data.relative_to(build))],
            cwd=build,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for file in (file for line in told.splitlines() for file in json.loads(line)["files"]):
            # Cython's C files, and copies of the headers that they include, are in a folder of their own.
            name = file["file"].removeprefix("build/c/")
            if not name.startswith("src_pyx/"):
                continue
            made_by_cython = name != file["file"] and name.endswith(".c")
            shown = shown_lines(build / file["file"]) if made_by_cython else {}
            for line in file["lines"]:
                number = line["line_number"]
                if not made_by_cython:
                    counts[name][number] += line["count"]
                elif number in shown:
                    where, original = shown[number]
                    counts[where][original] += line["count"]
    return counts


def python_counts(report: Path) -> Counts:
    """What coverage.py has counted of the package."""
    counts: Counts = {}
    for name, file in json.loads(report.read_text())["files"].items():
        lines = counts.setdefault("dryad_net/" + name.rpartition("site-packages/dryad_net/")[2], {})
        for number in file["missing_lines"]:
            lines.setdefault(number, 0)
        lines |= dict.fromkeys(file["executed_lines"], 1)
    return counts


def excluded() -> list[tuple[str, str, str]]:
    """(file or pattern of files, text of a line, reason); what stands inside that line's block is meant too."""
    found = []
    for line in EXCLUDED.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            file, text, reason = (part.strip() for part in line.split(" | "))
            found.append((file, text, reason))
    return found


def indentation(line: str) -> int:
    """How many blanks it begins with."""
    return len(line) - len(line.lstrip())


def lines_meant(file: str, text: str) -> list[set[int]]:
    """The lines of each block that begins with a line of this text."""
    source = (ROOT / file).read_text().splitlines()
    found = []
    for start, line in enumerate(source):
        if line.strip() == text:
            depth = indentation(line)
            end = start + 1
            while end < len(source) and (not source[end].strip() or indentation(source[end]) > depth):
                end += 1
            found.append(set(range(start + 1, end + 1)))
    return found


def ranges(numbers: list[int]) -> str:
    """As 3-5, 8."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def report(title: str, counts: Counts, leave_out: dict[str, set[int]], floor: float) -> bool:
    """Print the lines that were not reached. Returns whether enough were."""
    reached = total = 0
    print(f"\n{title}")
    for file in sorted(counts):
        lines = {number: count for number, count in counts[file].items() if number not in leave_out.get(file, ())}
        missing = sorted(number for number, count in lines.items() if not count)
        total += len(lines)
        reached += len(lines) - len(missing)
        if missing:
            print(f"  {file}: {ranges(missing)}")
    percent = 100 * reached / total
    print(f"  {reached} of {total} lines are reached: {percent:.2f} %")
    if percent < floor:
        print(f"  FAILED: at least {floor} % are to be")
    return percent >= floor


def main(build: str, python_json: str, floor: str) -> int:
    """Both halves; the exit status."""
    compiled, pure = compiled_counts(Path(build)), python_counts(Path(python_json))
    leave_out: dict[str, set[int]] = defaultdict(set)
    good = True
    print("excluded (.ci/coverage/excluded):")
    for pattern, text, reason in excluded():
        matched = False
        for file in fnmatch.filter([*compiled, *pure], pattern):
            counts = (compiled if file in compiled else pure)[file]
            for block in lines_meant(file, text):
                matched = True
                missing = {number for number in block if counts.get(number) == 0}
                leave_out[file] |= missing
                print(f"  {file}: {ranges(sorted(missing)) or 'all reached'}: {reason}")
        if not matched:
            good = False
            print(f"  FAILED: {pattern} has no line: {text}")
    for title, counts in (("compiled half (src_pyx/)", compiled), ("pure half and what both share (dryad_net/)", pure)):
        good = report(title, counts, leave_out, float(floor)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
