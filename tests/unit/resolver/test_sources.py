"""What a program says about a cluster, as the options of a server."""

from pathlib import Path

import pytest

import kdns
from kdns.cluster import From, FromCluster, FromManifests, FromObjects
from kdns.resolver.sources import Source, read, served
from kdns.standalone import kubeadm
from tests.unit.resolver.objects import SHOP

SOURCES: dict[str, tuple[Source, From]] = {
    "a directory": ({"manifests": "deploy"}, FromManifests(("deploy",))),
    "paths": (
        {"manifests": [Path("a.yaml"), "b"], "assign": False},
        FromManifests(("a.yaml", "b"), assign=False),
    ),
    "objects": ({"objects": SHOP}, FromObjects("objects")),
    "a kubeconfig": ({"kubeconfig": "/a", "context": "b"}, FromCluster("/a", "b")),
    "a kubeconfig at home": (
        {"kubeconfig": "~/.kube/config"},
        FromCluster(str(Path.home() / ".kube" / "config")),
    ),
    "the pod's account": ({"in_cluster": True}, FromCluster()),
    "a snapshot": (
        {"in_cluster": True, "snapshot": Path("/s"), "snapshot_max_age": 60},
        FromCluster(snapshot="/s", snapshot_max_age=60),
    ),
}


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES)
def test_where_a_cluster_is(source: Source, expected: From) -> None:
    assert read(source).options.source == expected


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param("192.0.2.1", ("192.0.2.1",), id="one"),
        pytest.param(["192.0.2.1", "192.0.2.2:5353"], ("192.0.2.1", "192.0.2.2:5353"), id="two"),
        pytest.param("system", None, id="those of the machine"),
        pytest.param((), (), id="nobody"),
    ],
)
def test_who_is_asked_about_the_rest(
    upstream: str | list[str], expected: tuple[str, ...] | None
) -> None:
    assert read({"objects": (), "upstream": upstream}).options.upstream == expected


def test_nobody_is_asked_where_nothing_is_said() -> None:
    assert read({"objects": ()}).options.upstream == ()


def test_the_resolver_completes_names_itself() -> None:
    settings = kdns.Settings(zones=("z.test",), search=("a.z.test",), ttl=9)

    assert read({"objects": (), "settings": settings}).options.settings == kdns.Settings(
        zones=("z.test",), ttl=9
    )
    assert read({"objects": ()}).options.settings == kubeadm(search=())


def test_a_server_completes_them_in_the_clusters_zone() -> None:
    options = read({"objects": (), "zone": "z.test"}).options

    serving = served(options, port=0, bind=(), search=None, admin=None)

    assert serving.settings.search == ("default.svc.z.test", "svc.z.test", "z.test")
    assert serving.source == options.source


def test_outside_a_pod_there_is_no_account() -> None:
    with pytest.raises(kdns.UsageError, match="service account"):
        kdns.Cluster(in_cluster=True)
