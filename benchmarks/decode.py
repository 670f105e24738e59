"""UTF-8 into strings, beside bytes.decode: ASCII, Portuguese, Chinese, and both with emoji.

What a text message takes after its bytes are there. The floor is bytes.decode, not C: a ratio over 1
is ahead of it. Every decoder makes the whole string; the loop that calls it is in all figures alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import harness
import worker

SIZES = (16, 256, 4096, 1048576)
KINDS = ("ascii", "portuguese", "chinese", "mixed")
OURS = "dryad_net compiled"
PORTUGUESE = "A ação começou às três da manhã; não há razão para preocupação, disse o capitão João. "
CHINESE = "世界各地的人们都在使用网络，速度很重要。"  # noqa: RUF001 - its own comma
TEXTS = {
    "ascii": "The action began at three in the morning. ",
    "portuguese": PORTUGUESE,
    "chinese": CHINESE,
    "mixed": PORTUGUESE + CHINESE + "🌳🚀😀 ",
}
# At 1 MiB of mixed scripts, beside bytes.decode; below, never slower.
WANTED = 4.0
LARGE = 1048576


def data_of(kind: str, size: int) -> bytes:
    """So many bytes of valid UTF-8."""
    text = TEXTS[kind].encode()
    whole = (text * (size // len(text) + 1))[:size].decode(errors="ignore").encode()
    return whole.ljust(size, b"x")


def repeated(decode: Callable[[bytes], str], data: bytes) -> worker.Run:
    def work(count: int) -> None:
        for _ in range(count):
            decode(data)

    return worker.timed(work)


def bytes_decode(kind: str, size: int) -> worker.Run:
    """bytes.decode, which is strict UTF-8 without being told."""
    return repeated(bytes.decode, data_of(kind, size))


def ours(kind: str, size: int) -> worker.Run:
    worker.load_ours()
    from dryad_net import _backend

    data = data_of(kind, size)
    if _backend.text.decode(data) != data.decode():
        raise RuntimeError("decoded to another text")
    return repeated(_backend.text.decode, data)


WORKERS = {function.__name__: function for function in (bytes_decode, ours)}


def gates(case: harness.Case, kind: str, size: int) -> list[str]:
    """The rates, and whether what the library aims at is reached."""
    rates = [f"{result.name} {size / statistics.median(result.cpu):.2f}" for result in case.results]
    own = case.ratio(OURS)
    if own is None:
        return harness.say(f"GB/s: {', '.join(rates)}")
    wanted = WANTED if kind == "mixed" and size == LARGE else 1.0
    reached = harness.verdict(own >= wanted)
    return harness.say(f"GB/s: {', '.join(rates)}; {own:.2f} times the rate (wanted: {wanted:.1f}): {reached}")


def main() -> None:
    options = harness.arguments(__doc__, choices={"sizes": SIZES, "kinds": KINDS})
    cases = []
    notes = []
    for kind in options.kinds:
        for size in options.sizes:
            contenders = [
                harness.in_python("bytes.decode", __file__, "bytes_decode", kind, size),
                *harness.ours(__file__, "ours", kind, size),
            ]
            case = harness.measure(f"Decoding {size:,} bytes, {kind}", "text", contenders, options)
            cases.append(case)
            notes += harness.about(case, gates(case, kind, size))
    harness.save("decode", cases, options, notes)


if __name__ == "__main__":
    given = worker.worker_arguments()
    if given is None:
        main()
    else:
        function, kind, given_size = given
        worker.serve(lambda: WORKERS[function](kind, int(given_size)))
