"""``multisocket 2`` on two cores beside one process on one.

dnsperf needs a core of its own for what two workers answer, and there are only two. So what counts
is CPU: with ``cost`` the CPU of a query, in all processes of the server, one process answers
``1 / cost`` queries a second of a core. Of two workers the busier one ends the growth: it takes the
``share`` of that CPU, and answers until its core is full. The gain is

    (cost of one process / cost with workers) / share of the busiest process, at most two cores

which is what two cores give when the load comes from elsewhere. The queries a second that both
reached while dnsperf took its part of the same cores are shown beside it.
"""

from contextlib import ExitStack
from pathlib import Path

from bench.contestants import KDNS, TWICE, Running, family, process_clock
from bench.figures import Figures
from bench.load import Load, Way, read, started, write
from bench.queries import WARM_PASSES, WARM_SECONDS, Cluster, Plan, wait_for
from bench.questions import Questions

CORES = 2
CLIENTS = 200
"""Sockets of the load: the kernel spreads clients, not queries, over the workers."""


def measure(plan: Plan, cluster: Cluster, figures: Figures) -> None:
    """Measure both in turns, on whichever core is free."""
    path = write(cluster.folder / "scaling", Questions(cluster.population).cluster_ip())
    with ExitStack() as stack:
        servers = [stack.enter_context(cluster.contestants.running(name)) for name in (KDNS, TWICE)]
        for server in servers:
            wait_for(server, cluster)
            for _ in range(WARM_PASSES * CORES):  # every worker is to have everything prepared
                _loaded(server, path, Way(WARM_SECONDS, once=True, clients=CLIENTS))
        way = Way(plan.seconds, clients=CLIENTS, outstanding=CLIENTS)
        for _ in range(plan.rounds):
            (one, _), (two, share) = (_loaded(server, path, way) for server in servers)
            for server, load in zip(servers, (one, two), strict=True):
                _report(figures, server.name, load)
            figures.add("multisocket: share of the busiest process", TWICE, share)
            gain = one.cost / two.cost * min(CORES, 1 / share)
            figures.add("multisocket: queries of two cores to those of one", TWICE, gain)


def _report(figures: Figures, server: str, load: Load) -> None:
    figures.add("multisocket: CPU of a query, us", server, load.cost)
    figures.add("multisocket: queries/s, dnsperf on the same cores", server, load.rate)
    figures.add("multisocket: lost", server, load.lost)


def _loaded(server: Running, path: Path, way: Way) -> tuple[Load, float]:
    """Ask, and return what it took and how much of the CPU the busiest process used."""
    processes = family(server.pid)
    before = {pid: process_clock(pid) for pid in processes}
    with started(server, path, way, core=None) as dnsperf:
        output, _ = dnsperf.communicate()
    used = [process_clock(pid) - before[pid] for pid in processes]
    return read(output, sum(used)), max(used) / sum(used)
