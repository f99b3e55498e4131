"""Build manifests with Kustomize and apply them as ``kubectl apply --server-side`` does.

Knows kinds and their paths. Does not know what the manifests are for.
"""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from tests.controlplane.client import Client, Json, Refused, eventually
from tests.gobuild import NotBuilt
from tests.kustomize import build as kustomize

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
BUILDS = (
    "base",
    "overlays/replace",
    "overlays/beside",
    "overlays/node-local",
    "overlays/autoscaled",
)
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
}
APPLY = "application/apply-patch+yaml"


def built(folder: str | Path) -> list[Json]:
    """Return the objects of a folder of ``manifests``; skip without Kustomize."""
    try:
        program = kustomize.program()
    except NotBuilt as reason:
        pytest.skip(str(reason))
    command = [str(program), "build", str(MANIFESTS / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # it warns there of what is deprecated
    return list(yaml.safe_load_all(done.stdout))


def kubeadm() -> list[Json]:
    """Return the objects that kubeadm makes for CoreDNS."""
    items = list(yaml.safe_load_all((Path(__file__).parent / "kubeadm/coredns.yaml").read_text()))
    corefile = (ROOT / "tests/data/corefiles/kubeadm/Corefile").read_text()
    one(items, "ConfigMap")["data"]["Corefile"] = corefile
    return items


def one(items: Iterable[Json], kind: str) -> Json:
    """Return the only object of a kind."""
    [found] = [item for item in items if item["kind"] == kind]
    return found


def path(item: Json) -> str:
    """Return where an object is."""
    meta = item["metadata"]
    return f"{PATHS[item['kind']].format(meta.get('namespace'))}/{meta['name']}"


def apply(api: Client, item: Json, *, dry_run: bool = False) -> Json:
    """Apply an object on the server, which refuses fields that it does not know."""
    query = "fieldManager=tests&force=true&fieldValidation=Strict" + "&dryRun=All" * dry_run
    return api.request("PATCH", f"{path(item)}?{query}", item, APPLY)


@contextmanager
def applied(api: Client, items: Iterable[Json]) -> Iterator[None]:
    """Apply objects, and delete them at the end."""
    items = list(items)
    try:
        for item in items:
            apply(api, item)
        yield
    finally:
        remove(api, items)


def remove(api: Client, items: Iterable[Json]) -> None:
    """Delete objects, and wait until they are gone."""
    items = list(items)
    for item in reversed(items):
        with suppress(Refused):
            api.request("DELETE", path(item), {"propagationPolicy": "Background"})
    eventually(lambda: not any(exists(api, item) for item in items))


def exists(api: Client, item: Json) -> bool:
    """Whether there is such an object."""
    try:
        api.request("GET", path(item))
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True
