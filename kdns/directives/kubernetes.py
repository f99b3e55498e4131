"""The ``kubernetes`` block of a Corefile: its words -> settings, a source and a zone.

Takes every option of CoreDNS 1.14 and those of kdns. Knows no query.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

from msgspec import Struct

from kdns import network
from kdns.assembly import Block
from kdns.chain import Serial
from kdns.cluster import Cluster, From, FromCluster, FromManifests
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line
from kdns.errors import UsageError
from kdns.kube.owners import Owner
from kdns.kube.resources import Selection
from kdns.kube.selectors import Selector
from kdns.wire import names
from kdns.wire.names import Name
from kdns.zone.authority import Authority
from kdns.zone.settings import MAX_TTL, Settings

log = logging.getLogger(__name__)

STARTUP_TIMEOUT = 5.0
"""Seconds that a start waits for the first complete list, as in CoreDNS."""
REMINDER = 0.5
"""Seconds between two lines that say so."""
MAX_COUNT = 2**31 - 1


class Wanted(Struct, frozen=True):
    """What a ``kubernetes`` block asks for."""

    authority: Authority
    source: From
    directive: Directive
    startup_timeout: float = STARTUP_TIMEOUT


class _Draft:
    """The options so far, by the names of the fields that they set."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.settings: dict[str, Any] = {}
        self.api: dict[str, Any] = {}
        self.manifests: tuple[str, ...] = ()
        self.assign = True
        self.startup_timeout = STARTUP_TIMEOUT


_Read: TypeAlias = Callable[[Line, _Draft], None]


def read(directives: Sequence[Directive], block: Block) -> Wanted:
    """Read the block. Raises CorefileError for what cannot be meant."""
    directive = values.once(directives)
    draft = _Draft(block)
    zones = values.zones(directive.args, block.zones)
    draft.settings["zones"] = tuple(map(_text, zones))
    for line in directive.lines:
        take = _OPTIONS.get(line.name.text)
        if take is None:
            values.unknown(line, _OPTIONS, of="kubernetes")
        take(line, draft)
    try:
        settings = Settings(**draft.settings)
        authority = Authority(settings, network.own_addresses(block.binds))
    except UsageError as error:
        values.fail(directive.name, f"kubernetes: {error}")
    return Wanted(authority, _source(draft, directive), directive, draft.startup_timeout)


def selection(settings: Settings) -> Selection:
    """Follow only what an option needs."""
    return Selection(
        namespaces=settings.namespaces,
        labels=settings.labels,
        namespace_labels=settings.namespace_labels,
        endpoints=not settings.noendpoints,
        pods=settings.pods == "verified",
        imports=bool(settings.multicluster),
    )


def follow(wanted: Wanted, block: Block) -> tuple[Cluster, Serial]:
    """Have the block follow what it asks for, while its configuration runs."""
    clusters = block.runtime.clusters
    try:
        cluster = clusters.get(wanted.source, selection(wanted.authority.settings))
    except UsageError as error:
        values.fail(wanted.directive.name, f"kubernetes: {error}")
    serial = Serial()
    block.during(serving(cluster, serial, block.drop, wanted.startup_timeout))
    block.checks["kubernetes"] = cluster.synced.is_set
    block.kubernetes = cluster.store, wanted.authority
    return cluster, serial


@asynccontextmanager
async def serving(
    cluster: Cluster, serial: Serial, drop: Callable[[Iterable[Owner]], None], patience: float
) -> AsyncIterator[None]:
    """Pass on what changes while the block runs; enter it when synced, or after so many seconds."""

    def touched(owners: Iterable[Owner]) -> None:
        serial.set(cluster.store.serial)
        drop(owners)

    cluster.listeners.append(touched)
    try:
        async with cluster:
            serial.set(cluster.store.serial)
            if not cluster.store.stale:  # a snapshot has answers at once
                await _first_sync(cluster, patience)
            yield
    finally:
        cluster.listeners.remove(touched)


