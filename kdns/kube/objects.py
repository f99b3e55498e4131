"""Kubernetes objects trimmed to what DNS needs. Knows no API encoding, no DNS, no clock.

Everything past the border (``schema``) sees only these values: frozen, hashable, with nothing
optional by accident. They carry no ``dict`` and set ``gc=False``, which keeps 100,000 endpoints
out of the garbage collector's sight.
"""

from typing import ClassVar, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["Namespace", "Service", "EndpointSlice", "Pod", "ServiceImport"]
"""The resources that kdns reads, by the ``kind`` of the Kubernetes API."""

Key: TypeAlias = tuple[str, str]
"""Namespace and name. A Namespace object has the key ``("", name)``."""


class Port(Struct, frozen=True, gc=False):
    """One port of a Service or of an EndpointSlice."""

    name: str
    """Empty when the port is unnamed: such a port has no SRV record of its own."""
    protocol: str
    """Lower case, as it stands in a DNS name: ``tcp``, ``udp``, ``sctp``."""
    number: int


class Namespace(Struct, frozen=True, gc=False):
    """A Namespace that exists and is selected."""

    KIND: ClassVar[Kind] = "Namespace"

    name: str
    uid: str = ""
    version: int = 0

    @property
    def key(self) -> Key:
        """Where it lives in the store."""
        return "", self.name


class Service(Struct, frozen=True, gc=False):
    """A Service, or a ServiceImport (KEP-1645) in the same form.

    It is exactly one of: headless, an alias (``external_name``), or reached by ``cluster_ips``.
    """

    namespace: str
    name: str
    uid: str = ""
    version: int = 0
    """The resourceVersion as a number; 0 when unknown."""
    cluster_ips: tuple[str, ...] = ()
    headless: bool = False
    external_name: str = ""
    ports: tuple[Port, ...] = ()
    imported: bool = False
    """True for a ServiceImport, whose ``cluster_ips`` are the clusterset IPs."""

    @property
    def KIND(self) -> Kind:  # noqa: N802 - the same word as the class constant of the others
        """Which resource it was read from."""
        return "ServiceImport" if self.imported else "Service"

    @property
    def key(self) -> Key:
        """Where it lives in the store."""
        return self.namespace, self.name


class Endpoint(Struct, frozen=True, gc=False):
    """One endpoint of a slice: a backend and its addresses."""

    addresses: tuple[str, ...]
    """Texts as the API has them; IPv6 is not normalised."""
    hostname: str = ""
    ready: bool = True
    pod: str = ""
    """``targetRef.name``, empty when there is none."""
    zone: str = ""
    """Topology zone of the node."""


class EndpointSlice(Struct, frozen=True, gc=False):
    """Some endpoints of one Service."""

    KIND: ClassVar[Kind] = "EndpointSlice"

    namespace: str
    name: str
    service: str
    """Name of the Service, from the label ``kubernetes.io/service-name`` or its multicluster
    counterpart; empty when the slice belongs to none."""
    uid: str = ""
    version: int = 0
    address_type: str = "IPv4"
    """``IPv4``, ``IPv6`` or ``FQDN``."""
    ports: tuple[Port, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    imported: bool = False
    """True when it belongs to a ServiceImport."""
    cluster: str = ""
    """``multicluster.kubernetes.io/source-cluster`` of an imported slice."""

    @property
    def key(self) -> Key:
        """Where it lives in the store."""
        return self.namespace, self.name


class PodDns(Struct, frozen=True, gc=False):
    """What a Pod says about its resolv.conf; the default is what nearly every Pod says."""

    policy: str = "ClusterFirst"
    """``spec.dnsPolicy``: this, ``ClusterFirstWithHostNet``, ``Default`` or ``None``."""
    host_network: bool = False
    nameservers: tuple[str, ...] = ()
    """These three are ``spec.dnsConfig``."""
    searches: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """Names and values; an option without a value has an empty one."""


USUAL_DNS = PodDns()


class Pod(Struct, frozen=True, gc=False):
    """A Pod that runs; Succeeded, Failed and terminating ones never get here."""

    KIND: ClassVar[Kind] = "Pod"

    namespace: str
    name: str
    uid: str = ""
    version: int = 0
    ips: tuple[str, ...] = ()
    """``status.podIPs``; the first one is ``status.podIP``."""
    dns: PodDns = USUAL_DNS

    @property
    def key(self) -> Key:
        """Where it lives in the store."""
        return self.namespace, self.name


Object: TypeAlias = Namespace | Service | EndpointSlice | Pod
