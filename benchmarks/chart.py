"""Draws the README's chart from the JSON of run_all.py: how near to C every contender comes.

    python benchmarks/chart.py benchmarks/results/NAME.json docs/benchmarks.png

Needs matplotlib. The rows are those of the README's table (figures.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import figures

OURS = "dryad_net"
# What a contender's name begins with, and how it is drawn. The colours are those of M. Okabe and
# K. Ito, "Color Universal Design" (2008), which all kinds of colour vision tell apart; so do the shapes.
STYLES = (
    ("picows", "picows on uvloop", "#E69F00", "s"),
    ("aiohttp", "aiohttp on uvloop", "#009E73", "^"),
    ("uvloop", "uvloop streams, protocols, endpoints", "#56B4E9", "v"),
    ("websockets", "websockets", "#D55E00", "D"),
    ("websocket-client", "websocket-client", "#CC79A7", "P"),
    ("asyncio", "asyncio streams, endpoints", "#999999", "X"),
    ("socket|makefile", "Python's socket", "#444444", "o"),
)


def style(name: str) -> int:
    """Which of STYLES a peer has."""
    # "websockets" before "websocket-client" before "socket": each begins differently.
    return next(place for place, (prefix, *_) in enumerate(STYLES) if name.startswith(tuple(prefix.split("|"))))


def best_of_each(row: figures.Row) -> dict[int, float]:
    """A mark for each library, not for each of its variants: the best one."""
    found: dict[int, float] = {}
    for name, ratio in row.peers.items():
        place = style(name)
        found[place] = max(ratio, found.get(place, 0.0))
    return found


def draw(rows: list[figures.Row], footnote: str, target: Path) -> None:
    """Write the PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height = 0.36 * len(rows) + 1.9
    figure, axes = pyplot.subplots(figsize=(10, height), dpi=130)
    labelled: set[int] = set()
    for y, row in enumerate(rows):
        axes.plot([0, row.ours], [y, y], color="#0072B2", linewidth=3, alpha=0.35, solid_capstyle="butt", zorder=1)
        for place, ratio in best_of_each(row).items():
            _, label, colour, marker = STYLES[place]
            shown: dict[str, Any] = {} if place in labelled else {"label": label}
            labelled.add(place)
            axes.scatter(
                ratio, y, s=42, color=colour, marker=marker, edgecolors="white", linewidths=0.6, zorder=4, **shown
            )
        name: dict[str, Any] = {"label": f"{OURS}, compiled"} if y == 0 else {}
        axes.scatter(
            row.ours, y, s=110, color="#0072B2", marker="o", edgecolors="black", linewidths=0.8, zorder=3, **name
        )
    axes.axvline(1.0, color="black", linewidth=1.2, zorder=2)
    axes.text(1.0, -0.9, "C", ha="center", va="bottom", fontsize=11, fontweight="bold")
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -1)
    axes.set_xlim(0, max(1.05, *(max(row.ours, *row.peers.values()) + 0.04 for row in rows)))
    axes.set_xlabel("processor time of C, divided by the contender's (more is better)")
    axes.grid(axis="x", color="#dddddd", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    first = labels.index(f"{OURS}, compiled")
    order = [first, *(i for i in range(len(labels)) if i != first)]
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="upper center", ncols=4, frameon=False, fontsize=9
    )
    figure.text(0.01, 0.008, footnote, fontsize=6.5, color="#555555")
    figure.tight_layout(rect=(0, 0.02, 1, 1 - 0.42 / height))
    figure.savefig(target)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("figures", type=Path, help="the JSON that run_all.py wrote")
    parser.add_argument("png", type=Path, help="the picture to write")
    options = parser.parse_args()
    reports = figures.load(options.figures)
    draw(figures.summary(reports), figures.machine(reports), options.png)


if __name__ == "__main__":
    main()
