"""The counts of all servers as the metrics of CoreDNS. Knows no zones and no plugins.

A scrape comes on a thread of its own; the counts belong to the event loop, which copies them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import accumulate
from typing import Any, TypeAlias

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from kdns.server.tally import Histogram, Tally

PATIENCE = 1.0
"""Seconds that a scrape waits for the event loop; then it shows what it saw last time."""

_Tallies: TypeAlias = list[tuple[str, Tally]]
_Series: TypeAlias = Iterable[tuple[str, Mapping[Any, int]]]
_Shapes: TypeAlias = Iterable[tuple[str, Mapping[Any, Histogram]]]
"""Each server's counts by labels, which are tuples of text."""


class TrafficCollector(Collector):
    """Reads tallies on the event loop, and writes them on the thread of the scrape."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        read: Callable[[], Iterable[tuple[str, Tally]]],
        *,
        patience: float = PATIENCE,
    ) -> None:
        """``read`` is called on the loop; it returns each server's name and flushed tally."""
        self._loop = loop
        self._read = read
        self._patience = patience
        self._copied: _Tallies = []

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        self._refresh()
        return families(self._copied)

    def _refresh(self) -> None:
        if _loop_here() is self._loop:
            self._copied = self._copy()
            return
        copied: Future[_Tallies] = Future()
        try:
            self._loop.call_soon_threadsafe(self._hand_over, copied)
            self._copied = copied.result(self._patience)
        except (RuntimeError, TimeoutError):
            # The loop has ended, or has no time: the numbers of the last scrape are true as well.
            copied.cancel()

    def _hand_over(self, copied: "Future[_Tallies]") -> None:
        if copied.set_running_or_notify_cancel():
            copied.set_result(self._copy())

    def _copy(self) -> _Tallies:
        return [(server, tally.copied()) for server, tally in self._read()]


def families(tallies: _Tallies) -> Iterator[Metric]:
    """Write the counts of servers, with the names and labels of CoreDNS."""
    zone = ("server", "zone", "view")
    way = (*zone, "proto")
    yield _counter(
        "coredns_dns_requests",
        "Queries.",
        (*way, "family", "type"),
        ((server, tally.requests) for server, tally in tallies),
    )
    yield _histogram(
        "coredns_dns_request_duration_seconds",
        "Seconds from a query to its reply.",
        zone,
        ((server, tally.durations) for server, tally in tallies),
    )
    yield _histogram(
        "coredns_dns_request_size_bytes",
        "Octets of queries.",
        way,
        ((server, tally.request_sizes) for server, tally in tallies),
    )
    yield _histogram(
        "coredns_dns_response_size_bytes",
        "Octets of replies.",
        way,
        ((server, tally.response_sizes) for server, tally in tallies),
    )
    yield _counter(
        "coredns_dns_do_requests",
        "Queries with the DO bit set.",
        zone,
        ((server, tally.do) for server, tally in tallies),
    )
    yield _counter(
        "coredns_dns_responses",
        "Replies.",
        (*zone, "rcode", "plugin"),
        ((server, tally.responses) for server, tally in tallies),
    )
    panics = sum(tally.panics for _, tally in tallies)
    yield CounterMetricFamily(
        "coredns_panics", "Queries that failed because of a fault in the program.", value=panics
    )


def _counter(name: str, text: str, labels: tuple[str, ...], series: _Series) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for server, counts in series:
        for key, count in counts.items():
            family.add_metric((server, *key), count)
    return family


def _histogram(name: str, text: str, labels: tuple[str, ...], series: _Shapes) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for server, shapes in series:
        for key, shape in shapes.items():
            family.add_metric((server, *key), _buckets(shape), shape.sum)
    return family


def _buckets(shape: Histogram) -> list[tuple[str, float]]:
    """Return upper bounds with how much lies below each."""
    bounds = [*(f"{bound:g}" for bound in shape.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(shape.buckets)), strict=True))


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
