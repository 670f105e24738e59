"""dryad-net info: what this installation is and what it runs on."""

from __future__ import annotations

import os
import platform
import ssl
from pathlib import Path

from .. import _backend
from ..version import __version__

INSTRUCTION_SETS = ("sse2", "sse4_1", "sse4_2", "avx", "avx2", "avx512bw", "asimd", "neon")


def run() -> int:
    """Print it; returns the exit status."""
    for name, value in facts().items():
        print(f"{name + ':':<14}{value}")
    return 0


def facts() -> dict[str, str]:
    """What can be said about the installation, in the order it is printed."""
    return {
        "dryad_net": f"{__version__}, {Path(__file__).resolve().parent.parent}",
        "backend": f"{_backend.backend} ({_backend.reason})",
        "poller": _backend.poll.NAME,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "TLS": ssl.OPENSSL_VERSION,
        "certificates": _certificates(),
        "SIMD": _simd(),
        "CPU": _cpu(),
    }


def _certificates() -> str:
    """Where TLS looks for the certificates it trusts."""
    paths = ssl.get_default_verify_paths()
    places = [f"file {paths.cafile}" if paths.cafile else "", f"folder {paths.capath}" if paths.capath else ""]
    found = ", ".join(filter(None, places)) or "none found"
    wanted = os.environ.get(paths.openssl_cafile_env)
    # The ssl module reports only what exists, and falls back to the system's without a word.
    return found if wanted is None else f"{found} ({paths.openssl_cafile_env}={wanted})"


def _simd() -> str:
    """What of the library itself uses the CPU's vector instructions."""
    if _backend.backend == "pure":
        return "none (the pure half)"
    return f"masking ({_backend.mask.NAME}), UTF-8 ({_backend.text.NAME}), delimiter search (the C library's memchr)"


def _cpu() -> str:
    """The vector instructions this CPU has, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return "unknown"
    listed = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    flags = listed.partition(":")[2].split()
    return ", ".join(name for name in INSTRUCTION_SETS if name in flags) or "unknown"
