"""kdns beside CoreDNS on one real API server: start, memory, changes, outages and re-lists.

    python -m bench.cluster [--services 10000] [--endpoints 100000] [--quick] [--only kdns]

Run it from the repository's root. It needs the programs of ``python -m tests.controlplane.build``
and ``python -m tests.coredns.build``; docs/performance.md says what each row means.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from bench import zonefile
from bench.api import JSON_PATCH, Api, Body, Json, Pool, Watch
from bench.contestants import COREDNS, KDNS, NAMES, UPSTREAM, Contestants, Running
from bench.figures import Figures
from bench.population import (
    SERVICES,
    SERVICES_EVERYWHERE,
    SLICES_EVERYWHERE,
    Member,
    Population,
    service,
    spare_address,
)
from bench.probe import Question, Race, first_right
from bench.stream import Latencies, median, percentile, streaming
from tests.controlplane.objects import grant
from tests.controlplane.plane import ControlPlane
from tests.gobuild import NotBuilt

USER = "kdns"
TINY = Population(3, 10)
CONNECTIONS = 8
START_SECONDS = 60.0
CHANGE_SECONDS = 30.0
RECOVER_SECONDS = 120.0
LATE = 5.0  # milliseconds
CALM_SECONDS = 5.0
AFTER = 2.0  # seconds of the stream that still belong to a re-list
CORE = 0
EXIT_ENDED = 143
NICE = -15
"""Where it is allowed: others on the machine are to take no turns in the middle of a run."""


@dataclass(frozen=True)
class Sizes:
    """How much of each is measured."""

    repeats: int
    changes: int
    outages: int
    outage_seconds: float
    query_rate: int
    update_rate: int
    update_seconds: float


FULL = Sizes(3, 200, 3, 60, 500, 300, 10)
QUICK = Sizes(1, 40, 1, 10, 500, 300, 3)


@dataclass(frozen=True)
class Change:
    """A request to the API server, and what is to be answered after it."""

    question: Question
    request: tuple[str, str, Body] | tuple[str, str, Body, str]


def main() -> int:
    """Print one table."""
    options = parse()
    with suppress(PermissionError):
        os.nice(NICE)
    # Whoever ends a run early must find no servers and no folder afterwards.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_ENDED))
    names = [name for name in NAMES if options.only in (None, name.lower())]
    figures = Figures(names, options.save)
    population = Population(options.services, options.endpoints // options.services)
    size = sizes(options)
    try:
        with tempfile.TemporaryDirectory(prefix="kdns-bench-") as folder:
            run(Path(folder), population, size, figures, options.parts)
    except NotBuilt as reason:
        print(reason)
        return 1
    figures.save()
    print(f"\n{figures.table()}")
    return 0


def sizes(options: argparse.Namespace) -> Sizes:
    """Return how much of each is to be measured."""
    size = QUICK if options.quick else FULL
    repeats = options.repeats or size.repeats
    return replace(size, outage_seconds=options.outage_seconds, repeats=repeats)


def parse() -> argparse.Namespace:
    """Read the options; a quick run is a tenth of everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = parser.add_argument
    add("--services", type=int, help="10000, quick: 1000")
    add("--endpoints", type=int, help="in all: ten for each service")
    add("--only", choices=[name.lower() for name in NAMES], help="leave the other server out")
    add("--quick", action="store_true", help="less of everything, in about two minutes")
    add("--outage-seconds", type=float, help="how long the API server is away: 60, quick: 10")
    add("--repeats", type=int, help="starts and streams of each server: 3, quick: 1")
    add("--save", metavar="FILE", help="keep the figures as JSON, part by part")
    add("--parts", nargs="*", default=PARTS, choices=[*PARTS], help="what to measure")
    options = parser.parse_args()
    options.services = options.services or (1000 if options.quick else 10_000)
    options.endpoints = options.endpoints or options.services * 10
    if options.endpoints < options.services * 2:
        parser.error("expected at least two endpoints for each service")
    options.outage_seconds = options.outage_seconds or (10 if options.quick else 60)
    return options


