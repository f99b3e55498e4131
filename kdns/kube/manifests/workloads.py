"""What the controllers would make: the pods of workloads. Knows no addresses and no Services."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kdns.kube.manifests import shapes
from kdns.kube.manifests.documents import Document
from kdns.kube.manifests.names import generated, letters, stable_number
from kdns.kube.objects import Pod

_WAITING = frozenset({"Pending", "Unknown"})
_ENDED = frozenset({"Succeeded", "Failed"})


class Backend(Struct, frozen=True, gc=False):
    """A pod as the endpointslice controller sees it, written or simulated."""

    pod: Pod
    """As the store gets it: without addresses when it has ended or is ending."""
    labels: shapes.Labels
    spec: shapes.PodSpec
    ready: bool = True
    terminating: bool = False
    ended: bool = False
    """Succeeded or Failed: no endpoint of anything."""
    waiting: bool = False
    """Not running yet: no address is invented for it."""
    ips: tuple[str, ...] = ()
    zone: str = ""

    @property
    def placeable(self) -> bool:
        """Whether it lacks an address that a running pod would have."""
        return not (self.ips or self.ended or self.waiting or self.terminating)


class Workload(Struct, frozen=True, gc=False):
    """A written workload."""

    document: Document
    shape: shapes.Workload

    @property
    def owner(self) -> tuple[str, str, str]:
        """How its pods refer to it: namespace, kind and name."""
        return self.document.key[0], self.document.kind, self.document.key[1]


def written(shape: shapes.Pod, nodes: Mapping[str, shapes.Node]) -> Backend:
    """Read a Pod that somebody wrote; without a status it runs and is ready."""
    status = shape.status
    node = nodes.get(shape.spec.node_name or "")
    return Backend(
        pod=shape.trim(),
        labels=shape.metadata.labels or {},
        spec=shape.spec,
        ready=status.ready,
        terminating=shape.metadata.deletion_timestamp is not None,
        ended=status.phase in _ENDED,
        waiting=status.phase in _WAITING,
        ips=status.ips,
        zone=node.zone if node else "",
    )


def simulated(
    workloads: Iterable[Workload],
    owned: Iterable[tuple[str, shapes.Metadata]],
    nodes: Mapping[str, shapes.Node],
    taken: Iterable[tuple[str, str]],
) -> Iterator[Backend]:
    """Make the pods of every workload whose own pods are not written too.

    ``owned`` are the namespaces and metadata of all that may have been made by a workload;
    ``taken`` the names of the written pods. The workloads must come in a fixed order.
    """
    busy = {owner for namespace, metadata in owned for owner in _owners(namespace, metadata)}
    names: dict[str, set[str]] = {}
    for namespace, name in taken:
        names.setdefault(namespace, set()).add(name)
    spread = sorted(nodes)
    for workload in workloads:
        if workload.owner not in busy:
            namespace = workload.owner[0]
            yield from _pods(workload, spread, nodes, names.setdefault(namespace, set()))


def _owners(namespace: str, metadata: shapes.Metadata) -> Iterator[tuple[str, str, str]]:
    """Name who made an object: its controller, and the Deployment behind a ReplicaSet."""
    for owner in metadata.controllers:
        yield namespace, owner.kind, owner.name
        template_hash = metadata.label("pod-template-hash")
        if owner.kind == "ReplicaSet" and template_hash:
            yield namespace, "Deployment", owner.name.removesuffix(f"-{template_hash}")


def _pods(
    workload: Workload, spread: Sequence[str], nodes: Mapping[str, shapes.Node], taken: set[str]
) -> Iterator[Backend]:
    namespace, _, name = workload.owner
    start = stable_number(f"{namespace}/{name}")
    template = workload.shape.spec.template
    for index, plan in enumerate(_plans(workload, len(spread), taken)):
        node = template.spec.node_name or (spread[(start + index) % len(spread)] if spread else "")
        yield Backend(
            pod=Pod(
                namespace,
                plan.name,
                version=workload.shape.metadata.version,
                dns=template.spec.dns,
            ),
            labels={**(template.metadata.labels or {}), **plan.labels},
            spec=plan.spec,
            zone=nodes[node].zone if node in nodes else "",
        )


class _Plan(Struct, frozen=True, gc=False):
    """A pod to be: what tells it from the others of its workload."""

    name: str
    spec: shapes.PodSpec
    labels: shapes.Labels


def _plans(workload: Workload, nodes: int, taken: set[str]) -> Iterator[_Plan]:
    match workload.document.kind:
        case "Deployment":
            return _of_deployment(workload, taken)
        case "StatefulSet":
            return _of_stateful_set(workload, taken)
        case "Job":
            return _of_job(workload, taken)
        case "DaemonSet":
            return _numbered(workload, workload.owner[2], nodes or 1, taken)
        case _:
            return _numbered(workload, workload.owner[2], _replicas(workload), taken)


def _of_deployment(workload: Workload, taken: set[str]) -> Iterator[_Plan]:
    """Name pods after the ReplicaSet of the template, whose hash they carry as a label."""
    template = workload.shape.spec.template
    text = msgspec.json.encode(template, order="sorted").decode()
    template_hash = letters(text, 10)
    replica_set = f"{workload.owner[2]}-{template_hash}"
    labels = {"pod-template-hash": template_hash}
    return _numbered(workload, replica_set, _replicas(workload), taken, labels)


def _of_stateful_set(workload: Workload, taken: set[str]) -> Iterator[_Plan]:
    """Count the pods up and give each its stable name under the governing Service."""
    spec, name = workload.shape.spec, workload.owner[2]
    first = spec.ordinals.start
    for ordinal in range(first, first + _replicas(workload)):
        pod = f"{name}-{ordinal}"
        labels = {
            "statefulset.kubernetes.io/pod-name": pod,
            "apps.kubernetes.io/pod-index": str(ordinal),
        }
        if pod not in taken:
            taken.add(pod)
            inner = replace(spec.template.spec, hostname=pod, subdomain=spec.service_name)
            yield _Plan(pod, inner, labels)


def _of_job(workload: Workload, taken: set[str]) -> Iterator[_Plan]:
    """Run as many pods as may run at once; those of an Indexed Job have a hostname each."""
    spec, name = workload.shape.spec, workload.owner[2]
    labels = {"batch.kubernetes.io/job-name": name, "job-name": name}
    count = 1 if spec.parallelism is None else spec.parallelism
    count = count if spec.completions is None else min(count, spec.completions)
    if spec.suspend or workload.shape.status.completion_time:
        return
    if spec.completion_mode != "Indexed":
        yield from _numbered(workload, name, count, taken, labels)
        return
    for index in range(count):
        hostname = f"{name}-{index}"
        pod = generated(f"{hostname}-", _seed(workload, index), taken)
        indexed = {**labels, "batch.kubernetes.io/job-completion-index": str(index)}
        yield _Plan(pod, replace(spec.template.spec, hostname=hostname), indexed)


def _numbered(
    workload: Workload,
    base: str,
    count: int,
    taken: set[str],
    labels: shapes.Labels | None = None,
) -> Iterator[_Plan]:
    """Make interchangeable pods, each with five letters of its own."""
    for index in range(count):
        pod = generated(f"{base}-", _seed(workload, index), taken)
        yield _Plan(pod, workload.shape.spec.template.spec, labels or {})


def _seed(workload: Workload, index: int) -> str:
    return f"{'/'.join(workload.owner)} {index}"


def _replicas(workload: Workload) -> int:
    replicas = workload.shape.spec.replicas
    return 1 if replicas is None else replicas
