"""The Kubernetes DNS specification 1.1.0; test ids are its section numbers."""

import pytest

from kdns.kube.objects import Endpoint, Namespace, Port
from kdns.zone.settings import Settings
from tests.cluster import Cluster, endpoints, external, headless, lines, rcode, service

SETTINGS = Settings(zones=("cluster.local", "in-addr.arpa", "ip6.arpa"), ttl=4)
HTTPS, QUIC = Port("https", "tcp", 443), Port("quic", "udp", 443)
OBJECTS = (
    Namespace("default"),
    service("kubernetes", "10.3.0.1", "2001:db8::1", namespace="default", ports=(HTTPS, QUIC)),
    service("unnamed", "10.3.0.2", namespace="default", ports=(Port("", "tcp", 80),)),
    headless("headless", namespace="default", ports=(HTTPS,)),
    endpoints(
        "headless",
        "my-pet@10.3.0.100",
        "my-pet@10.3.0.101",
        "10.3.0.102",
        Endpoint(("10.3.0.103",), ready=False),
        namespace="default",
        ports=(HTTPS, Port("", "tcp", 1)),
    ),
    endpoints(
        "headless",
        "my-pet@2001:db8::2",
        namespace="default",
        name="v6",
        address_type="IPv6",
        ports=(HTTPS,),
    ),
    headless("nobody", namespace="default"),
    endpoints("nobody", Endpoint(("10.3.0.110",), ready=False), namespace="default"),
    headless("portless", namespace="default", ports=()),
    endpoints("portless", "10.3.0.120", namespace="default", ports=()),
    external("foo", "www.example.com", namespace="default"),
)


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(OBJECTS, SETTINGS)


POSITIVE = {
    "2.2 dns-version": ("dns-version.cluster.local. TXT", {'28800 TXT "1.1.0"'}),
    "2.3.1 A": ("kubernetes.default.svc.cluster.local. A", {"4 A 10.3.0.1"}),
    "2.3.1 AAAA": ("kubernetes.default.svc.cluster.local. AAAA", {"4 AAAA 2001:db8::1"}),
    "2.1 any case": ("KUBERNETES.Default.sVC.cluster.LOCAL. A", {"4 A 10.3.0.1"}),
    "2.3.2 SRV tcp": (
        "_https._tcp.kubernetes.default.svc.cluster.local. SRV",
        {"4 SRV 0 100 443 kubernetes.default.svc.cluster.local."},
    ),
    "2.3.2 SRV udp": (
        "_quic._udp.kubernetes.default.svc.cluster.local. SRV",
        {"4 SRV 0 100 443 kubernetes.default.svc.cluster.local."},
    ),
    "2.3.3 PTR v4": (
        "1.0.3.10.in-addr.arpa. PTR",
        {"4 PTR kubernetes.default.svc.cluster.local."},
    ),
    "2.3.3 PTR v6": (
        f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa. PTR",
        {"4 PTR kubernetes.default.svc.cluster.local."},
    ),
    "2.4.1 A of the ready": (
        "headless.default.svc.cluster.local. A",
        {"4 A 10.3.0.100", "4 A 10.3.0.101", "4 A 10.3.0.102"},
    ),
    "2.4.1 AAAA": ("headless.default.svc.cluster.local. AAAA", {"4 AAAA 2001:db8::2"}),
    "2.4.1 A of a hostname": (
        "my-pet.headless.default.svc.cluster.local. A",
        {"4 A 10.3.0.100", "4 A 10.3.0.101"},
    ),
    "2.4.1 AAAA of a hostname": (
        "my-pet.headless.default.svc.cluster.local. AAAA",
        {"4 AAAA 2001:db8::2"},
    ),
    "2.4.1 A of an endpoint without hostname": (
        "10-3-0-102.headless.default.svc.cluster.local. A",
        {"4 A 10.3.0.102"},
    ),
    "2.4.2 SRV": (
        "_https._tcp.headless.default.svc.cluster.local. SRV",
        {
            "4 SRV 0 50 443 my-pet.headless.default.svc.cluster.local.",
            "4 SRV 0 50 443 10-3-0-102.headless.default.svc.cluster.local.",
        },
    ),
    "2.4.3 PTR v4": (
        "100.0.3.10.in-addr.arpa. PTR",
        {"4 PTR my-pet.headless.default.svc.cluster.local."},
    ),
    "2.4.3 PTR v6": (
        f"2.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa. PTR",
        {"4 PTR my-pet.headless.default.svc.cluster.local."},
    ),
    "2.4.1 no ports": ("portless.default.svc.cluster.local. A", {"4 A 10.3.0.120"}),
    "2.5 CNAME": ("foo.default.svc.cluster.local. CNAME", {"4 CNAME www.example.com."}),
}


@pytest.mark.parametrize(("question", "expected"), POSITIVE.values(), ids=POSITIVE)
def test_records(cluster: Cluster, question: str, expected: set[str]) -> None:
    answer = cluster.ask(question)

    assert rcode(answer) == "NOERROR"
    owner = question.rpartition(" ")[0]
    assert lines(answer.answer) == {f"{owner} {line}" for line in expected}
    assert not answer.authority


