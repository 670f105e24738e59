"""Printing, as the commands share it."""

from __future__ import annotations

import sys
from typing import Any


def say(text: str) -> None:
    """Print a line at once and in one piece, also into a pipe and from several threads."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """As say, but beside the output proper."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def host_port(address: dict[str, Any]) -> str:
    """An address as one writes it: 127.0.0.1:80, [::1]:80."""
    host = f"[{address['ip']}]" if ":" in address["ip"] else address["ip"]
    return f"{host}:{address['port']}"
