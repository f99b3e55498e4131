"""Names of Services and what is below them.

Kubernetes DNS specification 1.1.0: 2.3 ClusterIP, 2.4 headless, 2.5 ExternalName;
KEP-1645 for imported Services. Labels are read from the right: namespace, service, then

    ()                        the Service: A, AAAA, SRV of every port
    (endpoint,)               one endpoint
    (endpoint, cluster)       one endpoint of an imported headless Service
    (port, protocol)          a port; leading underscores are optional
    (<zone>, pin|prefer, "_zone")   the endpoints in one topology zone

Pure: knows no sockets, no clock, no messages.
"""

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from msgspec import Struct

from kdns.kube.objects import Kind, Port, Service
from kdns.kube.owners import namespace_owner, service_owner
from kdns.kube.store import Store
from kdns.wire import codes, names, records
from kdns.wire.names import MAX_NAME, Name
from kdns.wire.records import Record
from kdns.zone.answers import Alias, Found, Lookup, NoData, NoName, Owners, found
from kdns.zone.authority import Authority, Question
from kdns.zone.endpoints import (
    Backend,
    Backends,
    census,
    prefix,
    ready_backends,
    unready_names,
)
from kdns.zone.settings import Settings

_FAMILIES = {codes.A: "IPv4", codes.AAAA: "IPv6"}
_SIZES = {codes.A: 4, codes.AAAA: 16}
"""Octets of an address."""
_NAMED_AT_MOST = 5
"""How many names a reason lists before it stops."""


class Scope(Struct, frozen=True):
    """What the answer to one question about one Service is made from."""

    store: Store
    settings: Settings
    question: Question
    service: Service
    owners: Owners

    @property
    def full_name(self) -> Name:
        """The Service's name in the long form, its zone as asked: target of SRV records."""
        return names.of(self.service.name, self.service.namespace, "svc") + self.question.origin

    @property
    def names_targets(self) -> bool:
        """Whether the answer shows the names of targets: it takes long to make a hundred."""
        return self.question.rtype == codes.SRV

    def missing(self, reason: str) -> NoName:
        """Return that the name is not there, as far as the Service and its slices tell."""
        kind: Kind = self.service.KIND
        kinds: tuple[Kind, ...] = ("Namespace", kind)
        if not self.settings.noendpoints:
            kinds = (*kinds, "EndpointSlice")
        return NoName(reason, self.owners, kinds)


class Target(Struct, frozen=True, gc=False):
    """Where records point: a name with addresses and ports."""

    name: Name
    """Empty where no answer shows it."""
    addresses: tuple[bytes, ...]
    ports: tuple[Port, ...]


def answer(store: Store, authority: Authority, question: Question, labels: Sequence[str]) -> Lookup:
    """Answer for ``[..., service, namespace]``."""
    namespace = labels[-1]
    owners: Owners = (namespace_owner(namespace),)
    if hidden := why_hidden(store, authority.settings, namespace):
        return NoName(hidden, owners, ("Namespace",))
    if len(labels) == 1:
        return NoData(f"namespace {namespace} exists; names are below it", owners, empty=True)
    imported = question.zone.role == "multicluster"
    service = store.service(namespace, labels[-2], imported=imported)
    owners = (*owners, service_owner(namespace, labels[-2], imported=imported))
    if service is None:
        kind: Kind = "ServiceImport" if imported else "Service"
        reason = f"service {labels[-2]} does not exist in namespace {namespace}"
        return NoName(reason, owners, ("Namespace", kind))
    return _of_service(Scope(store, authority.settings, question, service, owners), labels[:-2])


def _of_service(scope: Scope, rest: Sequence[str]) -> Lookup:
    service, settings = scope.service, scope.settings
    if settings.compat and tuple(rest) == ("_", "_"):
        rest = ()  # Q20: any port of any protocol
    if service.external_name:
        return _alias(scope, rest)
    if settings.compat and service.imported and not (service.headless or service.ports or rest):
        return scope.missing("a ServiceImport without ports")  # Q39
    if not service.headless and settings.ignore_empty_service and _is_empty(scope):
        return scope.missing(_nobody(scope) + " (ignore empty_service)")
    return _below(scope, rest)


def _is_empty(scope: Scope) -> bool:
    return not _backends(scope).all


def why_hidden(store: Store, settings: Settings, namespace: str) -> str:
    """Return why a namespace is not served; empty when it is."""
    if settings.namespaces and namespace not in settings.namespaces:
        return f"namespace {namespace} is not served: it is not in the option namespaces"
    if namespace in store.namespaces:
        return ""
    if settings.namespace_labels:
        return f"namespace {namespace} does not exist or does not match namespace_labels"
    return f"namespace {namespace} does not exist"


# -- ExternalName (2.5) ---------------------------------------------------------------------------


