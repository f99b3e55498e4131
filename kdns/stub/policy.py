"""The resolv.conf that the kubelet writes for a Pod, out of dnsPolicy and dnsConfig."""

from collections.abc import Iterable

from msgspec.structs import replace

from kdns.kube.objects import PodDns
from kdns.stub.resolvconf import ResolvConf, with_options

CLUSTER_NDOTS = 5
MAX_NAMESERVERS = 3
MAX_SEARCH = 32
"""Domains, and characters of all of them together: what the API server lets a Pod have."""
MAX_SEARCH_TEXT = 2048
MAX_DOMAIN = 253


def of_namespace(
    namespace: str, zone: str, nameservers: tuple[str, ...] = (), node: ResolvConf | None = None
) -> ResolvConf:
    """Return the resolv.conf of an ordinary Pod of a namespace.

    ``node`` is the resolv.conf of its node, whose search list comes after the cluster's.
    """
    cluster = (f"{namespace}.svc.{zone}", f"svc.{zone}", zone)
    search = (*cluster, *(node.search if node is not None else ()))
    return _fitting(ResolvConf(_once(search), CLUSTER_NDOTS, nameservers))


def of_pod(
    dns: PodDns,
    namespace: str,
    zone: str,
    nameservers: tuple[str, ...] = (),
    node: ResolvConf | None = None,
) -> ResolvConf:
    """Return the resolv.conf of a Pod that says this about it."""
    conf = ResolvConf()
    if asks_cluster(dns):
        conf = of_namespace(namespace, zone, nameservers, node)
    elif dns.policy != "None" and node is not None:
        conf = node
    joined = replace(
        conf,
        nameservers=_once((*conf.nameservers, *dns.nameservers)),
        search=_once((*conf.search, *dns.searches)),
    )
    options = [f"{name}:{value}" if value else name for name, value in dns.options]
    return _fitting(with_options(joined, options))


def asks_cluster(dns: PodDns) -> bool:
    """Whether the policy makes the cluster's DNS the Pod's; with ``None`` its dnsConfig may."""
    # A Pod on the host's network has to say ClusterFirstWithHostNet; with ClusterFirst it is
    # treated as Default (kubernetes.io, DNS for Services and Pods).
    on_host = dns.host_network and dns.policy == "ClusterFirst"
    return dns.policy.startswith("ClusterFirst") and not on_host


def _fitting(conf: ResolvConf) -> ResolvConf:
    """Cut what is over the limits, as the kubelet does."""
    search = [domain for domain in conf.search[:MAX_SEARCH] if len(domain) <= MAX_DOMAIN]
    while len(" ".join(search)) > MAX_SEARCH_TEXT:
        search.pop()
    return replace(conf, search=tuple(search), nameservers=conf.nameservers[:MAX_NAMESERVERS])


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
