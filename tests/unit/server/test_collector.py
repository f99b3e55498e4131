"""Tallies as the metrics of CoreDNS, read on their loop and written on another thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import pytest
from prometheus_client import CollectorRegistry

from kdns.server.collector import TrafficCollector
from kdns.server.tally import Tally, Traffic

SERVER = "dns://:53"
ZONE = {"server": SERVER, "zone": ".", "view": ""}
WAY = {**ZONE, "proto": "udp"}
QUERY = Traffic((".", "udp", "1", "A", "NOERROR", "kubernetes", False), 50, 300)
FAILED = Traffic(("a.", "tcp", "2", "other", "SERVFAIL", "", True), 64_001, 10)


def _tally() -> Tally:
    tally = Tally()
    tally.count(QUERY, 0.001, times=3)
    tally.count(FAILED, 9.0)
    tally.panics = 2
    return tally


def _registry(collector: TrafficCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _values(tally: Tally) -> Callable[[str, dict[str, str]], float | None]:
    loop = asyncio.new_event_loop()

    async def collected() -> CollectorRegistry:
        registry = _registry(TrafficCollector(loop, lambda: [(SERVER, tally)]))
        list(registry.collect())
        return registry

    registry = loop.run_until_complete(collected())
    loop.close()
    # The loop has ended: what it was asked for last is what is known.
    return registry.get_sample_value


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        pytest.param(
            "coredns_dns_requests_total", {**WAY, "family": "1", "type": "A"}, 3, id="requests"
        ),
        pytest.param(
            "coredns_dns_responses_total",
            {**ZONE, "rcode": "NOERROR", "plugin": "kubernetes"},
            3,
            id="responses",
        ),
        pytest.param(
            "coredns_dns_responses_total",
            {**ZONE, "zone": "a.", "rcode": "SERVFAIL", "plugin": ""},
            1,
            id="responses of the server itself",
        ),
        pytest.param("coredns_dns_do_requests_total", {**ZONE, "zone": "a."}, 1, id="DO"),
        pytest.param("coredns_dns_do_requests_total", ZONE, None, id="no DO"),
        pytest.param("coredns_dns_request_duration_seconds_count", ZONE, 3, id="durations"),
        pytest.param("coredns_dns_request_duration_seconds_sum", ZONE, 0.003, id="their sum"),
        pytest.param(
            "coredns_dns_request_duration_seconds_bucket", {**ZONE, "le": "0.0005"}, 0, id="faster"
        ),
        pytest.param(
            "coredns_dns_request_duration_seconds_bucket", {**ZONE, "le": "0.001"}, 3, id="as fast"
        ),
        pytest.param(
            "coredns_dns_request_duration_seconds_bucket", {**ZONE, "le": "8.192"}, 3, id="below"
        ),
        pytest.param(
            "coredns_dns_request_duration_seconds_bucket",
            {**ZONE, "zone": "a.", "le": "8.192"},
            0,
            id="slower than all bounds",
        ),
        pytest.param("coredns_dns_request_size_bytes_bucket", {**WAY, "le": "0"}, 0, id="empty"),
        pytest.param("coredns_dns_request_size_bytes_bucket", {**WAY, "le": "100"}, 3, id="small"),
        pytest.param("coredns_dns_response_size_bytes_bucket", {**WAY, "le": "200"}, 0, id="large"),
        pytest.param(
            "coredns_dns_response_size_bytes_bucket", {**WAY, "le": "64000"}, 3, id="huge"
        ),
        pytest.param("coredns_dns_response_size_bytes_sum", WAY, 900, id="octets"),
        pytest.param("coredns_panics_total", {}, 2, id="panics"),
    ],
)
def test_names_labels_and_numbers(name: str, labels: dict[str, str], value: float | None) -> None:
    assert _values(_tally())(name, labels) == value


def test_nothing_is_counted_yet() -> None:
    assert _values(Tally())("coredns_panics_total", {}) == 0


def test_tallies_are_read_on_their_loop_by_a_scrape_on_another_thread() -> None:
    tally, readers = _tally(), list[int]()

    def read() -> list[tuple[str, Tally]]:
        readers.append(get_ident())
        return [(SERVER, tally)]

    async def scraped() -> float | None:
        loop = asyncio.get_running_loop()
        registry = _registry(TrafficCollector(loop, read))
        with ThreadPoolExecutor(1) as pool:
            found = loop.run_in_executor(
                pool, registry.get_sample_value, "coredns_panics_total", {}
            )
            return await found

    assert asyncio.run(scraped()) == 2
    assert set(readers) == {get_ident()}


def test_a_loop_without_time_leaves_the_numbers_of_the_last_scrape() -> None:
    tally = _tally()
    loop = asyncio.new_event_loop()
    collector = TrafficCollector(loop, lambda: [(SERVER, tally)], patience=0.01)
    registry = _registry(collector)

    async def collected() -> None:
        list(registry.collect())

    loop.run_until_complete(collected())
    tally.panics = 5
    stale = registry.get_sample_value("coredns_panics_total", {})
    loop.run_until_complete(collected())
    loop.close()

    assert stale == 2
    assert registry.get_sample_value("coredns_panics_total", {}) == 5


def test_what_was_read_does_not_change_while_it_is_written() -> None:
    tally = _tally()
    loop = asyncio.new_event_loop()
    collector = TrafficCollector(loop, lambda: [(SERVER, tally)])

    async def begun() -> float:
        families = collector.collect()
        tally.count(QUERY, 0.001)
        return next(iter(families)).samples[0].value

    counted = loop.run_until_complete(begun())
    loop.close()

    assert counted == 3
