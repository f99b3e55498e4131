"""Figures side by side: a row for what was measured, a column for each server.

Knows how to print. Does not know what the figures mean.
"""

import json
import statistics
from collections.abc import Sequence
from math import inf, isfinite
from pathlib import Path

from bench.contestants import COREDNS, KDNS
from bench.machine import machine

# Shares of CoreDNS's figure.
BUDGETS = {
    "full cluster: kept RSS, MB": 0.5,
    "tiny cluster: kept RSS, MB": 1.2,
    "full cluster: start to right answers": 2.0,
    "p99, ms: request to answer": 1.0,
    "down at the start: back to right answers": 0.5,
    "slice updates: p99 of answers": 1.0,
    "re-list: p99 of answers": 1.0,
}
FIRST, OTHERS, LAST = 58, 25, 8
"""Widths of the columns."""


class Figures:
    """Values by row and server, in the order in which the rows came."""

    def __init__(self, servers: Sequence[str], path: str | None = None) -> None:
        """``path`` is of a file that ``save`` writes; without one it writes nothing."""
        self.servers = tuple(servers)
        self._path = path
        self._rows: dict[str, dict[str, list[float]]] = {}
        self._remarks: list[str] = []

    def add(self, row: str, server: str, value: float) -> None:
        """Add one measurement."""
        self._rows.setdefault(row, {}).setdefault(server, []).append(value)
        print(f"  {server}: {row}: {value:.3g}", flush=True)

    def json(self) -> dict[str, dict[str, list[float | None]]]:
        """Return every measurement in a form that can be kept; what never came is None."""
        return {
            row: {
                server: [value if isfinite(value) else None for value in values]
                for server, values in servers.items()
            }
            for row, servers in self._rows.items()
        }

    def save(self) -> None:
        """Write everything so far as JSON."""
        if self._path:
            about = machine("python -m bench.cluster")
            kept = {"machine": about, "figures": self.json(), "text": self.table()}
            Path(self._path).write_text(json.dumps(kept, indent=1))

    def remark(self, text: str) -> None:
        """Add a line below the table."""
        self._remarks.append(text)
        print(f"  {text}", flush=True)

    def table(self) -> str:
        """Return medians with their spread, and kdns's as a share of CoreDNS's."""
        head = self._line("", *self._present(), "ratio")
        rows = (self._row(name, values) for name, values in self._rows.items())
        return "\n".join([head, *rows, *self._remarks])

    def _row(self, name: str, values: dict[str, list[float]]) -> str:
        cells = [spread(values.get(server, ())) for server in self._present()]
        share = ratio(values.get(KDNS, ()), values.get(COREDNS, ()))
        return f"{self._line(name, *cells, share)}  {verdict(name, share)}".rstrip()

    def _present(self) -> list[str]:
        """Return the servers of which anything was measured."""
        return [name for name in self.servers if any(name in row for row in self._rows.values())]

    def _line(self, name: str, *cells: str) -> str:
        columns = (f"{cell:>{OTHERS}}" for cell in cells[:-1])
        return "".join((f"{name:<{FIRST}}", *columns, f"{cells[-1]:>{LAST}}")).rstrip()


def spread(values: Sequence[float]) -> str:
    """Return the median, and the lowest and highest where there are several."""
    if not values:
        return "-"
    text = number(statistics.median(values))
    if len(values) == 1:
        return text
    return f"{text} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Return the number with three digits that matter."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def ratio(own: Sequence[float], others: Sequence[float]) -> str:
    """Return one median as a share of another; nothing where neither of them ever came."""
    if not own or not others:
        return ""
    one, other = map(statistics.median, (own, others))
    return f"{one / other:.2f}" if other and not one == other == inf else ""


def verdict(row: str, share: str) -> str:
    """Say whether the budget of a row is met; nothing where there is none."""
    limit = next((limit for text, limit in BUDGETS.items() if text in row), None)
    if limit is None or not share:
        return ""
    return f"{'met' if float(share) <= limit else 'NOT MET'}: at most {limit:.2f}"
