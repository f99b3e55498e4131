"""What the endpointslice controllers would make. Knows no files and invents no addresses."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from kdns.kube.manifests import shapes
from kdns.kube.manifests.addresses import Family, family
from kdns.kube.manifests.names import generated
from kdns.kube.manifests.workloads import Backend
from kdns.kube.objects import Endpoint, EndpointSlice, Port, Service

# The endpointslice controller's --max-endpoints-per-slice.
_MOST = 100


def families(spec: shapes.ServiceSpec) -> tuple[Family, ...]:
    """Return a Service's address families, as a dual-stack cluster that prefers IPv4 decides."""
    given = [ip for ip in spec.cluster_ips or [spec.cluster_ip or ""] if ip not in {"", "None"}]
    wanted: list[Family] = [*map(family, given), *(spec.ip_families or ())]
    if not wanted:
        wanted = ["IPv4"]
    if spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        wanted += ["IPv4", "IPv6"]
    found = tuple(dict.fromkeys(wanted))
    return found[:1] if spec.ip_family_policy == "SingleStack" else found


def from_pods(
    service: Service, spec: shapes.ServiceSpec, backends: Iterable[Backend], taken: set[str]
) -> Iterator[EndpointSlice]:
    """Make the slices of a Service with a selector from the pods that it selects."""
    selected = sorted(
        (one for one in backends if not one.ended), key=lambda backend: backend.pod.name
    )
    version = max([service.version, *(one.pod.version for one in selected)])
    for address_type in families(spec):
        groups = _by_ports(service.name, spec, selected, address_type)
        # The controller keeps an empty slice for a Service that selects nothing.
        for ports, endpoints in (groups or {(): []}).items():
            yield from _sliced(service, version, address_type, ports, endpoints, taken)


def from_endpoints(
    service: Service,
    endpoints: shapes.Endpoints,
    version: int,
    nodes: Mapping[str, shapes.Node],
    taken: set[str],
) -> Iterator[EndpointSlice]:
    """Mirror a core/v1 Endpoints object, as is done for Services without a selector."""
    version = max(service.version, version)
    for subset in endpoints.subsets or ():
        ports = tuple(port.trim() for port in subset.ports or ())
        for address_type in ("IPv4", "IPv6"):
            members = [
                _mirrored(address, nodes, ready=ready)
                for addresses, ready in (
                    (subset.addresses, True),
                    (subset.not_ready_addresses, False),
                )
                for address in addresses or ()
                if family(address.ip) == address_type
            ]
            if members:
                yield from _sliced(service, version, address_type, ports, members, taken)


def _mirrored(
    address: shapes.EndpointAddress, nodes: Mapping[str, shapes.Node], *, ready: bool
) -> Endpoint:
    node = nodes.get(address.node_name or "")
    return Endpoint(
        addresses=(address.ip,),
        hostname=address.hostname or "",
        ready=ready,
        pod=(address.target_ref.name or "") if address.target_ref else "",
        zone=node.zone if node else "",
    )


def _sliced(  # noqa: PLR0913, PLR0917 - what a slice consists of
    service: Service,
    version: int,
    address_type: Family,
    ports: tuple[Port, ...],
    endpoints: Sequence[Endpoint],
    taken: set[str],
) -> Iterator[EndpointSlice]:
    """Spread endpoints over as few slices as they fit in."""
    rest = iter(endpoints)
    for number in range(max(1, -(-len(endpoints) // _MOST))):
        seed = f"{service.namespace}/{service.name} {address_type} {ports} {number}"
        yield EndpointSlice(
            namespace=service.namespace,
            name=generated(f"{service.name}-", seed, taken),
            service=service.name,
            version=version,
            address_type=address_type,
            ports=ports,
            endpoints=tuple(islice(rest, _MOST)),
        )


def _by_ports(
    service: str, spec: shapes.ServiceSpec, backends: Iterable[Backend], address_type: Family
) -> dict[tuple[Port, ...], list[Endpoint]]:
    """Group the endpoints by what the Service's ports are on them."""
    groups: dict[tuple[Port, ...], list[Endpoint]] = {}
    for backend in backends:
        address = next((ip for ip in backend.ips if family(ip) == address_type), "")
        if address:
            ports = tuple(_ports(spec.ports or (), backend.spec.ports))
            groups.setdefault(ports, []).append(_endpoint(service, spec, backend, address))
    return groups


def _endpoint(service: str, spec: shapes.ServiceSpec, backend: Backend, address: str) -> Endpoint:
    ready = backend.ready and not backend.terminating
    return Endpoint(
        addresses=(address,),
        # The controller wants both halves of the name: the pod must ask for this Service.
        hostname=(backend.spec.hostname or "") if backend.spec.subdomain == service else "",
        ready=ready or bool(spec.publish_not_ready_addresses),
        pod=backend.pod.name,
        zone=backend.zone,
    )


def _ports(
    wanted: Iterable[shapes.ServicePort], offered: Sequence[shapes.ContainerPort]
) -> Iterator[Port]:
    """Resolve target ports on one pod; a port that the pod does not name is left out."""
    for port in wanted:
        number = _number(port, offered)
        if number:
            yield replace(port.trim(), number=number)


def _number(port: shapes.ServicePort, offered: Sequence[shapes.ContainerPort]) -> int | None:
    target = port.target_port or port.port
    if isinstance(target, int):
        return target
    key = target, port.protocol or "TCP"
    return next((o.container_port for o in offered if (o.name, o.protocol or "TCP") == key), None)
