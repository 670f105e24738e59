"""Both halves of the byte-level core in one process, and a plain model of its buffer."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

HALVES = ["pure", "compiled"]
if importlib.util.find_spec("dryad_net._compiled.buffer") is None and os.environ.get("DRYAD_NET_BACKEND") == "pure":
    HALVES.remove("compiled")


def core(half: str, name: str) -> Any:
    return importlib.import_module(f"dryad_net._{half}.{name}")


# ---- buffer


class Model:
    """What a Buffer does, in the plainest words."""

    def __init__(self) -> None:
        self.data = b""

    def append(self, data: bytes) -> None:
        self.data += data

    def _take(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def take_bytes(self, size: int) -> bytes | None:
        return self._take(size) or None

    def take_text(self, size: int, final: bool) -> str | None:
        size = min(size, len(self.data))
        if not size:
            return None
        whole = sum(character_lengths(self.data[:size], final and size == len(self.data)))
        if not whole:
            # One character that is longer than size; or the beginning of one that never comes.
            whole = next(iter(character_lengths(self.data, False)), size if final else 0)
        return self._take(whole).decode("utf-8", "surrogateescape") if whole else None

    def take_text_until(self, delimiter: bytes) -> str | None:
        begin = self.data.find(delimiter)
        return None if begin < 0 else self._take(begin + len(delimiter)).decode("utf-8", "surrogateescape")

    def clear(self) -> None:
        self.data = b""


def character_lengths(data: bytes, final: bool) -> list[int]:
    """How many bytes each character takes, up to one that is not whole yet; a bad byte is one of its own."""
    lengths = []
    start = 0
    while start < len(data):
        for length in (1, 2, 3, 4):
            try:
                data[start : start + length].decode()
            except UnicodeDecodeError as error:
                if "unexpected end" in error.reason and start + length >= len(data) and not final:
                    return lengths
                continue
            lengths.append(length)
            break
        else:
            lengths.append(1)
        start += lengths[-1]
    return lengths


def agree(steps: list[tuple[Any, ...]]) -> None:
    """Run the same steps on every half and on the model."""
    model = Model()
    buffers = {half: core(half, "buffer").Buffer() for half in HALVES}
    for name, *arguments in steps:
        before = model.data
        expected = getattr(model, name)(*arguments)
        for half, buffer in buffers.items():
            result = getattr(buffer, name)(*arguments)
            assert result == expected, (half, name, arguments, before)
            assert type(result) is type(expected)
            assert len(buffer) == len(model.data), (half, name, arguments, before)
    rest = model.data or None
    for half, buffer in buffers.items():
        assert buffer.take_bytes(len(model.data) + 1) == rest, half
