"""The zone itself: SOA, NS, the name server's addresses and the version of the schema.

Kubernetes DNS specification 1.1.0 section 2.2 (dns-version); the rest is RFC 1035. Pure.
"""

from ipaddress import ip_address

from kdns.kube.objects import EndpointSlice
from kdns.kube.owners import ADDRESSES, NAMESPACES, Owner, address_key, service_owner
from kdns.kube.store import Store
from kdns.wire import codes, names, records
from kdns.wire.names import Name
from kdns.wire.records import Record
from kdns.zone.answers import Found, Lookup, NoData, found
from kdns.zone.authority import Authority, Question
from kdns.zone.endpoints import prefix, ready_backends
from kdns.zone.services import why_hidden

SCHEMA_VERSION = "1.1.0"
MULTICLUSTER_VERSION = "1.0.0"
SCHEMA_TTL = 28_800
"""Seconds; the specification's own example."""
MAX_SOA_TTL = 300
REFRESH, RETRY, EXPIRE = 7200, 1800, 86_400

_DEEPEST = 2
"""Labels of the longest of these names, ``ns.dns``."""

ALWAYS: tuple[Owner, ...] = (("zone",),)
"""Owner of what no change can touch."""


def answer(store: Store, authority: Authority, question: Question) -> Lookup | None:
    """Answer for the names that every zone has; None for all others."""
    if len(question.labels) > _DEEPEST:
        return None
    match question.labels:
        case ():
            return _zone(store, authority, question)
        case ("dns",):
            return NoData("only ns.dns has records", ALWAYS, empty=True)
        case ("ns", "dns"):
            return _name_server(authority, question)
        case ("dns-version",) if question.zone.role != "reverse" or authority.settings.compat:
            return _version(authority, question)
        case _:
            return None


def soa(store: Store, authority: Authority, origin: Name) -> Record:
    """Make the SOA of a zone, its names in the case of ``origin``.

    Its own TTL is capped at 300 s; MINIMUM, the negative TTL of RFC 2308, is not.
    """
    ttl = authority.settings.ttl
    servers = names.of("ns", "dns") + origin, names.of("hostmaster") + origin
    serial = store.serial & 0xFFFF_FFFF
    numbers = (serial, REFRESH, RETRY, EXPIRE, ttl)
    return records.soa(origin, min(ttl, MAX_SOA_TTL), servers, numbers)


def _zone(store: Store, authority: Authority, question: Question) -> Lookup:
    if question.rtype == codes.SOA:
        return Found((soa(store, authority, question.name),), ALWAYS)
    if question.rtype == codes.NS:
        return _servers(store, authority, question)
    return NoData("the zone itself has only SOA and NS", ALWAYS, empty=True)


def _version(authority: Authority, question: Question) -> Lookup:
    if question.rtype != codes.TXT:
        return NoData("dns-version has only TXT", ALWAYS)
    right = question.zone.role == "multicluster" and not authority.settings.compat
    version = MULTICLUSTER_VERSION if right else SCHEMA_VERSION
    return Found((records.txt(question.name, SCHEMA_TTL, version),), ALWAYS)


def _name_server(authority: Authority, question: Question) -> Lookup:
    glue = _own_addresses(authority, question.name)
    wanted = [record for record in glue if record.rtype == question.rtype]
    return found(wanted, "the name server has no such address", ALWAYS)


def _own_addresses(authority: Authority, owner: Name) -> list[Record]:
    packed = map(records.pack_address, authority.nameservers)
    return [records.address(owner, authority.settings.ttl, ip) for ip in packed if ip is not None]


def _servers(store: Store, authority: Authority, question: Question) -> Lookup:
    """NS of the zone: the Services that lead to this server, else ``ns.dns``."""
    default = names.of("ns", "dns") + question.origin
    # Services are not in a reverse zone: their names are in the primary one.
    origin = authority.primary if question.zone.role == "reverse" else question.origin
    ours = _own_slices(store, authority)
    glue = [
        record for item, own in ours for record in _led_here(store, authority, item, own, origin)
    ] or _own_addresses(authority, default)
    if not glue and authority.settings.compat:
        return NoData("no address of the name server is known", ALWAYS)  # Q23
    hosts = dict.fromkeys(record.owner for record in glue) or {default: None}
    servers = tuple(records.ns(question.name, authority.settings.ttl, host) for host in hosts)
    services = {service_owner(item.namespace, item.service) for item, _ in ours}
    owners = (ADDRESSES, NAMESPACES, *sorted(services))
    return Found(servers, owners, tuple(dict.fromkeys(glue)))


def _own_slices(store: Store, authority: Authority) -> list[tuple[EndpointSlice, str]]:
    """Return the slices that have this server among their endpoints, each with its address."""
    own = [address_key(text) for text in authority.nameservers]
    return [(item, address) for address in own for item in store.slices_at(address)]


def _led_here(
    store: Store, authority: Authority, item: EndpointSlice, own: str, origin: Name
) -> list[Record]:
    """Return ClusterIPs under a Service's name, or our address under our endpoint's name."""
    settings, ttl = authority.settings, authority.settings.ttl
    service = store.service(item.namespace, item.service)
    if service is None or why_hidden(store, settings, item.namespace):
        return []
    below = names.of(service.name, service.namespace, "svc") + origin
    if not service.headless:
        packed = map(records.pack_address, service.cluster_ips)
        return [records.address(below, ttl, ip) for ip in packed if ip is not None]
    return [
        records.address(prefix(backend.name) + below, ttl, backend.address)
        for backend in ready_backends(store, settings, service).all
        if address_key(str(ip_address(backend.address))) == own
    ]
