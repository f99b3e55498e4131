"""Figures side by side: a row for what was measured, a column for each server.

Knows how to print. Does not know what the figures mean.
"""

import statistics
from collections.abc import Sequence

WIDTHS = (52, 26, 26)


class Figures:
    """Values by row and server, in the order in which the rows came."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = tuple(servers)
        self._rows: dict[str, dict[str, list[float]]] = {}
        self._remarks: list[str] = []

    def add(self, row: str, server: str, value: float) -> None:
        """Add one measurement."""
        self._rows.setdefault(row, {}).setdefault(server, []).append(value)
        print(f"  {server}: {row}: {value:.3g}", flush=True)

    def remark(self, text: str) -> None:
        """Add a line below the table."""
        self._remarks.append(text)
        print(f"  {text}", flush=True)

    def table(self) -> str:
        """Return medians with their spread, and the first server's as a share of the second's."""
        head = self._line("", *self._servers, "ratio" if len(self._servers) > 1 else "")
        rows = (self._row(name, values) for name, values in self._rows.items())
        return "\n".join([head, *rows, *self._remarks])

    def _row(self, name: str, values: dict[str, list[float]]) -> str:
        cells = [spread(values.get(server, ())) for server in self._servers]
        return self._line(name, *cells, ratio([values.get(s, ()) for s in self._servers]))

    def _line(self, name: str, *cells: str) -> str:
        first, *others = WIDTHS
        columns = (f"{cell:>{width}}" for cell, width in zip(cells, others, strict=False))
        return "".join((f"{name:<{first}}", *columns, f"{cells[-1]:>8}")).rstrip()


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


def ratio(columns: Sequence[Sequence[float]]) -> str:
    """Return the first median as a share of the second."""
    if len(columns) < 2 or not all(columns):
        return ""
    one, other = map(statistics.median, columns)
    return f"{one / other:.2f}" if other else ""
