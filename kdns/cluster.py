"""Sources that are followed into stores, shared by whoever serves from the same one.

A ``Cluster`` runs while somebody uses it: a configuration that replaces another one takes its
clusters over as they are, with nothing listed again. Knows no DNS.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from msgspec import Struct

from kdns.informers import Meters
from kdns.kube.access import Access
from kdns.kube.changes import Apply, Change, Sink
from kdns.kube.objects import Kind
from kdns.kube.owners import EVERYTHING, Owner
from kdns.kube.resources import Selection
from kdns.kube.snapshot import Contents, Keeper, load
from kdns.kube.status import Status, moment, staleness
from kdns.kube.store import Store
from kdns.metrics import Metrics

log = logging.getLogger(__name__)

REFRESH = 900.0
"""Seconds between two snapshots of a cluster in which nothing changes."""

Touched: TypeAlias = Callable[[Iterable[Owner]], None]
"""Told which owners a change touched."""


class FromManifests(Struct, frozen=True):
    """Serve what manifests say."""

    paths: tuple[str, ...]
    """Files and directories; ``-`` is standard input."""
    assign: bool = True
    """Whether addresses and endpoints that a cluster would have added are simulated."""


class FromCluster(Struct, frozen=True):
    """Serve what an API server says."""

    kubeconfig: str = ""
    """Path of a kubeconfig; empty for the service account of the pod."""
    context: str = ""
    """Context of the kubeconfig; empty for its current one."""
    endpoint: str = ""
    """URL of the API server, where there is no kubeconfig."""
    tls: tuple[str, str, str] = ("", "", "")
    """Paths of certificate, key and CA certificate for ``endpoint``."""
    snapshot: str = ""
    """Path of the file that keeps the last known objects for the next start; empty for none."""
    snapshot_max_age: float = 86_400.0
    """Seconds; an older snapshot is not used."""


class FromObjects(Struct, frozen=True):
    """Serve what a program puts into the store itself."""

    name: str = ""
    """Tells one such store from another."""
    known: bool = True
    """Whether whatever is in the store is all there is; else somebody says when it is."""


From: TypeAlias = FromManifests | FromCluster | FromObjects


class Clusters:
    """The clusters of one server, by what they follow."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        """Without ``metrics`` nobody sees what is measured."""
        self._meters = Meters(metrics or Metrics())
        self._known: dict[tuple[From, Selection], Cluster] = {}

    def get(self, source: From, selection: Selection) -> "Cluster":
        """Return the cluster that follows this, made if there is none yet.

        Raises UsageError for a configuration of the API server that cannot be used.
        """
        key = (source, selection)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Cluster(source, selection, self._meters)
        return found

    def items(self) -> "list[tuple[tuple[From, Selection], Cluster]]":
        """Return those that somebody uses, with what they follow."""
        return [(key, one) for key, one in self._known.items() if one.used]

    @property
    def running(self) -> "list[Cluster]":
        """Return those that somebody uses; any thread may ask."""
        return [one for one in tuple(self._known.values()) if one.used]

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Let none end while a configuration is put together that may want it.

        Those that ended before are forgotten: none begins again.
        """
        self._known = {key: one for key, one in self._known.items() if not one.ended}
        async with AsyncExitStack() as stack:
            for cluster in self.running:
                await stack.enter_async_context(cluster)
            yield


class Cluster:
    """A store, and what feeds it while an ``async with`` block of any user runs."""

    def __init__(self, source: From, selection: Selection, meters: Meters) -> None:
        self.meters = meters
        self.store = Store()
        self.synced = asyncio.Event()
        """Set when everything was listed once."""
        self.listeners: list[Touched] = []
        self.watchers: list[Sink] = []
        """Told of every change itself, after the listeners."""
        self.used = 0
        self.ended = False
        """Whether its last user is gone."""
        self._feed = _feed(source, selection, self)
        self._running = self._feed.running()

    @property
    def about(self) -> tuple[str, ...]:
        """Return lines for people: what is served."""
        return self._feed.about

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Return how each collection of the API server is doing; none for manifests."""
        return self._feed.statuses

    async def __aenter__(self) -> Self:
        """Begin to follow, unless somebody does so already.

        Raises ManifestError for manifests that cannot be used.
        """
        self.used += 1
        if self.used == 1:
            try:
                await self._running.__aenter__()
            except BaseException:
                self.used -= 1
                self.ended = True
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End with the last user."""
        self.used -= 1
        if not self.used:
            self.ended = True
            await self._running.__aexit__(kind, error, trace)

    def take(self, change: Change) -> None:
        """Take in a change and tell what it touched."""
        self._tell(self.store.apply(change))
        for watcher in self.watchers:
            watcher(change)
        self.meters.programming.took(change, self.store)

    def unlisted(self, statuses: Iterable[Status]) -> None:
        """Note the namespaces in which something could not be listed: nothing is missing there."""
        now = frozenset((s.kind, s.namespace) for s in statuses if s.namespace and not s.synced)
        if now != self.store.unlisted:
            self.store.unlisted = now
            self._tell((EVERYTHING,))

    def know(self, stale: str, unlisted: frozenset[tuple[Kind, str]], serial: int) -> None:
        """Take over what another process knows of the same cluster beside its objects."""
        store = self.store
        new = stale, unlisted
        changed = new != (store.stale, store.unlisted)
        store.stale, store.unlisted = new
        store.serial = max(store.serial, serial)
        self._tell((EVERYTHING,) if changed else ())

    def age(self, stale: str) -> None:
        """Say in all answers from now on that they may be out of date, or no longer."""
        if stale != self.store.stale:
            self.store.stale = stale
            self._tell((EVERYTHING,))

    def _tell(self, touched: Iterable[Owner]) -> None:
        for listener in self.listeners:
            listener(touched)


