"""From a configuration to a running server, and from one configuration to the next.

No signal handlers, no global state: ``serving`` can run twice in one process. How a configuration
is put together is ``configuration``; the command line is ``cli``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec import Struct

from kdns import configuration, standalone
from kdns.assembly import Check
from kdns.chain import Address
from kdns.cluster import Clusters, FromCluster, FromManifests, FromObjects
from kdns.configuration import Configuration
from kdns.corefile import parser
from kdns.corefile.syntax import Corefile
from kdns.errors import KdnsError
from kdns.informers import InformerCollector
from kdns.kube.status import Status
from kdns.metrics import EnabledPlugins, Metrics
from kdns.server.collector import TrafficCollector
from kdns.server.http import HttpListener
from kdns.server.listeners import Listener
from kdns.server.tally import Tally
from kdns.standalone import Options, kubeadm

__all__ = ["FromCluster", "FromManifests", "FromObjects", "Options", "kubeadm", "serving"]

log = logging.getLogger(__name__)

PORT = 53
"""Of zones without a port in a Corefile."""


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

    def __init__(self, wanted: Options | FromCorefile) -> None:
        self.metrics = Metrics()
        self.clusters = Clusters()
        self._enabled = EnabledPlugins()
        self._tallies: dict[str, Tally] = {}
        self.ending = False
        """Whether the process was asked to end: it still answers, but is not ready any more."""
        self.stopped = asyncio.Event()
        """Set when the server must not go on; ``status`` is then the exit status."""
        self.status = 0
        self._wanted = wanted
        self._running: Configuration | None = None
        self._resources: list[AbstractAsyncContextManager[object]] = []
        self._listeners: dict[Address, Listener] = {}
        self._http: dict[Address, HttpListener] = {}
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
        """Return whether each plugin is ready."""
        return {} if self._running is None else self._running.checks

    # -- what can be done -----------------------------------------------------------------------

    async def start(self) -> None:
        """Bind, follow what is to be followed, and answer."""
        loop = asyncio.get_running_loop()
        self.metrics.add(TrafficCollector(loop, lambda: self.tallies))
        self.metrics.add(InformerCollector(lambda: self.statuses))
        self.metrics.add(self._enabled)
        await self._change(self._read())

    async def reload(self) -> bool:
        """Read the Corefile again and change over to it; False where the old one stays."""
        try:
            await self._change(self._read())
        except KdnsError as error:
            log.error("plugin/reload: the old configuration stays: %s", error)  # noqa: TRY400
            return False
        return True

    def stop(self, status: int, why: str) -> None:
        """End the server with an exit status, for a fault that must not go on."""
        log.critical("%s", why)
        self.status = status
        self.stopped.set()

    async def say_farewell(self) -> None:
        """Be not ready any more, and answer for as long as plugins want others to notice."""
        self.ending = True
        farewells = [farewell() for one in self.running.blocks for farewell in one.block.farewells]
        await asyncio.gather(*farewells)

    async def close(self) -> None:
        """Stop listening, and let go of everything."""
        for listener in self._listeners.values():
            await listener.close()
        for page in self._http.values():
            page.close()
        await _leave(self._resources)
        await asyncio.gather(*self._retiring)

    # -- from one configuration to the next -----------------------------------------------------

    def _read(self) -> Configuration:
        match self._wanted:
            case FromCorefile(path, port):
                return configuration.build(parser.load(path), port, self)
            case Options():
                return standalone.configure(self._wanted, self)

    async def _change(self, new: Configuration) -> None:
        """Change over to a configuration, or raise and go on with the old one."""
        async with self._changing:
            listeners: dict[Address, Listener] = {}
            http: dict[Address, HttpListener] = {}
            resources: list[AbstractAsyncContextManager[object]] = []
            try:
                self._bind(new, listeners, http)
                await _enter(new, resources)
            except BaseException:
                await _discard(listeners, http, resources)
                raise
            # From here on nothing fails: the new sockets are bound, the new data is there.
            for address, listener in listeners.items():
                served = new.servers[address]
                await listener.start(served.responder, served.limits)
            before, self._running = self._running, new
            old, self._resources = self._resources, resources
            self._enabled.rows = new.enabled
            await self._take_over(new, listeners, http)
            if before is not None:
                before.flush()
            for one in new.blocks:
                for beginning in one.block.beginnings:
                    beginning()
            self._retire(old)

    def _bind(
        self,
        new: Configuration,
        listeners: dict[Address, Listener],
        http: dict[Address, HttpListener],
    ) -> None:
        free = 0
        for (host, port), served in new.servers.items():
            if (host, port) not in self._listeners:
                listener = Listener(host, port or free, shared=served.shared)
                listeners[(host, port)] = listener
                # A free port is the same on every address that wants one.
                free = free or (0 if port else listener.addresses[0][1])
        for address, pages in new.pages.items():
            if address not in self._http:
                http[address] = HttpListener(*address, pages)

    async def _take_over(
        self,
        new: Configuration,
        listeners: dict[Address, Listener],
        http: dict[Address, HttpListener],
    ) -> None:
        """Put the new chains behind the sockets that stay, and close those that nobody wants."""
        for address in [*self._listeners]:
            if address in new.servers:
                served = new.servers[address]
                self._listeners[address].use(served.responder, served.limits)
            else:
                await self._listeners.pop(address).close()
        for address in [*self._http]:
            if address in new.pages:
                self._http[address].pages = new.pages[address]
            else:
                self._http.pop(address).close()
        self._listeners |= listeners
        self._http |= http

    def _retire(self, old: list[AbstractAsyncContextManager[object]]) -> None:
        """Leave the old resources beside the answering: queries may still wait in their chain."""
        task = asyncio.create_task(_leave(old))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


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


async def _discard(
    listeners: Mapping[Address, Listener],
    http: Mapping[Address, HttpListener],
    resources: Sequence[AbstractAsyncContextManager[object]],
) -> None:
    """Undo a change that failed."""
    for listener in listeners.values():
        await listener.close()
    for page in http.values():
        page.close()
    await _leave(resources)
