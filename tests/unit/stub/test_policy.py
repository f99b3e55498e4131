"""The resolv.conf of a Pod: dnsPolicy, dnsConfig, the host's network, the limits."""

import pytest

from kdns.kube.objects import PodDns
from kdns.stub.policy import asks_cluster, of_namespace, of_pod
from kdns.stub.resolvconf import ResolvConf

CLUSTER = ("10.96.0.10",)
LIST = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
NODE = ResolvConf(("node.test",), 1, ("192.0.2.53",), ("edns0",))

PODS = {
    "ClusterFirst": (PodDns(), ResolvConf((*LIST, "node.test"), 5, CLUSTER)),
    "ClusterFirst on the host's network": (PodDns(host_network=True), NODE),
    "ClusterFirstWithHostNet": (
        PodDns("ClusterFirstWithHostNet", host_network=True),
        ResolvConf((*LIST, "node.test"), 5, CLUSTER),
    ),
    "Default": (PodDns("Default"), NODE),
    "None": (
        PodDns("None", nameservers=("1.1.1.1",), searches=("a.test",)),
        ResolvConf(("a.test",), 1, ("1.1.1.1",)),
    ),
    "None with ndots": (
        PodDns("None", nameservers=("1.1.1.1",), options=(("ndots", "3"), ("rotate", ""))),
        ResolvConf(ndots=3, nameservers=("1.1.1.1",), options=("rotate",)),
    ),
    "dnsConfig comes after": (
        PodDns(nameservers=("1.1.1.1",), searches=("a.test",), options=(("ndots", "2"),)),
        ResolvConf((*LIST, "node.test", "a.test"), 2, (*CLUSTER, "1.1.1.1")),
    ),
    "dnsConfig repeats": (
        PodDns(nameservers=CLUSTER, searches=("cluster.local", "a.test")),
        ResolvConf((*LIST, "node.test", "a.test"), 5, CLUSTER),
    ),
    "dnsConfig over Default": (
        PodDns("Default", searches=("a.test",), options=(("ndots", "4"), ("edns0", ""))),
        ResolvConf(("node.test", "a.test"), 4, ("192.0.2.53",), ("edns0",)),
    ),
    "three nameservers at most": (
        PodDns("None", nameservers=("1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4")),
        ResolvConf(nameservers=("1.1.1.1", "1.1.1.2", "1.1.1.3")),
    ),
}


@pytest.mark.parametrize(("dns", "expected"), PODS.values(), ids=PODS)
def test_the_resolv_conf_of_a_pod(dns: PodDns, expected: ResolvConf) -> None:
    assert of_pod(dns, "shop", "cluster.local", CLUSTER, NODE) == expected


def test_without_a_node_default_says_nothing() -> None:
    assert of_pod(PodDns("Default"), "shop", "cluster.local", CLUSTER) == ResolvConf()


def test_the_resolv_conf_of_a_namespace() -> None:
    assert of_namespace("shop", "cluster.local") == ResolvConf(LIST, 5)


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        pytest.param(PodDns(), True, id="ClusterFirst"),
        pytest.param(PodDns(host_network=True), False, id="ClusterFirst on the host's network"),
        pytest.param(PodDns("ClusterFirstWithHostNet", host_network=True), True, id="WithHostNet"),
        pytest.param(PodDns("Default"), False, id="Default"),
        pytest.param(PodDns("None"), False, id="None"),
    ],
)
def test_who_asks_the_cluster(dns: PodDns, expected: bool) -> None:
    assert asks_cluster(dns) is expected


def test_a_list_has_at_most_32_domains() -> None:
    domains = tuple(f"d{number}.test" for number in range(40))

    conf = of_pod(PodDns(searches=domains), "shop", "cluster.local")

    assert conf.search == (*LIST, *domains[:29])


def test_a_list_has_at_most_2048_characters() -> None:
    domains = tuple(f"{'x' * 60}.{'y' * 60}.{number:03}" for number in range(20))

    conf = of_pod(PodDns("None", searches=domains), "shop", "cluster.local")

    assert conf.search == domains[:16]
    assert len(" ".join(conf.search)) <= 2048 < len(" ".join(domains[:17]))


def test_a_domain_that_is_too_long_is_left_out() -> None:
    domains = ("a.test", f"{'x' * 250}.test", "b.test")

    assert of_pod(PodDns("None", searches=domains), "a", "b").search == ("a.test", "b.test")
