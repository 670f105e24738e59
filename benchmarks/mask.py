"""Masking a payload (RFC 6455, 5.3), from 64 bytes to 16 MiB, beside copying it.

First the loops alone, in C: memcpy is the floor. Then what Python calls: a fresh object of the same
size is the floor, and at small sizes the call is most of the figure. The library itself masks
while it copies into the frame, without a call.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import harness
import worker

SIZES = (64, 1024, 65536, 16777216)
KEY = b"\x12\x34\x56\x78"
COPYING = "C, mask.h, copying"
# Of the rate of memcpy.
WANTED = 0.5


def repeated(call: Callable[[bytes, bytes], object], size: int) -> worker.Run:
    data = b"x" * size

    def work(count: int) -> None:
        for _ in range(count):
            call(data, KEY)

    return worker.timed(work)


def copied(size: int) -> worker.Run:
    """A copy: bytes of a bytearray."""
    source = bytearray(b"x" * size)
    return repeated(lambda data, key: bytes(source), size)


def ours(size: int) -> worker.Run:
    worker.load_ours()
    from dryad_net import _backend

    return repeated(_backend.mask.apply, size)


def websockets(size: int) -> worker.Run:
    from websockets.speedups import apply_mask

    return repeated(apply_mask, size)


WORKERS = {function.__name__: function for function in (copied, ours, websockets)}


def rates(case: harness.Case, size: int) -> list[str]:
    """The same figures as most tables of masking have them."""
    found = [
        f"{result.name} {size / statistics.median(result.cpu):.1f}" for result in case.results if not result.missing
    ]
    return harness.say(f"GB/s: {', '.join(found)}")


def main() -> None:
    options = harness.arguments(__doc__, choices={"sizes": SIZES})
    cases = []
    notes = []
    with harness.floor_programs() as floor:
        for size in options.sizes:
            in_c = [
                harness.Contender(name, (floor("mask"), what, str(size)))
                for name, what in (("C, memcpy", "memcpy"), (COPYING, "chosen"), ("C, mask.h, in place", "here"))
            ]
            cases.append(harness.measure(f"Masking {size:,} bytes, in C", "payload", in_c, options))
            said = rates(cases[-1], size) + harness.gate(cases[-1], COPYING, WANTED)
            notes += harness.about(cases[-1], said)
            in_python = [
                harness.in_python("a copy", __file__, "copied", size),
                *harness.ours(__file__, "ours", size),
                harness.in_python("websockets", __file__, "websockets", size),
            ]
            cases.append(harness.measure(f"Masking {size:,} bytes, from Python", "payload", in_python, options))
            notes += harness.about(cases[-1], rates(cases[-1], size))
    harness.save("mask", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, given_size = given
        worker.serve(lambda: WORKERS[function](int(given_size)))
