"""Names as a pod resolves them: the answer, and the names tried on the way."""

import asyncio
import re
from collections.abc import Iterator

import pytest

import kdns
from kdns.errors import KdnsError, UsageError
from tests.unit.resolver.objects import SHOP, pod, service


@pytest.fixture(scope="module")
def cluster() -> Iterator[kdns.Cluster]:
    with kdns.Cluster(objects=SHOP) as cluster:
        yield cluster


# What is asked in the namespace shop, the name that matched, and the answer.
FOUND = {
    "web A": ("web.shop.svc.cluster.local.", "A 10.0.0.1"),
    "web.shop A": ("web.shop.svc.cluster.local.", "A 10.0.0.1"),
    "web.shop.svc A": ("web.shop.svc.cluster.local.", "A 10.0.0.1"),
    "web.shop.svc.cluster.local A": ("web.shop.svc.cluster.local.", "A 10.0.0.1"),
    "web.shop.svc.cluster.local. A": ("web.shop.svc.cluster.local.", "A 10.0.0.1"),
    "vault.bank A": ("vault.bank.svc.cluster.local.", "A 10.0.0.9"),
    "six AAAA": ("six.shop.svc.cluster.local.", "AAAA fd00::1"),
    "dual a": ("dual.shop.svc.cluster.local.", "A 10.0.0.2"),
    "db A": ("db.shop.svc.cluster.local.", "A 10.1.0.1", "A 10.1.0.2"),
    "_http._tcp.web SRV": (
        "_http._tcp.web.shop.svc.cluster.local.",
        "SRV 0 100 80 web.shop.svc.cluster.local.",
    ),
    "bank A": (
        "bank.shop.svc.cluster.local.",
        "CNAME vault.bank.svc.cluster.local.",
        "A 10.0.0.9",
    ),
    "mail A": ("mail.shop.svc.cluster.local.", "CNAME mail.example.org."),
    "1.0.0.10.in-addr.arpa. PTR": ("1.0.0.10.in-addr.arpa.", "PTR web.shop.svc.cluster.local."),
    "dns-version.cluster.local TXT": ("dns-version.cluster.local.", 'TXT "1.1.0"'),
    "cluster.local. TYPE2": ("cluster.local.", "NS ns.dns.cluster.local."),
}


@pytest.mark.parametrize(("asked", "expected"), FOUND.items(), ids=FOUND)
def test_what_is_there(cluster: kdns.Cluster, asked: str, expected: tuple[str, ...]) -> None:
    result = cluster.resolver("shop").resolve(*asked.split())

    found = (result.name, *(f"{one.rtype} {one.data}" for one in result.records))
    assert found == expected
    assert result.found
    assert result.rcode == "NOERROR"


