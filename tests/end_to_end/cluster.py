"""What the conformance tests of the API source ask of a cluster, and the fake one behind it.

A real control plane plugs in by another class of this shape and one more parameter of the fixture
``cluster`` in ``test_informer.py``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from kdns.kube.objects import Key, Kind
from kdns.testing.apiserver import FakeApiServer
from kdns.testing.history import Json


class Cluster(Protocol):
    """An API server and what may befall it."""

    def kubeconfig(self) -> str:
        """Return the path of a kubeconfig for a user who may list and watch what kdns reads."""
        ...

    def apply(self, item: Json) -> None:
        """Create an object, or replace the one of that name."""
        ...

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""
        ...

    def versions(self, kind: Kind, namespace: str = "") -> dict[Key, int]:
        """Return the resourceVersion of every object, of a namespace or of all."""
        ...

    def outage(self) -> AbstractContextManager[None]:
        """Take the API server down for the length of the block."""
        ...

    def expire(self) -> None:
        """See to it that no watch can be resumed any more, and that all must be."""
        ...

    def forbid(self, kind: Kind, namespace: str = "") -> None:
        """Take away the user's right to a kind in the cluster, or in one namespace."""
        ...

    def permit(self, kind: Kind, namespace: str = "") -> None:
        """Give the right back."""
        ...

    def rotate_token(self) -> None:
        """Accept the user's token no more, and put another where the kubeconfig says."""
        ...

    def without_watch_list(self) -> AbstractContextManager[None]:
        """Know no WatchList for the length of the block."""
        ...


class FakeCluster:
    """The fake API server as a cluster."""

    def __init__(self, server: FakeApiServer) -> None:
        self.server = server
        self.kubeconfig = server.kubeconfig
        self.delete = server.delete
        self.outage = server.outage
        self.forbid = server.forbid
        self.permit = server.permit
        self.rotate_token = server.rotate_token

    def apply(self, item: Json) -> None:
        self.server.apply(item)

    def versions(self, kind: Kind, namespace: str = "") -> dict[Key, int]:
        metas = [item["metadata"] for item in self.server.objects(kind)]
        return {
            (meta.get("namespace", ""), meta["name"]): int(meta["resourceVersion"])
            for meta in metas
            if namespace in {"", meta.get("namespace", "")}
        }

    def expire(self) -> None:
        self.server.forget()
        self.server.cut()

    @contextmanager
    def without_watch_list(self) -> Iterator[None]:
        self.server.watch_list = False
        yield
        self.server.watch_list = True


def service(namespace: str, name: str, port: int = 80, **labels: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": port}]},
    }


def endpoint_slice(namespace: str, name: str, *addresses: str) -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [],
    }


def namespace(name: str, **labels: str) -> Json:
    meta = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
