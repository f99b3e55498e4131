"""Counters that outlive a configuration: one registry for each server, and no global one.

A plugin asks for its metrics by name at every setup and gets those that exist: a reload loses no
count. Knows no DNS.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import Struct
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

SECONDS = tuple(0.00025 * 2**n for n in range(16))
"""Upper bounds of the time buckets that CoreDNS uses: 0.25 ms to 8.2 s."""

_M = TypeVar("_M", bound=MetricWrapperBase)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}
        self._process = False

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter of this name; ``_total`` is part of it."""
        return self._get(Counter, name, text, labels)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge of this name."""
        return self._get(Gauge, name, text, labels)

    def histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        """Return the histogram of this name."""
        return self._get(Histogram, name, text, labels, buckets=buckets)

    def add(self, collector: Collector) -> None:
        """Have a collector asked at every scrape."""
        self.registry.register(collector)

    def measure_process(self) -> None:
        """Have memory, processor time and descriptors of the process measured at every scrape."""
        if not self._process:
            self._process = True
            for collector in (ProcessCollector, PlatformCollector, GCCollector):
                collector(registry=self.registry)

    def remove(self, collector: Collector) -> None:
        """Ask a collector no more."""
        self.registry.unregister(collector)

    def _get(
        self, kind: type[_M], name: str, text: str, labels: Sequence[str], **more: object
    ) -> _M:
        found = self._made.get(name)
        if found is None:
            found = kind(name, text, labels, registry=self.registry, **more)  # type: ignore[arg-type]
            self._made[name] = found
        if not isinstance(found, kind):
            raise TypeError(f"{name} is a {type(found).__name__} already")
        return found


class Enabled(Struct, frozen=True):
    """A plugin that takes part in a server block, under the labels of CoreDNS."""

    server: str
    zone: str
    name: str
    view: str = ""


class EnabledPlugins(Collector):
    """Which plugins the running configuration has; ``rows`` is replaced with every change."""

    def __init__(self) -> None:
        self.rows: Sequence[Enabled] = ()

    def collect(self) -> Iterator[Metric]:
        """Yield the family."""
        family = GaugeMetricFamily(
            "coredns_plugin_enabled",
            "1 for each plugin of each server and zone.",
            labels=("server", "zone", "view", "name"),
        )
        for row in dict.fromkeys(self.rows):
            family.add_metric((row.server, row.zone, row.view, row.name), 1)
        yield family