def _alias(scope: Scope, rest: Sequence[str]) -> Lookup:
    service, question, ttl = scope.service, scope.question, scope.settings.ttl
    if rest:
        return scope.missing(f"service {service.name} is an alias and has no names below")
    literal = records.pack_address(service.external_name)
    if literal is not None:
        return _literal(scope, literal)
    try:
        target = names.from_text(service.external_name)
    except ValueError as error:
        return NoData(f"externalName {service.external_name!r}: {error}", scope.owners)
    record = records.cname(question.name, ttl, target)
    if question.rtype == codes.CNAME:
        return Found((record,), scope.owners)
    return Alias(record, target, scope.owners)


def _literal(scope: Scope, packed: bytes) -> Lookup:
    """Answer with the address itself: it is no name that one could be an alias of."""
    if scope.settings.compat:
        return scope.missing("externalName is an IP address")
    record = records.address(scope.question.name, scope.settings.ttl, packed)
    wanted = [record] if record.rtype == scope.question.rtype else []
    return found(wanted, f"externalName is the address {scope.service.external_name}", scope.owners)


# -- ClusterIP (2.3) and headless (2.4) -----------------------------------------------------------


def _below(scope: Scope, rest: Sequence[str]) -> Lookup:
    match rest:
        case ():
            return _whole(scope)
        case (*zone, "_zone") if _is_zonal(scope):
            return _zonal(scope, zone)
        case (name,):
            return _endpoint(scope, name)
        case (name, cluster) if scope.service.imported and "_" not in name + cluster:
            return _imported_endpoint(scope, name, cluster)
        case (port, protocol):
            return _port(scope, port.removeprefix("_"), protocol.removeprefix("_"))
        case _:
            return scope.missing("more labels than a service has below it")


def _whole(scope: Scope) -> Lookup:
    if not scope.service.headless:
        return _records(scope, [_cluster_target(scope, scope.service.ports)])
    targets = _backend_targets(scope, _backends(scope).all)
    # "If there are no ready endpoints the answer should be NXDOMAIN" - 2.4.1
    return _records(scope, targets) if targets else scope.missing(_nobody(scope))


def _port(scope: Scope, port: str, protocol: str) -> Lookup:
    """Answer for a named port. "Unnamed ports do not have an SRV record" - 2.3.2."""

    def wanted(ports: Iterable[Port]) -> tuple[Port, ...]:
        return tuple(p for p in ports if meets(port, p.name) and meets(protocol, p.protocol))

    def meets(label: str, name: str) -> bool:
        # Q20: CoreDNS takes a label that is only an underscore for "any".
        return label == name if label else scope.settings.compat

    if scope.service.headless:
        backends = _backends(scope).all
        # The backends of a slice share their ports: look at each set of ports once.
        chosen = {ports: wanted(ports) for ports in {backend.ports for backend in backends}}
        targets = [_backend_target(scope, b, chosen[b.ports]) for b in backends if chosen[b.ports]]
    else:
        ports = wanted(scope.service.ports)
        targets = [_cluster_target(scope, ports)] if ports else []
    return _records(scope, targets) if targets else scope.missing(_no_port(scope, port, protocol))


def _endpoint(scope: Scope, name: str) -> Lookup:
    """Answer for one endpoint by its name, or for the empty non-terminal above the ports."""
    # The name of an imported endpoint always has its cluster in it: two labels.
    chosen = [] if scope.service.imported else _backends(scope).by_name.get(name, [])
    if chosen:
        return _records(scope, _backend_targets(scope, chosen))
    protocols = {port.protocol for port in _ports(scope) if port.name}
    if name.removeprefix("_") in protocols:
        return NoData("names of ports are below", scope.owners, empty=True)
    return scope.missing(_no_endpoint(scope, name))


# -- imported Services (KEP-1645) and topology zones ----------------------------------------------


def _imported_endpoint(scope: Scope, name: str, cluster: str) -> Lookup:
    named = _backends(scope).by_name.get(name, [])
    chosen = [backend for backend in named if backend.cluster == cluster]
    # "No <clusterid>.<svc> names for ClusterSetIP services" - M6
    named_here = scope.service.headless or scope.settings.compat  # Q40
    if not chosen or not named_here:
        return scope.missing(f"no endpoint {name} in cluster {cluster}")
    return _records(scope, _backend_targets(scope, chosen))


def _is_zonal(scope: Scope) -> bool:
    return scope.settings.zonal and scope.service.headless and not scope.service.imported


def _zonal(scope: Scope, rest: Sequence[str]) -> Lookup:
    """Answer for ``[*zone, directive]``; a topology zone's name may have dots."""
    *zone, directive = rest or ("",)
    if directive not in {"pin", "prefer", ""}:
        return scope.missing(f"{directive} is neither pin nor prefer")
    if not zone:
        return NoData("names of topology zones are below", scope.owners, empty=True)
    everyone: Sequence[Backend] = _backends(scope).all
    wanted = ".".join(zone)
    chosen: Sequence[Backend] = [one for one in everyone if one.zone == wanted]
    if not chosen and directive == "prefer":
        chosen = everyone
    if not chosen:
        return NoData(f"no ready endpoint in topology zone {wanted}", scope.owners)
    return _records(scope, _backend_targets(scope, chosen))


