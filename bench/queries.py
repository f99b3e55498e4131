"""Queries: every server on core 0, dnsperf on core 1, in turns, row by row.

All servers run all the time, so that the load of one follows that of another within a second.
Knows how a row is measured. Does not know what the rows mean.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from bench import questions as asked
from bench import zonefile
from bench.contestants import NSD, UNBOUND, UPSTREAM, Contestants, Running
from bench.figures import Figures
from bench.load import CORE, Load, Way, kind, load, write
from bench.population import Population
from bench.probe import exchange
from bench.questions import Questions
from bench.results import Results
from bench.rows import AFTER, FASTEST, FLOOD_RATE, FLOODED, OUTSIDE, WORK_RATE, Row
from bench.stream import percentile, streaming
from kdns.testing import FakeApiServer

SERVER_CORE = 0
START_SECONDS = 90.0
SAMPLE = 8
"""Questions of a row of which every server's answer is looked at."""
SIMILAR = 0.03
"""How far the shares of rcodes may be apart: runs end in the middle of the questions."""
WARM_PASSES, WARM_SECONDS = 3, 60.0
WORK_NAMES = 200
SETTLE = 0.2


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float


@contextmanager
def cluster(population: Population, folder: Path, names: Sequence[str]) -> Iterator["Cluster"]:
    """Run a cluster's API server, the upstream and the servers while the block runs."""
    zonefile.write(folder, population)
    with ExitStack() as stack:
        api = stack.enter_context(FakeApiServer(bookmarks=3600))
        for item in population.objects():
            api.apply(item)
        kubeconfig = plain_kubeconfig(api, folder)
        zones = (zonefile.FORWARD, zonefile.REVERSE)
        contestants = Contestants(names, kubeconfig, folder, zones)
        stack.callback(contestants.close)
        stack.enter_context(contestants.running(UPSTREAM, CORE))
        running = stack.enter_context(contestants.all(SERVER_CORE))
        for server in running.values():
            wait_for(server, population, contestants)
        yield Cluster(population, running, folder)


@dataclass(frozen=True)
class Cluster:
    """What runs."""

    population: Population
    running: Mapping[str, Running]
    folder: Path


class Queries:
    """The measurements on one cluster."""

    def __init__(self, plan: Plan, cluster: Cluster, results: Results, figures: Figures) -> None:
        self._plan = plan
        self._running = cluster.running
        self._folder = cluster.folder
        self._known = Questions(cluster.population)
        self._results = results
        self._figures = figures
        self._latest: dict[str, Load] = {}

    def run(self, rows: Sequence[Row]) -> None:
        """Measure the rows one after the other, and a flood beside other work."""
        for row in rows:
            print(row.name, flush=True)
            for number in range(self._plan.rounds):
                self._round(row, number)
        for number in range(self._plan.rounds):
            for server in self._turns(tuple(self._running), number):
                if server.name != UNBOUND:
                    self._flood(server)

    def _turns(self, names: Sequence[str], number: int) -> list[Running]:
        """Return the servers, every time from another one on."""
        servers = [self._running[name] for name in names if name in self._running]
        first = number % len(servers)
        return servers[first:] + servers[:first]

    def _round(self, row: Row, number: int) -> None:
        way = row.way(Way(self._plan.seconds))
        servers = self._turns(row.contestants, number)
        path = self._folder / "questions"
        for server in servers:
            # Of names that were never asked before every server gets its own.
            lines = row.questions(self._known, number, self._plan.seconds)
            write(path, lines)
            if row.warm:
                self._warm(server, path, way, WARM_PASSES if number == 0 else 1)
            self._add(row.name, server.name, load(server, path, way))
            if number == 0:
                found = {kind(server, line, edns=way.edns) for line in lines[:1]}
                self._results.saw(row.name, server.name, found)
        self._compare(row.name, servers, lines[:SAMPLE], way)

    def _warm(self, server: Running, path: Path, way: Way, passes: int) -> None:
        for _ in range(passes):
            load(server, path, replace(way, seconds=WARM_SECONDS, once=True, rate=0))
