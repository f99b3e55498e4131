"""Counters that outlive a configuration: one registry for each server, and no global one.

A plugin asks for its metrics by name at every setup and gets those that exist: a reload loses no
count. Knows no DNS.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from prometheus_client.samples import Sample

SECONDS = tuple(0.00025 * 2**n for n in range(16))
"""Upper bounds of the time buckets that CoreDNS uses: 0.25 ms to 8.2 s."""

_M = TypeVar("_M", bound=MetricWrapperBase)
_C = TypeVar("_C", bound=Collector)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, MetricWrapperBase] = {}
        self._shared: dict[type[Collector], Collector] = {}
        self._process = False
        self.elsewhere: Callable[[], Iterable[Metric]] | None = None
        """Returns the metrics of other processes of the server; asked on the scrape's thread."""

    def collect(self) -> Iterator[Metric]:
        """Yield the families of the registry, those of other processes added."""
        if self.elsewhere is None:
            yield from self.registry.collect()
        else:
            yield from merged([self.registry.collect(), self.elsewhere()])

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

    def shared(self, kind: type[_C]) -> _C:
        """Return the only collector of this kind, made and asked at every scrape from now on."""
        found = self._shared.get(kind)
        if not isinstance(found, kind):
            found = self._shared[kind] = kind()
            self.registry.register(found)
        return found

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


_ADDED = ("coredns_cache_entries", "process_resident_memory_bytes", "process_virtual_memory_bytes")
"""Gauges of which each process has a part; of all others every process has the same."""


def merged(parts: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Add up the families of several processes, sample by sample."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = {}
    for family in (family for part in parts for family in part):
        if family.name not in families:
            families[family.name] = Metric(family.name, family.documentation, family.type)
        add = family.type != "gauge" or family.name in _ADDED
        known = values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            before = known.get(key)
            if before is None:
                known[key] = sample
            else:
                value = before.value + sample.value if add else max(before.value, sample.value)
                known[key] = before._replace(value=value)
    for name, family in families.items():
        family.samples = list(values.get(name, {}).values())
    return list(families.values())