# -- records --------------------------------------------------------------------------------------


def _records(scope: Scope, targets: list[Target]) -> Lookup:
    """Make the records of the type that was asked from the targets."""
    question, ttl = scope.question, scope.settings.ttl
    if question.rtype == codes.SRV:
        return _srv(scope, targets)
    size = _SIZES.get(question.rtype)
    # No address twice (RFC 2181 section 5): two slices may have the same endpoint.
    unique = dict.fromkeys(
        [packed for target in targets for packed in target.addresses if len(packed) == size]
    )
    if unique:
        owner, rtype = question.name, question.rtype
        return Found(tuple([Record(owner, rtype, ttl, ip) for ip in unique]), scope.owners)
    family = _FAMILIES.get(question.rtype)
    reason = f"no {family} address" if family else "no record of this type"
    return NoData(f"service {scope.service.name} has {reason}", scope.owners)


def _srv(scope: Scope, targets: list[Target]) -> Lookup:
    """Make one SRV for each target and port, and the addresses of the targets beside them."""
    targets = [target for target in targets if len(target.name) <= MAX_NAME]
    # A port of a slice may have no number: all of them are meant, and no record can say so.
    pairs = {
        (target.name, port.number): None
        for target in targets
        for port in target.ports
        if port.number
    }
    weight = _weight(scope, targets, len(pairs))
    ttl = scope.settings.ttl
    answers = [
        records.srv(scope.question.name, ttl, weight, number, name) for name, number in pairs
    ]
    if not answers:
        return NoData(f"service {scope.service.name} has no port", scope.owners)
    additional = [
        records.address(target.name, ttl, packed)
        for target in targets
        for packed in target.addresses
    ]
    return Found(tuple(answers), scope.owners, _unique(additional))


def _weight(scope: Scope, targets: list[Target], answers: int) -> int:
    """Share 100 among the records, at least 1 each (RFC 2782: 0 would mean hardly ever)."""
    if scope.settings.compat:
        # No ports count as one, which is then left out.
        answers = sum(len(target.addresses) * (len(target.ports) or 1) for target in targets)
    return max(1, 100 // answers) if answers else 0


def _unique(items: list[Record]) -> tuple[Record, ...]:
    return tuple(dict.fromkeys(items))


def _cluster_target(scope: Scope, ports: tuple[Port, ...]) -> Target:
    packed = map(records.pack_address, scope.service.cluster_ips)
    name = scope.full_name if scope.names_targets else b""
    return Target(name, tuple([ip for ip in packed if ip is not None]), ports)


def _backend_targets(scope: Scope, backends: Sequence[Backend]) -> list[Target]:
    return [_backend_target(scope, backend, backend.ports) for backend in backends]


def _backend_target(scope: Scope, backend: Backend, ports: tuple[Port, ...]) -> Target:
    if not scope.names_targets:
        return Target(b"", (backend.address,), ports)
    # M9: SRV targets of imported Services contain the cluster.
    cluster = names.of(backend.cluster) if scope.service.imported else b""
    name = prefix(backend.name) + cluster + scope.full_name
    return Target(name, (backend.address,), ports)


def _backends(scope: Scope) -> Backends:
    return ready_backends(scope.store, scope.settings, scope.service)


def _ports(scope: Scope) -> tuple[Port, ...]:
    if not scope.service.headless:
        return scope.service.ports
    sets = dict.fromkeys(backend.ports for backend in _backends(scope).all)
    return tuple(dict.fromkeys(port for ports in sets for port in ports))


# -- reasons --------------------------------------------------------------------------------------


def _nobody(scope: Scope) -> str:
    if scope.settings.noendpoints:
        return "endpoints are not served (noendpoints)"
    ready = census(scope.store, scope.service)
    return f"service {scope.service.name} has {ready} ready endpoints"


def _no_port(scope: Scope, port: str, protocol: str) -> str:
    known = [f"{p.name}/{p.protocol}" for p in _ports(scope) if p.name]
    return f"no port named {port}/{protocol}{_has(known)}"


def _no_endpoint(scope: Scope, name: str) -> str:
    if name in unready_names(scope.store, scope.settings, scope.service):
        return f"endpoint {name} of service {scope.service.name} is not ready"
    known = nsmallest(_NAMED_AT_MOST + 1, _backends(scope).by_name)
    return f"service {scope.service.name} has no endpoint named {name}{_has(known)}"


def _has(known: list[str]) -> str:
    if not known:
        return ""
    more = ", ..." if len(known) > _NAMED_AT_MOST else ""
    return "; has " + ", ".join(known[:_NAMED_AT_MOST]) + more