def test_the_names_tried_come_with_rcode_and_reason(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("bank").resolve("web.shop")

    why = "service shop does not exist in namespace bank"
    assert [*map(str, result.tried)] == [
        f"web.shop.bank.svc.cluster.local. A: NXDOMAIN ({why})",
        "web.shop.svc.cluster.local. A: NOERROR",
    ]
    assert str(result).splitlines() == [
        *(f"; {one}" for one in result.tried),
        "web.shop.svc.cluster.local.\t30\tIN\tA\t10.0.0.1",
    ]


def test_nodata_goes_on_and_is_what_is_told(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("web", "AAAA")

    assert (result.rcode, result.records, result.found) == ("NOERROR", (), False)
    assert result.name == "web.shop.svc.cluster.local."
    assert result.reason == "service web has no IPv6 address"
    assert [one.rcode for one in result.tried] == ["NOERROR", "NXDOMAIN", "NXDOMAIN", "REFUSED"]


def test_a_missing_name_says_why(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("nope")

    assert result.rcode == "NXDOMAIN"
    assert result.reason.startswith("service nope does not exist in namespace shop; ")


def test_a_name_outside_that_nobody_was_asked_about_is_named(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("www.example.org")

    assert result.unasked == ("www.example.org.",)
    assert result.rcode == "NXDOMAIN"
    assert "www.example.org. is outside the cluster and was not asked for" in result.reason


def test_a_full_name_outside_is_refused(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("www.example.org.")

    assert result.rcode == "REFUSED"
    assert result.unasked == ("www.example.org.",)


def test_a_name_of_the_cluster_was_asked_for(cluster: kdns.Cluster) -> None:
    assert not cluster.resolver("shop").resolve("nope.shop.svc.cluster.local.").unasked


def test_a_name_that_is_too_long_is_tried_as_far_as_it_goes(cluster: kdns.Cluster) -> None:
    label = "x" * 63
    result = cluster.resolver("shop").resolve(f"{label}.{label}.{label}.{'x' * 55}")

    assert [one.rcode for one in result.tried] == ["", "REFUSED"]
    assert "name over 255 octets" in result.tried[0].reason
    assert str(result.tried[0]).endswith(f"A: not asked ({result.tried[0].reason})")


def test_what_is_no_name_at_all_was_not_asked(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("a..b.")

    assert (result.rcode, result.found) == ("", False)
    assert "label of 0 octets" in result.reason


def test_aliases_lead_to_the_canonical_name(cluster: kdns.Cluster) -> None:
    result = cluster.resolver("shop").resolve("bank")

    assert result.canonical == "vault.bank.svc.cluster.local."
    assert [*map(str, result.addresses)] == ["10.0.0.9"]


def test_a_list_of_ones_own_completes_names(cluster: kdns.Cluster) -> None:
    conf = kdns.ResolvConf.parse("search svc.cluster.local\noptions ndots:1\n")

    result = cluster.resolver(conf=conf).resolve("vault.bank")

    assert [one.name for one in result.tried] == ["vault.bank.", "vault.bank.svc.cluster.local."]
    assert result.found


def test_musl_does_not_complete_names_with_dots(cluster: kdns.Cluster) -> None:
    conf = kdns.ResolvConf.parse("search svc.cluster.local\noptions ndots:1\n")

    result = cluster.resolver(conf=conf, style="musl").resolve("vault.bank")

    assert [one.name for one in result.tried] == ["vault.bank."]


REFUSED = {
    "a type": (lambda c: c.resolver().resolve("web", "SVR"), "unknown type 'SVR', did you mean"),
    "no name": (lambda c: c.resolver().resolve(""), "expected a name"),
    "a place": (lambda c: c.resolver("shop/web/1"), "expected NAMESPACE or NAMESPACE/POD, got"),
    "no pod": (lambda c: c.resolver("shop/"), "expected NAMESPACE or NAMESPACE/POD, got 'shop/'"),
    "a domain": (lambda c: c.resolver("shop.svc"), "expected NAMESPACE or NAMESPACE/POD"),
    "no such pod": (lambda c: c.resolver("shop/web-0").resolve("web"), "pod shop/web-0 does not"),
}


@pytest.mark.parametrize(("act", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked(cluster: kdns.Cluster, act: object, why: str) -> None:
    assert callable(act)
    with pytest.raises(UsageError, match=why):
        act(cluster)


def test_a_cluster_that_is_not_open_is_not_asked() -> None:
    resolver = kdns.Cluster(objects=()).resolver()

    with pytest.raises(UsageError, match="not open"):
        resolver.resolve("web")


def test_a_cluster_that_was_closed_is_not_asked() -> None:
    with kdns.Cluster(objects=()) as cluster:
        resolver = cluster.resolver()
        resolver.resolve("web")

    with pytest.raises(UsageError, match="not open"):
        resolver.resolve("web")


def test_another_zone() -> None:
    with kdns.Cluster(objects=SHOP, zone="k8s.example") as cluster:
        assert cluster.zone == "k8s.example"
        assert cluster.resolver("shop").resolve("web").name == "web.shop.svc.k8s.example."


def test_settings_are_those_of_the_kubernetes_block() -> None:
    settings = kdns.Settings(zones=("k8s.example",), namespaces=("bank",), ttl=7)
    with kdns.Cluster(objects=SHOP, settings=settings) as cluster:
        found = cluster.resolver("bank").resolve("vault")
        hidden = cluster.resolver("bank").resolve("web.shop")

    assert found.records == (kdns.Record("vault.bank.svc.k8s.example.", 7, "A", "10.0.0.9"),)
    assert hidden.rcode == "NXDOMAIN"


def test_two_clusters_in_one_process_know_nothing_of_one_another() -> None:
    with (
        kdns.Cluster(objects=[service("web", "10.0.0.1")]) as one,
        kdns.Cluster(objects=[service("web", "10.0.0.2")]) as other,
    ):
        both = [cluster.resolver("shop").resolve("web") for cluster in (one, other)]

    assert [str(*result.addresses) for result in both] == ["10.0.0.1", "10.0.0.2"]


def test_asyncio_gives_the_same_result(cluster: kdns.Cluster) -> None:
    async def resolve() -> kdns.Result:
        async with kdns.AsyncCluster(objects=SHOP) as same:
            return await same.resolver("shop").resolve("bank")

    assert asyncio.run(resolve()) == cluster.resolver("shop").resolve("bank")


# -- from pods ----------------------------------------------------------------------------------

PODS = (
    pod("plain", "10.1.0.7"),
    pod("host", "192.0.2.7", hostNetwork=True),
    pod("own", "10.1.0.8", dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"]}),
    pod(
        "through",
        "10.1.0.9",
        dnsPolicy="None",
        dnsConfig={"nameservers": ["10.96.0.10"], "searches": ["bank.svc.cluster.local"]},
    ),
    pod("local", "10.1.0.10", dnsPolicy="None", dnsConfig={"nameservers": ["169.254.20.10"]}),
    pod("few", "10.1.0.11", dnsConfig={"options": [{"name": "ndots", "value": "1"}]}),
)


@pytest.fixture(scope="module")
def with_pods() -> Iterator[kdns.Cluster]:
    with kdns.Cluster(objects=(*SHOP, *PODS)) as cluster:
        yield cluster


def test_a_pod_resolves_as_its_namespace_does(with_pods: kdns.Cluster) -> None:
    resolver = with_pods.resolver("shop/plain")

    assert resolver.resolve("web").name == "web.shop.svc.cluster.local."
    assert str(resolver.conf()) == (
        "nameserver 10.96.0.10\n"
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "options ndots:5\n"
    )


def test_the_ndots_of_a_pod_count(with_pods: kdns.Cluster) -> None:
    tried = with_pods.resolver("shop/few").resolve("vault.bank").tried

    assert tried[0].name == "vault.bank."


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("own", "asks 1.1.1.1, not the cluster's DNS .dnsPolicy None.", id="None"),
        pytest.param(
            "host",
            "asks the resolver of its node, .* .dnsPolicy ClusterFirst with hostNetwork.",
            id="host network",
        ),
    ],
)
def test_a_pod_that_asks_others_knows_no_cluster_names(
    with_pods: kdns.Cluster, name: str, why: str
) -> None:
    result = with_pods.resolver(f"shop/{name}").resolve("web.shop.svc.cluster.local.")

    assert result.rcode == "REFUSED"
    assert re.search(why, result.reason)


@pytest.mark.parametrize("name", ["through", "local"])
def test_a_pod_may_name_the_clusters_dns_itself(with_pods: kdns.Cluster, name: str) -> None:
    assert with_pods.resolver(f"shop/{name}").resolve("vault.bank.svc.cluster.local.").found


def test_the_node_adds_its_search_list(with_pods: kdns.Cluster) -> None:
    node = kdns.ResolvConf(("node.test",), nameservers=("192.0.2.53",))

    assert with_pods.resolver("shop", node=node).conf().search[-1] == "node.test"
    assert with_pods.resolver("shop/host", node=node).conf() == node


def test_a_simulated_pod_has_the_dns_of_its_template() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"template": {"spec": {"dnsConfig": {"searches": ["a.test"]}}}},
    }
    with kdns.Cluster(objects=[deployment]) as cluster:
        assert cluster.resolver("shop/db-0").conf().search[-1] == "a.test"


# -- where a cluster is -------------------------------------------------------------------------

CONTRADICTIONS: dict[str, tuple[dict[str, object], type[Exception], str]] = {
    "nothing": ({}, UsageError, "expected one of manifests, objects, kubeconfig, in_cluster"),
    "two": (
        {"manifests": "a", "objects": ()},
        UsageError,
        "expected one of .*, got manifests and objects",
    ),
    "in_cluster is off": ({"in_cluster": False}, UsageError, "got none of them"),
    "a context": ({"objects": (), "context": "a"}, UsageError, "context goes with kubeconfig, not"),
    "a snapshot": ({"manifests": "a", "snapshot": "b"}, UsageError, "snapshot goes with"),
    "assign": ({"kubeconfig": "a", "assign": True}, UsageError, "assign goes with manifests or"),
    "zone and settings": (
        {"objects": (), "zone": "a", "settings": kdns.Settings()},
        UsageError,
        "zone and settings exclude",
    ),
    "an unknown word": ({"objectz": ()}, TypeError, "unexpected objectz"),
    "a zone that is none": ({"objects": (), "zone": "a..b"}, UsageError, "expected a domain name"),
    "an upstream": ({"objects": (), "upstream": "example.org"}, UsageError, "expected ADDR"),
    "no kubeconfig": ({"kubeconfig": "/nowhere"}, UsageError, "/nowhere"),
}


@pytest.mark.parametrize(("source", "kind", "why"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_source_that_contradicts_itself_is_refused(
    source: dict[str, object], kind: type[Exception], why: str
) -> None:
    with pytest.raises(kind, match=why):
        kdns.Cluster(**source)  # type: ignore[arg-type]


def test_manifests_that_cannot_be_used_are_an_error_at_the_start() -> None:
    with (
        pytest.raises(KdnsError, match="nowhere: cannot be read"),
        kdns.Cluster(manifests="nowhere"),
    ):
        pass


def test_a_cluster_is_entered_once() -> None:
    cluster = kdns.Cluster(objects=())
    with cluster:
        pass

    with pytest.raises(UsageError, match="entered once"), cluster:
        pass