def run(
    folder: Path,
    population: Population,
    size: Sizes,
    figures: Figures,
    parts: Sequence[str],
) -> None:
    """Fill a cluster and measure some parts."""
    (folder / "plane").mkdir()
    zonefile.write_elsewhere(folder)
    with ControlPlane(folder=folder / "plane", controllers=()) as plane:
        grant(plane.api, USER)
        contestants = Contestants(figures.servers, plane.kubeconfig(USER), folder)
        bench = Bench(plane, contestants, figures, population, size)
        try:
            with contestants.running(UPSTREAM):
                bench.run(parts)
        finally:
            contestants.close()
    figures.remark(f"{population.services} services of {population.endpoints} endpoints each")
    figures.remark(f"{os.cpu_count()} cores, load average {os.getloadavg()[2]:.1f} of 15 minutes")


class Bench:
    """All the measurements on one control plane."""

    def __init__(
        self,
        plane: ControlPlane,
        contestants: Contestants,
        figures: Figures,
        population: Population,
        size: Sizes,
    ) -> None:
        self._plane = plane
        self._contestants = contestants
        self._figures = figures
        self._population = population
        self._size = size

    def run(self, parts: Sequence[str]) -> None:
        """Measure the small cluster, fill it, and measure the rest."""
        if "start" in parts:
            self._load(TINY.members())
            self._starts("tiny cluster", TINY)
        made = TINY.services if "start" in parts else 0
        self._load([*self._population.members()[made:], self._population.large])
        for part in parts:
            print(part, flush=True)
            try:
                PARTS[part](self)
            except OSError as problem:  # a server that never was right: the others' figures count
                self._figures.remark(f"{part} ended early: {problem}")
            self._figures.save()

    def starts(self) -> None:
        """Start each server several times in the full cluster."""
        self._starts("full cluster", self._population)

    def changes(self) -> None:
        """Change services and slices under both servers."""
        with self._both() as running:
            self._new_services(running)
            self._slice_changes(running, self._population.headless())
            self._slice_changes(running, [self._population.large])

    def outages(self) -> None:
        """Take the API server away from both servers, and give it back."""
        with self._both() as running:
            for member in self._population.headless()[: self._size.outages]:
                self._outage(running, member)
            for name, server in running.items():
                self._figures.add("RSS after all outages, MB", name, server.memory().kept)
        for _ in range(self._size.outages):
            self._outage_at_start()

    def streams(self) -> None:
        """Query each server, one at a time, while it has other work."""
        for _ in range(self._size.repeats):
            for name in self._contestants.names:
                with self._contestants.running(name) as server:
                    self._all_right(server, self._population)
                    server.settle()
                    self._updates(server, self._calm(server))
                    self._relist(server)

    # The objects

    def _load(self, members: Sequence[Member]) -> None:
        """Make the objects, and say how long it took."""
        started = time.monotonic()
        pool = Pool(self._plane, CONNECTIONS)
        known = {one["metadata"]["name"] for one in self._list("/api/v1/namespaces")}
        wanted = dict.fromkeys(
            member.namespace for member in members if member.namespace not in known
        )
        pool.post_all([("/api/v1/namespaces", {"metadata": {"name": name}}) for name in wanted])
        pool.post_all([member.service() for member in members])
        pool.post_all([member.slice() for member in members])
        took = time.monotonic() - started
        print(f"{len(members)} services and slices made in {took:.0f} s", flush=True)

    def _list(self, path: str) -> list[Json]:
        items: list[Json] = self._plane.request("GET", path)["items"]
        return items

    # Start

    def _starts(self, where: str, population: Population) -> None:
        for name in self._contestants.names:
            # Not measured: programs come off the disk, and Python compiles modules.
            with self._contestants.running(name, CORE) as server:
                self._all_right(server, population)
        for _ in range(self._size.repeats):
            for name in self._contestants.names:
                self._start(where, name, population)

    def _start(self, where: str, name: str, population: Population) -> None:
        with self._contestants.running(name, CORE) as server:
            right = self._all_right(server, population)
            server.settle()
            memory = server.memory()
            add = self._figures.add
            add(f"{where}: start to right answers, s", name, right - server.started)
            add(f"{where}: CPU of the start, s", name, server.cpu())
            add(f"{where}: peak RSS, MB", name, memory.peak)
            add(f"{where}: kept RSS, MB", name, memory.kept)
            add(f"{where}: kept RSS without files, MB", name, memory.anonymous)

    def _all_right(self, server: Running, population: Population) -> float:
        """Return when the last of many names had its right answer."""
        last = 0.0
        for question in population.sample():
            last = first_right(server.port, question, START_SECONDS)
        return last

    # Changes

    @contextmanager
    def _both(self) -> Iterator[dict[str, Running]]:
        """Run all contestants, synced and quiet."""
        with self._contestants.all() as running:
            for server in running.values():
                self._all_right(server, self._population)
                server.settle()
            yield running

    def _new_services(self, running: dict[str, Running]) -> None:
        path = SERVICES.format("default")
        spares = [spare_address(n) for n in range(self._size.changes)]
        changes = (
            Change(
                Question(f"new-{n}.default.svc.cluster.local", address),
                ("POST", path, service(f"new-{n}", address)),
            )
            for n, address in enumerate(spares)
        )
        self._compare("new Service", running, changes, SERVICES_EVERYWHERE)
        for n in range(self._size.changes):
            self._plane.request("DELETE", f"{path}/new-{n}")

    def _slice_changes(self, running: dict[str, Running], members: Sequence[Member]) -> None:
        what = f"changed slice of {members[0].endpoints}"
        chosen = (members[n % len(members)] for n in range(self._size.changes))
        self._compare(what, running, map(moved, chosen), SLICES_EVERYWHERE)

    def _compare(
        self, what: str, running: dict[str, Running], changes: Iterable[Change], watched: str
    ) -> None:
        """Make the changes one after the other; a bare watcher says when each was to be seen."""
        api, watch = Api(self._plane), Watch(self._plane, watched)
        total: dict[str, list[float]] = {name: [] for name in running}
        own: dict[str, list[float]] = {name: [] for name in running}
        for change in changes:
            watch.drain()
            sent = time.monotonic()
            api.send(*change.request)
            race = Race(ports(running), change.question, CHANGE_SECONDS, {"event": watch})
            for name, right in race.run().items():
                total[name].append((right - sent) * 1000)
                own[name].append((right - race.arrivals.get("event", right)) * 1000)
            api.receive()
        watch.close()
        for name in running:
            for percent in (50, 99):
                add = self._figures.add
                row = f"{what}, p{percent}, ms: "
                add(f"{row}request to answer", name, percentile(sorted(total[name]), percent))
                add(f"{row}event to answer", name, percentile(sorted(own[name]), percent))
        self._remark_difference(what, total)

    def _remark_difference(self, what: str, total: dict[str, list[float]]) -> None:
        """Compare the servers change by change: what delays both cancels out."""
        if len(total) < len(NAMES):
            return
        pairs = zip(total[KDNS], total[COREDNS], strict=True)
        later = sorted(one - other for one, other in pairs)
        p1, p50, p99 = (percentile(later, percent) for percent in (1, 50, 99))
        text = f"later than {COREDNS} by p1 {p1:.2f}, p50 {p50:.2f}, p99 {p99:.2f} ms"
        self._figures.remark(f"{what}: {KDNS} is {text}, change by change")

    # Outage

    def _outage(self, running: dict[str, Running], member: Member) -> None:
        """Measure the servers without the API server, and after."""
        seconds, before = self._size.outage_seconds, cpu(running)
        self._outdate()
        self._plane.kill_api_server()
        Event().wait(seconds)
        during = cpu(running)
        self._plane.start_api_server()
        back = time.monotonic()
        change = moved(member)
        Api(self._plane).request(*change.request)
        right = Race(ports(running), change.question, RECOVER_SECONDS).run()
        for name in running:
            used = during[name] - before[name]
            self._figures.add(f"CPU in an outage of {seconds:g} s, s", name, used)
            self._figures.add("API server back to right answers, s", name, right[name] - back)

    def _outage_at_start(self) -> None:
        """Start the servers while the API server is away, and see when they know the cluster."""
        question = self._population.sample()[0]
        self._plane.kill_api_server()
        with self._contestants.all() as running:
            Event().wait(self._size.outage_seconds)
            self._plane.start_api_server()
            back = time.monotonic()
            right = Race(ports(running), question, RECOVER_SECONDS).run()
        for name in running:
            row = "API server down at the start: back to right answers, s"
            self._figures.add(row, name, right[name] - back)

    def _outdate(self) -> None:
        """Write what no contestant watches: a restarted API server remembers nothing before it."""
        body = {"metadata": {"generateName": "later-"}}
        self._plane.request("POST", "/api/v1/namespaces/default/configmaps", body)

    # Latency

    def _calm(self, server: Running) -> float:
        """Measure the stream alone; return the share of a core that it takes."""
        before, started = server.cpu(), time.monotonic()
        with self._streaming(server) as seen:
            Event().wait(CALM_SECONDS)
            used, took = server.cpu() - before, time.monotonic() - started
        self._report_latency("calm", server, seen.since(0))
        return used / took

    def _updates(self, server: Running, calm: float) -> None:
        """Patch slices as fast as asked, from several connections."""
        before = server.cpu()
        pool = Pool(self._plane, CONNECTIONS)
        with self._streaming(server) as seen:
            done, took = paced(pool, self._population.members(), self._size)
            used = server.cpu() - before - calm * took
        self._report_latency("slice updates", server, seen.since(0))
        self._figures.add("slice updates: how many a second", server.name, done / took)
        self._figures.add("slice updates: CPU of one, ms", server.name, used / done * 1000)

    def _relist(self, server: Running) -> None:
        """Make every watch expire, and look at the answers from then to the first right one."""
        change = moved(self._population.headless()[-1])
        with self._streaming(server) as seen:
            self._outdate()
            with self._plane.api_server_down():
                self._plane.compact()
                restarted = time.monotonic()
            back = time.monotonic()
            Api(self._plane).request(*change.request)
            right = first_right(server.port, change.question, RECOVER_SECONDS)
            Event().wait(AFTER)
        self._report_latency("re-list", server, seen.since(restarted, right + AFTER))
        self._figures.add("re-list: API server back to right, s", server.name, right - back)
        self._figures.add("re-list: peak RSS, MB", server.name, server.memory().peak)

    def _streaming(self, server: Running) -> AbstractContextManager[Latencies]:
        names = [question.name for question in self._population.sample()]
        return streaming(server.port, self._size.query_rate, names)

    def _report_latency(self, what: str, server: Running, latencies: Sequence[float]) -> None:
        add = self._figures.add
        add(f"{what}: p50 of answers, ms", server.name, median(latencies))
        add(f"{what}: p99 of answers, ms", server.name, percentile(latencies, 99))
        add(f"{what}: longest pause, ms", server.name, max(filter(math.isfinite, latencies)))
        late = sum(latency > LATE for latency in latencies)
        add(f"{what}: answers later than {LATE:g} ms", server.name, late)
        add(f"{what}: queries lost", server.name, sum(map(math.isinf, latencies)))


PARTS = {
    "start": Bench.starts,
    "changes": Bench.changes,
    "outages": Bench.outages,
    "streams": Bench.streams,
}


def moved(member: Member) -> Change:
    """Return the change that moves an endpoint of the member."""
    question, patch = member.move()
    return Change(question, ("PATCH", member.slice_path, patch, JSON_PATCH))


def ports(running: dict[str, Running]) -> dict[str, int]:
    """Return where each server listens."""
    return {name: server.port for name, server in running.items()}


def cpu(running: dict[str, Running]) -> dict[str, float]:
    """Return what each server used so far."""
    return {name: server.cpu() for name, server in running.items()}


def paced(pool: Pool, members: Sequence[Member], size: Sizes) -> tuple[int, float]:
    """Patch slices on a schedule; return how many, and in how many seconds."""
    started, pause, pending = time.monotonic(), Event(), []
    for n in range(int(size.update_rate * size.update_seconds)):
        pause.wait(max(0.0, started + n / size.update_rate - time.monotonic()))
        change = moved(members[n % len(members)])
        pending.append(pool.executor.submit(pool.request, *change.request))
    for one in pending:
        one.result()
    return len(pending), time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
