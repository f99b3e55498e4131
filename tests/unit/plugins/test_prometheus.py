"""``prometheus``: the page, its numbers, and that dashboards find what they ask for."""

import asyncio
import re
from collections.abc import Iterator
from typing import cast

import dns.message
import dns.rrset
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from kdns.assembly import Block
from kdns.corefile import parser
from kdns.errors import CorefileError
from kdns.informers import Programming, RequestMeasures
from kdns.kube.changes import Apply
from kdns.kube.objects import EndpointSlice, Service
from kdns.kube.store import Store
from kdns.metrics import Enabled, EnabledPlugins
from kdns.plugins import cache, forward, health, prometheus, reload
from kdns.server.collector import TrafficCollector
from kdns.server.http import Reply, Visit
from kdns.server.tally import Tally, Traffic
from tests import plugin
from tests.plugin import FakeRuntime

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
TRAFFIC = Traffic((".", "udp", "1", "A", "NOERROR", "kubernetes", True), 50, 300)


def _block(text: str = "prometheus", runtime: FakeRuntime | None = None) -> Block:
    return plugin.setup_of(prometheus.setup, text, into=plugin.block(runtime=runtime))[1]


def _page(block: Block, accept: str = "") -> Reply:
    [page] = [pages["/metrics"] for pages in block.pages.values() if "/metrics" in pages]
    return page(Visit(accept=accept))


def _text(block: Block) -> str:
    return _page(block).body.decode()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("prometheus", ("localhost", 9153), id="default"),
        pytest.param("prometheus :9153", ("", 9153), id="every address"),
        pytest.param("prometheus 127.0.0.1:9253", ("127.0.0.1", 9253), id="one"),
    ],
)
def test_where_the_page_is(text: str, address: tuple[str, int]) -> None:
    assert list(_block(text).pages) == [address]


def test_queries_of_the_block_are_counted() -> None:
    assert _block().counted


def test_the_page_is_text_for_whoever_asks_for_nothing_else() -> None:
    reply = _page(_block())

    assert reply.kind.startswith("text/plain; version=0.0.4")
    assert list(_series(reply.body.decode()))


def test_the_page_is_openmetrics_for_whoever_accepts_it() -> None:
    reply = _page(_traffic(), OPENMETRICS)

    assert reply.kind.startswith("application/openmetrics-text; version=1.0.0")
    text = reply.body.decode()
    families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert {"coredns_dns_requests", "coredns_panics"} <= names


def test_what_runs_is_told_and_the_process_is_measured() -> None:
    text = _text(_block())

    labels = r'goversion="python3[^"]+",revision="",version="kdns-[^"]+"'
    assert re.search(rf"^coredns_build_info{{{labels}}} 1\.0$", text, re.MULTILINE)
    assert "\nprocess_resident_memory_bytes " in text
    assert "\nprocess_cpu_seconds_total " in text
    assert "\npython_gc_collections_total{" in text


def test_several_blocks_and_reloads_measure_one_process() -> None:
    runtime = FakeRuntime()
    first, second = _block(runtime=runtime), _block(runtime=runtime)

    assert _text(second).count("\nprocess_resident_memory_bytes ") == 1
    assert _text(first).count("# TYPE coredns_build_info gauge") == 1


def test_bounds_of_buckets_are_written_as_coredns_writes_them() -> None:
    block = _block()
    metrics = block.runtime.metrics
    metrics.histogram("h", "Text.", buckets=(0.00025, 1.0, 100.0)).observe(2)
    metrics.counter("c_total", "Text.").inc()
    text = _text(block)

    assert re.findall(r'^h_bucket{le="(.*?)"}', text, re.MULTILINE) == [
        "0.00025",
        "1",
        "100",
        "+Inf",
    ]
    assert "_created" not in text


