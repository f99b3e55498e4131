"""The real API server takes every manifest, beside what kubeadm made, and gives it back."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns import cli
from tests.controlplane.client import Client, Json, Refused
from tests.controlplane.plane import ControlPlane
from tests.manifests.applying import (
    BUILDS,
    MANIFESTS,
    applied,
    apply,
    built,
    exists,
    kubeadm,
    one,
    path,
)

BESIDE_COREDNS = [name for name in BUILDS if name != "base"]
RESTRICTED = "restricted"
BASE = "base"
VERIFIED, CUSTOM = "components/pods-verified", "components/coredns-custom"


@pytest.fixture
def coredns(controllers: ControlPlane) -> Iterator[Client]:
    """A cluster with CoreDNS as kubeadm installs it."""
    with applied(controllers.api, kubeadm()):
        yield controllers.api


def _versions(api: Client) -> dict[str, str]:
    """The resourceVersion of everything of CoreDNS's."""
    return {
        path(item): api.request("GET", path(item))["metadata"]["resourceVersion"]
        for item in kubeadm()
    }


def _workload(items: list[Json]) -> Json:
    [found] = [item for item in items if item["kind"] in {"Deployment", "DaemonSet"}]
    return found


@pytest.mark.parametrize("folder", BUILDS)
def test_the_corefile_is_one_without_warnings(folder: str, tmp_path: Path) -> None:
    found = [item for item in built(folder) if item["kind"] == "ConfigMap"]
    for item in found:
        path = tmp_path / "Corefile"
        path.write_text(item["data"]["Corefile"])
        assert cli.main(["check", "--strict", str(path)]) == 0
    assert found or folder in {"overlays/replace", "overlays/autoscaled"}


@pytest.mark.parametrize("folder", BUILDS)
def test_a_dry_run_finds_nothing_wrong_and_makes_nothing(
    folder: str, controllers: ControlPlane
) -> None:
    items = built(folder)
    spaces = [item for item in items if item["kind"] == "Namespace"]
    with applied(controllers.api, spaces):
        rest = [item for item in items if item not in spaces]
        for item in rest:
            apply(controllers.api, item, dry_run=True)
        assert not any(exists(controllers.api, item) for item in rest)


def test_the_base_is_applied_to_a_cluster_without_dns(controllers: ControlPlane) -> None:
    items = built("base")
    with applied(controllers.api, items):
        made = controllers.request("GET", path(one(items, "Service")))

    assert made["spec"]["clusterIP"] == "10.96.0.10"
    assert {(p["port"], p["protocol"]) for p in made["spec"]["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
        (9153, "TCP"),
    }


@pytest.mark.parametrize("folder", BESIDE_COREDNS)
def test_an_overlay_is_applied_and_deleted_and_nothing_of_coredns_is_touched(
    folder: str, coredns: Client
) -> None:
    before = _versions(coredns)
    items = built(folder)
    with applied(coredns, items):
        assert all(exists(coredns, item) for item in items)
        assert _versions(coredns) == before
    assert _versions(coredns) == before


def test_replace_is_behind_the_service_of_coredns_and_reads_its_config_map() -> None:
    items, theirs = built("overlays/replace"), kubeadm()
    pod = one(items, "Deployment")["spec"]["template"]
    selector = one(theirs, "Service")["spec"]["selector"]
    [volume] = [one for one in pod["spec"]["volumes"] if one["name"] == "config"]

    assert selector.items() <= pod["metadata"]["labels"].items()
    assert volume["configMap"]["name"] == one(theirs, "ConfigMap")["metadata"]["name"]
    assert {item["kind"] for item in items}.isdisjoint({"Service", "ConfigMap"})


def test_replace_and_coredns_leave_one_anothers_pods_alone() -> None:
    ours = one(built("overlays/replace"), "Deployment")["spec"]["selector"]["matchLabels"]
    theirs = one(kubeadm(), "Deployment")["spec"]["template"]["metadata"]["labels"]

    assert not ours.items() <= theirs.items()


def test_kubeadm_finds_coredns_and_nothing_else_to_upgrade(coredns: Client) -> None:
    # DeployedDNSAddon of kubeadm 1.36 refuses to upgrade when it finds several.
    query = "/apis/apps/v1/namespaces/kube-system/deployments?labelSelector=k8s-app%3Dkube-dns"
    with applied(coredns, built("overlays/replace")):
        found = coredns.request("GET", query)["items"]

    assert [item["metadata"]["name"] for item in found] == ["coredns"]


def test_beside_and_replace_may_be_there_at_once(coredns: Client) -> None:
    beside, replace = built("overlays/beside"), built("overlays/replace")
    assert {path(item) for item in beside}.isdisjoint(map(path, replace))
    with applied(coredns, replace):
        with applied(coredns, beside):
            pass
        assert all(exists(coredns, item) for item in replace)


def test_coredns_takes_the_image_of_kdns_and_takes_its_own_back(coredns: Client) -> None:
    theirs = one(kubeadm(), "Deployment")
    image = _workload(built("base"))["spec"]["template"]["spec"]["containers"][0]["image"]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "coredns", "image": image}]}}}}
    kind = "application/strategic-merge-patch+json"
    before = coredns.request("GET", path(theirs))["spec"]

    changed = coredns.request("PATCH", path(theirs), body, kind)["spec"]
    [container] = changed["template"]["spec"]["containers"]
    [original] = before["template"]["spec"]["containers"]
    assert container == original | {"image": image}

    original_image = {"name": "coredns", "image": original["image"]}
    body["spec"]["template"]["spec"]["containers"] = [original_image]
    assert coredns.request("PATCH", path(theirs), body, kind)["spec"] == before


