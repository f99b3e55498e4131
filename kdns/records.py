"""Every record of a cluster, zone by zone: what a secondary server would have. Pure.

Candidates for names come from the objects; what they have is asked of ``kdns.zone.lookup``, so
that the records are the server's. Names that cannot be counted are not there: pods when they are
``insecure``, the spellings of ports without underscores, and other cases of letters.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from msgspec import Struct

from kdns.kube.objects import EndpointSlice, Kind, Pod, Service
from kdns.kube.store import Store
from kdns.presentation import text
from kdns.wire import codes, names
from kdns.wire.names import MAX_NAME, Name
from kdns.wire.query import ask
from kdns.wire.records import Record
from kdns.zone import lookup
from kdns.zone.answers import Alias, Found
from kdns.zone.authority import Authority, Zone
from kdns.zone.endpoints import ready_backends

_TYPES = (codes.SOA, codes.NS, codes.CNAME, codes.A, codes.AAAA, codes.SRV, codes.TXT, codes.PTR)


class ZoneRecords(Struct, frozen=True):
    """A zone and what is in it."""

    origin: str
    """With the final dot."""
    records: tuple[Record, ...]
    """The SOA first; the rest in the order of the names."""

    @property
    def file(self) -> str:
        """The name of its file, which no zone can give a directory."""
        plain = self.origin.removesuffix(".").replace("/", "_").replace("\\", "_")
        return f"{plain or 'root'}.zone"

    def __str__(self) -> str:
        """Write it as a master file (RFC 1035 section 5)."""
        return "\n".join([f"$ORIGIN {self.origin}", *map(text.line, self.records), ""])


def zones(store: Store, authority: Authority) -> list[ZoneRecords]:
    """Return the records of every zone that is answered for."""
    return [_zone(store, authority, zone) for zone in authority.zones]


def _zone(store: Store, authority: Authority, zone: Zone) -> ZoneRecords:
    owners = (name for name in _owners(store, authority, zone) if len(name) <= MAX_NAME)
    found: dict[Record, None] = {}
    for owner in sorted(set(owners), key=_hierarchy):
        for record in _of(store, authority, zone, owner):
            found.setdefault(record)
    return ZoneRecords(names.to_text(zone.origin), tuple(found))


def _hierarchy(name: Name) -> list[bytes]:
    """Sort as RFC 4034 section 6.1 does: a name before those below it."""
    return names.labels(name)[::-1]


def _of(store: Store, authority: Authority, zone: Zone, owner: Name) -> Iterator[Record]:
    """Yield what a name has, unless it belongs to another zone below this one."""
    for rtype in _TYPES:
        question = authority.question(ask(owner, rtype))
        if question is None or question.zone != zone:
            return
        match lookup.answer(store, authority, question):
            case Found(answer):
                yield from answer
            case Alias(record):
                # An alias has no other records (RFC 1034 section 3.6.2).
                yield record
                return
            case _:
                pass


def _owners(store: Store, authority: Authority, zone: Zone) -> Iterator[Name]:
    """Yield every name that may have records."""
    yield zone.origin
    for special in (("ns", "dns"), ("dns-version",)):
        yield names.of(*special) + zone.origin
    if zone.role == "reverse":
        yield from _reverse(store, zone)
        return
    kind: Kind = "ServiceImport" if zone.role == "multicluster" else "Service"
    forms = [names.of("svc") + zone.origin]
    if authority.settings.short and zone.role == "cluster":
        forms.append(zone.origin)
    for service in store.objects((kind,)):
        if isinstance(service, Service):
            for form in forms:
                base = names.of(service.name, service.namespace) + form
                yield from _below(store, authority, service, base)
    if authority.settings.pods == "verified":
        yield from _pods(store, zone)


def _below(store: Store, authority: Authority, service: Service, base: Name) -> Iterator[Name]:
    """Yield the names of a Service, its ports and its endpoints."""
    yield base
    backends = ready_backends(store, authority.settings, service).all
    ports = {port for backend in backends for port in backend.ports}
    for port in (*service.ports, *ports):
        if port.name:
            yield names.of(f"_{port.name}", f"_{port.protocol}") + base
    for backend in backends:
        cluster = names.of(backend.cluster) if service.imported and backend.cluster else b""
        yield names.of(*backend.name.lower().split(".")) + cluster + base
    if authority.settings.zonal:
        for zone in {backend.zone for backend in backends if backend.zone}:
            for directive in ("pin", "prefer"):
                yield names.of(*zone.split("."), directive, "_zone") + base


def _pods(store: Store, zone: Zone) -> Iterator[Name]:
    for pod in store.objects(("Pod",)):
        if isinstance(pod, Pod):
            for ip in pod.ips:
                yield names.of(_dashed(ip), pod.namespace, "pod") + zone.origin


def _dashed(ip: str) -> str:
    """Write the address of a pod as its name has it."""
    return str(ip_address(ip)).replace(".", "-").replace(":", "-")


def _reverse(store: Store, zone: Zone) -> Iterator[Name]:
    for ip in _addresses(store.objects(("Service", "EndpointSlice"))):
        try:
            name = names.from_text(ip_address(ip).reverse_pointer)
        except ValueError:  # an FQDN slice
            continue
        if names.is_below(name, zone.origin):
            yield name


def _addresses(objects: Iterable[object]) -> Iterator[str]:
    for one in objects:
        match one:
            case Service():
                yield from one.cluster_ips
            case EndpointSlice():
                for endpoint in one.endpoints:
                    yield from endpoint.addresses
            case _:
                pass
