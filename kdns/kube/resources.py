"""Which resources are read, where they are and how they are asked for. Knows no sockets, no DNS."""

from urllib.parse import quote

from msgspec import Struct

from kdns.kube.exchange import List, Request, Watch
from kdns.kube.objects import Kind

RUNNING_PODS = "status.phase!=Succeeded,status.phase!=Failed"


class Resource(Struct, frozen=True):
    """A resource of the Kubernetes API."""

    kind: Kind
    group: str
    version: str
    plural: str

    @property
    def name(self) -> str:
        """Return its name as RBAC and ``kubectl api-resources`` write it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "") -> str:
        """Return the collection's path, of one namespace or of the cluster."""
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{root}/{self.version}{scope}/{self.plural}"


RESOURCES: dict[Kind, Resource] = {
    "Namespace": Resource("Namespace", "", "v1", "namespaces"),
    "Service": Resource("Service", "", "v1", "services"),
    "EndpointSlice": Resource("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    "Pod": Resource("Pod", "", "v1", "pods"),
    "ServiceImport": Resource(
        "ServiceImport", "multicluster.x-k8s.io", "v1alpha1", "serviceimports"
    ),
}


class Selection(Struct, frozen=True):
    """Which part of the cluster is wanted."""

    namespaces: tuple[str, ...] = ()
    """Only these; then a Role in each of them is enough. Empty: the whole cluster."""
    labels: str = ""
    """Label selector of everything but Namespaces."""
    namespace_labels: str = ""
    """Label selector of Namespaces."""
    endpoints: bool = True
    pods: bool = False
    imports: bool = False
    """ServiceImports of KEP-1645."""


class Target(Struct, frozen=True):
    """One collection to follow."""

    resource: Resource
    namespace: str = ""
    labels: str = ""
    fields: str = ""
    only: frozenset[str] = frozenset()
    """Names of interest, for Namespaces: no field selector can say "one of these"."""

    @property
    def kind(self) -> Kind:
        """Return the kind of its objects."""
        return self.resource.kind

    @property
    def path(self) -> str:
        """Return the path of its URL."""
        return self.resource.path(self.namespace)

    @property
    def scope(self) -> str:
        """Return where it looks, in the words of the API server."""
        return f"in namespace {self.namespace}" if self.namespace else "at the cluster scope"


def targets(wanted: Selection) -> tuple[Target, ...]:
    """Return what must be followed to know the selected part of the cluster."""
    kinds: list[Kind] = ["Service"]
    if wanted.endpoints:
        kinds.append("EndpointSlice")
    if wanted.pods:
        kinds.append("Pod")
    if wanted.imports:
        kinds.append("ServiceImport")
    namespaces = Target(
        RESOURCES["Namespace"], labels=wanted.namespace_labels, only=frozenset(wanted.namespaces)
    )
    scopes = tuple(dict.fromkeys(wanted.namespaces)) or ("",)
    return (namespaces, *(_target(kind, scope, wanted) for kind in kinds for scope in scopes))


def _target(kind: Kind, scope: str, wanted: Selection) -> Target:
    fields = RUNNING_PODS if kind == "Pod" else ""
    return Target(RESOURCES[kind], scope, wanted.labels, fields)


def query(target: Target, request: Request) -> list[tuple[str, str]]:
    """Return the parameters of a request."""
    asked = {"labelSelector": target.labels, "fieldSelector": target.fields}
    match request:
        case List(limit, token):
            # Page after page is consistent without a version; with one it would be an exact one.
            asked |= {"limit": str(limit) if limit else "", "continue": token}
        case Watch(version, seconds, initial):
            asked |= {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
            asked["timeoutSeconds"] = str(seconds)
            if initial:
                asked |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    return [(name, value) for name, value in asked.items() if value]
