"""What every benchmark shares: one CPU, workers, interleaved rounds, statistics, a table, JSON.

A contender is a process of its own (a worker). It says "ready" once it is set up (or "skip" and
why it cannot take part), then answers every line "COUNT" with "WALL CPU OPS": nanoseconds on the
clock, nanoseconds of its own processor time, and how many operations that was. The floor programs in
floor/ speak the same protocol (worker.h); those in Python are in the benchmarks' own files (worker.py).

Everything runs on one CPU: this process pins itself before it starts the others, which inherit
that. Waking another CPU costs more than what is compared. The processor time of the side under test
does not move with the load of the machine; compare that before the time on the clock.

The network is loopback, in a namespace where nothing paces it (network.py).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import network

HERE = Path(__file__).parent
FLOOR = HERE / "floor"
LEAST_ROUNDS = 7
# Names the folder for what is compiled once for all cases of a benchmark.
BUILT = "DRYAD_NET_BENCHMARKS_BUILT"
# Whose versions belong to the figures.
PACKAGES = (
    *("dryad_net", "wsproto", "uvloop", "picows", "aiofastnet", "aiohttp", "websockets", "websocket-client"),
    "wsaccel",
)
# Longer than anything a worker is asked to do at once: one that says nothing for so long hangs.
SILENCE_SECONDS = 120


# ---- the processes


@dataclasses.dataclass(frozen=True)
class Contender:
    """A name for the table, and the command that runs the worker."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def start(self) -> Process:
        """Its process, which is to be entered."""
        return Process(self)


class Subject(Protocol):
    """What measure() can take: a contender, or something that starts more than one process for it."""

    @property
    def name(self) -> str: ...

    def start(self) -> AbstractContextManager[Asked]: ...


class Asked(Protocol):
    """Something started, which says "ready" and then answers every count."""

    def hear(self) -> str: ...

    def ask(self, line: str) -> str: ...


def in_python(name: str, file: str, *arguments: object, backend: str = "") -> Contender:
    """A contender that is a function of a benchmark's own file: `file --worker ARGUMENTS`."""
    command = (sys.executable, file, "--worker", *map(str, arguments))
    return Contender(name, command, (("DRYAD_NET_BACKEND", backend),) if backend else ())


def ours(file: str, *arguments: object, note: str = "") -> list[Contender]:
    """Both halves of the library as contenders."""
    suffix = f" {note}" if note else ""
    return [
        in_python(f"dryad_net {backend}{suffix}", file, *arguments, backend=backend) for backend in ("compiled", "pure")
    ]


