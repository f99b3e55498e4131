"""Reverse names: PTR of ClusterIPs and of endpoints.

Kubernetes DNS specification 1.1.0 sections 2.3.3 and 2.4.3. Pure.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import Struct

from kdns.kube.objects import EndpointSlice, Kind, Service
from kdns.kube.owners import ADDRESSES, NAMESPACES, address_key, address_owner, namespace_owner
from kdns.kube.store import Store
from kdns.wire import codes, names, records
from kdns.wire.names import Name
from kdns.zone import compat
from kdns.zone.answers import Found, Lookup, NoData, NoName, Owners
from kdns.zone.authority import Authority, Question
from kdns.zone.endpoints import endpoint_name, prefix
from kdns.zone.services import why_hidden
from kdns.zone.settings import Settings

_OCTETS = 4
_NIBBLES = 32
_HEX = frozenset("0123456789abcdef")
_OCTET_TEXTS = frozenset(map(str, range(256)))


def answer(store: Store, authority: Authority, question: Question) -> Lookup:
    """Answer for a name in a reverse zone."""
    name = question.name.lower()
    address = address_of(compat.shortened(name) if authority.settings.compat else name)
    if address is None:
        return NoName("no reversed address", ())
    if address.complete:
        return _host(store, authority, question, address.key)
    return _above(store, authority, address.key)


class Reversed(Struct, frozen=True, gc=False):
    """An address, or the start of one, read out of a reverse name."""

    key: str
    """As ``kube.store.address_key`` writes it."""
    complete: bool


def address_of(name: Name) -> Reversed | None:
    """Read a lower-case reverse name; None when it is no address.

    RFC 1035 section 3.5 (octets) and RFC 3596 section 2.5 (nibbles).
    """
    *below, kind, _arpa = [label.decode("latin-1") for label in names.labels(name)]
    below.reverse()
    if kind == "ip6":
        valid = len(below) <= _NIBBLES and all(label in _HEX for label in below)
        return Reversed(":" + "".join(below), len(below) == _NIBBLES) if valid else None
    if len(below) > _OCTETS or not all(label in _OCTET_TEXTS for label in below):
        return None
    if len(below) == _OCTETS:
        return Reversed(".".join(below), complete=True)
    return Reversed("".join(label + "." for label in below), complete=False)


def _host(store: Store, authority: Authority, question: Question, address: str) -> Lookup:
    # An address that comes or goes touches its own owner; beside that, only the namespaces of
    # those who have it decide.
    services, slices = store.services_at(address), store.slices_at(address)
    having = {item.namespace for item in services} | {item.namespace for item in slices}
    owners: Owners = (address_owner(address), *map(namespace_owner, sorted(having)))
    targets = _targets(store, authority, address, services, slices)
    if not targets:
        reason = "the address belongs to no service and no endpoint"
        return NoName(reason, owners, _needs(authority.settings))
    if question.rtype != codes.PTR:
        return NoData("the name has only PTR", owners)
    ttl = authority.settings.ttl
    unique = dict.fromkeys(targets)
    return Found(tuple(records.ptr(question.name, ttl, target) for target in unique), owners)


def _above(store: Store, authority: Authority, prefix: str) -> Lookup:
    """Answer for a name above addresses: it exists if an address below it does."""
    for address in store.addresses_under(prefix):
        services, slices = store.services_at(address), store.slices_at(address)
        if _targets(store, authority, address, services, slices):
            return NoData("names of addresses are below", (ADDRESSES, NAMESPACES), empty=True)
    return NoName("no address is below", (ADDRESSES, NAMESPACES), _needs(authority.settings))


def _needs(settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of which one more object could make the name."""
    kinds: tuple[Kind, ...] = ("Namespace", "Service")
    return kinds if settings.noendpoints else (*kinds, "EndpointSlice")


def _targets(
    store: Store,
    authority: Authority,
    address: str,
    services: Sequence[Service],
    slices: Sequence[EndpointSlice],
) -> list[Name]:
    """Return the names that an address stands for: Services first, else endpoints."""
    settings = authority.settings
    services = [
        service
        for service in services
        if not _is_hidden(store, settings, service.namespace)
        and _is_found(settings, address, service.cluster_ips)
    ]
    if services:
        # Several Services can share an IP by hand only; the other server names just one.
        chosen = services[:1] if settings.compat else services
        return [_service_name(authority, service.namespace, service.name) for service in chosen]
    if settings.noendpoints:
        return []
    return [
        target
        for item in slices
        if item.service and not _is_hidden(store, settings, item.namespace)
        for target in _endpoint_names(authority, item, address)
    ]


def _is_hidden(store: Store, settings: Settings, namespace: str) -> bool:
    # Q21: CoreDNS minds only the option ``namespaces`` here.
    if settings.compat and not settings.namespaces:
        return False
    return bool(why_hidden(store, settings, namespace))


def _is_found(settings: Settings, address: str, texts: tuple[str, ...]) -> bool:
    """Whether one of the texts of an object is found under an address."""
    # Q22: CoreDNS compares texts, the one that it looks for in its short form.
    return not settings.compat or any(
        address_key(text) == address and _short(text) == text for text in texts
    )


def _short(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _endpoint_names(authority: Authority, item: EndpointSlice, address: str) -> list[Name]:
    below = _service_name(authority, item.namespace, item.service)
    # A slice has a hundred endpoints: an IPv4 address is its own key, and found without a loop.
    plain = ":" not in address
    return [
        prefix(endpoint_name(authority.settings, endpoint, text)) + below
        for endpoint in item.endpoints
        if endpoint.ready and (not plain or address in endpoint.addresses)
        for text in endpoint.addresses
        if address_key(text) == address and _is_found(authority.settings, address, (text,))
    ]


def _service_name(authority: Authority, namespace: str, name: str) -> Name:
    return names.of(name, namespace, "svc") + authority.primary
