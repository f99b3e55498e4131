"""From options to a running server: which source, which chain, which sockets.

The chain's order is fixed here and nowhere else. No signal handlers, no global state: ``serving``
can run twice in one process. The command line is ``cli``.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from msgspec import Struct

from kdns.chain import Handler, Plugin, compose
from kdns.kube.changes import Change
from kdns.kube.manifests import ManifestSource
from kdns.kube.store import Store
from kdns.plugins.cache import Cache
from kdns.plugins.forward import Forward, refuse
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.listeners import Address, listening
from kdns.server.responder import Responder
from kdns.server.table import AnswerTable
from kdns.upstream import resolvconf
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings

log = logging.getLogger(__name__)

REVERSE = ("in-addr.arpa", "ip6.arpa")


class Options(Struct, frozen=True):
    """What a server is started with when there is no Corefile."""

    manifests: tuple[str, ...]
    """Files and directories; ``-`` is standard input."""
    settings: Settings
    port: int = 1053
    """0 takes a free one."""
    bind: tuple[str, ...] = ()
    """IP addresses to listen on; loopback when empty."""
    upstream: tuple[str, ...] | None = None
    """``ADDR[:PORT]`` of the resolvers for all other names; those of resolv.conf when None,
    none at all when empty."""
    assign: bool = True
    """Whether addresses and endpoints that a cluster would have added are simulated."""


class Server(Struct, frozen=True):
    """A server that runs."""

    addresses: tuple[Address, ...]
    """Where it listens, UDP and TCP."""
    loaded: str
    """What it serves, in words."""
    ignored: str
    """What was read and is not served, in words; empty when there is nothing."""
    upstreams: tuple[str, ...]


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
    store, table = Store(), AnswerTable()

    def take(change: Change) -> None:
        table.drop(store.apply(change))
        table.serial.set(store.serial)

    authority = Authority(options.settings, _own_addresses(options.bind))
    upstreams = _upstreams(options)
    chain = _chain(store, authority, upstreams)
    source = ManifestSource(
        options.manifests,
        take,
        assign=options.assign,
        labels=options.settings.labels,
        namespace_labels=options.settings.namespace_labels,
    )
    loaded = source.load()
    recursion = bool(upstreams) and not options.settings.compat
    responder = Responder(chain, table, recursion=recursion)
    async with listening(options.bind, options.port, responder) as addresses:
        watching = asyncio.create_task(source.watch())
        try:
            summary = loaded.summary
            names = tuple(map(str, upstreams))
            yield Server(tuple(addresses), str(summary), summary.ignored, names)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


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
