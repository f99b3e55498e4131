"""Queries: every server on core 0, dnsperf on core 1, in turns, row by row.

All servers run all the time, so that the load of one follows that of another within seconds.
Knows how a row is measured. Does not know what the rows mean.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import questions, zonefile
from bench.contestants import UNBOUND, UPSTREAM, Contestants, Running
from bench.figures import Figures
from bench.load import CORE, Way, kind, load, write
from bench.population import Population
from bench.probe import first_right
from bench.questions import Questions
from bench.results import Results
from bench.rows import AFTER, BESIDE, FLOOD_RATE, WORK_RATE, Row
from bench.stream import percentile, streaming
from kdns.testing import FakeApiServer

SERVER_CORE = 0
START_SECONDS = 90.0
SAMPLE = 8
"""Questions of a row of which every server's answer is looked at."""
WARM_PASSES, WARM_SECONDS = 3, 60.0
WORK_NAMES = 200


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float


@dataclass(frozen=True)
class Cluster:
    """What runs."""

    population: Population
    contestants: Contestants
    running: Mapping[str, Running]
    folder: Path


@contextmanager
def cluster(population: Population, folder: Path, names: Sequence[str]) -> Iterator[Cluster]:
    """Run an API server, an upstream and the servers while the block runs."""
    zonefile.write(folder, population)
    with ExitStack() as stack:
        api = stack.enter_context(FakeApiServer(bookmarks=3600))
        for item in population.objects():
            api.apply(item)
        zones = (zonefile.FORWARD, zonefile.REVERSE)
        contestants = Contestants(names, plain_kubeconfig(api, folder), folder, zones)
        stack.callback(contestants.close)
        stack.enter_context(contestants.running(UPSTREAM, CORE))
        running = stack.enter_context(contestants.all(SERVER_CORE))
        found = Cluster(population, contestants, running, folder)
        for server in running.values():
            if server.name != UNBOUND:
                wait_for(server, found)
        yield found


def plain_kubeconfig(api: FakeApiServer, folder: Path) -> Path:
    """Write a kubeconfig without a user: a Go client sends no token over plain HTTP."""
    config = json.loads(Path(api.kubeconfig()).read_text())
    api.token = ""
    config["users"] = [{"name": "fake", "user": {}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def wait_for(server: Running, cluster: Cluster) -> None:
    """Return once names from first to last are answered; raises RuntimeError with the log."""
    try:
        for question in cluster.population.sample():
            first_right(server.port, question, START_SECONDS)
    except TimeoutError as error:
        log = cluster.contestants.log(server.name)
        raise RuntimeError(f"{server.name}: {error}\n{log}") from None


class Queries:
    """The measurements on one cluster."""

    def __init__(self, plan: Plan, cluster: Cluster, results: Results, figures: Figures) -> None:
        self._plan = plan
        self._running = cluster.running
        self._folder = cluster.folder
        self._known = Questions(cluster.population)
        self._results = results
        self._figures = figures

    def run(self, rows: Sequence[Row]) -> None:
        """Measure the rows one after the other."""
        for row in rows:
            print(row.name, flush=True)
            for number in range(self._plan.rounds):
                self._round(row, number)
            self._compare(row)

    def floods(self) -> None:
        """Ask for random names beside other work, and look at what that cost the other work."""
        print(BESIDE.name, flush=True)
        servers = [name for name in self._running if name != UNBOUND]
        before = {name: self._running[name].memory().kept for name in servers}
        for number in range(self._plan.rounds):
            for server in self._turns(servers, number):
                self._flood(server)
        for name in servers:
            grown = self._running[name].memory().kept - before[name]
            self._figures.add("floods: RSS grew by, MB", name, grown)

    def _turns(self, names: Sequence[str], number: int) -> list[Running]:
        """Return the servers, every time from another one on."""
        servers = [self._running[name] for name in names if name in self._running]
        first = number % len(servers)
        return servers[first:] + servers[:first]

    def _round(self, row: Row, number: int) -> None:
        way = self._way(row)
        for server in self._turns(row.contestants, number):
            # Each server gets names of its own where they must never have been asked for.
            path = self._write(row.lines(self._known, number, self._plan.seconds))
            if row.warm:
                _warm(server, path, way, WARM_PASSES if number == 0 else 1)
            self._results.add(row, server.name, load(server, path, way))

    def _way(self, row: Row) -> Way:
        return row.way(Way(self._plan.seconds))

    def _write(self, lines: Sequence[str]) -> Path:
        return write(self._folder / "questions", lines)

    def _compare(self, row: Row) -> None:
        """Look at some answers: nobody may be fast by failing."""
        lines = row.lines(self._known, 0, self._plan.seconds)[:SAMPLE]
        edns = self._way(row).edns
        servers = self._turns(row.contestants, 0)
        for line in lines:
            found = {server.name: kind(server, line, edns=edns) for server in servers}
            if len(set(found.values())) > 1:
                self._results.remark(f"{row.name}: {line} is answered in different ways: {found}")

    def _flood(self, server: Running) -> None:
        """Have a tenth of the queries be work, and measure the work alone right after."""
        work = self._known.cluster_ip()[:WORK_NAMES]
        path = self._write(work)
        way = replace(Way(self._plan.seconds), once=True)
        _warm(server, path, way, WARM_PASSES)
        flood = write(self._folder / "flood", questions.missing(self._flooded()))
        before = server.cpu()
        names = [line.split()[0] for line in work]
        with streaming(server.port, WORK_RATE, names, CORE) as seen:
            found = load(server, flood, replace(way, rate=FLOOD_RATE))
        answers = seen.since(0)
        both = replace(
            found,
            cpu=server.cpu() - before,
            answered=found.answered + len(answers) - lost(answers),
            lost=found.lost + lost(answers),
        )
        self._results.add(BESIDE, server.name, both)
        self._results.add(AFTER, server.name, load(server, path, way))
        for percent in (50, 99):
            row = f"floods: p{percent} of the other answers, ms"
            self._figures.add(row, server.name, percentile(answers, percent))
        self._figures.add("floods: other queries lost", server.name, lost(answers))

    def _flooded(self) -> int:
        return int(FLOOD_RATE * max(1.0, self._plan.seconds))


def lost(answers: Sequence[float]) -> int:
    """Return how many queries of a stream had no answer."""
    return sum(answer == float("inf") for answer in answers)


def _warm(server: Running, path: Path, way: Way, passes: int) -> None:
    for _ in range(passes):
        load(server, path, replace(way, seconds=WARM_SECONDS, once=True, rate=0))
