"""Which objects an answer was made from, which field made which record, and who was left out.

Works from the records of an answer and the objects of the store: nothing is noted down while the
server answers. Pure.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from msgspec import Struct

from kdns.explain.reading import read
from kdns.explain.report import LeftOut, Reading, Used
from kdns.kube.objects import Endpoint, EndpointSlice, Object, Pod, Port, Service
from kdns.kube.owners import address_key
from kdns.kube.store import Store
from kdns.wire import codes, names
from kdns.wire.names import Name
from kdns.wire.query import ask
from kdns.wire.records import Record, pack_address
from kdns.zone.authority import Authority, Question
from kdns.zone.endpoints import endpoint_name
from kdns.zone.pods import address_of_label
from kdns.zone.settings import Settings

_FAMILIES = {codes.A: "IPv4", codes.AAAA: "IPv6"}
_OCTETS = {codes.A: 4, codes.AAAA: 16}
_PORT_AT, _TARGET_AT = 4, 6


class Place(Struct, frozen=True):
    """One address of one endpoint, and where it stands."""

    item: EndpointSlice
    index: int
    endpoint: Endpoint
    at: int
    text: str
    name: str
    """The label that the endpoint has below its Service."""

    @property
    def field(self) -> str:
        """Where the address stands in the slice."""
        return f"endpoints[{self.index}].addresses[{self.at}]"

    @property
    def source(self) -> str:
        """The slice in words."""
        return f"EndpointSlice {self.item.namespace}/{self.item.name}"


class View(Struct, frozen=True):
    """What is known of a cluster, and the zones that are answered for."""

    store: Store
    authority: Authority

    @property
    def settings(self) -> Settings:
        """The options of the zones."""
        return self.authority.settings

    def question(self, name: Name, rtype: int) -> Question | None:
        """Read a name inside its zone; None outside every zone."""
        return self.authority.question(ask(name, rtype))

    def service(self, reading: Reading) -> Service | None:
        """Return the Service that a name is of."""
        if not reading.service:
            return None
        origin = names.from_text(reading.zone).lower()
        roles = {zone.origin: zone.role for zone in self.authority.zones}
        imported = roles.get(origin) == "multicluster"
        return self.store.service(reading.namespace, reading.service, imported=imported)

    def places(self, service: Service) -> Iterator[Place]:
        """Yield every address of every endpoint of a Service, ready or not."""
        for item in self.store.slices(service):
            yield from self.places_in(item)

    def places_in(self, item: EndpointSlice) -> Iterator[Place]:
        """Yield every address of a slice."""
        for index, endpoint in enumerate(item.endpoints):
            for at, text in enumerate(endpoint.addresses):
                name = endpoint_name(self.settings, endpoint, text)
                yield Place(item, index, endpoint, at, text, name)


# -- objects ------------------------------------------------------------------------------------


def used(view: View, reading: Reading) -> Iterator[Used]:
    """Yield the objects that decide about a name."""
    namespace = view.store.namespaces.get(reading.namespace)
    if namespace is not None:
        yield _used(namespace, "")
    service = view.service(reading)
    if service is not None:
        yield _used(service, service.namespace)
        if service.headless or reading.kind == "endpoint" or view.settings.ignore_empty_service:
            yield from (_used(item, item.namespace) for item in view.store.slices(service))
    if reading.kind == "reverse":
        yield from (_used(one, one.namespace) for one in _at_address(view, reading.address))
    if reading.kind == "pod" and view.settings.pods == "verified":
        yield from (_used(pod, pod.namespace) for pod in _pods(view, reading))


def _at_address(view: View, address: str) -> list[Service | EndpointSlice]:
    """Return whose address it is: Services, or else the slices of endpoints."""
    services = view.store.services_at(address)
    return [*services] or [*view.store.slices_at(address)]


def _pods(view: View, reading: Reading) -> list[Pod]:
    address = address_of_label(reading.pod)
    if address is None:
        return []
    return view.store.pods_at(address_key(str(address)), reading.namespace)


def _used(item: Object, namespace: str) -> Used:
    return Used(item.KIND, namespace, item.name, str(item.version or ""), item.uid)


# -- records ------------------------------------------------------------------------------------


def origin(view: View, record: Record) -> tuple[str, str]:
    """Return the object and the field that a record is from; empty texts for none of ours."""
    question = view.question(record.owner, record.rtype)
    if question is None:
        return _completed(view, record)
    reading = read(view.authority, question)
    match record.rtype:
        case codes.A | codes.AAAA:
            return _of_address(view, reading, record)
        case codes.SRV:
            return _of_srv(view, reading, record)
        case codes.CNAME:
            service = view.service(reading)
            return (_title(service), "spec.externalName") if service is not None else ("", "")
        case codes.PTR:
            return _of_ptr(view, reading, record)
        case _:
            return f"zone {reading.zone}", "the options of the server"


def _completed(view: View, record: Record) -> tuple[str, str]:
    """Say of the alias that completes a short name on the server that it does."""
    target = b"".join(record.targets).lower()
    for domain in view.authority.search:
        if record.rtype == codes.CNAME and target == record.owner.lower()[:-1] + domain:
            return "search list of the server", names.to_text(domain)
    return "", ""


def _title(service: Service) -> str:
    return f"{service.KIND} {service.namespace}/{service.name}"


def _of_address(view: View, reading: Reading, record: Record) -> tuple[str, str]:
    if reading.kind == "pod":
        return _of_pod(view, reading, record)
    service = view.service(reading)
    if service is None:
        return f"zone {reading.zone}", "the addresses of the server"
    if service.external_name:
        return _title(service), "spec.externalName"
    if not service.headless and reading.kind != "endpoint":
        field = _ip_field(service, record.rdata)
        return _title(service), field
    for place in view.places(service):
        right = not reading.endpoint or place.name.lower() == reading.endpoint
        if right and place.endpoint.ready and pack_address(place.text) == record.rdata:
            return place.source, place.field
    return _title(service), ""


def _ip_field(service: Service, packed: bytes) -> str:
    what = "spec.ips" if service.imported else "spec.clusterIPs"
    for index, text in enumerate(service.cluster_ips):
        if pack_address(text) == packed:
            return f"{what}[{index}]"
    return ""


def _of_pod(view: View, reading: Reading, record: Record) -> tuple[str, str]:
    if view.settings.pods != "verified":
        return "the name itself", f"label {reading.pod} (pods insecure: no pod is looked at)"
    for pod in _pods(view, reading):
        for index, text in enumerate(pod.ips):
            if pack_address(text) == record.rdata:
                return f"Pod {pod.namespace}/{pod.name}", f"status.podIPs[{index}]"
    return "", ""


def _of_srv(view: View, reading: Reading, record: Record) -> tuple[str, str]:
    service = view.service(reading)
    if service is None:
        return "", ""
    number = int.from_bytes(record.rdata[_PORT_AT:_TARGET_AT])
    if not service.headless and reading.kind != "endpoint":
        return _title(service), _port_field("spec.ports", service.ports, reading, number)
    label = names.labels(record.rdata[_TARGET_AT:])[0].decode("latin-1").lower()
    for place in view.places(service):
        first = place.name.lower().partition(".")[0]
        field = _port_field("ports", place.item.ports, reading, number)
        if field and place.endpoint.ready and first == label:
            return place.source, f"{_name_field(place)}, {field}"
    return _title(service), ""


def _name_field(place: Place) -> str:
    """Say what gave an endpoint its name."""
    if place.name.lower() == place.endpoint.hostname.lower():
        return f"endpoints[{place.index}].hostname"
    if place.name == place.endpoint.pod:
        return f"endpoints[{place.index}].targetRef.name"
    return place.field


def _port_field(where: str, ports: Iterable[Port], reading: Reading, number: int) -> str:
    for index, port in enumerate(ports):
        if port.number == number and _is_wanted(port, reading):
            return f"{where}[{index}]{_port_text(port)}"
    return ""


def _port_text(port: Port) -> str:
    return f" ({port.name}/{port.protocol})" if port.name else f" ({port.protocol}, unnamed)"


def _is_wanted(port: Port, reading: Reading) -> bool:
    if reading.kind != "port":
        return True
    return (port.name, port.protocol) == (reading.port, reading.protocol)


def _of_ptr(view: View, reading: Reading, record: Record) -> tuple[str, str]:
    target = b"".join(record.targets).lower()
    packed = _unreversed(record.owner)
    for one in _at_address(view, reading.address):
        if isinstance(one, Service):
            if target.startswith(names.of(one.name, one.namespace)):
                return _title(one), _ip_field(one, packed)
            continue
        for place in view.places_in(one):
            right = place.endpoint.ready and target.startswith(names.of(*place.name.split(".")))
            if right and pack_address(place.text) == packed:
                return place.source, place.field
    return "", ""


def _unreversed(owner: Name) -> bytes:
    """Return the octets of the address that a reverse name stands for."""
    *digits, kind, _arpa = [label.decode("latin-1") for label in names.labels(owner.lower())]
    digits.reverse()
    if kind == "ip6":
        return bytes.fromhex("".join(digits))
    return bytes(map(int, digits))


# -- who was left out ---------------------------------------------------------------------------


def left_out(view: View, reading: Reading, rtype: int) -> Iterator[LeftOut]:
    """Yield the endpoints that a name would have if they were otherwise, and what they are."""
    service = view.service(reading)
    if service is None or not (service.headless or reading.kind == "endpoint"):
        return
    for place in view.places(service):
        if reading.endpoint and place.name.lower() != reading.endpoint:
            continue
        reason = _why_not(view.settings, reading, rtype, place)
        if reason:
            where = f"{place.item.namespace}/{place.item.name}"
            yield LeftOut(where, place.field, place.text, reason, place.endpoint.pod)


def _why_not(settings: Settings, reading: Reading, rtype: int, place: Place) -> str:
    """Return why an address is not in the answer; empty when it is."""
    packed = pack_address(place.text)
    if settings.noendpoints:
        return "endpoints are not served (noendpoints)"
    if place.item.address_type == "FQDN" or packed is None:
        return f"no IP address (addressType {place.item.address_type})"
    if not place.endpoint.ready:
        return "not ready"
    if rtype in _OCTETS and len(packed) != _OCTETS[rtype]:
        return f"other family: IPv{ip_address(packed).version}, asked for {_FAMILIES[rtype]}"
    return _other_port(reading, rtype, place.item.ports) or _other_zone(reading, place)


def _other_port(reading: Reading, rtype: int, ports: tuple[Port, ...]) -> str:
    """Return what an endpoint has in the place of the port that is asked for, if it has not that.

    A port without a number stands for all of them, and has no SRV record.
    """
    if reading.kind == "port" and not any(_is_wanted(one, reading) for one in ports):
        known = ", ".join(_port_text(one).strip(" ()") for one in ports) or "no port"
        return f"other port: has {known}"
    if rtype == codes.SRV and not any(port.number for port in ports):
        return "its slice has no port"
    return ""


def _other_zone(reading: Reading, place: Place) -> str:
    if not reading.topology:
        return ""
    zone, _, directive = reading.topology.rpartition(".")
    if directive != "pin" or place.endpoint.zone.lower() == zone:
        return ""
    return f"other topology zone: {place.endpoint.zone or 'none'}"
