"""Why a name gives what it gives, of a cluster in memory."""

import re
from collections.abc import Iterator

import msgspec
import pytest

from kdns import Cluster, UsageError
from kdns.explain import Explanation, explain
from kdns.explain.text import text
from kdns.zone.settings import Settings

MANIFESTS = """
{apiVersion: v1, kind: Service, metadata: {name: web, resourceVersion: "17", uid: u1}, spec:
  {clusterIPs: [10.96.0.7, "fd00::7"], ports:
  [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db}, spec:
  {clusterIP: None, ports: [{name: pg, port: 5432}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-abc, resourceVersion: "23", labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: pg, port: 5432}]
endpoints:
- {addresses: [192.0.2.1], hostname: db-0}
- {addresses: [192.0.2.2], hostname: db-1, conditions: {ready: false}}
- {addresses: [192.0.2.3]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-v6, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
ports: [{name: other, port: 5432}]
endpoints: [{addresses: ["2001:db8::1"], hostname: db-0}]
---
{apiVersion: v1, kind: Service, metadata: {name: alias}, spec:
  {type: ExternalName, externalName: web.default.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec:
  {clusterIP: 10.96.0.8, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: asker, namespace: shop}, spec:
 {dnsConfig: {options: [{name: ndots, value: "2"}]}},
 status: {podIP: 10.244.0.9}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(objects=MANIFESTS) as found:
        yield found


def _sources(found: Explanation) -> list[tuple[str, str, str]]:
    return [(one.record.data, one.source, one.field) for one in found.records]


def test_the_address_of_a_service_is_from_its_cluster_ips(cluster: Cluster) -> None:
    found = explain(cluster, "web", "AAAA")

    assert _sources(found) == [("fd00::7", "Service default/web", "spec.clusterIPs[1]")]
    assert [(one.title, one.resource_version, one.uid) for one in found.objects] == [
        ("Namespace default", "", ""),
        ("Service default/web", "17", "u1"),
    ]


def test_the_addresses_of_a_headless_service_are_from_its_slices(cluster: Cluster) -> None:
    found = explain(cluster, "db")

    assert sorted(_sources(found)) == [
        ("192.0.2.1", "EndpointSlice default/db-abc", "endpoints[0].addresses[0]"),
        ("192.0.2.3", "EndpointSlice default/db-abc", "endpoints[2].addresses[0]"),
    ]


def test_endpoints_are_left_out_for_a_reason(cluster: Cluster) -> None:
    left = {one.address: one.reason for one in explain(cluster, "db").left_out}

    assert left == {
        "192.0.2.2": "not ready",
        "2001:db8::1": "other family: IPv6, asked for IPv4",
    }


def test_an_endpoint_without_the_port_is_left_out(cluster: Cluster) -> None:
    found = explain(cluster, "_pg._tcp.db", "SRV")

    assert {one.address: one.reason for one in found.left_out} == {
        "192.0.2.2": "not ready",
        "2001:db8::1": "other port: has other/tcp",
    }
    assert [one.field for one in found.records] == [
        "endpoints[0].hostname, ports[0] (pg/tcp)",
        "endpoints[2].addresses[0], ports[0] (pg/tcp)",
    ]


@pytest.mark.parametrize(
    ("question", "kind", "parts"),
    [
        pytest.param("web A", "service", ("default", "web", "", "", ""), id="service"),
        pytest.param(
            "_http._tcp.web SRV", "port", ("default", "web", "http", "tcp", ""), id="port"
        ),
        pytest.param("db-0.db A", "endpoint", ("default", "db", "", "", "db-0"), id="endpoint"),
        pytest.param(
            "web.shop.cluster.local. A", "service", ("shop", "web", "", "", ""), id="short form"
        ),
        pytest.param("10-244-0-9.shop.pod A", "pod", ("shop", "", "", "", ""), id="pod"),
        pytest.param("7.0.96.10.in-addr.arpa PTR", "reverse", ("", "", "", "", ""), id="reverse"),
        pytest.param("cluster.local. SOA", "apex", ("", "", "", "", ""), id="the zone itself"),
    ],
)
def test_a_name_is_read(cluster: Cluster, question: str, kind: str, parts: tuple[str, ...]) -> None:
    found = explain(cluster, *question.split())

    assert found.reading is not None
    assert found.found
    reading = found.reading
    read = reading.namespace, reading.service, reading.port, reading.protocol, reading.endpoint
    assert (reading.kind, read) == (kind, parts)


@pytest.mark.parametrize(
    ("question", "record"),
    [
        pytest.param(
            "7.0.96.10.in-addr.arpa PTR",
            ("web.default.svc.cluster.local.", "Service default/web", "spec.clusterIPs[0]"),
            id="PTR of a cluster IP",
        ),
        pytest.param(
            "1.2.0.192.in-addr.arpa PTR",
            (
                "db-0.db.default.svc.cluster.local.",
                "EndpointSlice default/db-abc",
                "endpoints[0].addresses[0]",
            ),
            id="PTR of an endpoint",
        ),
        pytest.param(
            "_dns._udp.web SRV",
            (
                "0 100 53 web.default.svc.cluster.local.",
                "Service default/web",
                "spec.ports[1] (dns/udp)",
            ),
            id="SRV of a cluster IP",
        ),
        pytest.param(
            "alias CNAME",
            ("web.default.svc.cluster.local.", "Service default/alias", "spec.externalName"),
            id="ExternalName",
        ),
        pytest.param(
            "db-0.db AAAA",
            ("2001:db8::1", "EndpointSlice default/db-v6", "endpoints[0].addresses[0]"),
            id="one endpoint",
        ),
    ],
)
def test_a_record_is_from_a_field(
    cluster: Cluster, question: str, record: tuple[str, str, str]
) -> None:
    assert _sources(explain(cluster, *question.split())) == [record]


def test_an_alias_is_explained_to_its_end(cluster: Cluster) -> None:
    found = explain(cluster, "alias")

    assert [one.field for one in found.records] == ["spec.externalName", "spec.clusterIPs[0]"]
    assert {"Service default/alias", "Service default/web"} <= {one.title for one in found.objects}
    depths = [part.depth for part in found.tried[0].parts if part.plugin == "kubernetes"]
    assert depths == [0, 1]


def test_the_walk_is_told_name_by_name(cluster: Cluster) -> None:
    found = explain(cluster, "web.shop")

    assert [(one.name, one.became) for one in found.tried] == [
        ("web.shop.default.svc.cluster.local.", "NXDOMAIN"),
        ("web.shop.svc.cluster.local.", "NOERROR"),
    ]
    assert (found.queries, found.wasted) == (2, 1)


def test_a_pod_has_its_own_search(cluster: Cluster) -> None:
    found = explain(cluster, "web", place="shop/asker")

    assert found.ndots == 2
    assert [one.record.data for one in found.records] == ["10.96.0.8"]


@pytest.mark.parametrize(
    ("question", "near"),
    [
        pytest.param("weeb", "web.default.svc.cluster.local.", id="service"),
        pytest.param("db.shop", "db.default.svc.cluster.local.", id="other namespace"),
        pytest.param("web.shopp", "web.shop.svc.cluster.local.", id="namespace"),
        pytest.param("_htp._tcp.web", "_http._tcp.web.default.svc.cluster.local.", id="port"),
        pytest.param("db-2.db", "db-0.db.default.svc.cluster.local.", id="endpoint"),
    ],
)
def test_a_missing_name_comes_with_those_that_exist(
    cluster: Cluster, question: str, near: str
) -> None:
    found = explain(cluster, question)

    assert not found.found
    assert near in {one.name for one in found.nearest}
    assert explain(cluster, near, "ANY").rcode == "NOERROR"


def test_a_missing_name_is_read_where_it_got_furthest(cluster: Cluster) -> None:
    found = explain(cluster, "_nope._tcp.web")

    assert found.reading is not None
    assert found.reading.name == "_nope._tcp.web.default.svc.cluster.local."


def test_the_plugins_tell_their_parts(cluster: Cluster) -> None:
    (tried,) = explain(cluster, "db").tried

    assert [(part.plugin, part.does) for part in tried.parts] == [
        ("loadbalance", "alters"),
        ("kubernetes", "answers"),
    ]
    assert (tried.block, tried.chain) == (".", ("loadbalance", "kubernetes"))


def test_an_answer_that_does_not_fit_is_said_to_be_truncated() -> None:
    endpoints = ", ".join(f"{{addresses: [192.0.2.{number}]}}" for number in range(1, 101))
    many = f"""
{{apiVersion: v1, kind: Service, metadata: {{name: many}}, spec: {{clusterIP: None}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, ports: [],
 metadata: {{name: many-1, labels: {{kubernetes.io/service-name: many}}}},
 endpoints: [{endpoints}]}}
"""
    with Cluster(objects=many) as cluster:
        found = explain(cluster, "many")

    assert [(size.limit, size.truncated) for size in found.sizes] == [(512, True), (1232, True)]
    assert found.octets > 1600
    assert all(size.octets <= size.limit for size in found.sizes)


def test_what_coredns_would_answer_is_told_where_it_differs(cluster: Cluster) -> None:
    found = explain(cluster, "web.shop.cluster.local.")

    assert found.coredns is not None
    assert found.coredns.rcode == "NXDOMAIN"
    assert explain(cluster, "web").coredns is None


def test_nothing_is_compared_with_coredns_where_it_is_followed() -> None:
    settings = Settings(compat=True)
    with Cluster(objects=MANIFESTS, settings=settings) as cluster:
        assert explain(cluster, "web.shop.cluster.local.").coredns is None


def test_a_name_outside_the_cluster_has_no_reading(cluster: Cluster) -> None:
    found = explain(cluster, "example.org.")

    assert (found.rcode, found.reading) == ("REFUSED", None)


def test_a_name_that_is_too_long_was_not_asked(cluster: Cluster) -> None:
    found = explain(cluster, ".".join(["a" * 63] * 5) + ".")

    assert (found.rcode, found.queries) == ("", 0)
    assert "not asked" in text(found)


def test_an_unknown_type_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="'SVR', did you mean 'SRV'"):
        explain(cluster, "web", "SVR")


def test_an_explanation_survives_json(cluster: Cluster) -> None:
    found = explain(cluster, "alias")

    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


def test_colour_changes_nothing_but_the_colour(cluster: Cluster) -> None:
    for question in ("web", "weeb", "db", "example.org."):
        found = explain(cluster, question)
        painted = text(found, colour=True)
        assert "\x1b[" in painted
        assert re.sub(r"\x1b\[\d+m", "", painted) == text(found)
