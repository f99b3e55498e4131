"""Documents to the objects of a cluster, with what a cluster would have added. Opens no files.

The result depends on the documents alone: not on their order, nor on the files they stand in.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from kdns.kube.manifests import conflicts, shapes, slices, workloads
from kdns.kube.manifests.addresses import (
    API_SERVER,
    CLUSTER_DNS,
    POD_RANGES,
    SERVICE_RANGES,
    Family,
    Range,
    family,
    ranges,
)
from kdns.kube.manifests.documents import Document, Manifest
from kdns.kube.manifests.workloads import Backend, Workload
from kdns.kube.objects import EndpointSlice, Key, Kind, Namespace, Object, Pod, Service
from kdns.kube.schema import SERVICE_NAME
from kdns.kube.selectors import Selector

S = TypeVar("S", bound=shapes.Shape)

KINDS: tuple[Kind, ...] = ("Namespace", "Service", "EndpointSlice", "Pod", "ServiceImport")
"""The kinds of a cluster's objects, in the order in which they are told."""

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_KUBERNETES = ("default", "kubernetes")
_API_SERVER_METADATA = {
    "namespace": "default",
    "name": "kubernetes",
    "labels": {"component": "apiserver", "provider": "kubernetes"},
}
# Where kind's first node has its API server.
_API_SERVER_ENDPOINT = {
    "addresses": [{"ip": "172.18.0.2"}],
    "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
}


class Settings(Struct, frozen=True):
    """What is made of the documents."""

    assign: bool = True
    """Whether to add what a cluster would: addresses, pods, slices, the API server's Service."""
    labels: Selector = Selector()
    """Which Services, EndpointSlices and Pods are seen."""
    namespace_labels: Selector = Selector()
    """Which Namespaces are seen."""


class Summary(Struct, frozen=True):
    """What was found, in numbers; its text is for people."""

    services: int = 0
    headless: int = 0
    endpoints: int = 0
    namespaces: int = 0
    """How many namespaces those services are in."""
    files: int = 0
    """How many files had a manifest in them."""
    others: tuple[tuple[str, int], ...] = ()
    """Other kinds and how many of each, by name."""
    strays: int = 0
    """Documents that were no manifests."""
    found: bool = False
    """Whether there is anything besides namespaces and what every cluster has."""

    def __str__(self) -> str:
        return (
            f"{_count(self.services, 'service')}, {self.headless} headless,"
            f" {_count(self.endpoints, 'endpoint')} in {_count(self.namespaces, 'namespace')}"
            f" from {_count(self.files, 'file')}"
        )

    @property
    def ignored(self) -> str:
        """What was met and not used, in words; empty when there was nothing."""
        parts = [f"{count} {kind}" for kind, count in self.others]
        if self.strays:
            parts.append(f"{_count(self.strays, 'document')} without apiVersion and kind")
        return f"ignored: {', '.join(parts)}" if parts else ""

    @property
    def warning(self) -> str:
        """What a person should look at, in words; empty when there is something to serve."""
        return "" if self.found else "warning: nothing to serve found"


class Cluster(Struct, frozen=True):
    """Everything that a store needs to know, and a summary of it for people."""

    objects: tuple[Object, ...] = ()
    """In the order of ``KINDS``, each kind by namespace and name."""
    summary: Summary = Summary()
    version: int = 0
    """The highest version of its objects."""
    dated: bool = False
    """Whether that can be the time of a file, since some object states no version."""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class _Written(Struct, Generic[S], frozen=True, gc=False):
    """A document of one shape."""

    document: Document
    shape: S

    @property
    def key(self) -> Key:
        return self.document.key

    @property
    def version(self) -> int:
        return self.shape.metadata.version

    @property
    def labels(self) -> shapes.Labels:
        return self.shape.metadata.labels or {}


_Index: TypeAlias = dict[tuple[str, Key], _Written[Any]]
_Labelled: TypeAlias = tuple[Object, Mapping[str, str]]


