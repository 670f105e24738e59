"""Runs the Autobahn test suite against this library, one command each way.

    python compliance/run.py server      # the suite's client against our server
    python compliance/run.py client      # the suite's server against our client

Good is: every case there, none FAILED, NON-STRICT or UNIMPLEMENTED, and every close clean. README.md
says where the suite comes from.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cases

HERE = Path(__file__).parent
STARTING_SECONDS = 30
ENDING_SECONDS = 60
# Some cases wait a second for nothing to come: kosoku's client can run others meanwhile.
KOSOKU_AT_ONCE = "4"


class Failure(Exception):  # noqa: N818 - what goes wrong around the suite, as one line
    """The suite could not be run."""


# ---- the processes


@contextlib.contextmanager
def running(command: Sequence[str], backend: str, log: Path, heard: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended, by its own number, when left; what it says goes to `log`, or is heard."""
    environment = os.environ | ({"DRYAD_NET_BACKEND": backend} if backend else {})
    with log.open("a") as written:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if heard else written,
            stderr=written,
            text=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def finish(process: subprocess.Popen[str], seconds: float, what: str) -> int:
    """Wait for the end of a process. Returns its status. Errors: Failure if that takes too long."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{what} has not ended after {seconds:.0f} s") from None


def free_port() -> int:
    """A high port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_listener(port: int, process: subprocess.Popen[str]) -> None:
    """Until somebody listens. Errors: Failure if the process ends instead."""
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"the fuzzing server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise Failure("the fuzzing server does not listen")


# ---- the suite's two runners


def wstest(program: str, mode: str, port: int, agent: str, chosen: Sequence[str], report: Path) -> list[str]:
    """The command of the suite's own runner."""
    url = f"ws://127.0.0.1:{port}"
    spec: dict[str, object] = {"outdir": str(report), "cases": list(chosen), "exclude-cases": []}
    spec |= {"url": url} if mode == "fuzzingserver" else {"servers": [{"agent": agent, "url": url}]}
    file = report.with_suffix(".spec.json")
    file.write_text(json.dumps(spec))
    # Without --webport it would open a second port, for its reports.
    return [program, "--mode", mode, "--spec", str(file), "--webport", "0"]


def kosoku(program: str, mode: str, port: int, agent: str, chosen: Sequence[str], report: Path) -> list[str]:
    """The command of kosoku, which runs the same cases."""
    included = [part for case in chosen for part in ("--include", case)]
    at_once = ("--parallelism", KOSOKU_AT_ONCE) if mode == "fuzzingclient" else ()
    return [program, "--mode", mode, "--outdir", str(report), *at_once, *included, f"127.0.0.1:{port}"]


RUNNERS = {"wstest": wstest, "kosoku": kosoku}


def run_server(options: argparse.Namespace, backend: str, agent: str, report: Path, log: Path) -> None:
    """The fuzzing client against our server."""
    command = [sys.executable, str(HERE / "echo_server.py")]
    with running(command, backend, log, heard=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        if not said:
            raise Failure("the server under test does not start")
        runner = RUNNERS[options.runner](options.program, "fuzzingclient", int(said), agent, options.chosen, report)
        with running(runner, backend, log) as fuzzing:
            # Its status says whether there were failures, which the report says too.
            finish(fuzzing, options.limit, "the fuzzing client")
        if server.poll() is not None:
            raise Failure(f"the server under test ended with status {server.returncode}")


def run_client(options: argparse.Namespace, backend: str, agent: str, report: Path, log: Path) -> None:
    """The fuzzing server against our client."""
    port = free_port()
    runner = RUNNERS[options.runner](options.program, "fuzzingserver", port, agent, options.chosen, report)
    command = [sys.executable, str(HERE / "echo_client.py"), f"ws://127.0.0.1:{port}", agent]
    with running(runner, backend, log) as fuzzing:
        wait_for_listener(port, fuzzing)
        with running(command, backend, log) as client:
            status = finish(client, options.limit, "the client under test")
            if status:
                raise Failure(f"the client under test ended with status {status}")
        if options.runner == "kosoku":
            # It writes its report when all is over; wstest has written it when the client ends.
            finish(fuzzing, ENDING_SECONDS, "the fuzzing server")


# ---- the verdict


def judge(report: Path, chosen: Sequence[str]) -> list[str]:
    """What is wrong, one line for each case. Errors: Failure if there is no report."""
    try:
        agents = json.loads((report / "index.json").read_text())
    except FileNotFoundError:
        raise Failure("there is no report") from None
    found = {case: result for results in agents.values() for case, result in results.items()}
    wrong = [f"{case}: missing" for case in chosen if case not in found]
    for case, result in found.items():
        good = {"OK", "INFORMATIONAL"} if case in cases.INFORMATIONAL else {"OK"}
        if result["behavior"] not in good:
            wrong.append(f"{case}: {result['behavior']}")
        if result["behaviorClose"] not in good:
            wrong.append(f"{case}: close {result['behaviorClose']}")
    return wrong


def run(options: argparse.Namespace, backend: str, folder: Path) -> bool:
    """One direction with one half; prints what is wrong and a line that sums up. Returns whether all is good."""
    agent = f"dryad_net_{backend}" if backend else "dryad_net"
    report, log = folder / f"{options.side}_{agent}", folder / f"{options.side}_{agent}.log"
    title = f"{options.side}, {backend or 'the half that is chosen by default'}, {options.runner}"
    started = time.monotonic()
    try:
        shutil.rmtree(report, ignore_errors=True)
        (run_server if options.side == "server" else run_client)(options, backend, agent, report, log)
        wrong = judge(report, options.chosen)
    except Failure as failure:
        said = log.read_text().splitlines()[-20:] if log.exists() else []
        print(*said, f"{title}: {failure}", sep="\n")
        return False
    for line in wrong:
        print(f"  {line}")
    verdict = f"{len(wrong)} WRONG" if wrong else "all good"
    print(f"{title}: {len(options.chosen)} cases, {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    return not wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("side", choices=("server", "client"), help="which side is under test")
    parser.add_argument("--half", nargs="+", choices=("compiled", "pure"), default=[""], help="instead of the default")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="cases and groups, such as 1 9.1 12.1.3 (all)")
    parser.add_argument("--quick", action="store_true", help="the selection of CI")
    parser.add_argument("--runner", choices=RUNNERS, default="wstest", help="the suite's own, or kosoku")
    parser.add_argument("--program", help="where the runner is, if not on PATH")
    parser.add_argument("--report", type=Path, help="keep the reports (index.html) and logs in this folder")
    parser.add_argument("--limit", type=float, default=7200, help="seconds after which a run is given up")
    options = parser.parse_args()
    beside = Path(sys.executable).parent / options.runner
    options.program = options.program or shutil.which(options.runner) or (str(beside) if beside.exists() else None)
    if options.program is None:
        parser.error(f"{options.runner} is not on PATH: --program says where it is, README.md where it comes from")
    try:
        options.chosen = cases.select(options.cases or (cases.QUICK if options.quick else list(cases.GROUPS)))
    except ValueError as error:
        parser.error(str(error))
    if options.runner == "kosoku" and options.side == "client":
        left_out = cases.select(cases.NOT_BY_KOSOKU)
        options.chosen = [case for case in options.chosen if case not in left_out]
    return options


def main() -> int:
    options = arguments()
    # Whoever ends this process ends the ones it has started, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        if options.report is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = options.report.resolve()
            folder.mkdir(parents=True, exist_ok=True)
        good = [run(options, backend, folder) for backend in options.half]
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
