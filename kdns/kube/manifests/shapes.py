"""What people write: the API's shapes with the fields that a cluster acts on. Knows no files.

They extend the shapes of ``kdns.kube.schema`` by what the controllers read (selectors, target
ports, pod templates) and by the checks of the API server that keep nonsense out of DNS.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kdns.kube import schema
from kdns.kube.manifests.addresses import Family, canonical

Labels: TypeAlias = dict[str, str]
Protocol: TypeAlias = Literal["TCP", "UDP", "SCTP"]
DnsPolicy: TypeAlias = Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]
PortNumber: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
PortOrZero: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
# More would not fit the range that pods get their addresses from.
Replicas: TypeAlias = Annotated[int, Meta(ge=0, le=65_000)]


class Owner(Struct, gc=False):
    """An entry of ``ownerReferences``."""

    kind: str = ""
    name: str = ""
    controller: bool = False


class Metadata(schema.Metadata, rename="camel", gc=False):
    """``metadata`` with the owners."""

    owner_references: list[Owner] | None = None

    @property
    def controllers(self) -> list[Owner]:
        """The owners that made the object."""
        return [owner for owner in self.owner_references or () if owner.controller]


class Port(schema.PortShape, gc=False):
    """A port of an EndpointSlice, of Endpoints or of a ServiceImport."""

    port: PortOrZero | None = None
    protocol: Protocol | None = None


class ServicePort(schema.PortShape, rename="camel", gc=False, kw_only=True):
    """A port of a Service and where it leads."""

    port: PortNumber
    protocol: Protocol | None = None
    target_port: PortOrZero | str | None = None
    """0 and an empty text are no target port."""


class ServiceSpec(schema.ServiceSpec, rename="camel", gc=False):
    """``spec`` of a Service, with what its endpoints are made from."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] | None = None
    # A list of the base's ports to whoever reads it; nobody adds to it.
    ports: list[ServicePort] | None = None  # type: ignore[assignment]
    selector: Labels | None = None
    ip_families: list[Family] | None = None
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    publish_not_ready_addresses: bool | None = None

    def __post_init__(self) -> None:
        """Refuse an alias for nothing."""
        if self.type == "ExternalName" and not self.external_name:
            raise ValueError("found type ExternalName without externalName, expected a name")


class Service(schema.ServiceShape, gc=False):
    """v1 Service."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: ServiceSpec = field(default_factory=ServiceSpec)

    @property
    def addresses(self) -> list[str]:
        """The cluster IPs that it states, so that equal ones are equal texts."""
        return [canonical(ip) for ip in self.trim().cluster_ips if ip]


class EndpointSlice(schema.EndpointSliceShape, rename="camel", gc=False):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Metadata = field(default_factory=Metadata)
    address_type: Literal["IPv4", "IPv6", "FQDN"] = "IPv4"
    ports: list[Port] | None = None  # type: ignore[assignment] # see ServiceSpec

    @property
    def imported(self) -> bool:
        """Whether it belongs to a ServiceImport."""
        return bool(self.metadata.label(schema.IMPORT_NAME))


class ImportSpec(schema.ImportSpec, gc=False):
    """``spec`` of a ServiceImport."""

    ports: list[Port] | None = None  # type: ignore[assignment] # see ServiceSpec


class ServiceImport(schema.ServiceImportShape, gc=False):
    """multicluster.x-k8s.io ServiceImport."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: ImportSpec = field(default_factory=ImportSpec)


class Namespace(schema.NamespaceShape, gc=False):
    """v1 Namespace."""

    metadata: Metadata = field(default_factory=Metadata)


class ContainerPort(Struct, rename="camel", gc=False, kw_only=True):
    """A port that a container names."""

    container_port: PortNumber
    name: str | None = None
    protocol: Protocol | None = None


class Container(Struct, rename="camel", gc=False):
    """A container, as far as its ports go."""

    ports: list[ContainerPort] | None = None
    restart_policy: str | None = None


class PodSpec(schema.PodSpec, rename="camel", gc=False):
    """``spec`` of a Pod or of a pod template."""

    dns_policy: DnsPolicy | UnsetType | None = UNSET
    hostname: str | None = None
    subdomain: str | None = None
    node_name: str | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None

    @property
    def ports(self) -> list[ContainerPort]:
        """The ports of everything that keeps running: containers, and sidecars among the inits."""
        sidecars = [one for one in self.init_containers or () if one.restart_policy == "Always"]
        running = [*(self.containers or ()), *sidecars]
        return [port for container in running for port in container.ports or ()]


class PodCondition(Struct, gc=False):
    """An entry of ``status.conditions``."""

    type: str = ""
    status: str = ""


class PodStatus(schema.PodStatus, rename="camel", gc=False):
    """``status`` of a Pod."""

    conditions: list[PodCondition] | None = None

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses, the main one first."""
        listed = [one.ip for one in self.pod_ips or ()] or [self.pod_ip or ""]
        return tuple(filter(None, listed))

    @property
    def ready(self) -> bool:
        """Whether the kubelet says so; a status without conditions says nothing against it."""
        if not self.conditions:
            return True
        return any(one.type == "Ready" and one.status == "True" for one in self.conditions)


class Pod(schema.PodShape, gc=False):
    """v1 Pod."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)