def build(manifests: Sequence[Manifest], settings: Settings, changed: int = 0) -> Cluster:
    """Make the cluster that these documents describe; ManifestError says what they contradict.

    ``changed`` is when their files last changed: the version of whatever states none.
    """
    claimed = conflicts.check(manifests)
    stated = frozenset(subject for subject in claimed if isinstance(subject, str))
    index = _index(manifests)
    dated = _dated(index)
    added = _add_api_server(index, stated) if settings.assign else frozenset()
    nodes = {one.key[1]: one.shape for one in _of(index, shapes.Node)}
    services = _services(index, stated, assign=settings.assign)
    backends = _backends(index, nodes, assign=settings.assign)
    written = list(_written_slices(index))
    made = _made_slices(index, services, backends if settings.assign else (), written, nodes)
    seen = [
        *((service.trimmed, service.written.labels) for service in services),
        *written,
        *made,
        *((one.pod, one.labels) for one in backends),
    ]
    objects = [one for one, labels in seen if settings.labels.matches(labels)]
    objects += _imports(index)
    objects += _namespaces(index, manifests, settings)
    objects.sort(key=lambda one: (KINDS.index(one.KIND), one.key))
    if dated:
        _date(objects, changed)
    version = max((one.version for one in objects), default=0)
    return Cluster(tuple(objects), _summary(objects, manifests, added), version, dated)


def _dated(index: _Index) -> bool:
    """Say whether a document states no version; nothing has that of a Node."""
    return any(not one.version and type(one.shape) is not shapes.Node for one in index.values())


def _date(objects: list[Object], changed: int) -> None:
    """Let one object, the first, show when the files last changed.

    So whoever starts comes to the serial of those who saw every edit, also of those that took
    something away; and an edit of a large file is not a change of everything in it.
    """
    if objects and changed > max(one.version for one in objects):
        objects[0] = replace(objects[0], version=changed)


def _index(manifests: Iterable[Manifest]) -> _Index:
    """Find each document by its kind and key; two equal ones are one."""
    index: _Index = {}
    for manifest in manifests:
        for one in manifest.documents:
            index.setdefault((one.kind, one.key), _Written(one, one.shape))
    return index


def _of(index: _Index, shape: type[S]) -> list[_Written[S]]:
    """Return the documents of one shape in an order that does not depend on the files."""
    found = [(key, one) for key, one in index.items() if type(one.shape) is shape]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _add_api_server(index: _Index, stated: Container[str]) -> frozenset[Key]:
    """Add the Service that every API server makes for itself, unless it is written.

    Return the keys of the Services that were added.
    """
    if ("Service", _KUBERNETES) in index:
        return frozenset()
    port = {"name": "https", "port": 443, "targetPort": 6443}
    spec = {"ports": [port], **({} if API_SERVER in stated else {"clusterIP": API_SERVER})}
    service = msgspec.convert({"metadata": _API_SERVER_METADATA, "spec": spec}, shapes.Service)
    endpoints = msgspec.convert(
        {"metadata": _API_SERVER_METADATA, "subsets": [_API_SERVER_ENDPOINT]}, shapes.Endpoints
    )
    for kind, shape in (("Service", service), ("Endpoints", endpoints)):
        document = Document("kdns", 1, kind, shape)
        index.setdefault((kind, _KUBERNETES), _Written(document, shape))
    return frozenset([_KUBERNETES])


class _Served(Struct, frozen=True, gc=False):
    """A written Service and what it became."""

    written: _Written[shapes.Service]
    trimmed: Service

    @property
    def spec(self) -> shapes.ServiceSpec:
        return self.written.shape.spec


def _services(index: _Index, stated: Iterable[str], *, assign: bool) -> list[_Served]:
    pools = ranges(SERVICE_RANGES, [API_SERVER, CLUSTER_DNS, *stated]) if assign else {}
    return [_Served(one, _service(one, pools)) for one in _of(index, shapes.Service)]


def _service(one: _Written[shapes.Service], pools: Mapping[Family, Range]) -> Service:
    """Trim a Service and complete its cluster IPs from the pools."""
    service = one.shape.trim()
    ips = [ip for ip in service.cluster_ips if ip]
    if not service.headless and not service.external_name:
        missing = [name for name in slices.families(one.shape.spec) if name not in map(family, ips)]
        ips += [pools[name].take("/".join(one.key)) for name in missing if name in pools]
    return replace(service, cluster_ips=tuple(ips))


def _backends(index: _Index, nodes: Mapping[str, shapes.Node], *, assign: bool) -> list[Backend]:
    pods = _of(index, shapes.Pod)
    found = [workloads.written(one.shape, nodes) for one in pods]
    if not assign:
        return found
    makers = _of(index, shapes.Workload)
    found += workloads.simulated(
        [Workload(one.document, one.shape) for one in makers],
        [
            *((one.key[0], one.shape.metadata) for one in pods),
            *((one.key[0], one.shape.metadata) for one in makers),
        ],
        nodes,
        [one.key for one in pods],
    )
    pools = ranges(POD_RANGES, _addresses(index))
    found.sort(key=lambda one: one.pod.key)
    return [_placed(one, pools) if one.placeable else one for one in found]


