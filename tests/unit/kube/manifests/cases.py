"""Clusters from manifests written in a test."""

from kdns.kube.manifests.cluster import Cluster, Settings, build
from kdns.kube.manifests.documents import parse
from kdns.kube.objects import EndpointSlice, Pod, Service

CHANGED = 7


def cluster(*texts: str, assign: bool = False, settings: Settings | None = None) -> Cluster:
    """Build a cluster of one file for each text."""
    manifests = [parse(text.encode(), f"{number}.yaml") for number, text in enumerate(texts, 1)]
    return build(manifests, settings or Settings(assign=assign), CHANGED)


def assigned(*texts: str) -> Cluster:
    """Build a cluster with everything that a cluster would have added."""
    return cluster(*texts, assign=True)


def service(found: Cluster, name: str) -> Service:
    """Return the one Service of that name."""
    [one] = [one for one in found.objects if isinstance(one, Service) and one.name == name]
    return one


def slices(found: Cluster, name: str) -> list[EndpointSlice]:
    """Return the slices of the Service of that name."""
    return [one for one in found.objects if isinstance(one, EndpointSlice) and one.service == name]


def pods(found: Cluster) -> list[Pod]:
    """Return all pods."""
    return [one for one in found.objects if isinstance(one, Pod)]


def made_service(name: str, spec: str, labels: str = "{}") -> str:
    """Write a Service with this spec in flow style."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {labels}}}
spec: {spec}
"""


def workload(kind: str, name: str, spec: str = "", pod: str = "{}") -> str:
    """Write a workload whose pods have the label ``app: <name>``."""
    api_version = {"Job": "batch/v1", "ReplicationController": "v1"}.get(kind, "apps/v1")
    return f"""
apiVersion: {api_version}
kind: {kind}
metadata: {{name: {name}}}
spec:
  {spec}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {pod}
"""


def made_pod(name: str, spec: str = "{}", status: str = "{}", metadata: str = "") -> str:
    """Write a Pod with the label ``app: web``."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web}}{metadata}}}
spec: {spec}
status: {status}
"""
