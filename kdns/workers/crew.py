"""``multisocket``: the parent of worker processes that share the sockets of one server.

The parent follows the cluster, serves the pages and reads the Corefile; it answers no query. Each
worker gets the same stream of changes, has a store, chain and sockets of its own, and shares
nothing: the kernel spreads the queries (SO_REUSEPORT). One that dies is replaced; one that does
not keep up is, too.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count

from prometheus_client import Metric

from kdns.cluster import Cluster, Clusters
from kdns.corefile.syntax import Corefile
from kdns.errors import UsageError
from kdns.kube.changes import Change
from kdns.metrics import merged
from kdns.server.listeners import GRACE
from kdns.workers.pipe import (
    Changes,
    Condition,
    End,
    Pipe,
    Ran,
    Report,
    Reported,
    Run,
    Source,
    Stopped,
)

log = logging.getLogger(__name__)

START = 120.0
"""Seconds that a worker has to run a configuration, on a machine that starts everything at once."""
PATIENCE = 1.0
"""Seconds that a scrape waits for the numbers of a worker; then it shows the last ones."""
REPORT_EVERY = 1.0
"""Seconds between two reports: what a worker counted after the last one is lost when it dies."""
BEHIND = 256 << 20
"""Octets of changes that a worker may be behind with."""
RESTART = 0.5
"""Seconds before a worker that died is replaced: one that dies at once must not take the CPU."""
END = GRACE + 1.0
"""Seconds that a worker has to end, with the queries that wait for an upstream."""


class Crew:
    """The workers of a server."""

    def __init__(self, clusters: Clusters, stop: Callable[[int, str], None]) -> None:
        """``stop`` ends the whole server."""
        self._clusters = clusters
        self._stop = stop
        self._run: Run | None = None
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        """Those that were dismissed and still answer what had arrived."""
        self._keeping: set[asyncio.Task[None]] = set()
        self._lost: list[Metric] = []
        """What workers had counted that are no more."""
        self._feeds: dict[Source, _Feed] = {}
        self._reporting: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def size(self) -> int:
        """Return how many workers there are to be."""
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Return the process ids of those that run."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def ready(self) -> bool:
        """Whether every worker answers."""
        return bool(self._workers) and all(worker.running for worker in self._workers)

    async def run(self, corefile: Corefile, port: int, size: int) -> None:
        """Have that many workers run a Corefile.

        Raises UsageError where the first of them cannot: then all go on with what they ran.
        """
        wanted = Run(corefile, port)
        for source, cluster in self._clusters.items():
            if source not in self._feeds:
                self._feeds[source] = _Feed(source, cluster, self._each)
        before = list(self._workers)
        if before:
            await before[0].run(wanted)
        try:
            await self._run_more([self._add() for _ in range(size - len(before))], wanted)
        except BaseException:
            if before:
                await self._run_or_replace(before[0])
            raise
        self._run = wanted
        for worker in before[1:size]:
            await self._run_or_replace(worker)
        await self._dismiss(before[size:])
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_now_and_then())

    async def refresh(self) -> None:
        """Ask every worker for its numbers."""
        await asyncio.gather(*(worker.report() for worker in self._workers))

    def families(self) -> list[Metric]:
        """Return the metrics of all workers together, those of lost ones included."""
        known = [worker.families for worker in (*self._workers, *self._leaving)]
        return merged([self._lost, *known])

    async def close(self) -> None:
        """End all workers."""
        self._closing = True
        for feed in self._feeds.values():
            feed.close()
        if self._reporting is not None:
            self._reporting.cancel()
        await asyncio.gather(*(worker.end() for worker in self._workers))
        await asyncio.gather(*self._keeping, return_exceptions=True)

    # -- keeping them alive ---------------------------------------------------------------------

    def _add(self) -> "_Worker":
        worker = _Worker(self._feeds, self._stop)
        self._workers.append(worker)
        task = asyncio.create_task(self._keep(worker))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return worker

    async def _keep(self, worker: "_Worker") -> None:
        """Run a worker, and again when it dies, for as long as it is wanted."""
        while self._wants(worker):
            status = await worker.live()
            self._remember(worker)
            if not self._wants(worker):
                break
            log.error("worker %d ended with status %d: replaced", worker.pid, status)
            await asyncio.sleep(RESTART)
            worker.wanted = self._run
        if worker in self._leaving:
            self._leaving.remove(worker)

    def _wants(self, worker: "_Worker") -> bool:
        return not self._closing and worker in self._workers

    def _remember(self, worker: "_Worker") -> None:
        counters = [family for family in worker.families if family.type != "gauge"]
        self._lost = merged([self._lost, counters])
        worker.families = ()

    async def _run_or_replace(self, worker: "_Worker") -> None:
        """Change a worker over; what could not follow the others begins anew."""
        if self._run is None:
            return
        try:
            await worker.run(self._run)
        except UsageError as error:
            log.error("worker %d stays behind: %s", worker.pid, error)  # noqa: TRY400
            worker.kill()

    async def _run_more(self, added: "list[_Worker]", wanted: Run) -> None:
        """Have new workers run a Corefile, all of them or none."""
        try:
            await asyncio.gather(*(worker.run(wanted) for worker in added))
        except BaseException:
            await self._dismiss(added)
            raise

    async def _dismiss(self, workers: "list[_Worker]") -> None:
        """End workers; until they have ended, what they count is counted."""
        self._workers = [worker for worker in self._workers if worker not in workers]
        self._leaving += workers
        await asyncio.gather(*(worker.end() for worker in workers))

    async def _report_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            await self.refresh()

    def _each(self) -> "Iterable[_Worker]":
        return self._workers


class _Worker:
    """One worker process, whichever it is at the moment."""

    def __init__(self, feeds: "dict[Source, _Feed]", stop: Callable[[int, str], None]) -> None:
        self._feeds = feeds
        self._stop = stop
        self.process: asyncio.subprocess.Process | None = None
        self.pid = 0
        self.pipe: Pipe | None = None
        self.running = False
        """Whether it answers."""
        self.families: tuple[Metric, ...] = ()
        """What it counted when it was last asked."""
        self.wanted: Run | None = None
        """What it is to run from its start on."""
        self._started = asyncio.Event()
        self._ending = False
        self._ran: asyncio.Future[str] | None = None
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._numbers: Iterator[int] = count()

    async def live(self) -> int:
        """Start the process and listen to it until it ends; return its exit status."""
        ours, theirs = socket.socketpair()
        command = (sys.executable, "-m", "kdns.commands.worker", str(theirs.fileno()))
        self.process = await asyncio.create_subprocess_exec(
            *command, pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL
        )
        theirs.close()
        self.pid = self.process.pid
        self.pipe = await Pipe.over(ours)
        for feed in self._feeds.values():
            feed.begin(self.pipe)
        self._started.set()
        if self._ending:
            self.pipe.send(End())
        elif self.wanted is not None:
            self.pipe.send(self.wanted)
        await self._listen(self.pipe)
        self.running = False
        self._started.clear()
        self.pipe.close()
        status = await self.process.wait()
        self._fail(f"worker {self.pid} ended with status {status}")
        return status

    async def run(self, wanted: Run) -> None:
        """Have it change over. Raises UsageError where it cannot."""
        await self._started.wait()
        self._ran = asyncio.get_running_loop().create_future()
        self._send(wanted)
        try:
            error = await asyncio.wait_for(self._ran, START)
        except TimeoutError:
            error = f"worker {self.pid} did not run the configuration within {START:.0f} s"
        finally:
            self._ran = None
        if error:
            raise UsageError(error)

    async def report(self) -> None:
        """Ask for its numbers, and wait a moment for them."""
        if not self.running:
            return
        number = next(self._numbers)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        self._send(Report(number))
        with suppress(TimeoutError):
            await asyncio.wait_for(answered, PATIENCE)
        self._asked.pop(number, None)

    async def end(self) -> None:
        """Have it answer what has arrived and end."""
        self._ending = True
        self._send(End())
        if self.process is not None:
            try:
                await asyncio.wait_for(self.process.wait(), END)
            except TimeoutError:
                self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)

    def send(self, frame: Changes | Condition) -> None:
        """Tell it of a change; one that is too far behind begins anew with what is now."""
        self._send(frame)
        if self.pipe is not None and self.pipe.waiting > BEHIND:
            log.error("worker %d does not keep up with the cluster", self.pid)
            self.kill()

    def _send(self, frame: Changes | Condition | Run | Report | End) -> None:
        if self.pipe is not None and self._started.is_set():
            self.pipe.send(frame)

    async def _listen(self, pipe: Pipe) -> None:
        while (frame := await pipe.receive()) is not None:
            match frame:
                case Ran(error):
                    self.running = self.running or not error
                    if self._ran is not None and not self._ran.done():
                        self._ran.set_result(error)
                case Reported(number, families):
                    self.families = families
                    answered = self._asked.get(number)
                    if answered is not None and not answered.done():
                        answered.set_result(None)
                case Stopped(status, why):
                    self._stop(status, why)
                case _:
                    raise AssertionError(f"a worker does not say {type(frame).__name__}")

    def _fail(self, why: str) -> None:
        if self._ran is not None and not self._ran.done():
            self._ran.set_result(why)


class _Feed:
    """Passes on what happens in a cluster, gathered for one turn of the event loop."""

    def __init__(
        self, source: Source, cluster: Cluster, workers: Callable[[], Iterable[_Worker]]
    ) -> None:
        self._source = source
        self._cluster = cluster
        self._workers = workers
        self._changes: list[Change] = []
        self._scheduled = False
        self._condition = self._now()
        cluster.watchers.append(self._took)
        cluster.listeners.append(self._told)

    def begin(self, pipe: Pipe) -> None:
        """Tell a worker everything that is known now."""
        self._flush()
        pipe.send(Changes(self._source, tuple(self._cluster.store.replay())))
        pipe.send(self._now())

    def close(self) -> None:
        """Pass on nothing any more."""
        self._cluster.watchers.remove(self._took)
        self._cluster.listeners.remove(self._told)

    def _took(self, change: Change) -> None:
        self._changes.append(change)
        self._schedule()

    def _told(self, _touched: object) -> None:
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._changes:
            frame = Changes(self._source, tuple(self._changes))
            self._changes.clear()
            for worker in self._workers():
                worker.send(frame)
        now = self._now()
        if now != self._condition:
            self._condition = now
            for worker in self._workers():
                worker.send(now)

    def _now(self) -> Condition:
        store = self._cluster.store
        return Condition(
            self._source,
            self._cluster.synced.is_set(),
            store.stale,
            store.unlisted,
            store.serial,
        )