def _feed(source: From, selection: Selection, cluster: Cluster) -> "_Feed":
    match source:
        case FromManifests():
            return _Manifests(source, selection, cluster)
        case FromCluster():
            return _Following(source, selection, cluster)
        case FromObjects():
            return _Program(cluster, known=source.known)


class _Program:
    """Nothing is followed: a program calls ``take``."""

    about = ("serving objects of this program",)
    statuses: tuple[Status, ...] = ()

    def __init__(self, cluster: Cluster, *, known: bool) -> None:
        if known:
            cluster.synced.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield


class _Manifests:
    """Manifests, loaded and then watched."""

    statuses: tuple[Status, ...] = ()

    def __init__(self, wanted: FromManifests, selection: Selection, cluster: Cluster) -> None:
        # The YAML of manifests costs 40 ms, which an API server does not need.
        from kdns.kube.manifests import ManifestSource  # noqa: PLC0415

        self.about: tuple[str, ...] = ()
        self._synced = cluster.synced
        self._source = ManifestSource(
            wanted.paths,
            cluster.take,
            assign=wanted.assign,
            labels=selection.labels,
            namespace_labels=selection.namespace_labels,
            imports=selection.imports,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        summary = self._source.load().summary
        self.about = tuple(filter(None, (f"serving {summary}", summary.ignored, summary.warning)))
        self._synced.set()
        watching = asyncio.create_task(self._source.watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


class _Following:
    """An API server, and the snapshot of what was seen there."""

    def __init__(self, wanted: FromCluster, selection: Selection, cluster: Cluster) -> None:
        # The kubernetes package costs 0.3 s and 30 MB, which manifests do not need.
        from kdns.kube.api import ApiSource  # noqa: PLC0415

        self._cluster = cluster
        access = Access(wanted.kubeconfig, wanted.context, endpoint=wanted.endpoint, tls=wanted.tls)
        self._source = ApiSource(
            self._take,
            access,
            selection,
            told=self._told,
            measures=cluster.meters.requests,
        )
        self._warm = ""
        self._kept = 0.0
        self._keeper: Keeper | None = None
        if wanted.snapshot:
            path, about = Path(wanted.snapshot), _identity(self._source.server, selection)
            self._warm = _begin_with_snapshot(path, wanted.snapshot_max_age, about, cluster)
            self._keeper = Keeper(path, self._contents, about=about, now=self._heard)
        place = wanted.kubeconfig or wanted.endpoint or "the API server of this cluster"
        follows = f"following {place}"
        self.about = (follows, self._warm) if self._warm else (follows,)

    @property
    def statuses(self) -> tuple[Status, ...]:
        return self._source.statuses

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begin with the snapshot, if there is one; then follow the API server."""
        if self._keeper is None:
            async with self._source:
                yield
        else:
            async with self._keeper, self._source:
                yield
                self._finish()

    def _take(self, change: Change) -> None:
        self._cluster.take(change)
        # Before everything is listed, the snapshot of the run before is the better one.
        if self._keeper is not None and self._cluster.synced.is_set():
            self._keeper.changed()

    def _told(self) -> None:
        statuses, synced = self.statuses, self._cluster.synced
        if not synced.is_set() and all(status.known for status in statuses):
            synced.set()
            if self._keeper is not None:
                self._keeper.changed()
        self._cluster.unlisted(statuses)
        if self._keeper is not None and synced.is_set():
            self._refresh(self._keeper)
        # One collection may be stale before another was ever listed.
        warm = "" if synced.is_set() else self._warm
        self._cluster.age("; ".join(filter(None, (staleness(statuses), warm))))

    def _refresh(self, keeper: Keeper) -> None:
        """Write now and then though nothing changed: a snapshot says until when it was true."""
        now = asyncio.get_running_loop().time()
        if now - self._kept >= REFRESH:
            self._kept = now
            keeper.changed()

    def _heard(self) -> float:
        """Return the time until which everything was known to be current."""
        return min(status.heard or status.since for status in self.statuses)

    def _finish(self) -> None:
        """See to it that the end is in the snapshot."""
        if self._keeper is not None and self._cluster.synced.is_set():
            self._keeper.changed()

    def _contents(self) -> Contents:
        kinds = self._source.kinds
        return kinds, self._cluster.store.objects(kinds)


_Feed: TypeAlias = _Program | _Manifests | _Following


def _identity(server: str, selection: Selection) -> str:
    """Say which objects a snapshot is of: those of another cluster or selection are no use."""
    chosen = (" ".join(selection.namespaces), selection.labels, selection.namespace_labels)
    return "|".join((server, *chosen))


def _begin_with_snapshot(path: Path, max_age: float, about: str, cluster: Cluster) -> str:
    """Load what an earlier run knew; return words for its age, empty where there is nothing.

    Its objects are no complete list: what it does not have may have been made since, so other
    names stay unknown until the API server was listed.
    """
    snapshot = load(path, max_age, about)
    if snapshot is None:
        return ""
    for item in snapshot.objects:
        cluster.take(Apply(item))
    stale = f"from the snapshot of {moment(snapshot.written)}"
    cluster.age(stale)
    return stale
