"""What is measured of following a cluster."""

import pytest
from prometheus_client import CollectorRegistry

from kdns.informers import InformerCollector, Programming, RequestMeasures
from kdns.kube.changes import Apply, Change, Delete
from kdns.kube.objects import EndpointSlice, Namespace, Service
from kdns.kube.status import Status
from kdns.kube.store import Store
from kdns.metrics import Metrics

SERVICES = Status("Service", "services", state="live", heard=1000.0, objects=2, relists=1)
WHERE = {"resource": "services", "namespace": ""}
NOW = 1_704_067_200.0
"""2024-01-01T00:00:00Z."""
SLICE = EndpointSlice("prod", "web-1", "web")
WEB = Service("prod", "web", cluster_ips=("10.96.0.80",))
DB = Service("prod", "web", headless=True)


def _registry(*statuses: Status) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(InformerCollector(lambda: statuses, lambda: 1007.0))
    return registry


def test_a_collection_is_described() -> None:
    value = _registry(SERVICES).get_sample_value

    assert value("kdns_kubernetes_objects", WHERE) == 2
    assert value("kdns_kubernetes_relists_total", WHERE) == 1
    assert value("kdns_kubernetes_restarts_total", WHERE) == 0
    assert value("kdns_kubernetes_undecodable_total", WHERE) == 0
    assert value("kdns_kubernetes_data_age_seconds", WHERE) == 7
    assert value("kdns_kubernetes_state", {**WHERE, "state": "live"}) == 1
    assert value("kdns_kubernetes_state", {**WHERE, "state": "stale"}) == 0


def test_what_was_never_heard_of_has_no_age() -> None:
    value = _registry(Status("Pod", "pods")).get_sample_value

    where = {"resource": "pods", "namespace": ""}
    assert value("kdns_kubernetes_data_age_seconds", where) is None
    assert value("kdns_kubernetes_state", {**where, "state": "syncing"}) == 1


def test_a_collection_that_is_followed_twice_has_one_series() -> None:
    stale = Status("Service", "services", state="stale", heard=900.0, objects=3)
    registry = _registry(SERVICES, stale)

    value = registry.get_sample_value
    assert value("kdns_kubernetes_objects", WHERE) == 5
    assert value("kdns_kubernetes_data_age_seconds", WHERE) == 107
    assert value("kdns_kubernetes_state", {**WHERE, "state": "stale"}) == 1
    assert value("kdns_kubernetes_state", {**WHERE, "state": "live"}) == 0


def test_requests_are_counted_and_lists_measured() -> None:
    metrics = Metrics()
    measures = RequestMeasures(metrics)
    measures.answered("10.96.0.1:443", "200")
    measures.listed("10.96.0.1:443", 0.2)

    value, name = metrics.registry.get_sample_value, "coredns_kubernetes_rest_client"
    host = {"host": "10.96.0.1:443"}
    assert value(f"{name}_requests_total", {"code": "200", "method": "GET", **host}) == 1
    duration = f"{name}_request_duration_seconds_bucket"
    assert value(duration, {"verb": "GET", "le": "0.1", **host}) == 0
    assert value(duration, {"verb": "GET", "le": "0.25", **host}) == 1


def _programmed(change: Change, *known: Service) -> dict[str, float]:
    """Return the sums of what was measured, by kind of Service."""
    metrics, store = Metrics(), Store()
    for service in known:
        store.apply(Apply(service))
    Programming(metrics, lambda: NOW).took(change, store)
    [family] = metrics.registry.collect()
    return {
        sample.labels["service_kind"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_sum")
    }


@pytest.mark.parametrize(
    ("change", "service", "sums"),
    [
        pytest.param(Apply(SLICE, "2023-12-31T23:59:58Z"), WEB, {"cluster_ip": 2.0}, id="IP"),
        pytest.param(
            Apply(SLICE, "2023-12-31T23:59:58.5Z"), DB, {"headless_with_selector": 1.5}, id="none"
        ),
        pytest.param(
            Apply(SLICE, "2024-01-01T00:59:59.123456789+01:00"),
            WEB,
            {"cluster_ip": pytest.approx(0.876544)},
            id="nanoseconds of another time zone",
        ),
        pytest.param(Apply(SLICE, "2024-01-01T00:00:09Z"), WEB, {"cluster_ip": 0.0}, id="future"),
        pytest.param(Apply(SLICE), WEB, {}, id="no time"),
        pytest.param(Apply(SLICE, "yesterday"), WEB, {}, id="no readable time"),
        pytest.param(Apply(SLICE, "2023-12-31T23:59:58"), WEB, {}, id="no time zone"),
        pytest.param(
            Apply(EndpointSlice("prod", "x-1", "x"), "2024-01-01T00:00:00Z"), WEB, {}, id="unknown"
        ),
        pytest.param(
            Apply(EndpointSlice("prod", "a", "web", imported=True), "2024-01-01T00:00:00Z"),
            WEB,
            {},
            id="imported",
        ),
        pytest.param(Apply(Namespace("prod"), "2024-01-01T00:00:00Z"), WEB, {}, id="no slice"),
        pytest.param(Delete("EndpointSlice", ("prod", "web-1")), WEB, {}, id="deleted"),
    ],
)
def test_how_long_a_change_took(change: Change, service: Service, sums: dict[str, float]) -> None:
    assert _programmed(change, service) == sums