@pytest.mark.parametrize("folder", [name for name in BUILDS if name != "overlays/node-local"])
def test_a_namespace_that_enforces_the_restricted_standard_takes_the_pods(
    folder: str, control_plane: ControlPlane, fresh_namespace: str
) -> None:
    _enforce(control_plane.api, fresh_namespace, RESTRICTED)
    _try_pod(control_plane.api, fresh_namespace, built(folder))


def test_only_a_privileged_namespace_takes_the_pods_of_the_nodes(
    control_plane: ControlPlane, fresh_namespace: str
) -> None:
    items = built("overlays/node-local")
    _enforce(control_plane.api, fresh_namespace, "baseline")
    with pytest.raises(Refused, match="host namespaces"):
        _try_pod(control_plane.api, fresh_namespace, items)
    _enforce(control_plane.api, fresh_namespace, "privileged")
    _try_pod(control_plane.api, fresh_namespace, items)


def _enforce(api: Client, namespace: str, level: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    meta = {"metadata": {"labels": labels}}
    api.request("PATCH", f"/api/v1/namespaces/{namespace}", meta, "application/merge-patch+json")


def _try_pod(api: Client, namespace: str, items: list[Json]) -> None:
    template = _workload(items)["spec"]["template"]
    pod = {"metadata": {"name": "kdns", **template["metadata"]}, "spec": template["spec"]}
    # The priority classes of the system are for kube-system unless a quota says otherwise.
    api.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)


def test_the_component_for_verified_pods_adds_one_rule(tmp_path: Path) -> None:
    rules = one(built(BASE), "ClusterRole")["rules"]

    more = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    assert one(_with(tmp_path, VERIFIED), "ClusterRole")["rules"] == [*rules, more]


def test_the_component_for_custom_files_is_taken_and_needs_no_such_config_map(
    coredns: Client, tmp_path: Path
) -> None:
    deployment = one(_with(tmp_path, CUSTOM, "overlays/replace"), "Deployment")
    [volume] = [v for v in deployment["spec"]["template"]["spec"]["volumes"] if "custom" in str(v)]

    assert volume["configMap"] == {"name": "coredns-custom", "optional": True}
    apply(coredns, deployment, dry_run=True)


def _with(folder: Path, component: str, base: str = BASE) -> list[Json]:
    """Build with a component, as somebody does who has these manifests beside their own."""
    there, more = (os.path.relpath(MANIFESTS / word, folder) for word in (base, component))
    text = f"resources: [{there}]\ncomponents: [{more}]\n"
    (folder / "kustomization.yaml").write_text(text)
    return built(folder)
