"""The objects that fill a cluster, made by hand: services, and slices of as many endpoints.

Knows the objects, their names and their addresses. Does not know who asks for them.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from bench.api import Json
from bench.probe import Question

SERVICES = "/api/v1/namespaces/{}/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
SERVICES_EVERYWHERE = "/api/v1/services"
SLICES_EVERYWHERE = "/apis/discovery.k8s.io/v1/endpointslices"
PER_NAMESPACE = 100  # services
HEADLESS = 10  # every tenth service
LARGE = 100  # endpoints
CLUSTER_IPS = int(IPv4Address("10.96.16.0"))
SPARE_CLUSTER_IPS = int(IPv4Address("10.96.128.0"))
PODS = int(IPv4Address("10.128.0.0"))
NEW_PODS = itertools.count(int(IPv4Address("10.200.0.0")))


@dataclass(frozen=True)
class Member:
    """One service with its only slice."""

    number: int
    endpoints: int

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return f"team-{self.number // PER_NAMESPACE}"

    @property
    def name(self) -> str:
        """The service's name; the slice has the same."""
        return f"service-{self.number}"

    @property
    def headless(self) -> bool:
        """Whether the service has no address of its own."""
        return self.number % HEADLESS == 0

    @property
    def address(self) -> str:
        """An address that the service's name must answer with."""
        return self._pod(0) if self.headless else str(IPv4Address(CLUSTER_IPS + self.number))

    @property
    def question(self) -> Question:
        """Ask for it."""
        return Question(f"{self.name}.{self.namespace}.svc.cluster.local", self.address)

    @property
    def slice_path(self) -> str:
        """Where the slice is."""
        return f"{SLICES.format(self.namespace)}/{self.name}"

    def move(self) -> tuple[Question, list[Json]]:
        """Return a patch of the slice's last endpoint, and what is true after it."""
        address = str(IPv4Address(next(NEW_PODS)))
        path = f"/endpoints/{self.endpoints - 1}/addresses/0"
        patch = {"op": "replace", "path": path, "value": address}
        return Question(self.question.name, address), [patch]

    def service(self) -> tuple[str, Json]:
        """Return the service, after the path that it is posted to."""
        return SERVICES.format(self.namespace), service(
            self.name, "None" if self.headless else self.address
        )

    def slice(self) -> tuple[str, Json]:
        """Return the slice, after the path that it is posted to."""
        return SLICES.format(self.namespace), {
            "metadata": {
                "name": self.name,
                "labels": {"kubernetes.io/service-name": self.name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [self._endpoint(n) for n in range(self.endpoints)],
        }

    def _endpoint(self, n: int) -> Json:
        """Return an endpoint with all that the controller writes."""
        pod = {"kind": "Pod", "name": f"{self.name}-7d9f8b6c5-{n:05}", "namespace": self.namespace}
        return {
            "addresses": [self._pod(n)],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{n}",
            "zone": "zone-a",
            "targetRef": pod | {"uid": f"00000000-0000-4000-8000-{self.number:07}{n:05}"},
        }

    def pods(self) -> list[str]:
        """Return the addresses of the endpoints, as they are at first."""
        return [self._pod(n) for n in range(self.endpoints)]

    def _pod(self, n: int) -> str:
        return str(IPv4Address(PODS + self.number * self.endpoints + n))


@dataclass(frozen=True)
class Population:
    """So many services with so many endpoints each, a hundred to a namespace."""

    services: int
    endpoints: int

    def members(self) -> list[Member]:
        """Return every service, but the large one."""
        return [Member(n, self.endpoints) for n in range(self.services)]

    @property
    def large(self) -> Member:
        """A headless service with a slice as large as the controller makes them."""
        return Member(self.services + -self.services % HEADLESS, LARGE)

    def headless(self) -> list[Member]:
        """Return the services whose answers change with their slices."""
        return [member for member in self.members() if member.headless]

    def objects(self) -> Iterator[Json]:
        """Return everything, complete with kinds and namespaces."""
        members = [*self.members(), self.large]
        for name in sorted({member.namespace for member in members}):
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for member in members:
            yield _whole("v1", "Service", member.namespace, member.service()[1])
            yield _whole(
                "discovery.k8s.io/v1", "EndpointSlice", member.namespace, member.slice()[1]
            )

    def sample(self, size: int = 40) -> list[Question]:
        """Return questions from first to last, half of them for headless services."""
        members = self.members()
        step = max(1, len(members) // size)
        chosen = [*members[1::step], members[-1], *self.headless()[:: max(1, step // HEADLESS)]]
        return [member.question for member in chosen]


def _whole(version: str, kind: str, namespace: str, body: Json) -> Json:
    meta = {"namespace": namespace, **body["metadata"]}
    return {"apiVersion": version, "kind": kind, **body, "metadata": meta}


def service(name: str, cluster_ip: str) -> Json:
    """Return a service with an address."""
    spec = {
        "clusterIP": cluster_ip,
        "selector": {"app": name},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
    }
    return {"metadata": {"name": name}, "spec": spec}


def spare_address(n: int) -> str:
    """Return a cluster IP that no member has."""
    return str(IPv4Address(SPARE_CLUSTER_IPS + n))
