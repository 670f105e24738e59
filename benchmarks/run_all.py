"""Runs every benchmark, one after the other, and puts their figures into one JSON file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SUBJECTS = (
    *("system_calls", "calls", "tcp_echo", "recv_until", "bulk_recv", "udp", "memory"),
    *("mask", "ws_echo", "ws_server", "ws_handshake", "ws_broadcast", "ws_memory", "ws_many"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, help="write all figures to this file")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, help="these subjects alone")
    options, passed_on = parser.parse_known_args()
    reports = {}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for subject in options.only:
            target = Path(folder) / f"{subject}.json"
            command = [sys.executable, str(HERE / f"{subject}.py"), "--json", str(target), *passed_on]
            if subprocess.run(command).returncode == 0:
                reports[subject] = json.loads(target.read_text())
            else:
                failed.append(subject)
    if options.json is not None:
        options.json.write_text(json.dumps(reports, indent=1) + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
