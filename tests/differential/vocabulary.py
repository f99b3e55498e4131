"""What of the objects can be in a name. Knows their JSON, and no zones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.differential.population import Json

ENOUGH = 6
"""Endpoints of one slice: large ones would drown the others."""


@dataclass
class Vocabulary:
    """What of the objects can be in a name."""

    namespaces: list[str] = field(default_factory=list)
    services: list[tuple[str, str]] = field(default_factory=list)
    """Namespace and name."""
    endpoints: list[tuple[str, str, str]] = field(default_factory=list)
    """Namespace, service and a name that an endpoint may have."""
    ports: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Namespace, service, port and protocol."""
    addresses: list[str] = field(default_factory=list)
    pods: list[tuple[str, str]] = field(default_factory=list)
    """Namespace and address."""
    topology: list[str] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    members: list[tuple[str, ...]] = field(default_factory=list)
    """What stands below ``svc`` of ServiceImports and their endpoints."""

    @classmethod
    def of(cls, objects: Sequence[Json]) -> "Vocabulary":
        """Collect it."""
        found = cls()
        for item in objects:
            found._add(item)
        found.namespaces += sorted({namespace for namespace, _ in found.services})
        return found

    def _add(self, item: Json) -> None:
        meta = item["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        match item["kind"]:
            case "Namespace":
                self.namespaces.append(name)
            case "Pod":
                self.pods += [(namespace, ip["ip"]) for ip in item["status"]["podIPs"]]
            case "EndpointSlice":
                self._add_slice(item, namespace)
            case _:
                spec = item["spec"]
                self.services.append((namespace, name))
                self.members += [(name, namespace)] if item["kind"] == "ServiceImport" else []
                self.addresses += [ip for ip in (*spec.get("clusterIPs", ()),) if ip != "None"]
                self._add_ports(namespace, name, spec["ports"])

    def _add_slice(self, item: Json, namespace: str) -> None:
        labels = item["metadata"]["labels"]
        service = next((text for label, text in labels.items() if label.endswith("-name")), "gone")
        self._add_ports(namespace, service, item["ports"])
        cluster = labels.get("multicluster.kubernetes.io/source-cluster")
        self.clusters += [cluster] if cluster else []
        for endpoint in item["endpoints"][:ENOUGH]:
            names = [dashed(text) for text in endpoint["addresses"]]
            names += [endpoint["hostname"]] if "hostname" in endpoint else []
            names += [endpoint["targetRef"]["name"]] if "targetRef" in endpoint else []
            self.endpoints += [(namespace, service, name) for name in names]
            self.members += [(name, cluster, service, namespace) for name in names if cluster]
            self.topology += [endpoint["zone"]] if "zone" in endpoint else []
            if item["addressType"] != "FQDN":
                self.addresses += endpoint["addresses"]
                self.pods += [(namespace, text) for text in endpoint["addresses"]]

    def _add_ports(self, namespace: str, service: str, ports: Sequence[Json]) -> None:
        self.ports += [
            (namespace, service, port["name"], port["protocol"].lower()) for port in ports
        ]


def dashed(address: str) -> str:
    """Write an address as a label."""
    text = address.replace(".", "-").replace(":", "-")
    return text + "0" if text.endswith("-") else text
