"""The API's shapes at the border: only the fields that DNS needs, with the API's own nulls.

``trim`` turns a decoded shape into an object. Works for JSON from the API server
(``msgspec.json.decode(line, type=SHAPES[kind])``) and for manifests
(``msgspec.convert(document, SHAPES[kind])``) alike. Knows no DNS, no files, no sockets.
"""

from sys import intern
from typing import TypeAlias

from msgspec import Struct, field

from kdns.kube.objects import Endpoint, EndpointSlice, Kind, Namespace, Object, Pod, Port, Service

SERVICE_NAME = "kubernetes.io/service-name"
IMPORT_NAME = "multicluster.kubernetes.io/service-name"
IMPORT_CLUSTER = "multicluster.kubernetes.io/source-cluster"

# etcd counts revisions in 63 bits, which have 19 digits; more of them are somebody's opaque text.
_VERSION_DIGITS = 19


class Metadata(Struct, rename="camel", gc=False):
    """``metadata`` of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None

    @property
    def version(self) -> int:
        """The resourceVersion as a number, 0 when it is missing or opaque."""
        text = self.resource_version
        return int(text) if len(text) <= _VERSION_DIGITS and text.isdecimal() else 0

    def label(self, name: str) -> str:
        """Return the label's value, empty when absent."""
        return (self.labels or {}).get(name, "")


class NamespaceShape(Struct, gc=False):
    """v1 Namespace."""

    metadata: Metadata = field(default_factory=Metadata)

    def trim(self) -> Namespace:
        """Keep what DNS needs."""
        meta = self.metadata
        return Namespace(intern(meta.name), meta.uid, meta.version)


class PortShape(Struct, gc=False):
    """A port of a Service, of an EndpointSlice or of a ServiceImport."""

    port: int | None = None
    name: str | None = None
    protocol: str | None = None

    def trim(self) -> Port:
        """Fill in the API's defaults: no name, TCP."""
        return Port(
            intern(self.name or ""), intern((self.protocol or "TCP").lower()), self.port or 0
        )


class ServiceSpec(Struct, rename="camel", gc=False):
    """``spec`` of a Service."""

    type: str | None = None
    cluster_ip: str | None = field(name="clusterIP", default=None)
    cluster_ips: list[str] | None = field(name="clusterIPs", default=None)
    external_name: str | None = None
    ports: list[PortShape] | None = None


class ServiceShape(Struct, gc=False):
    """v1 Service."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: ServiceSpec = field(default_factory=ServiceSpec)

    def trim(self) -> Service:
        """Decide which of the three forms the Service has."""
        meta, spec = self.metadata, self.spec
        alias = spec.external_name or "" if spec.type == "ExternalName" else ""
        ips = spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])
        headless = not alias and "None" in ips
        return Service(
            namespace=intern(meta.namespace),
            name=intern(meta.name),
            uid=meta.uid,
            version=meta.version,
            cluster_ips=() if alias or headless else tuple(ips),
            headless=headless,
            external_name=alias,
            ports=_ports(spec.ports),
        )


class ImportSpec(Struct, gc=False):
    """``spec`` of a ServiceImport."""

    type: str | None = None
    ips: list[str] | None = None
    ports: list[PortShape] | None = None


class ServiceImportShape(Struct, gc=False):
    """multicluster.x-k8s.io ServiceImport (KEP-1645)."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: ImportSpec = field(default_factory=ImportSpec)

    def trim(self) -> Service:
        """Give it the form of a Service."""
        meta, spec = self.metadata, self.spec
        headless = spec.type == "Headless"
        return Service(
            namespace=intern(meta.namespace),
            name=intern(meta.name),
            uid=meta.uid,
            version=meta.version,
            cluster_ips=() if headless else tuple(spec.ips or ()),
            headless=headless,
            ports=_ports(spec.ports),
            imported=True,
        )


class Conditions(Struct, gc=False):
    """``conditions`` of an endpoint; null means ready."""

    ready: bool | None = None


class Reference(Struct, gc=False):
    """``targetRef`` of an endpoint."""

    name: str | None = None


class EndpointShape(Struct, rename="camel", gc=False):
    """One endpoint as the API writes it."""

    addresses: list[str] | None = None
    hostname: str | None = None
    conditions: Conditions | None = None
    target_ref: Reference | None = None
    zone: str | None = None

    def trim(self) -> Endpoint:
        """Apply "nil ready means ready" (discovery.k8s.io/v1, EndpointConditions)."""
        ready = self.conditions.ready if self.conditions else None
        return Endpoint(
            addresses=tuple(self.addresses or ()),
            hostname=self.hostname or "",
            ready=ready is not False,
            pod=(self.target_ref.name or "") if self.target_ref else "",
            zone=intern(self.zone or ""),
        )


class EndpointSliceShape(Struct, rename="camel", gc=False):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Metadata = field(default_factory=Metadata)
    address_type: str = "IPv4"
    ports: list[PortShape] | None = None
    endpoints: list[EndpointShape] | None = None

    def trim(self) -> EndpointSlice:
        """Keep what DNS needs; a multicluster label makes it an imported slice."""
        meta = self.metadata
        imported = meta.label(IMPORT_NAME)
        return EndpointSlice(
            namespace=intern(meta.namespace),
            name=meta.name,
            service=intern(imported or meta.label(SERVICE_NAME)),
            uid=meta.uid,
            version=meta.version,
            address_type=intern(self.address_type),
            ports=_ports(self.ports),
            endpoints=tuple(endpoint.trim() for endpoint in self.endpoints or ()),
            imported=bool(imported),
            cluster=intern(meta.label(IMPORT_CLUSTER)) if imported else "",
        )


class PodIP(Struct, gc=False):
    """An entry of ``status.podIPs``."""

    ip: str = ""


class PodStatus(Struct, rename="camel", gc=False):
    """``status`` of a Pod."""

    phase: str | None = None
    pod_ip: str | None = field(name="podIP", default=None)
    pod_ips: list[PodIP] | None = field(name="podIPs", default=None)


class PodShape(Struct, gc=False):
    """v1 Pod."""

    metadata: Metadata = field(default_factory=Metadata)
    status: PodStatus = field(default_factory=PodStatus)

    @property
    def gone(self) -> bool:
        """Whether the Pod has ended or is ending: it must not answer to its address any more."""
        ended = self.status.phase in {"Succeeded", "Failed", "Unknown"}
        return ended or self.metadata.deletion_timestamp is not None

    def trim(self) -> Pod:
        """Keep the addresses; a Pod that is gone has none."""
        meta, status = self.metadata, self.status
        ips = [entry.ip for entry in status.pod_ips or ()] or [status.pod_ip or ""]
        return Pod(
            namespace=intern(meta.namespace),
            name=meta.name,
            uid=meta.uid,
            version=meta.version,
            ips=() if self.gone else tuple(filter(None, ips)),
        )


def _ports(ports: list[PortShape] | None) -> tuple[Port, ...]:
    return tuple(port.trim() for port in ports or ())


Shape: TypeAlias = (
    NamespaceShape | ServiceShape | EndpointSliceShape | PodShape | ServiceImportShape
)

SHAPES: dict[Kind, type[Shape]] = {
    "Namespace": NamespaceShape,
    "Service": ServiceShape,
    "EndpointSlice": EndpointSliceShape,
    "Pod": PodShape,
    "ServiceImport": ServiceImportShape,
}


def trim(shape: Shape) -> Object:
    """Turn a decoded shape into the object that the store keeps."""
    return shape.trim()
