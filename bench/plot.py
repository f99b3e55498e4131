"""The table of queries as a picture: ``python -m bench.plot RESULTS.json PICTURE.svg``.

Prints the tables of all sizes for the documentation. RESULTS.json is what ``python -m bench
--save`` wrote. A bar for each server of a row, as long as the CPU of a query on a scale of powers
of ten; the text beside it has the median. Measures nothing.
"""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from html import escape
from math import log10
from pathlib import Path

from bench.contestants import CACHING, COREDNS, FAST, KDNS, NSD, UNBOUND
from bench.results import Results, of_json

COLOURS = {
    KDNS: "#2563eb",
    FAST: "#93b4f5",
    COREDNS: "#d97706",
    CACHING: "#f2c078",
    NSD: "#64748b",
    UNBOUND: "#94a3b8",
}
WIDTH, LEFT, RIGHT = 900, 310, 60
"""Pixels of the picture, of the names of the rows, and of the figure behind the longest bar."""
BAR, GAP, ROW_GAP, HEAD = 11, 2, 12, 70
SHORTEST, LONGEST = 3.0, 1000.0
"""Microseconds at both ends of the scale."""
TICKS = (5, 10, 20, 50, 100, 200, 500, 1000)
STYLE = "text{font:12px system-ui,sans-serif;fill:#1f2937}.f{font-size:10px}.t{fill:#6b7280}"


def main(arguments: Sequence[str]) -> int:
    """Read the results and write the picture; return the exit status."""
    match arguments:
        case [source, target]:
            kept = json.loads(Path(source).read_text())
        case _:
            print(__doc__)
            return 2
    sizes = [of_json(size["results"]) for size in kept["sizes"]]
    Path(target).write_text(picture(sizes[0], kept["machine"]["date"]))
    for results in sizes:
        print(f"{results.title}\n\n{results.markdown()}\n")
    return 0


def picture(results: Results, date: str) -> str:
    """Draw the results of one size."""
    names = [name for name in COLOURS if any(name in row for row in results.loads.values())]
    bars, height = [], HEAD
    for row, servers in results.loads.items():
        bars.append(_text(LEFT - 8, height + BAR, row, anchor="end"))
        for name in (name for name in names if name in servers):
            cost = statistics.median(load.cost for load in servers[name])
            bars += _bar(height, name, cost)
            height += BAR + GAP
        height += ROW_GAP
    title = f"CPU of a query in microseconds, user and system, {results.title}, {date}"
    label = f'role="img" aria-label="{escape(title)}"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {label}>',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(8, 18, title),
        *_legend(names),
        *_scale(height - ROW_GAP),
        *bars,
        "</svg>\n",
    )
    return "\n".join(lines)


def _bar(top: int, name: str, cost: float) -> Iterator[str]:
    end = _at(cost)
    size = f'width="{end - LEFT:.1f}" height="{BAR}"'
    yield f'<rect x="{LEFT}" y="{top}" {size} fill="{COLOURS[name]}"/>'
    yield _text(end + 4, top + BAR - 2, f"{cost:.3g}", style="f")


def _legend(names: Sequence[str]) -> Iterator[str]:
    at = 8
    for name in names:
        yield f'<rect x="{at}" y="29" width="{BAR}" height="{BAR}" fill="{COLOURS[name]}"/>'
        yield _text(at + BAR + 4, 39, name)
        at += 40 + 7 * len(name)


def _scale(bottom: int) -> Iterator[str]:
    for tick in TICKS:
        at = f"{_at(tick):.1f}"
        yield f'<path d="M{at} {HEAD - 6}V{bottom}" stroke="#e5e7eb"/>'
        yield _text(float(at), HEAD - 10, f"{tick}", anchor="middle", style="f t")


def _at(cost: float) -> float:
    share = log10(max(cost, SHORTEST) / SHORTEST) / log10(LONGEST / SHORTEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: int, text: str, *, anchor: str = "start", style: str = "") -> str:
    words = f'class="{style}" ' if style else ""
    return f'<text {words}x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
