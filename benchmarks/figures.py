"""The figures that run_all.py wrote, and which of them the README's table and the chart show."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import harness

# (subject, title of the case, what the row is called, our contender). The best peer is found, not chosen.
SUMMARY = (
    ("ws_echo", "WebSocket echo, 16 bytes, binary, client", "WebSocket client, echo of 16 bytes", "dryad_net compiled"),
    ("ws_echo", "WebSocket echo, 256 bytes, text, client", "256 bytes, text", "dryad_net compiled"),
    ("ws_echo", "WebSocket echo, 8,192 bytes, binary, client", "8 KiB", "dryad_net compiled"),
    ("ws_echo", "WebSocket echo, 102,400 bytes, binary, client", "100 KiB", "dryad_net compiled"),
    ("ws_echo", "WebSocket echo, 1,048,576 bytes, binary, client", "1 MiB", "dryad_net compiled"),
    ("ws_echo", "WebSocket echo, 1,048,576 bytes, text, client", "1 MiB, text", "dryad_net compiled"),
    ("ws_server", "WebSocket echo server, 256 bytes, 1 connection", "WebSocket server, 1 client", "dryad_net compiled"),
    ("ws_server", "WebSocket echo server, 256 bytes, 32 connections", "32 clients", "dryad_net compiled"),
    ("ws_server", "WebSocket echo server, 256 bytes, 256 connections", "256 clients", "dryad_net compiled"),
    ("ws_server", "WebSocket echo server, 8,192 bytes, 256 connections", "256 clients, 8 KiB", "dryad_net compiled"),
    ("ws_broadcast", "WebSocket broadcast, 256 bytes to 1,000 clients", "broadcast to 1,000", "dryad_net compiled"),
    ("ws_handshake", "WebSocket server, opening handshake", "opening handshake", "dryad_net compiled"),
    ("tcp_echo", "TCP echo, 64 bytes, client", "TCP client, echo of 64 bytes", "dryad_net compiled bytes"),
    ("recv_until", "recv_until, lines of 64 bytes", "recv_until, lines of 64 bytes", "dryad_net compiled"),
    ("recv_until", "recv_until, records of 1 MiB", "recv_until, records of 1 MiB", "dryad_net compiled"),
    ("bulk_recv", "Bulk receive, chunks of 64 KiB", "TCP, chunks of 64 KiB", "dryad_net compiled bytes"),
    ("udp_echo", "UDP echo, 64 bytes, client", "UDP client, echo of 64 bytes", "dryad_net compiled connected"),
    ("udp", "UDP receive, 64 bytes", "UDP receive, 64 bytes", "dryad_net compiled recv"),
    ("udp", "UDP send, 64 bytes", "UDP send, 64 bytes, connected", "dryad_net compiled send_connected"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the summary: nanoseconds of processor time by C, and the contenders' ratios to it."""

    label: str
    floor_ns: float
    ours_ns: float
    ours: float
    pure: float | None
    peers: dict[str, float]
    peers_ns: dict[str, float]

    @property
    def best(self) -> str:
        """The peer that takes the least processor time."""
        return max(self.peers, key=lambda name: self.peers[name])


def load(path: Path) -> dict[str, Any]:
    """All reports, by subject."""
    reports: dict[str, Any] = json.loads(path.read_text())
    return reports


def machine(reports: dict[str, Any]) -> str:
    """What it was measured on and with, in one sentence."""
    report = next(iter(reports.values()))
    said = report["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in said["packages"].items() if name != "dryad_net")
    return f"{said['cpus']} CPUs ({said['cpu']}), {said['system'].split('-')[0]}, {said['python']}; {packages}"


def present(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The contenders of a case that took part."""
    return [contender for contender in case.get("contenders", ()) if "missing" not in contender]


def summary(reports: dict[str, Any]) -> list[Row]:
    """The rows of SUMMARY that were measured."""
    rows = []
    for subject, title, label, ours in SUMMARY:
        case = next((case for case in reports.get(subject, {}).get("cases", ()) if case["title"] == title), None)
        by_name = {contender["name"]: contender for contender in present(case)} if case else {}
        if ours not in by_name:
            continue
        peers = [name for name in list(by_name)[1:] if harness.is_peer(name) and "no address" not in name]
        pure = by_name.get(ours.replace("compiled", "pure"))
        rows.append(
            Row(
                label,
                next(iter(by_name.values()))["median_cpu_ns"],
                by_name[ours]["median_cpu_ns"],
                by_name[ours]["ratio_cpu"],
                pure["ratio_cpu"] if pure else None,
                {name: by_name[name]["ratio_cpu"] for name in peers},
                {name: by_name[name]["median_cpu_ns"] for name in peers},
            )
        )
    return rows


def memory(reports: dict[str, Any]) -> list[tuple[str, str, list[tuple[str, float]]]]:
    """Of the cases that count bytes: title, the point at which the most are open, and the medians there."""
    found = []
    for subject in ("memory", "ws_memory"):
        for case in reports.get(subject, {}).get("cases", ()):
            medians = [
                (name, statistics.median(one[1] for one in rounds)) for name, rounds in case["bytes"].items() if rounds
            ]
            found.append((case["title"], case["points"][1], medians))
    return found
