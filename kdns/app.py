"""From options to a running server: which source, which chain, which sockets.

The chain's order is fixed here and nowhere else. No signal handlers, no global state: ``serving``
can run twice in one process. The command line is ``cli``.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from kdns.admin import administered
from kdns.chain import Handler, Plugin, compose
from kdns.kube.changes import Apply, Change
from kdns.kube.manifests import ManifestSource
from kdns.kube.resources import Selection
from kdns.kube.snapshot import Contents, Keeper, load
from kdns.kube.status import Status, moment, staleness
from kdns.kube.store import Store
from kdns.plugins.cache import Cache
from kdns.plugins.forward import Forward, refuse
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.listeners import Address, listening
from kdns.server.responder import Responder
from kdns.server.table import AnswerTable
from kdns.upstream import resolvconf
from kdns.wire import names
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings

if TYPE_CHECKING:
    from kdns.kube.connect import Access

log = logging.getLogger(__name__)

REFRESH = 900.0
"""Seconds between two snapshots of a cluster in which nothing changes."""
REVERSE = ("in-addr.arpa", "ip6.arpa")


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
    snapshot: str = ""
    """Path of the file that keeps the last known objects for the next start; empty for none."""
    snapshot_max_age: float = 86_400.0
    """Seconds; an older snapshot is not used."""


class Options(Struct, frozen=True):
    """What a server is started with when there is no Corefile."""

    source: FromManifests | FromCluster
    settings: Settings
    port: int = 1053
    """0 takes a free one."""
    bind: tuple[str, ...] = ()
    """IP addresses to listen on; loopback when empty."""
    upstream: tuple[str, ...] | None = None
    """``ADDR[:PORT]`` of the resolvers for all other names; those of resolv.conf when None,
    none at all when empty."""
    admin: tuple[str, int] | None = None
    """Where ``/ready``, ``/health`` and ``/metrics`` are served; nowhere when None."""


class Server(Struct, frozen=True):
    """A server that runs."""

    addresses: tuple[Address, ...]
    """Where it listens, UDP and TCP."""
    upstreams: tuple[str, ...]
    admin: Address | None
    """Where ``/ready``, ``/health`` and ``/metrics`` are."""
    example: str
    """A name and type that this server answers, whatever the cluster has."""
    source: "Source"


class Source(Struct, frozen=True):
    """Where the data of a running server come from."""

    about: tuple[str, ...]
    """Lines for people: what is served."""
    synced: asyncio.Event
    """Set when everything was listed once."""
    statuses: Callable[[], tuple[Status, ...]]
    """How each collection of the API server is doing; none for manifests."""


def kubeadm(
    zone: str = "cluster.local", ttl: int = 30, search: tuple[str, ...] | None = None
) -> Settings:
    """Return the settings of a cluster that kubeadm made, with short names completed.

    ``search`` defaults to the list in the resolv.conf of a pod in the namespace ``default``.
    """
    domains = (f"default.svc.{zone}", f"svc.{zone}", zone) if search is None else search
    return Settings(
        zones=(zone, *REVERSE), ttl=ttl, pods="insecure", fallthrough=REVERSE, search=domains
    )


@asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Server]:
    """Serve while the block runs.

    Raises ManifestError for manifests that cannot be used and UsageError for options that cannot
    be carried out, both before anything listens.
    """
    state = _State()
    authority = Authority(options.settings, _own_addresses(options.bind))
    upstreams = _upstreams(options)
    recursion = bool(upstreams) and not options.settings.compat
    chain = _chain(state.store, authority, upstreams)
    responder = Responder(chain, state.table, recursion=recursion)
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(_source(options, state))
        addresses = await stack.enter_async_context(
            listening(options.bind, options.port, responder)
        )
        admin = options.admin
        if admin is not None:
            admin = admin[0], stack.enter_context(administered(*admin, source.statuses))
        yield Server(
            addresses=tuple(addresses),
            upstreams=tuple(map(str, upstreams)),
            admin=admin,
            example=names.to_text(names.of("dns-version") + authority.primary) + " TXT",
            source=source,
        )


class _State:
    """The store and the answers that were prepared from it, changed together."""

    def __init__(self) -> None:
        self.store = Store()
        self.table = AnswerTable()

    def take(self, change: Change) -> None:
        """Take in a change and drop the answers that it touched."""
        self.table.drop(self.store.apply(change))
        self.table.serial.set(self.store.serial)

    def unlisted(self, statuses: Iterable[Status]) -> None:
        """Note the namespaces in which something could not be listed: nothing is missing there."""
        now = frozenset((s.kind, s.namespace) for s in statuses if s.namespace and not s.synced)
        if now != self.store.unlisted:
            self.store.unlisted = now
            self.table.clear()

    def age(self, stale: str) -> None:
        """Say in all answers from now on that they may be out of date, or no longer."""
        if stale != self.store.stale:
            self.store.stale = stale
            self.table.clear()


def _source(options: Options, state: _State) -> AbstractAsyncContextManager[Source]:
    match options.source:
        case FromManifests():
            return _from_manifests(options.source, options.settings, state)
        case FromCluster():
            return _from_cluster(options.source, options.settings, state)


@asynccontextmanager
async def _from_manifests(
    wanted: FromManifests, settings: Settings, state: _State
) -> AsyncIterator[Source]:
    """Load the manifests, then watch their files."""
    source = ManifestSource(
        wanted.paths,
        state.take,
        assign=wanted.assign,
        labels=settings.labels,
        namespace_labels=settings.namespace_labels,
        imports=bool(settings.multicluster),
    )
    summary = source.load().summary
    about = tuple(filter(None, (f"serving {summary}", summary.ignored, summary.warning)))
    synced = asyncio.Event()
    synced.set()
    watching = asyncio.create_task(source.watch())
    try:
        yield Source(about, synced, tuple)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@asynccontextmanager
async def _from_cluster(
    wanted: FromCluster, settings: Settings, state: _State
) -> AsyncIterator[Source]:
    """Begin with the snapshot, if there is one; then follow the API server."""
    following = _Following(wanted, settings, state)
    async with AsyncExitStack() as stack:
        if following.keeper is not None:
            await stack.enter_async_context(following.keeper)
        source = await stack.enter_async_context(following.source)
        stack.callback(following.finish)
        yield Source(following.about, following.synced, lambda: source.statuses)


class _Following:
    """An API server that is followed into a state, and the snapshot of what was seen there."""

    def __init__(self, wanted: FromCluster, settings: Settings, state: _State) -> None:
        # The kubernetes package costs 0.4 s and 35 MB, which manifests do not need.
        from kdns.kube.api import ApiSource  # noqa: PLC0415
        from kdns.kube.connect import Access  # noqa: PLC0415

        self._state = state
        self.synced = asyncio.Event()
        access = Access(wanted.kubeconfig, wanted.context)
        self.source = ApiSource(self._take, access, _selection(settings), told=self._told)
        self._warm = ""
        self._kept = 0.0
        self.keeper: Keeper | None = None
        if wanted.snapshot:
            path, about = Path(wanted.snapshot), _identity(access, settings)
            self._warm = _begin_with_snapshot(path, wanted.snapshot_max_age, about, state)
            self.keeper = Keeper(path, self._contents, about=about, now=self._heard)
        follows = f"following {wanted.kubeconfig or 'the API server of this cluster'}"
        self.about = (follows, self._warm) if self._warm else (follows,)

    def _take(self, change: Change) -> None:
        self._state.take(change)
        # Before everything is listed, the snapshot of the run before is the better one.
        if self.keeper is not None and self.synced.is_set():
            self.keeper.changed()

    def _told(self) -> None:
        statuses = self.source.statuses
        if not self.synced.is_set() and all(status.known for status in statuses):
            self.synced.set()
            if self.keeper is not None:
                self.keeper.changed()
        self._state.unlisted(statuses)
        if self.keeper is not None and self.synced.is_set():
            self._refresh(self.keeper)
        # One collection may be stale before another was ever listed.
        warm = "" if self.synced.is_set() else self._warm
        self._state.age("; ".join(filter(None, (staleness(statuses), warm))))

    def _refresh(self, keeper: Keeper) -> None:
        """Write now and then though nothing changed: a snapshot says until when it was true."""
        now = asyncio.get_running_loop().time()
        if now - self._kept >= REFRESH:
            self._kept = now
            keeper.changed()

    def _heard(self) -> float:
        """Return the time until which everything was known to be current."""
        return min(status.heard or status.since for status in self.source.statuses)

    def finish(self) -> None:
        """See to it that the end is in the snapshot."""
        if self.keeper is not None and self.synced.is_set():
            self.keeper.changed()

    def _contents(self) -> Contents:
        kinds = self.source.kinds
        return kinds, self._state.store.objects(kinds)


def _identity(access: "Access", settings: Settings) -> str:
    """Say which objects a snapshot is of: those of another cluster or selection are no use."""
    from kdns.kube.connect import configure  # noqa: PLC0415 - see above

    chosen = (" ".join(settings.namespaces), settings.labels, settings.namespace_labels)
    return "|".join((str(configure(access).host), *chosen))


def _begin_with_snapshot(path: Path, max_age: float, about: str, state: _State) -> str:
    """Load what an earlier run knew; return words for its age, empty where there is nothing.

    Its objects are no complete list: what it does not have may have been made since, so other
    names stay unknown until the API server was listed.
    """
    snapshot = load(path, max_age, about)
    if snapshot is None:
        return ""
    for item in snapshot.objects:
        state.take(Apply(item))
    stale = f"from the snapshot of {moment(snapshot.written)}"
    state.age(stale)
    return stale


def _selection(settings: Settings) -> Selection:
    """Follow only what an option needs."""
    return Selection(
        namespaces=settings.namespaces,
        labels=settings.labels,
        namespace_labels=settings.namespace_labels,
        endpoints=not settings.noendpoints,
        pods=settings.pods == "verified",
        imports=bool(settings.multicluster),
    )


def _chain(store: Store, authority: Authority, upstreams: Sequence[resolvconf.Upstream]) -> Handler:
    """Compose the chain of a cluster that kubeadm made."""
    cluster = Kubernetes(store, authority)
    if not upstreams:
        return compose([cluster], refuse)
    plugins: list[Plugin] = [cluster, Cache(), Forward(upstreams)]
    return compose(plugins, refuse)


def _upstreams(options: Options) -> list[resolvconf.Upstream]:
    """Find the resolvers for other names; asking ourselves would be a loop."""
    if options.upstream is None:
        wanted = resolvconf.system()
    else:
        wanted = [resolvconf.parse(text) for text in options.upstream]
    own = [(host, options.port) for host in options.bind or ("127.0.0.1", "::1")]
    kept, dropped = resolvconf.without(wanted, own)
    for upstream in dropped:
        log.warning("upstream %s is this server itself: not used", upstream)
    return kept


def _own_addresses(bind: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that NS records lead to.

    A wildcard stands for the address that the machine would send from.
    """
    found: list[str] = []
    for host in bind or ("127.0.0.1",):
        match host:
            case "0.0.0.0":
                found += _source_address(socket.AF_INET, "192.0.2.1")
            case "::":
                found += _source_address(socket.AF_INET6, "2001:db8::1")
            case _:
                found.append(host)
    return tuple(found)


def _source_address(family: socket.AddressFamily, somewhere: str) -> list[str]:
    """Ask the routing table; connecting a UDP socket sends nothing. Addresses of RFC 5737, 3849."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((somewhere, 53))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]
