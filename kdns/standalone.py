"""A server without a Corefile: a few options -> the configuration of a cluster of kubeadm's."""

import logging
import time
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from kdns import configuration, network
from kdns.assembly import Block, Runtime
from kdns.chain import Address, Plugin, Serial
from kdns.cluster import From
from kdns.configuration import Assembled, Configuration
from kdns.corefile.directives import ORDER
from kdns.corefile.keys import Key
from kdns.corefile.syntax import Directive, Token
from kdns.directives import kubernetes as kubernetes_block
from kdns.errors import UsageError
from kdns.kube.status import readiness
from kdns.plugins import loadbalance, prometheus
from kdns.plugins.cache import Cache
from kdns.plugins.forward import Forward
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.http import Reply, Visit
from kdns.upstream import resolvconf
from kdns.wire.names import ROOT
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings

log = logging.getLogger(__name__)

REVERSE = ("in-addr.arpa", "ip6.arpa")
LOOPBACK = "localhost"
"""Both loopback addresses, ::1 where the machine has it."""


class Options(Struct, frozen=True):
    """What a server is started with when there is no Corefile."""

    source: From
    settings: Settings
    port: int = 1053
    """0 takes a free one."""
    bind: tuple[str, ...] = ()
    """IP addresses to listen on; loopback when empty."""
    upstream: tuple[str, ...] | None = None
    """``ADDR[:PORT]`` of the resolvers for all other names; those of resolv.conf when None,
    none at all when empty."""
    admin: Address | None = None
    """Where ``/ready``, ``/health`` and ``/metrics`` are served; nowhere when None."""


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


def configure(options: Options, runtime: Runtime) -> Configuration:
    """Put the server block together. Raises UsageError for what cannot be carried out."""
    block = Block((ROOT,), runtime)
    block.binds = [_address(host) for host in options.bind] or [LOOPBACK]
    plugins: list[tuple[str, Plugin | None]] = [
        ("kubernetes", _kubernetes(options, block)),
    ]
    rotate = Directive(Token("loadbalance"))
    plugins.append(("loadbalance", loadbalance.setup((rotate,), block)))
    upstreams = find_upstreams(options)
    if upstreams:
        cache = Cache()
        block.during(cache.running())
        block.drops.append(cache.drop)
        forward = Forward(upstreams, metrics=runtime.metrics)
        block.during(forward.running())
        plugins += [("cache", cache), ("forward", forward)]
        block.recursion = True
    if options.admin is not None:
        _administer(options.admin, block)
    key = Key("dns", ROOT, options.port, Token("."))
    plugins.sort(key=lambda named: ORDER.index(named[0]))
    combined = configuration.combine(
        [Assembled((key,), block, tuple(plugins))], options.port, runtime
    )
    return replace(combined, upstreams=tuple(map(str, upstreams)))


def find_upstreams(options: Options) -> list[resolvconf.Upstream]:
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


def _administer(address: Address, block: Block) -> None:
    """Serve all pages at one address, with more words than probes need."""
    clusters = block.runtime.clusters

    def ready(_visit: Visit) -> Reply:
        statuses = [status for cluster in clusters.running for status in cluster.statuses]
        is_ready, text = readiness(statuses, time.time())
        return Reply(text.encode(), "200 OK" if is_ready else "503 Service Unavailable")

    block.serve_http(address, "/ready", ready)
    block.serve_http(address, "/health", lambda _visit: Reply(b"OK"))
    prometheus.serve(address, block)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise UsageError(f"cannot listen on {text}: expected an IP address") from None


def _kubernetes(options: Options, block: Block) -> Kubernetes:
    settings = options.settings
    authority = Authority(settings, network.own_addresses(options.bind or ("127.0.0.1",)))
    cluster = block.runtime.clusters.get(options.source, kubernetes_block.selection(settings))
    serial = Serial()
    # Nobody waits at the start: what is not known yet is SERVFAIL until it is.
    block.during(kubernetes_block.serving(cluster, serial, block.drop, patience=0.0))
    block.checks["kubernetes"] = cluster.synced.is_set
    block.kubernetes = cluster.store, authority
    block.compat = settings.compat
    return Kubernetes(cluster.store, authority, serial)