def _placed(backend: Backend, pools: Mapping[Family, Range]) -> Backend:
    """Give a pod an address of each family, as a dual-stack cluster does."""
    seed = "/".join(backend.pod.key)
    ips = tuple(pool.take(seed) for pool in pools.values())
    return replace(backend, ips=ips, pod=replace(backend.pod, ips=ips))


def _addresses(index: _Index) -> Iterator[str]:
    """Name the addresses that no simulated pod may get."""
    for one in index.values():
        if not isinstance(one.shape, shapes.Service):
            yield from (stated.text for stated in shapes.stated(one.shape))


def _written_slices(index: _Index) -> Iterator[_Labelled]:
    for one in _of(index, shapes.EndpointSlice):
        yield one.shape.trim(), one.labels


def _made_slices(
    index: _Index,
    services: Iterable[_Served],
    backends: Iterable[Backend],
    written: Iterable[_Labelled],
    nodes: Mapping[str, shapes.Node],
) -> Iterator[_Labelled]:
    """Make slices for the Services that have none: from Endpoints, or else from pods."""
    known = [one for one, _ in written if isinstance(one, EndpointSlice)]
    sliced = {(one.namespace, one.service) for one in known if not one.imported}
    taken: dict[str, set[str]] = {}
    for one in known:
        taken.setdefault(one.namespace, set()).add(one.name)
    labelled = _by_label(backends)
    endpoints = {one.key: one for one in _of(index, shapes.Endpoints)}
    for served in services:
        key, names = served.trimmed.key, taken.setdefault(served.trimmed.namespace, set())
        labels = {**served.written.labels, SERVICE_NAME: key[1]}
        if key in sliced or served.trimmed.external_name:
            continue
        if key in endpoints:
            subsets, version = endpoints[key].shape, endpoints[key].version
            made = slices.from_endpoints(served.trimmed, subsets, version, nodes, names)
        elif served.spec.selector and labelled:
            selected = _selected(key[0], served.spec.selector, labelled)
            made = slices.from_pods(served.trimmed, served.spec, selected, names)
        else:
            continue
        yield from ((one, labels) for one in made)


_ByLabel: TypeAlias = dict[tuple[str, str, str], list[Backend]]


def _by_label(backends: Iterable[Backend]) -> _ByLabel:
    found: _ByLabel = {}
    for backend in backends:
        for name, value in backend.labels.items():
            found.setdefault((backend.pod.namespace, name, value), []).append(backend)
    return found


def _selected(namespace: str, selector: shapes.Labels, labelled: _ByLabel) -> list[Backend]:
    """Return the pods that have all of these labels, looking only at the rarest one's."""
    candidates = [labelled.get((namespace, *pair), []) for pair in selector.items()]
    wanted = selector.items()
    return [one for one in min(candidates, key=len) if wanted <= one.labels.items()]


def _imports(index: _Index) -> Iterator[Service]:
    for one in _of(index, shapes.ServiceImport):
        yield one.shape.trim()


def _namespaces(
    index: _Index, manifests: Iterable[Manifest], settings: Settings
) -> Iterator[Namespace]:
    """Yield the selected Namespaces: the written ones, and those that something is in."""
    written = {one.key[1]: one for one in _of(index, shapes.Namespace)}
    names = {key[0] for _, key in index} | set(_NAMESPACES if settings.assign else ())
    names.update(*(one.namespaces for one in manifests))
    for name in names.union(written) - {""}:
        one = written.get(name)
        labels = {**(one.labels if one else {}), "kubernetes.io/metadata.name": name}
        if settings.namespace_labels.matches(labels):
            version = one.version if one else 0
            yield Namespace(name, one.shape.metadata.uid if one else "", version)


def _summary(
    objects: Iterable[Object], manifests: Sequence[Manifest], added: Container[Key]
) -> Summary:
    found = list(objects)
    services = [one for one in found if isinstance(one, Service)]
    return Summary(
        services=len(services),
        headless=sum(one.headless for one in services),
        endpoints=sum(len(one.endpoints) for one in found if isinstance(one, EndpointSlice)),
        namespaces=len({one.namespace for one in services}),
        files=sum(bool(one.documents or one.others) for one in manifests),
        others=tuple(sorted(Counter(kind for one in manifests for kind in one.others).items())),
        strays=sum(one.strays for one in manifests),
        found=any(_counts(one, added) for one in found),
    )


def _counts(one: Object, added: Container[Key]) -> bool:
    """Say whether there would be less to serve without the object and what every cluster has."""
    match one:
        case Namespace():
            return False
        case EndpointSlice():
            return one.imported or (one.namespace, one.service) not in added
        case Service():
            return one.imported or one.key not in added
        case Pod():
            return True