def test_runtime_metrics_is_accepted_and_warned_about() -> None:
    block = _block("prometheus {\nruntime_metrics\n}")

    assert block.warnings == [
        "Corefile:3: runtime_metrics changes nothing: there is no Go runtime to be measured"
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("prometheus\nprometheus", "may stand only once", id="twice"),
        pytest.param("prometheus 9153", "expected ADDRESS:PORT", id="no host"),
        pytest.param("prometheus :1 :2", "expected at most one argument", id="two"),
        pytest.param("prometheus {\ntls /etc/x\n}", "expected no tls", id="TLS"),
        pytest.param("prometheus {\nruntime\n}", "did you mean 'runtime_metrics'?", id="option"),
        pytest.param("prometheus {\nruntime_metrics x\n}", "expected no arguments", id="word"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        _block(text)

    assert error in str(refused.value)


# -- dashboards ---------------------------------------------------------------------------------


def _traffic() -> Block:
    """A block that has seen some traffic, followed a cluster and was loaded again."""
    runtime = FakeRuntime()
    runtime.corefile = parser.parse(". {\n reload\n}\n", "Corefile")
    block = _block(runtime=runtime)
    metrics, tally = runtime.metrics, Tally()
    tally.count(TRAFFIC, 0.001)
    enabled = EnabledPlugins()
    enabled.rows = [Enabled("dns://:53", ".", "prometheus")]
    metrics.add(enabled)
    _follow(runtime)
    plugin.setup_of(health.setup, "health", into=block)
    directive = runtime.corefile.blocks[0].directives[0]

    async def loaded() -> None:
        loop = asyncio.get_running_loop()
        metrics.add(TrafficCollector(loop, lambda: [("dns://:53", tally)]))
        await _forward(block)
        watch = reload.Watch(directive, runtime, 60.0)
        async with watch.running():
            watch.begin()
        # The loop ends, and the page shows what was counted until then.
        list(metrics.registry.collect())

    asyncio.run(loaded())
    return block


class Upstream(asyncio.DatagramProtocol):
    """Answers everything with an address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 9, "IN", "A", "192.0.2.1"))
        self._transport.sendto(reply.to_wire(), addr)


async def _forward(block: Block) -> None:
    """Ask an upstream through a cache, twice the same."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Upstream, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    kept = plugin.setup_of(cache.setup, "cache", into=block)[0]
    asks = plugin.setup_of(forward.setup, f"forward . 127.0.0.1:{port}", into=block)[0]
    assert kept is not None
    assert asks is not None
    for placement in block.placements:
        placement()
    async with plugin.running(block):
        for _ in range(2):
            await plugin.handled(plugin.request([kept, asks], "www.example.org A"))
    transport.close()


def _follow(runtime: FakeRuntime) -> None:
    measures, store = RequestMeasures(runtime.metrics), Store()
    measures.answered("10.96.0.1:443", "200")
    measures.listed("10.96.0.1:443", 0.01)
    store.apply(Apply(Service("prod", "web", cluster_ips=("10.96.0.80",))))
    change = Apply(EndpointSlice("prod", "web-1", "web"), "2024-01-01T00:00:00Z")
    Programming(runtime.metrics).took(change, store)


def _series(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, frozenset(sample.labels) - {"le"}


ZONE = "server zone view"
ASKED = [
    ("coredns_build_info", "version revision goversion"),
    ("coredns_panics_total", ""),
    ("coredns_plugin_enabled", f"{ZONE} name"),
    ("coredns_dns_requests_total", f"{ZONE} proto family type"),
    ("coredns_dns_request_duration_seconds_bucket", ZONE),
    ("coredns_dns_request_duration_seconds_sum", ZONE),
    ("coredns_dns_request_duration_seconds_count", ZONE),
    ("coredns_dns_request_size_bytes_bucket", f"{ZONE} proto"),
    ("coredns_dns_response_size_bytes_bucket", f"{ZONE} proto"),
    ("coredns_dns_do_requests_total", ZONE),
    ("coredns_dns_responses_total", f"{ZONE} rcode plugin"),
    ("coredns_cache_entries", "server type zones view"),
    ("coredns_cache_hits_total", "server type zones view"),
    ("coredns_cache_requests_total", "server zones view"),
    ("coredns_cache_misses_total", "server zones view"),
    ("coredns_forward_healthcheck_broken_total", ""),
    ("coredns_forward_max_concurrent_rejects_total", ""),
    ("coredns_forward_requests_total", "to"),
    ("coredns_forward_responses_total", "to rcode"),
    ("coredns_forward_request_duration_seconds_bucket", "to rcode"),
    ("coredns_proxy_request_duration_seconds_bucket", "proxy_name to rcode"),
    ("coredns_proxy_conn_cache_misses_total", "proxy_name to proto"),
    ("coredns_health_request_duration_seconds_bucket", ""),
    ("coredns_health_request_failures_total", ""),
    ("coredns_kubernetes_dns_programming_duration_seconds_bucket", "service_kind"),
    ("coredns_kubernetes_rest_client_request_duration_seconds_bucket", "verb host"),
    ("coredns_kubernetes_rest_client_requests_total", "code method host"),
    ("coredns_reload_failed_total", ""),
    ("coredns_reload_version_info", "hash value"),
    ("process_resident_memory_bytes", ""),
    ("process_cpu_seconds_total", ""),
    ("process_open_fds", ""),
    ("process_start_time_seconds", ""),
]


@pytest.fixture(scope="module")
def served() -> set[tuple[str, frozenset[str]]]:
    return set(_series(_text(_traffic())))


@pytest.mark.parametrize(("name", "labels"), ASKED, ids=[name for name, _ in ASKED])
def test_dashboards_find_what_they_ask_for(
    name: str, labels: str, served: set[tuple[str, frozenset[str]]]
) -> None:
    assert (name, frozenset(labels.split())) in served