class Process:
    """A child that answers line by line. Owns it, and ends it when left."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        environment = os.environ | dict(contender.environment)
        environment["PYTHONHASHSEED"] = "0"
        self._process = subprocess.Popen(
            contender.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
        )
        self.pid = self._process.pid
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise RuntimeError(self._last_words()) from None

    def hear(self) -> str:
        """The next line. Errors: RuntimeError with the child's own words, if it ended or hangs."""
        assert self._process.stdout is not None
        if not self._selector.select(SILENCE_SECONDS):
            self._process.kill()
            raise RuntimeError(f"{self.name}: silent for {SILENCE_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(self._last_words())
        return line.decode().strip()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        self.tell(line)
        return self.hear()

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{self.name}: {said[-1] if said else 'ended without a word'}"


def compile_floor(folder: str) -> Callable[[str], str]:
    """Compile the programs of floor/ on demand; the result maps a program's name to its path."""
    compiler = shutil.which("cc") or shutil.which("gcc")

    def compiled(name: str) -> str:
        target = Path(folder) / name
        if not target.exists():
            if compiler is None:
                raise SystemExit("the floor is written in C, and there is no C compiler here (cc)")
            subprocess.run([compiler, "-O2", "-o", str(target), str(FLOOR / f"{name}.c")], check=True)
        return str(target)

    return compiled


@contextlib.contextmanager
def floor_programs() -> Iterator[Callable[[str], str]]:
    """compile_floor() into a folder that goes away; workers find it by BUILT."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[BUILT] = folder
        yield compile_floor(folder)


@contextlib.contextmanager
def server(*command: str) -> Iterator[int]:
    """A server of floor/ in the background; yields its port."""
    with Process(Contender(command[0], command)) as process:
        yield int(process.hear())


# ---- measuring


@dataclasses.dataclass
class Result:
    """One contender's rounds: nanoseconds for one operation, by the clock and by processor time."""

    name: str
    wall: list[float] = dataclasses.field(default_factory=list)
    cpu: list[float] = dataclasses.field(default_factory=list)
    missing: str = ""

    def json(self) -> dict[str, Any]:
        if self.missing:
            return {"name": self.name, "missing": self.missing}
        return {
            "name": self.name,
            "wall_ns": [round(one, 2) for one in self.wall],
            "cpu_ns": [round(one, 2) for one in self.cpu],
            "median_wall_ns": round(statistics.median(self.wall), 2),
            "median_cpu_ns": round(statistics.median(self.cpu), 2),
        }


@dataclasses.dataclass
class Case:
    """One table: results in the order they are printed, the floor first."""

    title: str
    operation: str
    results: list[Result]

    def get(self, name: str) -> Result | None:
        """A contender's result by name, if it took part."""
        return next((result for result in self.results if result.name == name and not result.missing), None)

    def ratio(self, name: str, to: str = "", *, cpu: bool = True) -> float | None:
        """How fast one contender is beside another (the floor): 1.0 is as fast; the median of the rounds' ratios."""
        one, other = self.get(name), self.get(to or self.results[0].name)
        if one is None or other is None:
            return None
        pairs = zip(one.cpu, other.cpu, strict=True) if cpu else zip(one.wall, other.wall, strict=True)
        return statistics.median(theirs / own for own, theirs in pairs)

    def json(self) -> dict[str, Any]:
        contenders = []
        for result in self.results:
            entry = result.json()
            if not result.missing:
                entry["ratio_wall"] = self.ratio(result.name, cpu=False)
                entry["ratio_cpu"] = self.ratio(result.name)
            contenders.append(entry)
        return {"title": self.title, "operation": self.operation, "contenders": contenders}


def measure(title: str, operation: str, contenders: Sequence[Subject], options: argparse.Namespace) -> Case:
    """Run the contenders, a round of each in turn, and print their table.

    The first is the floor. Every round takes about options.seconds by processor time, whatever the
    contender. The order is turned by one from round to round, so that nobody always follows the same.
    """
    case = Case(title, operation, [])
    with contextlib.ExitStack() as stack:
        running: list[tuple[Asked, Result, int]] = []
        for contender in contenders:
            result = Result(contender.name)
            case.results.append(result)
            process = stack.enter_context(contender.start())
            try:
                said = process.hear()
                if said.startswith("skip"):
                    raise RuntimeError(said[5:])
                running.append((process, result, _calibrate(process, options.seconds)))
            except RuntimeError as error:
                result.missing = str(error)
        for turn in range(options.rounds):
            first = turn % max(len(running), 1)
            for process, result, count in running[first:] + running[:first]:
                if result.missing:
                    continue
                try:
                    wall, cpu, operations = map(int, process.ask(str(count)).split())
                    result.wall.append(wall / operations)
                    result.cpu.append(cpu / operations)
                except RuntimeError as error:
                    result.missing = str(error)
    print_case(case)
    return case


def _calibrate(process: Asked, seconds: float) -> int:
    """How many operations take so long; the worker is warm afterwards."""
    count = 1
    while True:
        wall, _, operations = map(int, process.ask(str(count)).split())
        if wall >= seconds * 1e9 / 4:
            return max(int(seconds * 1e9 * operations / wall), 1)
        count = max(count * 2, min(count * 50, int(count * seconds * 1e9 / max(wall, 1) / 3)))


# ---- saying it


def amount(nanoseconds: float) -> str:
    """A duration in the unit that suits it."""
    if nanoseconds < 1000:
        return f"{nanoseconds:.1f} ns"
    if nanoseconds < 1e6:
        return f"{nanoseconds / 1000:.2f} µs"
    return f"{nanoseconds / 1e6:.2f} ms"


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table whose first column is text and whose others are figures."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    print(f"\n{title}")
    for row in [headings, *rows]:
        first = row[0].ljust(widths[0])
        print("  " + "  ".join([first, *(cell.rjust(widths[i + 1]) for i, cell in enumerate(row[1:]))]).rstrip())
    sys.stdout.flush()


def print_case(case: Case) -> None:
    """One case's table: by the clock, then by processor time; a ratio of 1.00 is the floor's speed."""
    rows = []
    for result in case.results:
        if result.missing:
            rows.append([result.name, "-", "-", "-", "-", "-", "-"])
            continue
        wall, cpu = case.ratio(result.name, cpu=False), case.ratio(result.name)
        rows.append(
            [
                result.name,
                amount(statistics.median(result.wall)),
                f"{amount(min(result.wall))}..{amount(max(result.wall))}",
                "-" if wall is None else f"{wall:.2f}",
                amount(statistics.median(result.cpu)),
                f"{amount(min(result.cpu))}..{amount(max(result.cpu))}",
                "-" if cpu is None else f"{cpu:.2f}",
            ]
        )
    headings = ["contender", "median", "min..max", "ratio", "CPU", "min..max", "CPU ratio"]
    print_table(f"{case.title} (per {case.operation})", headings, rows)
    for result in case.results:
        if result.missing:
            print(f"  {result.name} is missing: {result.missing}")
    sys.stdout.flush()


def say(*notes: str) -> list[str]:
    """Print notes under a table, and hand them back for the JSON."""
    for note in notes:
        print(f"  {note}")
    sys.stdout.flush()
    return list(notes)


def about(case: Case, notes: Sequence[str]) -> list[str]:
    """Notes for the JSON, which by itself does not tell what case they are of."""
    return [f"{case.title}: {note}" for note in notes]


def times(ratio: float | None) -> str:
    """A ratio as words."""
    return "not measured" if ratio is None else f"{ratio:.2f} times"


def verdict(reached: bool) -> str:
    """Beside what is wanted; never a failure."""
    return "reached" if reached else "not reached"


def is_peer(name: str) -> bool:
    """Is this contender neither the library nor a floor written in C?"""
    return not name.startswith(("dryad_net", "C, "))


def gate(case: Case, ours: str, wanted: float | None = None, peers: Sequence[str] | None = None) -> list[str]:
    """Beside the floor and beside the best of its peers, by processor time: what the library aims at, and has."""
    own = case.ratio(ours)
    if own is None:
        return []
    notes = []
    if wanted is not None:
        notes.append(
            f"{ours} beside {case.results[0].name}: {own:.2f} (wanted: {wanted:.2f}): {verdict(own >= wanted)}"
        )
    names = [result.name for result in case.results[1:] if is_peer(result.name)] if peers is None else peers
    ratios = {name: ratio for name in names if (ratio := case.ratio(name)) is not None}
    if ratios:
        best = max(ratios, key=lambda name: ratios[name])
        notes.append(
            f"{ours} beside {best}: {own:.2f} to {ratios[best]:.2f} (wanted: more): {verdict(own > ratios[best])}"
        )
    return say(*notes)


def beside(case: Case, ours: str, floor: str) -> list[str]:
    """Beside a floor that keeps a promise of the library's too, by processor time."""
    own = case.ratio(ours, floor)
    return [] if own is None else say(f"{ours} beside {floor}: {own:.2f}")


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": model or platform.machine(),
        "cpus": os.cpu_count(),
        # Of the last minute: what else the machine did says how far the figures are to be trusted.
        "load": round(os.getloadavg()[0], 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": versions,
    }


def save(
    subject: str, cases: Sequence[Case | dict[str, Any]], options: argparse.Namespace, notes: Sequence[str]
) -> None:
    """Write the JSON where --json says."""
    if options.json is None:
        return
    report = {
        "subject": subject,
        "machine": machine() | {"network": options.network},
        "rounds": options.rounds,
        "cases": [case.json() if isinstance(case, Case) else case for case in cases],
        "notes": list(notes),
    }
    options.json.write_text(json.dumps(report, indent=1) + "\n")


def arguments(
    description: str | None,
    choices: Mapping[str, Sequence[Any]] | None = None,
    least: int = LEAST_ROUNDS,
    **defaults: Any,
) -> argparse.Namespace:
    """The options every benchmark takes, and those that narrow its cases.

    When this returns, the CPU is pinned, and the network is one of its own.
    """
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=11, help=f"rounds of every contender, at least {least}")
    parser.add_argument("--seconds", type=float, default=0.2, help="about how long one round takes")
    parser.add_argument("--cpu", type=int, default=None, help="the CPU to run on (the last one)")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    for name, values in (choices or {}).items():
        kind = type(values[0])
        parser.add_argument(f"--{name}", nargs="+", type=kind, choices=values, default=values, help="these alone")
    parser.set_defaults(**defaults)
    options = parser.parse_args()
    if options.rounds < least:
        parser.error(f"--rounds: at least {least}")
    pin(options.cpu)
    options.network = network.enter()
    return options


def pin(cpu: int | None) -> None:
    """Run on one CPU, and so will every process started from here."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if cpu is None else cpu})
    else:
        print("this system cannot pin processes to a CPU: round trips will be noisy", file=sys.stderr)
