"""What the rows came to: one table, with ratios and budgets.

Knows how figures are compared and printed. Measures nothing.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from bench.contestants import COREDNS, KDNS, NSD
from bench.load import Load
from bench.rows import Budget, Row

Json: TypeAlias = dict[str, Any]
SIMILAR = 0.03
"""How far the shares of an rcode may be apart: a run ends in the middle of its questions."""
HEAD = ("", "us/query", "from", "to", "queries/s", "lost", "octets", "kdns is", "from", "to")
WIDTHS = (34, 9, 7, 7, 10, 6, 7, 8, 6, 6)


@dataclass(frozen=True)
class Ratio:
    """CPU of kdns as a share of another server's, round by round."""

    median: float
    low: float
    high: float

    def verdict(self, limit: float) -> str:
        """Say what that means for a budget; nothing where there is none."""
        if not limit:
            return ""
        return f"{'met' if self.median <= limit else 'NOT MET'}: at most {limit:.2f}"


class Results:
    """Loads by row and server, in the order in which they were measured."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.loads: dict[str, dict[str, list[Load]]] = {}
        self._budgets: dict[str, Budget] = {}
        self._remarks: list[str] = []

    def add(self, row: Row, server: str, load: Load) -> None:
        """Add what one run came to."""
        self._budgets[row.name] = row.budget
        self.loads.setdefault(row.name, {}).setdefault(server, []).append(load)
        cost, rate, lost = load.cost, load.rate, load.lost
        print(f"  {server}: {cost:.1f} us, {rate:.0f}/s, {lost} lost", flush=True)

    def remark(self, text: str) -> None:
        """Add a line below the table."""
        self._remarks.append(text)
        print(f"  {text}", flush=True)

    def ratio(self, row: str, other: str) -> Ratio | None:
        """Compare kdns with another server; None where one of them has no figures."""
        own, theirs = (self.loads[row].get(name, []) for name in (KDNS, other))
        found = [one.cost / two.cost for one, two in zip(own, theirs, strict=False)]
        return Ratio(statistics.median(found), min(found), max(found)) if found else None

    def verdict(self, row: str, server: str) -> str:
        """Say whether the budget against a server is met."""
        budget = self._budgets[row]
        limit = {COREDNS: budget.coredns, NSD: budget.nsd}.get(server, 0)
        ratio = self.ratio(row, server)
        return ratio.verdict(limit) if ratio else ""

    def table(self) -> str:
        """Return everything, a line for each server of a row."""
        lines = [self.title, _line(HEAD)]
        for row, servers in self.loads.items():
            lines += [row, *(self._line(row, server, loads) for server, loads in servers.items())]
        return "\n".join([*lines, *self._remarks, *self._strangers()])

    def markdown(self) -> str:
        """Return medians as a table for the documentation, with kdns's share of two others."""
        names = list(dict.fromkeys(name for row in self.loads.values() for name in row))
        shares = [name for name in (COREDNS, NSD) if name in names]
        head = ["us", *names, *(f"kdns to {name}" for name in shares)]
        lines = [head, ["---"] * len(head)]
        for row, servers in self.loads.items():
            costs = [_median(servers.get(name, ())) for name in names]
            lines.append([row, *costs, *(self._share(row, name) for name in shares)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _share(self, row: str, server: str) -> str:
        ratio = self.ratio(row, server) if server in self.loads[row] else None
        if ratio is None:
            return ""
        text = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        verdict = self.verdict(row, server)
        if not verdict:
            return text
        return f"{text}, {'met' if verdict.startswith('met') else '**not met**'}"

    def _line(self, row: str, server: str, loads: Sequence[Load]) -> str:
        costs = [one.cost for one in loads]
        figures = (statistics.median(costs), min(costs), max(costs))
        cells = [f"  {server}", *(f"{figure:.1f}" for figure in figures)]
        cells.append(f"{statistics.median(one.rate for one in loads):.0f}")
        cells += [str(sum(one.lost for one in loads)), f"{loads[0].octets:.0f}"]
        ratio = self.ratio(row, server) if server != KDNS else None
        if ratio:
            cells += [f"{one:.2f}" for one in (ratio.median, ratio.low, ratio.high)]
        return f"{_line(cells)}  {self.verdict(row, server)}".rstrip()

    def _strangers(self) -> Iterator[str]:
        """Name the servers that answered otherwise than kdns: they are not to be compared."""
        for row, servers in self.loads.items():
            for server, loads in servers.items():
                if _differ(servers.get(KDNS, loads)[0].rcodes, loads[0].rcodes):
                    yield f"{row}: {server} has other rcodes than kdns: {_shares(loads[0])}"

    def json(self) -> Json:
        """Return everything in a form that can be kept."""
        return {
            "title": self.title,
            "remarks": [*self._remarks, *self._strangers()],
            "rows": {
                row: {
                    "budget": asdict(self._budgets[row]),
                    "servers": {name: [_kept(one) for one in all_] for name, all_ in found.items()},
                }
                for row, found in self.loads.items()
            },
        }


def of_json(kept: Json) -> Results:
    """Return the results that were kept."""
    found = Results(kept["title"])
    for name, row in kept["rows"].items():
        found._budgets[name] = Budget(**row["budget"])  # noqa: SLF001 - our own
        found.loads[name] = {
            server: [Load(**one) for one in loads] for server, loads in row["servers"].items()
        }
    found._remarks = kept["remarks"]  # noqa: SLF001 - our own
    return found


def _median(loads: Sequence[Load]) -> str:
    return f"{statistics.median(load.cost for load in loads):.1f}" if loads else ""


def _kept(load: Load) -> Json:
    return asdict(load)


def _differ(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return any(abs(one.get(key, 0) - other.get(key, 0)) > SIMILAR for key in {*one, *other})


def _shares(load: Load) -> str:
    return ", ".join(f"{rcode} {share:.0%}" for rcode, share in load.rcodes.items())


def _line(cells: Sequence[str]) -> str:
    first, *others = cells
    columns = (f"{cell:>{width}}" for cell, width in zip(others, WIDTHS[1:], strict=False))
    return "".join((f"{first:<{WIDTHS[0]}}", *columns)).rstrip()
