"""The API's shapes at the border: only the fields that DNS needs, with the API's own nulls.

``trim`` turns a decoded shape into an object. Works for JSON from the API server
(``msgspec.json.decode(line, type=SHAPES[kind])``) and for manifests
(``msgspec.convert(document, SHAPES[kind])``) alike. Knows no DNS, no files, no sockets.
"""

from sys import intern
from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from kdns.kube.objects import (
    USUAL_DNS,
    Endpoint,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    PodDns,
    Port,
    Service,
)

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


class _Shape(Struct, gc=False):
    """What an object says besides what is kept of it."""

    @property
    def triggered(self) -> str:
        """When the cause of its last change was (RFC 3339); empty when it does not say so."""
        return ""


class NamespaceShape(_Shape, gc=False):
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


class ServiceShape(_Shape, gc=False):
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


class ServiceImportShape(_Shape, gc=False):
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


class EndpointSliceShape(_Shape, rename="camel", gc=False):
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


class SliceAnnotations(Struct, gc=False):
    """The annotation that measures how long a change takes to get here."""

    triggered: str | None = field(
        name="endpoints.kubernetes.io/last-change-trigger-time", default=None
    )


class SliceMetadata(Metadata, rename="camel", gc=False):
    """``metadata`` of an EndpointSlice of a cluster."""

    annotations: SliceAnnotations | None = None


class LiveSliceShape(EndpointSliceShape, rename="camel", gc=False):
    """discovery.k8s.io/v1 EndpointSlice as its controller wrote it."""

    metadata: SliceMetadata = field(default_factory=SliceMetadata)

    @property
    def triggered(self) -> str:
        """When the change of a Service or a Pod was that changed this slice."""
        annotations = self.metadata.annotations
        return (annotations.triggered or "") if annotations else ""


class PodIP(Struct, gc=False):
    """An entry of ``status.podIPs``."""

    ip: str = ""


class PodStatus(Struct, rename="camel", gc=False):
    """``status`` of a Pod."""

    phase: str | None = None
    pod_ip: str | None = field(name="podIP", default=None)
    pod_ips: list[PodIP] | None = field(name="podIPs", default=None)


class DnsOption(Struct, gc=False):
    """An entry of ``spec.dnsConfig.options`` of a Pod."""

    name: str = ""
    value: str | None = None


class DnsConfig(Struct, gc=False):
    """``spec.dnsConfig`` of a Pod."""

    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[DnsOption] | None = None


class PodSpec(Struct, rename="camel", gc=False):
    """``spec`` of a Pod, as far as its resolv.conf goes.

    A field that is not there is not written either: pods are named after a hash of all this.
    """

    dns_policy: str | UnsetType | None = UNSET
    dns_config: DnsConfig | UnsetType | None = UNSET
    host_network: bool | UnsetType | None = UNSET

    @property
    def dns(self) -> PodDns:
        """What it says about the resolv.conf."""
        config = self.dns_config or _NO_CONFIG
        found = PodDns(
            self.dns_policy or "ClusterFirst",
            bool(self.host_network),
            tuple(config.nameservers or ()),
            tuple(config.searches or ()),
            tuple((option.name, option.value or "") for option in config.options or ()),
        )
        # One value for nearly all of 100,000 Pods.
        return USUAL_DNS if found == USUAL_DNS else found


_NO_CONFIG = DnsConfig()


class PodShape(_Shape, gc=False):
    """v1 Pod."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: PodSpec = field(default_factory=PodSpec)
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
            dns=self.spec.dns,
        )


def _ports(ports: list[PortShape] | None) -> tuple[Port, ...]:
    return tuple(port.trim() for port in ports or ())


Shape: TypeAlias = (
    NamespaceShape | ServiceShape | EndpointSliceShape | PodShape | ServiceImportShape
)

SHAPES: dict[Kind, type[Shape]] = {
    "Namespace": NamespaceShape,
    "Service": ServiceShape,
    "EndpointSlice": LiveSliceShape,
    "Pod": PodShape,
    "ServiceImport": ServiceImportShape,
}


def trim(shape: Shape) -> Object:
    """Turn a decoded shape into the object that the store keeps."""
    return shape.trim()