class Template(Struct, gc=False):
    """What a workload makes its pods from."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: PodSpec = field(default_factory=PodSpec)


class Ordinals(Struct, gc=False):
    """``spec.ordinals`` of a StatefulSet."""

    start: Annotated[int, Meta(ge=0)] = 0


class WorkloadSpec(Struct, rename="camel", gc=False):
    """``spec`` of anything that makes pods; each kind uses its own part of it."""

    replicas: Replicas | None = None
    template: Template = field(default_factory=Template)
    service_name: str | None = None
    ordinals: Ordinals = field(default_factory=Ordinals)
    parallelism: Replicas | None = None
    completions: Replicas | None = None
    completion_mode: str | None = None
    suspend: bool | None = None


class WorkloadStatus(Struct, rename="camel", gc=False):
    """``status`` of a Job: whether it is over."""

    completion_time: str | None = None


class Workload(Struct, gc=False):
    """Deployment, ReplicaSet, ReplicationController, StatefulSet, DaemonSet or Job."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: WorkloadSpec = field(default_factory=WorkloadSpec)
    status: WorkloadStatus = field(default_factory=WorkloadStatus)


class Node(Struct, gc=False):
    """v1 Node: a place for pods, in a zone."""

    metadata: Metadata = field(default_factory=Metadata)

    @property
    def zone(self) -> str:
        """The topology zone, empty when the node has none."""
        return self.metadata.label("topology.kubernetes.io/zone")


class TargetRef(Struct, gc=False):
    """``targetRef`` of an endpoint address."""

    name: str | None = None


class EndpointAddress(Struct, rename="camel", gc=False, kw_only=True):
    """One address of a core/v1 Endpoints object."""

    ip: str
    hostname: str | None = None
    node_name: str | None = None
    target_ref: TargetRef | None = None


class Subset(Struct, rename="camel", gc=False):
    """Addresses of a core/v1 Endpoints object that share their ports."""

    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[Port] | None = None


class Endpoints(Struct, gc=False):
    """core/v1 Endpoints."""

    metadata: Metadata = field(default_factory=Metadata)
    subsets: list[Subset] | None = None


Shape: TypeAlias = (
    Namespace | Service | EndpointSlice | Pod | ServiceImport | Endpoints | Node | Workload
)

SHAPES: dict[tuple[str, str], type[Shape]] = {
    ("", "Namespace"): Namespace,
    ("", "Service"): Service,
    ("", "Pod"): Pod,
    ("", "Endpoints"): Endpoints,
    ("", "Node"): Node,
    ("", "ReplicationController"): Workload,
    ("apps", "Deployment"): Workload,
    ("apps", "ReplicaSet"): Workload,
    ("apps", "StatefulSet"): Workload,
    ("apps", "DaemonSet"): Workload,
    # The group of the first Deployments and DaemonSets; old manifests still say it.
    ("extensions", "Deployment"): Workload,
    ("extensions", "ReplicaSet"): Workload,
    ("extensions", "DaemonSet"): Workload,
    ("batch", "Job"): Workload,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("multicluster.x-k8s.io", "ServiceImport"): ServiceImport,
}
"""Every kind that is read, by API group and kind; all others are counted."""


class Stated(Struct, frozen=True, gc=False):
    """An address that somebody wrote down, and where in the object it stands."""

    at: tuple[str | int, ...]
    text: str
    address_type: str = "IP"
    or_none: bool = False
    """Whether the word ``None`` may stand there too."""

    @property
    def expected(self) -> str:
        """What may stand there, in words."""
        return f"an {self.address_type} address{' or None' if self.or_none else ''}"

    @property
    def valid(self) -> bool:
        """Whether the text is an address of the type."""
        read = {"IPv4": IPv4Address, "IPv6": IPv6Address}.get(self.address_type, ip_address)
        try:
            read(self.text)
        except ValueError:
            return False
        return True


def stated(shape: Shape) -> Iterator[Stated]:
    """Find every IP address that an object states."""
    match shape:
        case Service():
            yield from _of_service(shape.spec)
        case EndpointSlice():
            yield from _of_slice(shape)
        case Endpoints():
            yield from _of_endpoints(shape)
        case ServiceImport():
            for index, text in enumerate(shape.spec.ips or ()):
                yield Stated(("spec", "ips", index), text)
        case Pod():
            for index, one in enumerate(shape.status.pod_ips or ()):
                yield Stated(("status", "podIPs", index, "ip"), one.ip)
            if shape.status.pod_ip:
                yield Stated(("status", "podIP"), shape.status.pod_ip)
        case Namespace() | Node() | Workload():
            pass


def _of_service(spec: ServiceSpec) -> Iterator[Stated]:
    fields = [Stated(("spec", "clusterIP"), spec.cluster_ip or "", or_none=True)]
    for index, text in enumerate(spec.cluster_ips or ()):
        fields.append(Stated(("spec", "clusterIPs", index), text, or_none=True))
    yield from (one for one in fields if one.text not in {"", "None"})


def _of_slice(shape: EndpointSlice) -> Iterator[Stated]:
    if shape.address_type != "FQDN":
        for number, endpoint in enumerate(shape.endpoints or ()):
            for index, text in enumerate(endpoint.addresses or ()):
                at = ("endpoints", number, "addresses", index)
                yield Stated(at, text, shape.address_type)


def _of_endpoints(shape: Endpoints) -> Iterator[Stated]:
    for number, subset in enumerate(shape.subsets or ()):
        lists = (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        )
        for name, addresses in lists:
            for index, address in enumerate(addresses or ()):
                yield Stated(("subsets", number, name, index, "ip"), address.ip)
