"""kdns beside CoreDNS, NSD and unbound: one run, one table. docs/performance.md has results.

    python -m bench [--quick] [--only ROW ...] [--rounds N] [--size small|large] [--parts ...]

Run it from the repository's root; ``bash bench/tools`` installs and builds what it needs.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import scaling
from bench.contestants import CACHING, COREDNS, FAST, KDNS, NSD, TWICE, UNBOUND, has_uvloop
from bench.figures import Figures
from bench.machine import machine
from bench.population import Population
from bench.queries import Plan, Queries, cluster
from bench.results import Results
from bench.rows import BESIDE, ROWS, Row
from tests.gobuild import NotBuilt

NICE = -15
"""Where it is allowed: others on the machine are to take no turns in the middle of a run."""
SIZES = {"small": Population(1000, 10), "large": Population(10_000, 10)}
PARTS = ("queries", "scaling")
FULL, QUICK = Plan(rounds=3, seconds=1.0), Plan(rounds=3, seconds=0.4)


def main() -> int:
    """Measure and print; return the exit status."""
    options = parse()
    with suppress(PermissionError):
        os.nice(NICE)
    kept: list[dict[str, Any]] = []
    try:
        for size in options.size:
            with tempfile.TemporaryDirectory(prefix="kdns-bench-") as folder:
                kept.append(measure(options, size, Path(folder)))
    except (NotBuilt, FileNotFoundError) as reason:
        print(reason)
        return 1
    print("\n\n".join(one["text"] for one in kept))
    if options.save:
        Path(options.save).write_text(
            json.dumps({"machine": machine("python -m bench"), "sizes": kept}, indent=1)
        )
    return 0


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="the small cluster only, in about three minutes")
    add("--size", action="append", choices=list(SIZES), help="small and large; quick: small")
    add("--only", nargs="+", metavar="ROW", help="rows with one of these texts in their name")
    add("--rounds", type=int, help="of which the median is taken; 3")
    add("--seconds", type=float, help="of one load; 1, quick: 0.4")
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure; everything")
    add("--servers", nargs="+", metavar="NAME", help="only servers of these names, and kdns")
    add("--save", metavar="FILE", help="keep the figures as JSON")
    options = parser.parse_args()
    options.size = options.size or (["small"] if options.quick else list(SIZES))
    plan = QUICK if options.quick else FULL
    options.plan = Plan(options.rounds or plan.rounds, options.seconds or plan.seconds)
    return options


def measure(options: argparse.Namespace, size: str, folder: Path) -> dict[str, Any]:
    """Measure one size, and return texts and figures."""
    population = SIZES[size]
    total = population.services * population.endpoints
    title = f"{population.services:,} services, {total:,} endpoints"
    names = servers(options.servers)
    results, figures = Results(title), Figures([*names, TWICE])
    rows = chosen(ROWS, options.only)
    with cluster(population, folder, names) as running:
        if "queries" in options.parts:
            queries = Queries(options.plan, running, results, figures)
            queries.run(rows)
            if chosen((BESIDE,), options.only):
                queries.floods()
        if "scaling" in options.parts and not options.only:
            scaling.measure(options.plan, running, figures)
    text = f"{results.table()}\n\n{figures.table()}"
    return {"size": size, "text": text, "results": results.json(), "figures": figures.json()}


def servers(wanted: Sequence[str] | None) -> list[str]:
    """Return whom to compare: those that can run here."""
    names = [KDNS, FAST, COREDNS, CACHING, NSD, UNBOUND]
    if not has_uvloop():
        names.remove(FAST)
    return [name for name in names if not wanted or name in (KDNS, *wanted)]


def chosen(rows: Sequence[Row], wanted: Sequence[str] | None) -> list[Row]:
    """Return the rows that are wanted."""
    return [row for row in rows if not wanted or any(text in row.name for text in wanted)]


if __name__ == "__main__":
    sys.exit(main())
