"""One server block while it is put together: what a plugin's ``setup`` may read and ask for.

Every plugin module has ``setup(directives, block)``. It gets all the directives of its name in
one server block, in the order in which they are written, and returns a ``Plugin`` for the chain,
or None when it is only a setting. It raises CorefileError, starts nothing, and opens nothing but
files: whatever runs is handed to ``during``, ``serve_http`` or ``watch``. Knows no plugin.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeAlias

from kdns.chain import Address, Observer, Plugin
from kdns.cluster import Clusters
from kdns.corefile.syntax import Corefile, Directive, Token
from kdns.kube.owners import Owner
from kdns.kube.store import Store
from kdns.metrics import Metrics
from kdns.server.http import Page
from kdns.server.tally import Tally
from kdns.server.tcp import TcpLimits
from kdns.wire.names import Name
from kdns.zone.authority import Authority

log = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], bool]


class Runtime(Protocol):
    """What outlives a configuration, and what can be done to the running server."""

    metrics: Metrics
    clusters: Clusters

    @property
    def corefile(self) -> Corefile | None:
        """Return the Corefile that is running; None where there is none."""

    @property
    def is_worker(self) -> bool:
        """Return whether this is one of several processes, whose parent does what one must do."""

    @property
    def ending(self) -> bool:
        """Return whether the process was asked to end: it still answers, but is not ready."""

    def tally(self, server: str) -> Tally:
        """Return the counts of a server, which go on through reloads."""

    def checks(self) -> Mapping[str, Check]:
        """Return whether each plugin is ready, those of all server blocks together."""

    async def reload(self) -> bool:
        """Read the Corefile again and change over to it; False where the old one stays."""

    def stop(self, status: int, why: str) -> None:
        """End the server with an exit status, for a fault that must not go on."""


class Block:
    """One server block while it is put together."""

    def __init__(self, zones: Sequence[Name], runtime: Runtime) -> None:
        self.zones = tuple(zones)
        """The zones of the block's keys: what a plugin answers for unless it is told otherwise."""
        self.runtime = runtime
        self.root = Path()
        """Where relative paths begin (``root``)."""
        self.binds: list[str] = []
        """IP addresses to listen on; all when empty (``bind``)."""
        self.udp_size: int | None = None
        """Octets that a client's EDNS size is clamped to (``bufsize``)."""
        self.limits = TcpLimits()
        """Times that TCP clients have (``timeouts``)."""
        self.any_class = False
        """Whether queries of classes other than IN come to the chain (``chaos``, ``forward``)."""
        self.recursion = False
        """Whether RA is set in answers of ours (``forward``)."""
        self.counted = False
        """Whether queries are counted (``prometheus``)."""
        self.traced = False
        """Whether faults are to be seen with their stack (``debug``)."""
        self.compat = False
        """Whether CoreDNS is followed where it deviates from the RFCs (``compat coredns``)."""
        self.addresses: tuple[Address, ...] = ()
        """Where the block is listened for; known before ``during`` is entered."""
        self.kubernetes: tuple[Store, Authority] | None = None
        """Objects and zones of ``kubernetes``, for plugins before it in the chain: they are set up
        first, and look here when they are asked."""
        self.workers = 1
        """Processes that share the sockets (``multisocket``)."""
        self.observers: list[Observer] = []
        self.checks: dict[str, Check] = {}
        """Name of each plugin that can be not ready, and whether it is."""
        self.pages: dict[Address, dict[str, Page]] = {}
        self.resources: list[AbstractAsyncContextManager[object]] = []
        self.placements: list[Callable[[], None]] = []
        self.beginnings: list[Callable[[], None]] = []
        self.farewells: list[Callable[[], Awaitable[None]]] = []
        self.warnings: list[str] = []
        self.remarks: list[str] = []
        self.drops: list[Callable[[Iterable[Owner]], None]] = []

    def during(self, resource: AbstractAsyncContextManager[object]) -> None:
        """Enter a context while the configuration runs, before its first query."""
        self.resources.append(resource)

    def when_placed(self, placement: Callable[[], None]) -> None:
        """Call this once ``addresses`` are known: every block was set up, and nothing runs."""
        self.placements.append(placement)

    def when_running(self, beginning: Callable[[], None]) -> None:
        """Call this on the event loop once the configuration is the one that answers."""
        self.beginnings.append(beginning)

    def before_end(self, farewell: Callable[[], Awaitable[None]]) -> None:
        """Wait for this when the process is asked to end, while it still answers."""
        self.farewells.append(farewell)

    def watch(self, observer: Observer) -> None:
        """Have an observer look on at the queries of this block."""
        self.observers.append(observer)

    def serve_http(self, address: Address, path: str, page: Page) -> None:
        """Serve a page over HTTP while the configuration runs; host "" is all addresses.

        An address that the configuration before it had too stays open through a reload.
        """
        self.pages.setdefault(address, {})[path] = page

    def drop(self, owners: Iterable[Owner]) -> None:
        """Forget the prepared answers that were made from these."""
        touched = list(owners)
        for drop in self.drops:
            drop(touched)

    def warn(self, token: Token, text: str) -> None:
        """Tell the operator, at start and in ``kdns check``, of what is legal but wrong."""
        self.warnings.append(f"{token.path}:{token.line}: {text}")

    def remark(self, token: Token, text: str) -> None:
        """Tell of what is wrong on this machine, and may be right on another."""
        self.remarks.append(f"{token.path}:{token.line}: {text}")


class Setup(Protocol):
    """The entry point of a plugin module."""

    def __call__(self, directives: Sequence[Directive], block: Block) -> Plugin | None:
        """Read the directives and take part in the block."""