async def _first_sync(cluster: Cluster, patience: float) -> None:
    """Wait until everything was listed once, but not for ever."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while not cluster.synced.is_set() and loop.time() < deadline:
        with suppress(TimeoutError):
            left = deadline - loop.time()
            await asyncio.wait_for(cluster.synced.wait(), min(REMINDER, left))
            return
        log.info("plugin/kubernetes: waiting for Kubernetes API before starting server")
    if patience and not cluster.synced.is_set():
        log.warning("plugin/kubernetes: starting server with unsynced Kubernetes API")


def _text(zone: Name) -> str:
    return names.to_text(zone).removesuffix(".") or "."


def _source(draft: _Draft, directive: Directive) -> From:
    if draft.manifests:
        if draft.api:
            text = f"manifests and {' '.join(draft.api)} exclude one another"
            values.fail(directive.name, f"kubernetes: {text}")
        return FromManifests(draft.manifests, draft.assign)
    if draft.api.get("kubeconfig"):
        # As in CoreDNS: of the two, kubeconfig counts.
        draft.api.pop("endpoint", None)
        draft.api.pop("tls", None)
    return FromCluster(**draft.api)


# -- one function for each kind of option -------------------------------------------------------


def _flag(field: str) -> _Read:
    """Return the reader of an option without arguments."""

    def take(line: Line, draft: _Draft) -> None:
        values.arguments(line, 0)
        draft.settings[field] = True

    return take


def _words(field: str) -> _Read:
    """Return the reader of a list; several lines add up."""

    def take(line: Line, draft: _Draft) -> None:
        found = tuple(token.text for token in values.arguments(line, 1, values.MANY))
        draft.settings[field] = (*draft.settings.get(field, ()), *found)

    return take


def _selector(field: str) -> _Read:
    """Return the reader of a label selector, which may have spaces."""

    def take(line: Line, draft: _Draft) -> None:
        found = values.arguments(line, 1, values.MANY)
        text = " ".join(token.text for token in found)
        try:
            Selector.parse(text)
        except UsageError as error:
            values.fail(line.name, f"{line.name.text}: {error}")
        draft.settings[field] = text

    return take


def _ttl(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    draft.settings["ttl"] = values.integer(token, 0, MAX_TTL)


def _pods(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    modes = ("disabled", "insecure", "verified")
    draft.settings["pods"] = values.choice(token, modes, "mode of pods")


def _ignore(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    values.choice(token, ("empty_service",), "kind to ignore")
    draft.settings["ignore_empty_service"] = True


def _fallthrough(line: Line, draft: _Draft) -> None:
    draft.settings["fallthrough"] = tuple(map(_text, values.zones(line.args, ())))


def _multicluster(line: Line, draft: _Draft) -> None:
    zones = values.zones(values.arguments(line, 1, values.MANY), ())
    draft.settings["multicluster"] = tuple(map(_text, zones))


def _switch(field: str) -> _Read:
    """Return the reader of ``on`` or ``off``."""

    def take(line: Line, draft: _Draft) -> None:
        (token,) = values.arguments(line, 1)
        draft.settings[field] = values.switch(token)

    return take


def _search(line: Line, draft: _Draft) -> None:
    zones = values.zones(values.arguments(line, 1, values.MANY), ())
    draft.settings["search"] = tuple(map(_text, zones))


def _compat(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    values.choice(token, ("coredns",), "server to be compatible with")
    draft.settings["compat"] = True
    draft.block.compat = True


def _endpoint(line: Line, draft: _Draft) -> None:
    first, *others = values.arguments(line, 1, values.MANY)
    if others:
        draft.block.warn(line.name, f"endpoint: only the first one, {first.text}, is used")
    draft.api["endpoint"] = first.text


def _tls(line: Line, draft: _Draft) -> None:
    found = values.arguments(line, 3, what="file")
    draft.api["tls"] = tuple(str(draft.block.root / token.text) for token in found)


def _kubeconfig(line: Line, draft: _Draft) -> None:
    path, *context = values.arguments(line, 1, 2)
    draft.api["kubeconfig"] = str(draft.block.root / path.text)
    if context:
        draft.api["context"] = context[0].text


def _snapshot(line: Line, draft: _Draft) -> None:
    path, *age = values.arguments(line, 1, 2)
    draft.api["snapshot"] = str(draft.block.root / path.text)
    if age:
        draft.api["snapshot_max_age"] = values.duration(age[0], 1.0, bare="seconds")


def _manifests(line: Line, draft: _Draft) -> None:
    found = values.arguments(line, 1, values.MANY, what="path")
    paths = (
        token.text if token.text == "-" else str(draft.block.root / token.text) for token in found
    )
    draft.manifests = (*draft.manifests, *paths)


def _assign(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    draft.assign = values.switch(token)


def _startup_timeout(line: Line, draft: _Draft) -> None:
    (token,) = values.arguments(line, 1)
    draft.startup_timeout = values.duration(token)


def _limit(line: Line, draft: _Draft) -> None:
    """Read a limit of the API client, which kdns has no use for: it watches and asks nothing."""
    (token,) = values.arguments(line, 1)
    if values.number(token, 0, MAX_COUNT):
        draft.block.warn(
            line.name, f"{line.name.text}: not needed, kdns keeps one watch a resource"
        )


def _removed(why: str, line: Line, draft: _Draft) -> None:
    draft.block.warn(line.name, f"{line.name.text} {why}: it may be left out")


_OPTIONS: dict[str, _Read] = {
    "endpoint": _endpoint,
    "tls": _tls,
    "kubeconfig": _kubeconfig,
    "namespaces": _words("namespaces"),
    "namespace_labels": _selector("namespace_labels"),
    "labels": _selector("labels"),
    "pods": _pods,
    "endpoint_pod_names": _flag("endpoint_pod_names"),
    "ttl": _ttl,
    "noendpoints": _flag("noendpoints"),
    "fallthrough": _fallthrough,
    "ignore": _ignore,
    "multicluster": _multicluster,
    "zonal": _flag("zonal"),
    "startup_timeout": _startup_timeout,
    "apiserver_qps": _limit,
    "apiserver_burst": _limit,
    "apiserver_max_inflight": _limit,
    "manifests": _manifests,
    "assign": _assign,
    "snapshot": _snapshot,
    "short_names": _switch("short_names"),
    "search": _search,
    "compat": _compat,
    "resyncperiod": partial(_removed, "has no effect since CoreDNS 1.6"),
    "upstream": partial(_removed, "left CoreDNS with 1.7"),
    "federation": partial(_removed, "left CoreDNS with 1.7"),
}