NEGATIVE = {
    "2.3.2 unnamed ports have no SRV": (
        "_._tcp.unnamed.default.svc.cluster.local. SRV",
        "NXDOMAIN",
    ),
    "2.3.2 unknown port": ("_http._tcp.kubernetes.default.svc.cluster.local. SRV", "NXDOMAIN"),
    "2.3.2 wrong protocol": ("_quic._tcp.kubernetes.default.svc.cluster.local. SRV", "NXDOMAIN"),
    "2.4.1 no ready endpoint A": ("nobody.default.svc.cluster.local. A", "NXDOMAIN"),
    "2.4.1 no ready endpoint AAAA": ("nobody.default.svc.cluster.local. AAAA", "NXDOMAIN"),
    "2.4.3 not ready has no PTR": ("103.0.3.10.in-addr.arpa. PTR", "NXDOMAIN"),
    "2.4.2 no port, no SRV": ("portless.default.svc.cluster.local. SRV", "NOERROR"),
    "2.5 nothing below an alias": ("x.foo.default.svc.cluster.local. A", "NXDOMAIN"),
    "missing service": ("x.default.svc.cluster.local. A", "NXDOMAIN"),
    "missing namespace": ("kubernetes.x.svc.cluster.local. A", "NXDOMAIN"),
    "no wildcards": ("*.default.svc.cluster.local. A", "NXDOMAIN"),
    "the zone": ("cluster.local. A", "NOERROR"),
    "svc": ("svc.cluster.local. A", "NOERROR"),
    "pod": ("pod.cluster.local. A", "NOERROR"),
    "namespace": ("default.svc.cluster.local. A", "NOERROR"),
    "above dns-version's sibling": ("dns.cluster.local. A", "NOERROR"),
    "above ports": ("_tcp.kubernetes.default.svc.cluster.local. SRV", "NOERROR"),
    "above ports of no such protocol": (
        "_sctp.kubernetes.default.svc.cluster.local. SRV",
        "NXDOMAIN",
    ),
    "above an IPv4 address": ("3.10.in-addr.arpa. PTR", "NOERROR"),
    "above no IPv4 address": ("4.10.in-addr.arpa. PTR", "NXDOMAIN"),
    "above an IPv6 address": ("8.b.d.0.1.0.0.2.ip6.arpa. PTR", "NOERROR"),
    "above no IPv6 address": ("9.b.d.0.1.0.0.2.ip6.arpa. PTR", "NXDOMAIN"),
}


@pytest.mark.parametrize(("question", "expected"), NEGATIVE.values(), ids=NEGATIVE)
def test_negative_answers_have_one_soa(cluster: Cluster, question: str, expected: str) -> None:
    answer = cluster.ask(question)

    assert rcode(answer) == expected
    assert not answer.answer
    [soa] = answer.authority
    zone = "cluster.local." if "cluster" in question else question.split(".")[-3] + ".arpa."
    assert soa.to_text() == (f"{zone} 4 IN SOA ns.dns.{zone} hostmaster.{zone} 0 7200 1800 86400 4")


def test_srv_brings_the_addresses_of_its_targets(cluster: Cluster) -> None:
    answer = cluster.ask("_https._tcp.headless.default.svc.cluster.local. SRV", edns=4096)

    assert lines(answer.additional) == {
        "my-pet.headless.default.svc.cluster.local. 4 A 10.3.0.100",
        "my-pet.headless.default.svc.cluster.local. 4 A 10.3.0.101",
        "my-pet.headless.default.svc.cluster.local. 4 AAAA 2001:db8::2",
        "10-3-0-102.headless.default.svc.cluster.local. 4 A 10.3.0.102",
    }


@pytest.mark.parametrize("rtype", ["A", "AAAA", "SRV", "TXT", "MX", "HTTPS", "NS"])
def test_an_alias_answers_every_type(cluster: Cluster, rtype: str) -> None:
    answer = cluster.ask(f"foo.default.svc.cluster.local. {rtype}")

    assert lines(answer.answer) == {"foo.default.svc.cluster.local. 4 CNAME www.example.com."}
    assert rcode(answer) == "NOERROR"


SHORT = {
    "service": ("kubernetes.default.cluster.local. A", {"4 A 10.3.0.1"}),
    "headless": ("portless.default.cluster.local. A", {"4 A 10.3.0.120"}),
    "endpoint": ("my-pet.headless.default.cluster.local. AAAA", {"4 AAAA 2001:db8::2"}),
    "alias": ("foo.default.cluster.local. CNAME", {"4 CNAME www.example.com."}),
    "port": (
        "_https._tcp.kubernetes.default.cluster.local. SRV",
        {"4 SRV 0 100 443 kubernetes.default.svc.cluster.local."},
    ),
}


@pytest.mark.parametrize(("question", "expected"), SHORT.values(), ids=SHORT)
def test_the_short_form_has_the_same_records(
    cluster: Cluster, question: str, expected: set[str]
) -> None:
    answer = cluster.ask(question)

    assert lines(answer.answer) == {f"{question.rpartition(' ')[0]} {line}" for line in expected}
