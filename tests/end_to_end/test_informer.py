"""What the API source must do with any API server: the fake one, and a real one where there is."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import main_thread
from time import monotonic

import pytest

from kdns.kube.access import Access
from kdns.kube.objects import EndpointSlice, Kind, Namespace
from kdns.kube.resources import Selection
from kdns.kube.watch import Pace
from kdns.testing.apiserver import FakeApiServer
from tests.end_to_end.cluster import Cluster, FakeCluster, endpoint_slice, namespace, service
from tests.end_to_end.follower import Follower, following
from tests.end_to_end.real import RealCluster

KINDS: tuple[Kind, ...] = ("Namespace", "Service", "EndpointSlice")


@pytest.fixture(params=["fake", "real"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster to follow, with a namespace ``prod`` that nobody else uses."""
    yield from CLUSTERS[request.param](request)


def fake(_: pytest.FixtureRequest) -> Iterator[Cluster]:
    with FakeApiServer(bookmarks=0.05) as server:
        found = FakeCluster(server)
        found.apply(namespace("prod"))
        yield found


def real(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with closing(RealCluster(request.getfixturevalue("control_plane"))) as found:
        found.apply(namespace("prod"))
        yield found


CLUSTERS = {"fake": fake, "real": real}


@pytest.fixture
def seen(cluster: Cluster) -> Iterator[Follower]:
    """A follower that has synced with one Service and its slice."""
    cluster.apply(service("prod", "web"))
    cluster.apply(endpoint_slice("prod", "web", "10.1.0.1"))
    with following(cluster.kubeconfig()) as follower:
        follower.until(lambda: len(follower.synced) == 3)
        yield follower


def same(seen: Follower, cluster: Cluster) -> bool:
    return all(seen.versions(kind) == cluster.versions(kind) for kind in KINDS)


def test_it_knows_what_there_was(seen: Follower, cluster: Cluster) -> None:
    assert same(seen, cluster)
    assert seen.threads.isdisjoint({main_thread().ident})
    assert len(seen.threads) == 1, "the sink belongs to the event loop"


def test_it_follows_what_happens(seen: Follower, cluster: Cluster) -> None:
    cluster.apply(service("prod", "new"))
    cluster.apply(service("prod", "web", 8080))
    cluster.apply(endpoint_slice("prod", "web", "10.1.0.1", "10.1.0.2"))
    seen.until(lambda: same(seen, cluster))
    cluster.delete("Service", "prod", "new")
    seen.until(lambda: same(seen, cluster))


def test_delete_and_create_again_is_another_object(seen: Follower, cluster: Cluster) -> None:
    before = seen.live("Service")["prod", "web"].uid
    cluster.delete("Service", "prod", "web")
    cluster.apply(service("prod", "web"))
    seen.until(lambda: same(seen, cluster))

    assert seen.live("Service")["prod", "web"].uid != before


def test_no_endpoints_is_an_empty_slice(seen: Follower, cluster: Cluster) -> None:
    cluster.apply(endpoint_slice("prod", "web"))
    seen.until(lambda: same(seen, cluster))

    found = seen.live("EndpointSlice")["prod", "web"]
    assert isinstance(found, EndpointSlice)
    assert found.endpoints == ()


def test_an_outage_costs_nothing_but_freshness(seen: Follower, cluster: Cluster) -> None:
    before = seen.versions("Service")
    with cluster.outage():
        seen.until(lambda: seen.status("Service").state == "stale")
        status = seen.status("Service")
        assert seen.versions("Service") == before
        assert 0 < status.since <= status.heard
    cluster.apply(service("prod", "after"))
    seen.until(lambda: same(seen, cluster))
    seen.until(lambda: seen.status("Service").state == "live")


def test_it_starts_before_the_server_does(cluster: Cluster) -> None:
    with ExitStack() as stack:
        with cluster.outage():
            seen = stack.enter_context(following(cluster.kubeconfig()))
            seen.until(lambda: "cannot be reached" in seen.status("Service").trouble)
        seen.until(lambda: len(seen.synced) == 3)
        assert same(seen, cluster)


def test_an_expired_watch_lists_again_and_loses_nothing(seen: Follower, cluster: Cluster) -> None:
    cluster.expire()
    cluster.apply(service("prod", "after"))
    seen.until(lambda: same(seen, cluster))

    assert seen.status("Service").relists
    assert ("prod", "web") in seen.live("Service")


def test_a_server_without_watch_list_is_read_in_pages(cluster: Cluster) -> None:
    for number in range(12):
        cluster.apply(service("prod", f"web-{number}"))
    pages = Pace(page=5)
    with cluster.without_watch_list(), following(cluster.kubeconfig(), pace=pages) as seen:
        seen.until(lambda: len(seen.synced) == 3)
        assert same(seen, cluster)
        cluster.delete("Service", "prod", "web-3")
        seen.until(lambda: same(seen, cluster))


def test_a_missing_right_is_named_and_the_rest_works(cluster: Cluster) -> None:
    cluster.apply(service("prod", "web"))
    cluster.forbid("EndpointSlice")
    with following(cluster.kubeconfig()) as seen:
        seen.until(lambda: {"Service", "Namespace"} <= seen.synced)
        seen.until(lambda: seen.status("EndpointSlice").forbidden)

        assert re.fullmatch(
            r"cannot watch endpointslices\.discovery\.k8s\.io at the cluster scope: .+ needs "
            r"\{apiGroups: \[discovery\.k8s\.io\], .+\} in a ClusterRole bound to it",
            seen.status("EndpointSlice").trouble,
        )
        assert "EndpointSlice" not in seen.synced
        cluster.permit("EndpointSlice")
        seen.until(lambda: "EndpointSlice" in seen.synced)
        assert not seen.status("EndpointSlice").trouble


def test_a_role_in_some_namespaces_is_enough_for_those(cluster: Cluster) -> None:
    for name in ("other", "third"):
        cluster.apply(namespace(name))
    for name in ("prod", "other", "third"):
        cluster.apply(service(name, "web"))
    for kind in KINDS:
        cluster.forbid(kind)
    wanted = Selection(namespaces=("prod", "other"))
    with following(cluster.kubeconfig(), wanted) as seen:
        seen.until(lambda: len(seen.synced) == 3)

        assert set(seen.live("Namespace").values()) == {Namespace("prod"), Namespace("other")}
        assert seen.status("Namespace").state == "assumed"
        assert set(seen.live("Service")) == {("prod", "web"), ("other", "web")}
        cluster.apply(service("other", "new"))
        cluster.delete("Service", "prod", "web")
        seen.until(lambda: set(seen.live("Service")) == {("other", "web"), ("other", "new")})
        cluster.permit("Namespace")
        seen.until(lambda: seen.live("Namespace")["", "prod"].version > 0)
        assert len(seen.live("Namespace")) == 2, "the third one is of no interest"


def test_a_namespace_without_a_role_does_not_hold_up_the_others(cluster: Cluster) -> None:
    cluster.apply(namespace("other"))
    for name in ("prod", "other"):
        cluster.apply(service(name, "web"))
    for scope in ("", "other"):
        cluster.forbid("Service", scope)
    with following(cluster.kubeconfig(), Selection(namespaces=("prod", "other"))) as seen:
        seen.until(lambda: "Service" in seen.synced)

        assert set(seen.live("Service")) == {("prod", "web")}
        assert re.fullmatch(
            r"cannot watch services in namespace other: .+ in a Role in other bound to it",
            seen.status("Service", "other").trouble,
        )
        cluster.permit("Service", "other")
        seen.until(lambda: len(seen.live("Service")) == 2)


def test_labels_select_and_deselect(cluster: Cluster) -> None:
    cluster.apply(service("prod", "in", tier="web"))
    cluster.apply(service("prod", "out", tier="db"))
    wanted = Selection(labels="tier in (web)", namespace_labels="stage=live")
    with following(cluster.kubeconfig(), wanted) as seen:
        seen.until(lambda: len(seen.synced) == 3)
        assert set(seen.live("Service")) == {("prod", "in")}
        assert not seen.live("Namespace")
        cluster.apply(service("prod", "in", tier="db"))
        cluster.apply(service("prod", "out", tier="web"))
        cluster.apply(namespace("prod", stage="live"))
        seen.until(lambda: set(seen.live("Service")) == {("prod", "out")})
        seen.until(lambda: ("", "prod") in seen.live("Namespace"))


def test_a_new_token_is_read_as_soon_as_the_old_one_is_refused(
    seen: Follower, cluster: Cluster
) -> None:
    cluster.rotate_token()
    cluster.apply(service("prod", "after"))
    seen.until(lambda: same(seen, cluster))


def test_it_stops_at_once_while_nothing_happens(cluster: Cluster) -> None:
    patient = Access(cluster.kubeconfig())
    with following(patient) as seen:
        seen.until(lambda: len(seen.synced) == 3)
        asked = monotonic()

    assert monotonic() - asked < patient.read_timeout / 2
