"""From where a question is asked: a namespace or a pod, and the resolv.conf that there is."""

import asyncio
import re

from msgspec import Struct

from kdns.chain import Address
from kdns.cluster import From, FromCluster
from kdns.errors import UsageError
from kdns.kube.access import Access
from kdns.kube.objects import Pod
from kdns.kube.owners import address_key
from kdns.kube.store import Store
from kdns.resolver.engine import UNKNOWN
from kdns.stub import policy
from kdns.stub.resolvconf import ResolvConf

NODE_LOCAL = "169.254.20.10"
"""Where NodeLocal DNSCache listens: the cluster's DNS under another address."""
_DNS = ("kube-system", "kube-dns")
_DNS_PORT = 53
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class View(Struct, frozen=True):
    """How the DNS looks from a place."""

    conf: ResolvConf
    elsewhere: str = ""
    """Why the cluster's DNS is not asked from there; empty where it is."""
    client: Address = UNKNOWN


class Place(Struct, frozen=True):
    """A namespace, or a pod of it."""

    namespace: str
    pod: str = ""

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read ``NAMESPACE`` or ``NAMESPACE/POD``."""
        namespace, slash, pod = text.partition("/")
        if not _LABEL.fullmatch(namespace) or bool(slash) != bool(pod) or "/" in pod:
            raise UsageError(f"expected NAMESPACE or NAMESPACE/POD, got {text!r}")
        return cls(namespace, pod)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}" if self.pod else self.namespace


async def view(
    place: Place, store: Store, source: From, zone: str, node: ResolvConf | None
) -> View:
    """Return how the DNS looks from a place; ``node`` is the resolv.conf of the node.

    Raises UsageError for a pod that there is not, UpstreamError where the API server does not say.
    """
    service = store.service(*_DNS)
    nameservers = () if service is None else service.cluster_ips
    if not place.pod:
        return View(policy.of_namespace(place.namespace, zone, nameservers, node))
    pod = await _pod(place, store, source)
    conf = policy.of_pod(pod.dns, place.namespace, zone, nameservers, node)
    return View(conf, _elsewhere(pod, conf, store), (pod.ips[0], 0) if pod.ips else UNKNOWN)


async def _pod(place: Place, store: Store, source: From) -> Pod:
    """Find a pod; an API server is asked where pods are not followed."""
    found = store.pod(place.namespace, place.pod)
    if found is None and isinstance(source, FromCluster):
        # The kubernetes package costs 0.3 s and 30 MB, which manifests do not need.
        from kdns.kube.fetch import fetch_pod  # noqa: PLC0415

        access = Access(source.kubeconfig, source.context, endpoint=source.endpoint, tls=source.tls)
        found = await asyncio.to_thread(fetch_pod, access, place.namespace, place.pod)
    if found is None:
        raise UsageError(f"pod {place} does not exist{_others(place, store)}")
    return found


def _others(place: Place, store: Store) -> str:
    """Name a few pods of the namespace."""
    pods = (one for one in store.objects(("Pod",)) if isinstance(one, Pod))
    known = sorted(one.name for one in pods if one.namespace == place.namespace)
    more = ", ..." if len(known) > 3 else ""  # noqa: PLR2004
    return f": namespace {place.namespace} has {', '.join(known[:3])}{more}" if known else ""


def _elsewhere(pod: Pod, conf: ResolvConf, store: Store) -> str:
    """Say whom a pod asks in the place of the cluster's DNS."""
    if policy.asks_cluster(pod.dns):
        return ""
    first = conf.nameservers[0] if conf.nameservers else ""
    services = store.services_at(address_key(first))
    if first == NODE_LOCAL or any(p.number == _DNS_PORT for one in services for p in one.ports):
        return ""
    asked = first or "the resolver of its node"
    why = f"dnsPolicy {pod.dns.policy}{' with hostNetwork' if pod.dns.host_network else ''}"
    return f"pod {pod.namespace}/{pod.name} asks {asked}, not the cluster's DNS ({why})"
