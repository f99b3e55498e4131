from pathlib import Path

from kdns.kube.manifests import load
from kdns.kube.objects import EndpointSlice, Service

DEMO = str(Path(__file__).parents[4] / "manifests" / "demo")


def test_the_demo_has_a_service_of_every_form() -> None:
    cluster = load([DEMO])

    services = {one.name: one for one in cluster.objects if isinstance(one, Service)}
    assert str(cluster.summary) == (
        "10 services, 3 headless, 17 endpoints in 4 namespaces from 8 files"
    )
    assert services["payments"].external_name == "api.payments.example.com"
    assert len(services["edge"].cluster_ips) == 2
    assert services["kube-dns"].cluster_ips == ("10.96.0.10",)


def test_the_replicas_of_the_demo_database_have_names() -> None:
    slices = [one for one in load([DEMO]).objects if isinstance(one, EndpointSlice)]

    hostnames = [end.hostname for one in slices if one.service == "db" for end in one.endpoints]
    assert hostnames == ["db-0", "db-1", "db-2"]
