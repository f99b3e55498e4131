"""The objects that both servers serve: every case that an answer may hang on, as the API has it.

Knows JSON of the Kubernetes API. Knows no names of DNS and no server. What the API server would
refuse is left out, except where an older one let it in (marked ``once``).
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Port: TypeAlias = tuple[str, str, int | None]
"""Name, protocol and number."""

HTTP: Port = ("http", "TCP", 80)
HTTPS: Port = ("https", "TCP", 443)
DNS: Port = ("dns", "UDP", 53)
DNS_TCP: Port = ("dns-tcp", "TCP", 53)
SIGNAL: Port = ("signal", "SCTP", 7777)
UNNAMED: Port = ("", "TCP", 8080)
EVERY_PORT: Port = ("any", "TCP", None)
"""A port without a number, which means all of them (discovery.k8s.io/v1, EndpointPort)."""

LONG = "a" * 63
LONG_POD = "pod-" + "with-a-long-name-" * 5 + "0"


def objects() -> list[Json]:
    """Return everything; the same each time."""
    return [
        *_namespaces(),
        *_cluster_ips(),
        *_headless(),
        *_external(),
        *_strays(),
        *_zones(),
        *_large(),
        *_pods(),
        *_imports(),
    ]


# -- what there is --------------------------------------------------------------------------------


def _namespaces() -> Iterator[Json]:
    for name in ("default", "shop", "kube-system", "empty", "svc", "pod", "123", LONG):
        yield _meta("v1", "Namespace", "", name, {"team": "shop" if name == "shop" else "other"})


def _cluster_ips() -> Iterator[Json]:
    yield service("shop", "web", "10.96.0.1", ports=(HTTP,), labels={"tier": "front"})
    yield endpoints("shop", "web", "172.17.0.1", "first@172.17.0.2", labels={"tier": "front"})
    yield service("shop", "many", "10.96.0.2", ports=(HTTP, HTTPS, DNS, DNS_TCP, SIGNAL))
    yield endpoints("shop", "many", "172.17.0.3", ports=(HTTP, HTTPS, DNS, DNS_TCP, SIGNAL))
    yield service("shop", "unnamed", "10.96.0.3", ports=(UNNAMED,))
    yield service("shop", "portless", "10.96.0.4", ports=())
    yield service("shop", "six", "fd00:10:96::6", ports=(HTTP,))
    yield endpoints("shop", "six", "fd00:10:244::1", "named@fd00:10:244::2")
    yield service("shop", "dual", "10.96.0.5", "fd00:10:96::5", ports=(HTTP, DNS))
    yield endpoints("shop", "dual", "172.17.0.4")
    yield endpoints("shop", "dual", "fd00:10:244::4", name="dual-6")
    yield service("shop", "idle", "10.96.0.6")
    yield service("shop", "waiting", "10.96.0.7")
    yield endpoints("shop", "waiting", "172.17.0.5", ready=False)
    # Two services of one address can be made by hand only: etcd was restored, say.
    yield service("shop", "twin-a", "10.96.0.8")
    yield service("default", "twin-b", "10.96.0.8")
    yield service("default", "kubernetes", "10.96.0.10", ports=(HTTPS,))
    yield service("kube-system", "kube-dns", "10.96.0.11", ports=(DNS, DNS_TCP))
    yield endpoints("kube-system", "kube-dns", "172.17.1.1", "172.17.1.2", ports=(DNS, DNS_TCP))
    yield service("123", "456", "10.96.0.12")
    yield service(LONG, LONG, "10.96.0.13", ports=(("a-port-of-15-ch", "TCP", 80),))
    yield endpoints(LONG, LONG, f"{LONG}@172.17.0.6", ports=(("a-port-of-15-ch", "TCP", 80),))
    yield service("svc", "svc", "10.96.0.14")
    yield service("pod", "pod", "10.96.0.15")
    yield service("svc", "pod", "10.96.0.16")
    yield service("default", "tcp", "10.96.0.17")
    yield service("default", "dns", "10.96.0.18", ports=(DNS,))
    yield service("default", "ns", "10.96.0.19", ports=(("tcp", "UDP", 1), ("udp", "TCP", 2)))
    yield service("empty", "outside-range", "192.168.9.9")


def _headless() -> Iterator[Json]:
    yield headless("shop", "db")
    yield endpoints("shop", "db", "db-0@172.17.2.1", "db-1@172.17.2.2", "172.17.2.3")
    yield headless("shop", "same-name")
    yield endpoints("shop", "same-name", "twin@172.17.2.4", "twin@172.17.2.5", "172.17.2.6")
    yield headless("shop", "both")
    yield endpoints("shop", "both", "172.17.2.7", "one@172.17.2.8", ports=(HTTP, UNNAMED))
    yield endpoints("shop", "both", "fd00:10:244:2::7", "one@fd00:10:244:2::8", name="both-6")
    yield headless("shop", "slices")
    for number in range(4):
        addresses = [f"172.17.3.{number * 3 + each}" for each in range(1, 4)]
        yield endpoints("shop", "slices", *addresses, "172.17.3.100", name=f"slices-{number}")
    yield headless("shop", "ports-differ")
    yield endpoints("shop", "ports-differ", "172.17.2.10", ports=(HTTP,))
    yield endpoints("shop", "ports-differ", "172.17.2.11", ports=(HTTPS, HTTP), name="differ-2")
    yield headless("shop", "shared-a")
    yield headless("default", "shared-b")
    yield endpoints("shop", "shared-a", "172.17.2.20", "x@172.17.2.21")
    yield endpoints("default", "shared-b", "172.17.2.20", "y@172.17.2.21")
    yield headless("shop", "no-ports")
    yield endpoints("shop", "no-ports", "172.17.2.30", ports=())
    yield headless("shop", "any-port")
    yield endpoints("shop", "any-port", "172.17.2.31", ports=(EVERY_PORT,))
    yield headless("shop", "unready")
    yield endpoints("shop", "unready", "172.17.2.40", "u@172.17.2.41", ready=False)
    yield headless("shop", "unknown")
    yield endpoints("shop", "unknown", "172.17.2.42", ready=None)
    yield headless("shop", "partly")
    yield endpoints("shop", "partly", "172.17.2.43")
    yield endpoints("shop", "partly", "172.17.2.44", "z@172.17.2.45", name="partly-2", ready=False)
    yield headless("shop", "nobody")
    yield headless("shop", "named-by-pod")
    yield endpoints("shop", "named-by-pod", "172.17.2.50", "h@172.17.2.51", pods=("web-0", "web-1"))
    yield headless("shop", "long-pods")
    yield endpoints("shop", "long-pods", "172.17.2.52", "172.17.2.53", pods=(LONG_POD, "a.b.c"))
    yield headless("shop", "zeros")
    yield endpoints("shop", "zeros", "2001:db8:1:2:3:4::", "2001:db8::", "::1:2")
    yield headless("shop", "spelled")  # once: the API server asks for the short form since 1.33
    yield endpoints("shop", "spelled", "2001:DB8:0:0::A", "2001:db8:0:0:0:0:0:b")
    yield headless("shop", "looks-like", ports=(("tcp", "TCP", 1),))
    yield endpoints("shop", "looks-like", "tcp@172.17.2.60", "http@172.17.2.61")


def _external() -> Iterator[Json]:
    yield external("shop", "outside", "www.example.org")
    yield external("shop", "outside-dot", "www.example.org.")
    yield external("shop", "outside-upper", "WWW.Example.Org")
    yield external("shop", "outside-alias", "alias.example.org")
    yield external("shop", "outside-missing", "missing.example.org")
    yield external("shop", "outside-nodata", "text.example.org")
    yield external("shop", "outside-broken", "broken.example.org")
    yield external("shop", "outside-refused", "refused.example.org")
    yield external("shop", "outside-many", "many.example.org")
    yield external("shop", "inside", "web.shop.svc.cluster.local")
    yield external("shop", "inside-headless", "db.shop.svc.cluster.local")
    yield external("shop", "inside-endpoint", "db-0.db.shop.svc.cluster.local")
    yield external("shop", "inside-six", "six.shop.svc.cluster.local.")
    yield external("shop", "inside-missing", "nothing.shop.svc.cluster.local")
    yield external("shop", "inside-empty", "shop.svc.cluster.local")
    yield external("shop", "inside-pod", "172-17-2-1.shop.pod.cluster.local")
    yield external("shop", "inside-chain", "inside.shop.svc.cluster.local")
    yield external("shop", "inside-to-outside", "outside.shop.svc.cluster.local")
    yield external("shop", "inside-short", "web.shop")
    yield external("shop", "itself", "itself.shop.svc.cluster.local")
    yield external("shop", "ping", "pong.shop.svc.cluster.local")
    yield external("shop", "pong", "ping.shop.svc.cluster.local")
    yield external("shop", "apex", "cluster.local")
    yield external("shop", "reverse", "1.0.96.10.in-addr.arpa")
    yield external("shop", "literal", "192.0.2.7")
    yield external("shop", "literal-six", "2001:db8::7")
    yield external("shop", "with-ports", "www.example.org", ports=(HTTP,))
    yield external("shop", "with-slice", "www.example.org")
    yield endpoints("shop", "with-slice", "172.17.2.70")


def _strays() -> Iterator[Json]:
    """Return objects that belong to nothing, or whose names no DNS name can hold."""
    yield service("ghost", "web", "10.96.1.1")
    yield endpoints("ghost", "web", "172.17.4.1")
    yield headless("ghost", "db")
    yield endpoints("ghost", "db", "db-0@172.17.4.2")
    yield endpoints("shop", "gone", "172.17.4.3", "left@172.17.4.4")
    yield endpoints("shop", "", "172.17.4.5", "nobody@172.17.4.6", name="no-label")
    yield headless("shop", "by-name")
    yield endpoints("shop", "by-name", "backend.example.org", kind="FQDN")


def _zones() -> Iterator[Json]:
    yield headless("shop", "zonal")
    yield endpoints("shop", "zonal", "172.17.5.1", "172.17.5.2", zone="us-west-2a")
    yield endpoints("shop", "zonal", "172.17.5.3", zone="US-West-2b", name="zonal-b")
    yield endpoints("shop", "zonal", "172.17.5.4", zone="rack.1", name="zonal-c")
    yield endpoints("shop", "zonal", "172.17.5.5", name="zonal-d")
    yield endpoints("shop", "zonal", "172.17.5.6", zone="down", ready=False, name="zonal-e")
    yield service("shop", "zonal-ip", "10.96.2.1")
    yield endpoints("shop", "zonal-ip", "172.17.5.7", zone="us-west-2a")


def _large() -> Iterator[Json]:
    """Return services whose answers do not fit into one datagram or another."""
    for size in (9, 28, 70, 250):
        yield headless("shop", f"large-{size}")
        addresses = [f"172.18.{size}.{number}" for number in range(1, size + 1)]
        yield endpoints("shop", f"large-{size}", *addresses)


def _pods() -> Iterator[Json]:
    yield pod("shop", "web-0", "172.17.0.1")
    yield pod("shop", "web-1", "172.17.0.2", "fd00:10:244::22")
    yield pod("shop", "six", "fd00:10:244::1")
    yield pod("shop", "six-zeros", "2001:db8:1:2:3:4::")
    yield pod("default", "host", "192.168.1.1")
    yield pod("kube-system", "host-too", "192.168.1.1")
    yield pod("kube-system", "host-again", "192.168.1.1")
    yield pod("ghost", "web", "172.17.4.1")
    yield pod("shop", "done", "172.17.6.1", phase="Succeeded")
    yield pod("shop", "failed", "172.17.6.2", phase="Failed")
    yield pod("shop", "lost", "172.17.6.3", phase="Unknown")
    yield pod("shop", "pending", "172.17.6.4", phase="Pending")
    yield pod("shop", "ending", "172.17.6.5", ends="2026-01-01T00:00:00Z")
    yield pod("shop", "unplaced", phase="Pending")


def _imports() -> Iterator[Json]:
    yield imported("shop", "web", "10.97.0.1", ports=(HTTP, HTTPS))
    yield imported_endpoints("shop", "web", "east", "172.19.0.1")
    yield imported("shop", "dual", "10.97.0.2", "fd00:10:97::2")
    yield imported("shop", "alone", "10.97.0.3", ports=())
    yield imported("shop", "db")
    yield imported_endpoints("shop", "db", "east", "db-0@172.19.0.2", "172.19.0.3")
    yield imported_endpoints("shop", "db", "west", "db-0@172.19.1.2", "fd00:10:244:9::3")
    yield imported("shop", "nobody")
    yield imported("default", "tcp")
    yield imported_endpoints("default", "tcp", "tcp", "http@172.19.0.4")
    yield imported("ghost", "web", "10.97.0.4")


# -- how it is written ----------------------------------------------------------------------------


def service(
    namespace: str,
    name: str,
    *ips: str,
    ports: Sequence[Port] = (HTTP,),
    labels: dict[str, str] | None = None,
) -> Json:
    """Return a Service of these ClusterIPs."""
    spec = {"type": "ClusterIP", "clusterIP": ips[0], "clusterIPs": list(ips)}
    return _meta("v1", "Service", namespace, name, labels) | {"spec": spec | _ports(ports)}


def headless(namespace: str, name: str, *, ports: Sequence[Port] = (HTTP,)) -> Json:
    """Return a Service without an address of its own."""
    return service(namespace, name, "None", ports=ports)


def external(namespace: str, name: str, target: str, ports: Sequence[Port] = ()) -> Json:
    """Return a Service that is an alias."""
    spec = {"type": "ExternalName", "externalName": target}
    return _meta("v1", "Service", namespace, name) | {"spec": spec | _ports(ports)}


def endpoints(  # noqa: PLR0913 - a slice has as many parts
    namespace: str,
    of: str,
    *addresses: str,
    ports: Sequence[Port] = (HTTP,),
    name: str = "",
    ready: bool | None = True,
    zone: str = "",
    pods: Sequence[str] = (),
    kind: str = "",
    labels: dict[str, str] | None = None,
) -> Json:
    """Return a slice of a Service; an address may carry a hostname as ``hostname@address``."""
    found = [_endpoint(text, ready, zone) for text in addresses]
    for endpoint, target in zip(found, pods, strict=False):
        endpoint["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": target}
    labels = dict(labels or {}) | ({"kubernetes.io/service-name": of} if of else {})
    family = "IPv6" if ":" in addresses[0] else "IPv4"
    return _meta("discovery.k8s.io/v1", "EndpointSlice", namespace, name or of, labels) | {
        "addressType": kind or family,
        "endpoints": found,
        **_ports(ports),
    }


def pod(
    namespace: str, name: str, *ips: str, phase: str = "Running", ends: str | None = None
) -> Json:
    """Return a Pod of these addresses."""
    made = _meta("v1", "Pod", namespace, name)
    if ends is not None:
        made["metadata"]["deletionTimestamp"] = ends
    first = {"podIP": ips[0]} if ips else {}
    return made | {"status": {"phase": phase, "podIPs": [{"ip": ip} for ip in ips], **first}}


def imported(namespace: str, name: str, *ips: str, ports: Sequence[Port] = (HTTP,)) -> Json:
    """Return a ServiceImport; without an address it is headless."""
    spec = {"type": "ClusterSetIP" if ips else "Headless", "ips": list(ips)}
    made = _meta("multicluster.x-k8s.io/v1alpha1", "ServiceImport", namespace, name)
    return made | {"spec": spec | _ports(ports)}


def imported_endpoints(namespace: str, of: str, cluster: str, *addresses: str) -> Json:
    """Return a slice of a ServiceImport."""
    prefix = "multicluster.kubernetes.io"
    labels = {f"{prefix}/service-name": of, f"{prefix}/source-cluster": cluster}
    name = f"imported-{of}-{cluster}"
    return endpoints(namespace, "", *addresses, name=name, labels=labels)


def _meta(
    version: str, kind: str, namespace: str, name: str, labels: dict[str, str] | None = None
) -> Json:
    meta: Json = {"name": name, "labels": labels or {}}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta}


def _ports(ports: Sequence[Port]) -> Json:
    found = [
        {"name": name, "protocol": protocol} | ({} if number is None else {"port": number})
        for name, protocol, number in ports
    ]
    return {"ports": found}


def _endpoint(text: str, ready: bool | None, zone: str) -> Json:
    hostname, _, address = text.rpartition("@")
    found: Json = {"addresses": [address], "conditions": {} if ready is None else {"ready": ready}}
    if hostname:
        found["hostname"] = hostname
    if zone:
        found["zone"] = zone
    return found
