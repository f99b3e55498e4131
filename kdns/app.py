"""From a configuration to a running server, and from one configuration to the next.

No signal handlers, no global state: ``serving`` can run twice in one process. How a configuration
is put together is ``configuration``; the command line is ``cli``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from msgspec import Struct
from prometheus_client import Metric

from kdns import configuration, standalone
from kdns.assembly import Check
from kdns.chain import Address
from kdns.cluster import Clusters, FromCluster, FromManifests, FromObjects
from kdns.configuration import Configuration, Served
from kdns.corefile import parser
from kdns.corefile.syntax import Corefile
from kdns.errors import KdnsError, UsageError
from kdns.informers import InformerCollector
from kdns.kube.status import Status
from kdns.metrics import EnabledPlugins, Metrics
from kdns.server.collector import TrafficCollector
from kdns.server.http import HttpListener, Page
from kdns.server.listeners import GRACE, Listener
from kdns.server.tally import Tally
from kdns.standalone import Options, kubeadm
from kdns.workers.crew import Crew

__all__ = ["FromCluster", "FromManifests", "FromObjects", "Options", "kubeadm", "serving"]

log = logging.getLogger(__name__)

SCRAPE = 2.0
"""Seconds that a scrape waits for all workers together."""
HEALTH = "/health"
PORT = 53
"""Of zones without a port in a Corefile."""


class FromParent(Struct, frozen=True):
    """What a worker process is started with: its parent has read the Corefile."""

    corefile: Corefile = Corefile("", (), ())
    port: int = 0


class FromCorefile(Struct, frozen=True):
    """What a server is started with when there is a Corefile."""

    path: str
    """``stdin`` is standard input."""
    port: int = PORT
    """Of zones without a port; 0 takes a free one."""


@asynccontextmanager
async def serving(wanted: Options | FromCorefile) -> AsyncIterator["Server"]:
    """Serve while the block runs.

    Raises CorefileError or ManifestError for files that cannot be used and UsageError for what
    cannot be carried out, all before anything is answered.
    """
    server = Server(wanted)
    try:
        await server.start()
        yield server
    finally:
        await server.close()


class Server:
    """A running server: what outlives its configurations, and the one that runs now."""

    def __init__(
        self, wanted: Options | FromCorefile | FromParent, clusters: Clusters | None = None
    ) -> None:
        """``clusters`` are given to a worker process, which follows none itself."""
        self.metrics = Metrics()
        self.clusters = clusters or Clusters(self.metrics)
        self.crew = Crew(self.clusters, self.stop)
        """Who answers in the place of this process, where ``multisocket`` asks for that."""
        self._enabled = EnabledPlugins()
        self._tallies: dict[str, Tally] = {}
        self.ending = False
        """Whether the process was asked to end: it still answers, but is not ready any more."""
        self.stopped = asyncio.Event()
        """Set when the server must not go on; ``status`` is then the exit status."""
        self.status, self.why = 0, ""
        self._wanted = wanted
        self._running: Configuration | None = None
        self._resources: list[AbstractAsyncContextManager[object]] = []
        self._listeners: dict[Address, Listener] = {}
        self._http: dict[Address, HttpListener] = {}
        self._offered: dict[str, Page] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    # -- what can be asked ----------------------------------------------------------------------

    @property
    def running(self) -> Configuration:
        """Return the configuration that answers now."""
        if self._running is None:
            raise RuntimeError("the server was not started")
        return self._running

    @property
    def corefile(self) -> Corefile | None:
        """Return the Corefile that is running; None where there is none."""
        return self._running.corefile if self._running is not None else None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Return where it listens, UDP and TCP, free ports replaced."""
        return tuple(address for one in self._listeners.values() for address in one.addresses)

    def port_of(self, address: Address) -> int:
        """Return the port of a server, a free one replaced."""
        listener = self._listeners.get(address)
        return address[1] if listener is None else listener.addresses[0][1]

    @property
    def http(self) -> dict[Address, Address]:
        """Return where pages are served: as wanted, and as bound."""
        return {wanted: one.address for wanted, one in self._http.items()}

    @property
    def tallies(self) -> list[tuple[str, Tally]]:
        """Return the counts of each server up to now; to be called on the event loop."""
        if self._running is not None:
            self._running.flush()
        return list(self._tallies.items())

    @property
    def statuses(self) -> list[Status]:
        """Return how each collection of each API server is doing."""
        return [status for cluster in self.clusters.running for status in cluster.statuses]

    def tally(self, server: str) -> Tally:
        """Return the counts of a server, which go on through reloads."""
        return self._tallies.setdefault(server, Tally())

    def checks(self) -> Mapping[str, Check]:
        """Return whether each plugin is ready; before anything is answered nothing is."""
        if self._running is None:
            return {"server": lambda: False}
        crew: dict[str, Check] = {"multisocket": self.crew.ready} if self.crew.size else {}
        return self._running.checks | crew

    # -- what can be done -----------------------------------------------------------------------

    @property
    def _default_port(self) -> int:
        """Return the port of zones without one."""
        return self._wanted.port

    @property
    def is_worker(self) -> bool:
        """Return whether a parent does for this process what only one of them may do."""
        return isinstance(self._wanted, FromParent)

    async def run(self, wanted: FromParent) -> None:
        """Run what the parent has read; the first time, begin with it."""
        self._wanted = wanted
        if self._running is None:
            await self.start()
        else:
            await self._change()

    async def start(self) -> None:
        """Bind, follow what is to be followed, and answer."""
        loop = asyncio.get_running_loop()
        self.metrics.add(TrafficCollector(loop, lambda: self.tallies))
        self.metrics.add(InformerCollector(lambda: self.statuses))
        self.metrics.add(self._enabled)
        await self._change()

    async def reload(self) -> bool:
        """Read the Corefile again and change over to it; False where the old one stays."""
        log.info("Reloading")
        try:
            await self._change()
        except KdnsError as error:
            log.error("Reloading failed, the old configuration stays: %s", error)  # noqa: TRY400
            return False
        except Exception:
            log.exception("Reloading failed, the old configuration stays")
            return False
        log.info("Reloading complete")
        return True

    def offer(self, path: str, page: Page) -> None:
        """Serve a page beside every ``/health`` from now on."""
        self._offered[path] = page
        for address, pages in self._pages(self.running).items():
            self._http[address].pages = pages

    def stop(self, status: int, why: str) -> None:
        """End the server with an exit status, for a fault that must not go on."""
        log.critical("%s", why)
        self.status, self.why = status, why
        self.stopped.set()

    async def say_farewell(self) -> None:
        """Be not ready any more, and answer for as long as plugins want others to notice."""
        self.ending = True
        farewells = [farewell() for one in self.running.blocks for farewell in one.block.farewells]
        await asyncio.gather(*farewells)

    async def settle(self) -> None:
        """Wait until nothing is left of earlier configurations."""
        await asyncio.gather(*self._retiring)

    async def close(self) -> None:
        """Stop listening, answer what was asked if the end was asked for, let go of everything."""
        async with self._changing:
            closing = [
                one.finish() if self.ending else one.close() for one in self._listeners.values()
            ]
            await asyncio.gather(*closing, self.crew.close())
            for page in self._http.values():
                page.close()
            await _leave(self._resources)
            await self.settle()

    # -- from one configuration to the next -----------------------------------------------------

    async def _change(self) -> None:
        """Read and change over, or raise and go on with what is running."""
        async with self._changing, self.clusters.kept():
            new = self._read()
            if not self.is_worker:
                for text in (*new.warnings, *new.remarks):
                    log.warning("%s", text)
            try:
                await self._take_over(new, await self._open(new))
            finally:
                if not self.is_worker:
                    self._share_no_more()

    async def _open(self, new: Configuration) -> "_Opened":
        """Bind and begin what a configuration needs, or undo all of it and raise."""
        opened = _Opened()
        try:
            self._bind(new, opened, self._is_apart)
            await _enter(new, opened.resources)
            # What shares a port with a socket that is answering takes queries from it once
            # it is bound: so that is done at the end, when they can be answered.
            self._bind(new, opened, lambda _: True)
            if self._delegates(new):
                await self._delegate(new)
        except BaseException:
            await opened.close()
            raise
        return opened

    def _read(self) -> Configuration:
        match self._wanted:
            case FromCorefile(path="stdin") if self._running is not None:
                raise UsageError("a Corefile from standard input cannot be read again")
            case FromCorefile(path, port):
                return configuration.build(parser.load(path), port, self)
            case FromParent(corefile, port):
                return configuration.build(corefile, port, self)
            case Options():
                return standalone.configure(self._wanted, self)

    def _is_apart(self, address: Address) -> bool:
        """Whether nothing that is running has a port."""
        return address[1] not in {port for _, port in (*self._listeners, *self._http)}

    def _bind(
        self, new: Configuration, opened: "_Opened", wanted: Callable[[Address], bool]
    ) -> None:
        """Bind those addresses of a configuration that are wanted and not bound yet."""
        free = 0
        for address, served in self._own(new).items():
            if address in self._listeners or address in opened.listeners or not wanted(address):
                continue
            host, port = address
            others = served.shared or self.is_worker or bool(self.crew.size)
            shared = self._share(self._listeners, port) or others
            listener = opened.listeners[address] = Listener(host, port or free, shared=shared)
            # A free port is the same on every address that wants one.
            free = free or (0 if port else listener.addresses[0][1])
        for address, pages in self._pages(new).items():
            if address not in self._http and address not in opened.http and wanted(address):
                shared = self._share(self._http | opened.http, address[1])
                opened.http[address] = HttpListener(*address, pages, shared=shared)

    def _share(self, bound: Mapping[Address, Listener | HttpListener], port: int) -> bool:
        """Have those that have a port share it; False where nobody has it."""
        rivals = [one for (_, taken), one in bound.items() if port and taken == port]
        for rival in rivals:
            rival.share()
        return bool(rivals)

    def _share_no_more(self) -> None:
        """Refuse a second server, which would take some of the queries unnoticed."""
        bound: tuple[Listener | HttpListener, ...] = (
            *self._listeners.values(),
            *self._http.values(),
        )
        for one in bound:
            one.share(on=False)

    async def _take_over(self, new: Configuration, opened: "_Opened") -> None:
        """Answer with a new configuration from now on. Nothing fails here: all is bound."""
        for address, listener in opened.listeners.items():
            served = new.servers[address]
            await listener.start(served.responder, served.limits)
        before, self._running = self._running, new
        old, self._resources = self._resources, opened.resources
        self._enabled.rows = new.enabled
        self._retire(before, self._replace(new, opened), old)
        if before is not None:
            before.flush()
        for one in new.blocks:
            for beginning in one.block.beginnings:
                beginning()
        if self.crew.size and not self._delegates(new):
            await self._recall()

    def _replace(self, new: Configuration, opened: "_Opened") -> list[Listener]:
        """Put the new chains behind the sockets that stay; return those that nobody wants."""
        own, its_pages = self._own(new), self._pages(new)
        for address, served in own.items():
            if address in self._listeners:
                self._listeners[address].use(served.responder, served.limits)
        for address, pages in its_pages.items():
            if address in self._http:
                self._http[address].pages = pages
        unwanted = [one for address, one in self._listeners.items() if address not in own]
        for listener in unwanted:
            # A change back may come before its last queries are answered.
            listener.share()
        for address in self._http.keys() - its_pages.keys():
            self._http[address].close()
        self._listeners = _of(own, self._listeners | opened.listeners)
        self._http = _of(its_pages, self._http | opened.http)
        return unwanted

    # -- several processes ----------------------------------------------------------------------

    def _delegates(self, new: Configuration) -> bool:
        """Whether workers answer in the place of this process."""
        return new.workers > 1 and not self.is_worker

    def _own(self, new: Configuration) -> dict[Address, Served]:
        """Return what this process answers itself."""
        return {} if self._delegates(new) else new.servers

    def _pages(self, new: Configuration) -> dict[Address, dict[str, Page]]:
        """Return what this process serves over HTTP; of several the parent does."""
        if self.is_worker:
            return {}
        return {
            address: {**pages, **(self._offered if HEALTH in pages else {})}
            for address, pages in new.pages.items()
        }

    async def _delegate(self, new: Configuration) -> None:
        """Have workers run a configuration. Raises UsageError where they cannot."""
        if new.corefile is None or any(port == 0 for _, port in new.servers):
            raise UsageError("multisocket: every process would have a free port of its own")
        for _, port in new.servers:
            self._share(self._listeners, port)
        await self.crew.run(new.corefile, self._default_port, new.workers)
        self.metrics.elsewhere = partial(self._reports, asyncio.get_running_loop())

    async def _recall(self) -> None:
        """Let the workers go: this process answers."""
        self.metrics.elsewhere = None
        crew, self.crew = self.crew, Crew(self.clusters, self.stop)
        await crew.close()

    def _reports(self, loop: asyncio.AbstractEventLoop) -> list[Metric]:
        """Return the metrics of the workers; called on the thread of a scrape."""
        refreshed = asyncio.run_coroutine_threadsafe(self.crew.refresh(), loop)
        with suppress(TimeoutError):
            refreshed.result(SCRAPE)
        return self.crew.families()

    def _retire(
        self,
        before: Configuration | None,
        listeners: list[Listener],
        resources: list[AbstractAsyncContextManager[object]],
    ) -> None:
        """Leave what was, beside the answering, once no query waits in its chains any more."""
        served = before.servers.values() if before is not None else ()

        async def leave() -> None:
            await asyncio.gather(
                *(listener.finish() for listener in listeners),
                *(one.responder.settle(GRACE) for one in served),
            )
            await _leave(resources)

        task = asyncio.create_task(leave())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


class _Opened:
    """What was opened for a configuration that does not run yet."""

    def __init__(self) -> None:
        self.listeners: dict[Address, Listener] = {}
        self.http: dict[Address, HttpListener] = {}
        self.resources: list[AbstractAsyncContextManager[object]] = []

    async def close(self) -> None:
        """Undo everything: the change failed."""
        for listener in self.listeners.values():
            await listener.close()
        for page in self.http.values():
            page.close()
        await _leave(self.resources)


T = TypeVar("T")


def _of(wanted: Iterable[Address], bound: Mapping[Address, T]) -> dict[Address, T]:
    return {address: bound[address] for address in wanted}


async def _enter(new: Configuration, entered: list[AbstractAsyncContextManager[object]]) -> None:
    for one in new.blocks:
        for resource in one.block.resources:
            await resource.__aenter__()
            entered.append(resource)


async def _leave(resources: Sequence[AbstractAsyncContextManager[object]]) -> None:
    """Leave all at the same time: none waits for the last query of another."""
    leaving = (resource.__aexit__(None, None, None) for resource in resources)
    for outcome in await asyncio.gather(*leaving, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a plugin did not end well: %r", outcome)
