"""Metrics of following a cluster: the state of each collection, requests, how long changes take.

Reads statuses and is told of changes; asks nobody. Knows no DNS.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeAlias

from msgspec.structs import replace
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kdns.kube.changes import Apply, Change
from kdns.kube.measures import Measures
from kdns.kube.objects import EndpointSlice
from kdns.kube.status import Phase, Status
from kdns.kube.store import Store
from kdns.metrics import Metrics

Statuses: TypeAlias = Callable[[], Iterable[Status]]
"""How each collection is doing; empty where there is nothing to follow."""

PROGRAMMING = tuple(0.001 * 2**n for n in range(20))
"""Upper bounds in seconds, 1 ms to 9 minutes, as CoreDNS has them."""
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: those of the Prometheus library for Go."""

_STATES: tuple[Phase, ...] = ("syncing", "stale", "assumed", "live")
"""The worst first."""
_LABELS = ("resource", "namespace")
_COUNTERS = {
    "undecodable": "Objects that could not be decoded.",
    "relists": "Complete lists after the first one.",
    "restarts": "Watches that had to be resumed.",
}


class InformerCollector(Collector):
    """The statuses as metrics, read at every scrape."""

    def __init__(self, statuses: Statuses, now: Callable[[], float] = time.time) -> None:
        self._statuses = statuses
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        statuses = _joined(self._statuses())
        yield _state(statuses)
        yield self._age(statuses)
        objects = GaugeMetricFamily(
            "kdns_kubernetes_objects", "Objects that the API server has.", labels=_LABELS
        )
        counters = {
            field: CounterMetricFamily(f"kdns_kubernetes_{field}", text, labels=_LABELS)
            for field, text in _COUNTERS.items()
        }
        for status in statuses:
            where = (status.resource, status.namespace)
            objects.add_metric(where, status.objects)
            for field, counter in counters.items():
                counter.add_metric(where, getattr(status, field))
        yield objects
        yield from counters.values()

    def _age(self, statuses: Iterable[Status]) -> Metric:
        family = GaugeMetricFamily(
            "kdns_kubernetes_data_age_seconds",
            "Time since the last event, bookmark or list of a resource.",
            labels=_LABELS,
        )
        now = self._now()
        for status in statuses:
            if status.heard:
                age = max(0.0, now - status.heard)
                family.add_metric((status.resource, status.namespace), age)
        return family


class RequestMeasures(Measures):
    """Requests to the API server under the names of CoreDNS."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(
            "coredns_kubernetes_rest_client_requests_total",
            "Requests to the API server.",
            ("code", "method", "host"),
        )
        self._durations = metrics.histogram(
            "coredns_kubernetes_rest_client_request_duration_seconds",
            "Time that reading a page of a list took.",
            ("verb", "host"),
            REQUEST,
        )

    def answered(self, host: str, code: str) -> None:
        """Count a request."""
        self._requests.labels(code, "GET", host).inc()

    def listed(self, host: str, seconds: float) -> None:
        """Note how long a list took."""
        self._durations.labels("GET", host).observe(seconds)


class Programming:
    """How long it takes from a change of endpoints in the cluster until it is answered from."""

    def __init__(self, metrics: Metrics, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._durations = metrics.histogram(
            "coredns_kubernetes_dns_programming_duration_seconds",
            "Time from a change of a Service's endpoints to the answer with it.",
            ("service_kind",),
            PROGRAMMING,
        )

    def took(self, change: Change, store: Store) -> None:
        """Note a change that the store has taken in, if it says when it began.

        A change that came in a list does not: how long nobody listened is another matter. As in
        CoreDNS only slices of a Service that is known are measured.
        """
        if not isinstance(change, Apply) or not change.triggered:
            return
        item, began = change.object, _moment(change.triggered)
        if not isinstance(item, EndpointSlice) or item.imported or began is None:
            return
        service = store.service(item.namespace, item.service)
        if service is not None:
            kind = "headless_with_selector" if service.headless else "cluster_ip"
            self._durations.labels(kind).observe(max(0.0, self._now() - began))


class Meters:
    """What is measured while clusters are followed."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = RequestMeasures(metrics)
        self.programming = Programming(metrics)


def _moment(text: str) -> float | None:
    """Read a time of day with its offset (RFC 3339); None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else found.timestamp()


def _joined(statuses: Iterable[Status]) -> list[Status]:
    """Make one status of those of the same collection: it is followed once for each selection."""
    found: dict[tuple[str, str], Status] = {}
    for status in statuses:
        where = (status.resource, status.namespace)
        other = found.get(where)
        found[where] = status if other is None else _both(other, status)
    return list(found.values())


def _both(one: Status, other: Status) -> Status:
    return replace(
        one,
        state=min(one.state, other.state, key=_STATES.index),
        heard=min(one.heard, other.heard),
        **{field: getattr(one, field) + getattr(other, field) for field in ("objects", *_COUNTERS)},
    )


def _state(statuses: Iterable[Status]) -> Metric:
    family = GaugeMetricFamily(
        "kdns_kubernetes_state",
        "1 for the state that a resource is in.",
        labels=(*_LABELS, "state"),
    )
    for status in statuses:
        for state in _STATES:
            where = (status.resource, status.namespace, state)
            family.add_metric(where, float(status.state == state))
    return family
