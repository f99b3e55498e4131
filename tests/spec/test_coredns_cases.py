"""Cases taken from CoreDNS's own tests, as facts; the numbers are only labels, and
Q1 to Q17 those of docs/coredns-differences.md; from Q18 on they are in ``test_observed.py``.

``compat`` marks the cases where kdns deviates unless told not to.
"""

import pytest

from kdns.kube.objects import Endpoint, Namespace, Object, Port
from kdns.zone.settings import Settings
from tests.cluster import F1, HTTP, Cluster, endpoints, headless, lines, rcode, service

TESTNS = Settings(namespaces=("testns",), compat=True)
ALL = Settings(compat=True)
Case = tuple[Settings, str, str, set[str], set[str]]
NO = set[str]()

SVC = "svc1.testns.svc.cluster.local."
HDLS = "hdls1.testns.svc.cluster.local."


def _srv5(weight: int) -> set[str]:
    targets = ("172-0-0-2", "172-0-0-3", "5678-abcd--1", "5678-abcd--2", "dup-name")
    return {f"_http._tcp.{HDLS} 5 SRV 0 {weight} 80 {target}.{HDLS}" for target in targets}


EXTRA5 = {
    f"172-0-0-2.{HDLS} 5 A 172.0.0.2",
    f"172-0-0-3.{HDLS} 5 A 172.0.0.3",
    f"5678-abcd--1.{HDLS} 5 AAAA 5678:abcd::1",
    f"5678-abcd--2.{HDLS} 5 AAAA 5678:abcd::2",
    f"dup-name.{HDLS} 5 A 172.0.0.4",
    f"dup-name.{HDLS} 5 A 172.0.0.5",
}
DUAL = "svc-dual-stack.testns.svc.cluster.local."
DUAL_EXTRA = {f"{DUAL} 5 A 10.0.0.3", f"{DUAL} 5 AAAA 10::3"}
EMPTY = "svcempty.testns.svc.cluster.local."
SVC6 = "svc6.testns.svc.cluster.local."

POSITIVE: dict[str, Case] = {
    "1": (TESTNS, f"{SVC} A", "NOERROR", {f"{SVC} 5 A 10.0.0.1"}, NO),
    "2": (TESTNS, f"{EMPTY} A", "NOERROR", {f"{EMPTY} 5 A 10.0.0.1"}, NO),
    "4": (
        TESTNS,
        f"{EMPTY} SRV",
        "NOERROR",
        {f"{EMPTY} 5 SRV 0 100 80 {EMPTY}"},
        {f"{EMPTY} 5 A 10.0.0.1"},
    ),
    "5": (
        TESTNS,
        f"{SVC6} SRV",
        "NOERROR",
        {f"{SVC6} 5 SRV 0 100 80 {SVC6}"},
        {f"{SVC6} 5 AAAA 1234:abcd::1"},
    ),
    "7": (
        TESTNS,
        f"_http._tcp.{EMPTY} SRV",
        "NOERROR",
        {f"_http._tcp.{EMPTY} 5 SRV 0 100 80 {EMPTY}"},
        {f"{EMPTY} 5 A 10.0.0.1"},
    ),
    "8": (TESTNS, f"{HDLS} A", "NOERROR", {f"{HDLS} 5 A 172.0.0.{n}" for n in (2, 3, 4, 5)}, NO),
    "10": (
        TESTNS,
        "hdlsprtls.testns.svc.cluster.local. A",
        "NOERROR",
        {"hdlsprtls.testns.svc.cluster.local. 5 A 172.0.0.20"},
        NO,
    ),
    "20": (TESTNS, f"{SVC6} AAAA", "NOERROR", {f"{SVC6} 5 AAAA 1234:abcd::1"}, NO),
    "29": (TESTNS, f"{DUAL} A", "NOERROR", {f"{DUAL} 5 A 10.0.0.3"}, NO),
    "31 Q8": (TESTNS, f"{DUAL} SRV", "NOERROR", {f"{DUAL} 5 SRV 0 50 80 {DUAL}"}, DUAL_EXTRA),
    "35 Q8": (TESTNS, f"_http._tcp.{HDLS} SRV", "NOERROR", _srv5(16), EXTRA5),
    "37": (
        TESTNS,
        f"5678-abcd--1.{HDLS} AAAA",
        "NOERROR",
        {f"5678-abcd--1.{HDLS} 5 AAAA 5678:abcd::1"},
        NO,
    ),
    "38": (
        TESTNS,
        "172-0-0-20.hdlsprtls.testns.svc.cluster.local. A",
        "NOERROR",
        {"172-0-0-20.hdlsprtls.testns.svc.cluster.local. 5 A 172.0.0.20"},
        NO,
    ),
    "41": (
        TESTNS,
        f"dup-name.{HDLS} A",
        "NOERROR",
        {f"dup-name.{HDLS} 5 A 172.0.0.4", f"dup-name.{HDLS} 5 A 172.0.0.5"},
        NO,
    ),
    "44": (
        TESTNS,
        "external-to-service.testns.svc.cluster.local. A",
        "NOERROR",
        {f"external-to-service.testns.svc.cluster.local. 5 CNAME {SVC}", f"{SVC} 5 A 10.0.0.1"},
        NO,
    ),
    "49": (
        ALL,
        "_HtTp._TcP.sVc1.TeStNs.SvC.cLuStEr.LoCaL. SRV",
        "NOERROR",
        {"_HtTp._TcP.sVc1.TeStNs.SvC.cLuStEr.LoCaL. 5 SRV 0 100 80 svc1.testns.svc.cLuStEr.LoCaL."},
        {"svc1.testns.svc.cLuStEr.LoCaL. 5 A 10.0.0.1"},
    ),
    "50": (
        ALL,
        "Cluster.local. SOA",
        "NOERROR",
        {
            (
                "Cluster.local. 5 SOA ns.dns.Cluster.local. hostmaster.Cluster.local."
                " 0 7200 1800 86400 5"
            )
        },
        NO,
    ),
    "52": (
        Settings(ignore_empty_service=True, compat=True),
        "external.testns.svc.cluster.local. CNAME",
        "NOERROR",
        {"external.testns.svc.cluster.local. 5 CNAME ext.interwebs.test."},
        NO,
    ),
    "55": (
        Settings(pods="insecure"),
        "10-240-0-1.podns.pod.cluster.local. A",
        "NOERROR",
        {"10-240-0-1.podns.pod.cluster.local. 5 A 10.240.0.1"},
        NO,
    ),
    "56": (
        Settings(pods="insecure"),
        "172-0-0-2.podns.pod.cluster.local. A",
        "NOERROR",
        {"172-0-0-2.podns.pod.cluster.local. 5 A 172.0.0.2"},
        NO,
    ),
    "verified": (
        Settings(pods="verified"),
        "10-240-0-1.podns.pod.cluster.local. A",
        "NOERROR",
        {"10-240-0-1.podns.pod.cluster.local. 5 A 10.240.0.1"},
        NO,
    ),
    "65": (
        ALL,
        "cluster.local. NS",
        "NOERROR",
        {"cluster.local. 5 NS ns.dns.cluster.local."},
        {"ns.dns.cluster.local. 5 A 10.244.0.20"},
    ),
    "Q7": (ALL, f"http.tcp.{SVC} A", "NOERROR", {f"http.tcp.{SVC} 5 A 10.0.0.1"}, NO),
}


@pytest.mark.parametrize("case", POSITIVE.values(), ids=POSITIVE)
def test_positive(case: Case) -> None:
    settings, question, expected, answers, additional = case
    cluster = Cluster(F1, settings, nameservers=("10.244.0.20",))
    answer = cluster.ask(question, edns=4096)

    assert rcode(answer) == expected
    assert lines(answer.answer) == answers
    assert lines(answer.additional) == additional
    assert not answer.authority
    assert answer.flags & 0x0400


VERIFIED = Settings(pods="verified")
INSECURE = Settings(pods="insecure")
NEGATIVE: dict[str, tuple[Settings, str, str]] = {
    "11": (TESTNS, f"{SVC} AAAA", "NOERROR"),
    "13": (TESTNS, "svc0.testns.svc.cluster.local. A", "NXDOMAIN"),
    "14": (TESTNS, "svc0.svc-nons.svc.cluster.local. A", "NXDOMAIN"),
    "16": (TESTNS, f"{SVC} TXT", "NOERROR"),
    "17": (TESTNS, "svc0.svc-nons.svc.cluster.local. TXT", "NXDOMAIN"),
    "19": (TESTNS, "bogusendpoint.svc0.testns.svc.cluster.local. A", "NXDOMAIN"),
    "22": (TESTNS, "svc.cluster.local. A", "NOERROR"),
    "23": (TESTNS, "pod.cluster.local. A", "NOERROR"),
    "25": (TESTNS, "svc.cluster.local. NS", "NOERROR"),
    "26": (TESTNS, "testns.svc.cluster.local. NS", "NOERROR"),
    "28": (TESTNS, "foo.svc.cluster.local. NS", "NXDOMAIN"),
    "32": (TESTNS, f"{SVC} SOA", "NOERROR"),
    "34": (TESTNS, "subdomain.subdomain.external.testns.svc.cluster.local. CNAME", "NXDOMAIN"),
    "53": (Settings(), "10-240-0-1.podns.pod.cluster.local. A", "NXDOMAIN"),
    "58": (INSECURE, "blah.pod-nons.pod.cluster.local. A", "NXDOMAIN"),
    "59": (INSECURE, "podns.pod.cluster.local. A", "NOERROR"),
    "61 pod": (VERIFIED, "podns.pod.cluster.local. A", "NOERROR"),
    "61 svc": (VERIFIED, "svcns.svc.cluster.local. A", "NOERROR"),
    "62": (VERIFIED, "pod-nons.pod.cluster.local. A", "NXDOMAIN"),
    "verified, nobody's": (VERIFIED, "10-240-0-9.podns.pod.cluster.local. A", "NXDOMAIN"),
    "74": (ALL, "example.org.cluster.local. PTR", "NXDOMAIN"),
    "77": (ALL, "100.0.0.10.cluster.local. PTR", "NXDOMAIN"),
    "Q1": (ALL, "svc.cluster.local. TXT", "NXDOMAIN"),
    "Q1 right": (Settings(), "svc.cluster.local. TXT", "NOERROR"),
    "Q1 apex": (ALL, "cluster.local. TXT", "NXDOMAIN"),
    "Q2": (ALL, "dns-version.cluster.local. A", "NXDOMAIN"),
    "Q2 right": (Settings(), "dns-version.cluster.local. A", "NOERROR"),
    "Q3": (ALL, "ns.dns.cluster.local. TXT", "NXDOMAIN"),
    "Q3 right": (Settings(), "ns.dns.cluster.local. TXT", "NOERROR"),
    "Q3 above": (ALL, "dns.cluster.local. A", "NXDOMAIN"),
    "Q4": (ALL, "svc0.testns.svc.cluster.local. SOA", "NOERROR"),
    "Q4 right": (Settings(), "svc0.testns.svc.cluster.local. SOA", "NXDOMAIN"),
    "Q5": (ALL, "Cluster.local. NS", "NOERROR"),
    "Q5 ns.dns": (ALL, "ns.dns.Cluster.Local. A", "NXDOMAIN"),
    "Q11": (ALL, "external.testns.svc.cluster.local. HTTPS", "NOERROR"),
    "Q16": (Settings(pods="insecure"), "x.10-240-0-1.podns.pod.cluster.local. A", "NXDOMAIN"),
    "compat has no short names": (ALL, "svc1.testns.cluster.local. A", "NXDOMAIN"),
    "short_names off": (Settings(short_names=False), "svc1.testns.cluster.local. A", "NXDOMAIN"),
    "noendpoints": (Settings(noendpoints=True), f"{HDLS} A", "NXDOMAIN"),
    "ignore empty_service": (Settings(ignore_empty_service=True), f"{EMPTY} A", "NXDOMAIN"),
}


@pytest.mark.parametrize("case", NEGATIVE.values(), ids=NEGATIVE)
def test_negative(case: tuple[Settings, str, str]) -> None:
    settings, question, expected = case
    answer = Cluster(F1, settings).ask(question)

    assert rcode(answer) == expected
    assert not answer.answer
    assert [rrset.rdtype for rrset in answer.authority] == [6]


def test_46_not_synced_is_servfail_with_soa() -> None:
    cluster = Cluster(F1, synced=False)

    unknown = cluster.ask("svc0.testns.svc.cluster.local. A")
    known = cluster.ask(f"{SVC} A")

    assert rcode(unknown) == "SERVFAIL"
    assert len(unknown.authority) == 1
    assert rcode(known) == "NOERROR"


def test_47_soa_has_the_case_of_the_question() -> None:
    answer = Cluster(F1).ask("not-a-service.testns.svc.ClUsTeR.lOcAl. A")

    [soa] = lines(answer.authority)
    assert soa.startswith("ClUsTeR.lOcAl. 5 SOA ns.dns.ClUsTeR.lOcAl. hostmaster.ClUsTeR.lOcAl.")


def test_q8_weights_are_shared_by_the_records_returned() -> None:
    answer = Cluster(F1).ask(f"_http._tcp.{HDLS} SRV", edns=4096)

    assert lines(answer.answer) == _srv5(20)


def test_q5_any_case_of_the_zone_has_its_servers() -> None:
    answer = Cluster(F1).ask("CLUSTER.Local. NS")

    assert lines(answer.answer) == {"CLUSTER.Local. 5 NS ns.dns.CLUSTER.Local."}


OWN = (
    Namespace("kube-system"),
    service("dns-service", "10.0.0.111", namespace="kube-system"),
    endpoints("dns-service", "10.244.0.20", namespace="kube-system"),
    headless("hdls-dns-service", namespace="kube-system"),
    endpoints("hdls-dns-service", "10.244.0.20", namespace="kube-system"),
    service("dns6-service", "10::111", namespace="kube-system"),
    endpoints("dns6-service", "10.244.0.20", namespace="kube-system"),
)


def test_67_servers_are_the_services_that_lead_here() -> None:
    cluster = Cluster(OWN, Settings(zones=("inter.webs.test",)), nameservers=("10.244.0.20",))
    answer = cluster.ask("inter.webs.test. NS")

    below = "kube-system.svc.inter.webs.test."
    assert lines(answer.additional) == {
        f"dns-service.{below} 5 A 10.0.0.111",
        f"10-244-0-20.hdls-dns-service.{below} 5 A 10.244.0.20",
        f"dns6-service.{below} 5 AAAA 10::111",
    }
    assert len(lines(answer.answer)) == 3


REVERSE_ZONES = Settings(
    zones=("cluster.local", "10.0.0.0/16", "192.168.0.0/16", "1234:abcd::/32", "fd00:77:30::/48")
)
REVERSE: tuple[Object, ...] = (
    Namespace("testns"),
    service("svc1", "192.168.1.100"),
    service("svc2", "192.168.1.101"),
    endpoints("svc1", "ep1a@10.0.0.100", "double-ep@10.0.0.99"),
    endpoints("svc1", "ep1a@10.0.0.100", name="again"),
    endpoints("svc2", "double-ep@10.0.0.99"),
    endpoints("svc1", "ep1b@1234:abcd::1", "ip6svc1ex@fd00:77:30::a", name="six"),
)


def _nibbles(address: str) -> str:
    import ipaddress  # noqa: PLC0415 - only here

    return ipaddress.ip_address(address).reverse_pointer + "."


PTR = {
    "68": ("100.0.0.10.in-addr.arpa.", {"ep1a.svc1"}),
    "two services": ("99.0.0.10.in-addr.arpa.", {"double-ep.svc1", "double-ep.svc2"}),
    "70": (_nibbles("1234:abcd::1"), {"ep1b.svc1"}),
    "71": (_nibbles("fd00:77:30::a"), {"ip6svc1ex.svc1"}),
    "ClusterIP": ("100.1.168.192.in-addr.arpa.", {"svc1"}),
}


@pytest.mark.parametrize(("name", "targets"), PTR.values(), ids=PTR)
def test_reverse(name: str, targets: set[str]) -> None:
    answer = Cluster(REVERSE, REVERSE_ZONES).ask(f"{name} PTR")

    expected = {f"{name} 5 PTR {target}.testns.svc.cluster.local." for target in targets}
    assert lines(answer.answer) == expected


REVERSE_NEGATIVE = {
    "73": ("101.0.0.10.in-addr.arpa. PTR", "NXDOMAIN", False),
    "76": ("svc1.testns.svc.0.10.in-addr.arpa. A", "NXDOMAIN", False),
    "Q6": ("100.0.0.10.in-addr.arpa. A", "NXDOMAIN", True),
    "Q6 right": ("100.0.0.10.in-addr.arpa. A", "NOERROR", False),
}


@pytest.mark.parametrize(
    ("question", "expected", "compat"), REVERSE_NEGATIVE.values(), ids=REVERSE_NEGATIVE
)
def test_reverse_negative(question: str, expected: str, compat: bool) -> None:
    settings = Settings(zones=REVERSE_ZONES.zones, compat=compat)
    answer = Cluster(REVERSE, settings).ask(question)

    assert rcode(answer) == expected
    [soa] = lines(answer.authority)
    assert soa.startswith("0.10.in-addr.arpa. 5 SOA ns.dns.0.10.in-addr.arpa.")


def test_104_services_of_a_hidden_namespace_have_no_ptr() -> None:
    settings = Settings(zones=REVERSE_ZONES.zones, namespaces=("other",))
    answer = Cluster(REVERSE, settings).ask("100.1.168.192.in-addr.arpa. PTR")

    assert rcode(answer) == "NXDOMAIN"


SHARED_IP = (Namespace("testns"), service("b", "192.168.1.1"), service("a", "192.168.1.1"))


@pytest.mark.parametrize(("compat", "count"), [(True, 1), (False, 2)])
def test_q9_services_that_share_an_ip(compat: bool, count: int) -> None:
    settings = Settings(zones=REVERSE_ZONES.zones, compat=compat)
    answer = Cluster(SHARED_IP, settings).ask("1.1.168.192.in-addr.arpa. PTR")

    assert len(lines(answer.answer)) == count


ZONAL = (
    Namespace("testns"),
    headless("hdls"),
    endpoints(
        "hdls",
        Endpoint(("172.0.0.1",), zone="us-west-2a"),
        Endpoint(("172.0.0.2",), zone="us-west-2b"),
        Endpoint(("172.0.0.3",), zone="us-west-2b"),
        Endpoint(("172.0.0.4",), zone="a.b"),
    ),
    service("clstr", "10.0.0.9"),
)
ZONAL_A = {
    "79": ("us-west-2a.pin._zone.hdls", "NOERROR", {1}),
    "80": ("us-west-2b.pin._zone.hdls", "NOERROR", {2, 3}),
    "82": ("us-west-2a.prefer._zone.hdls", "NOERROR", {1}),
    "83": ("us-west-2c.prefer._zone.hdls", "NOERROR", {1, 2, 3, 4}),
    "dots": ("a.b.pin._zone.hdls", "NOERROR", {4}),
    "pinned to nothing": ("us-west-2c.pin._zone.hdls", "NOERROR", set()),
    "empty non-terminals": ("pin._zone.hdls", "NOERROR", set()),
    "above directives": ("_zone.hdls", "NOERROR", set()),
    "no such directive": ("us-west-2a.nail._zone.hdls", "NXDOMAIN", set()),
    "ClusterIP": ("us-west-2a.pin._zone.clstr", "NXDOMAIN", set()),
}


@pytest.mark.parametrize(("name", "expected", "hosts"), ZONAL_A.values(), ids=ZONAL_A)
def test_zonal(name: str, expected: str, hosts: set[int]) -> None:
    owner = f"{name}.testns.svc.cluster.local."
    answer = Cluster(ZONAL, Settings(zonal=True)).ask(f"{owner} A")

    assert rcode(answer) == expected
    assert lines(answer.answer) == {f"{owner} 5 A 172.0.0.{n}" for n in hosts}


def test_86_zonal_srv() -> None:
    answer = Cluster(ZONAL, Settings(zonal=True)).ask(
        "us-west-2b.pin._zone.hdls.testns.svc.cluster.local. SRV"
    )

    assert {line.split(" SRV ")[1] for line in lines(answer.answer)} == {
        f"0 50 80 172-0-0-{n}.hdls.testns.svc.cluster.local." for n in (2, 3)
    }


MULTICLUSTER = Settings(
    zones=("cluster.local", "clusterset.local"), multicluster=("clusterset.local",)
)
IMPORTS = (
    Namespace("testns"),
    headless("hdls1", imported=True),
    endpoints("hdls1", "172.0.0.2", "dup@172.0.0.4", imported=True, cluster="cluster1"),
    service("svc1", "10.0.0.1", imported=True),
    service("svc1", "10.9.9.9"),
)
BELOW = "hdls1.testns.svc.clusterset.local."
IMPORTED = {
    "M3": ("svc1.testns.svc.clusterset.local. A", {"10.0.0.1"}),
    "M2": ("dns-version.clusterset.local. TXT", {'"1.0.0"'}),
    "M7": (f"{BELOW} A", {"172.0.0.2", "172.0.0.4"}),
    "88": (
        f"_http._tcp.{BELOW} SRV",
        {f"0 50 80 172-0-0-2.cluster1.{BELOW}", f"0 50 80 dup.cluster1.{BELOW}"},
    ),
    "89": (f"172-0-0-2.cluster1.{BELOW} A", {"172.0.0.2"}),
    "91": (f"172-0-0-2.{BELOW} A", set[str]()),
    "the cluster's own": ("svc1.testns.svc.cluster.local. A", {"10.9.9.9"}),
}


@pytest.mark.parametrize(("question", "rdata"), IMPORTED.values(), ids=IMPORTED)
def test_multicluster(question: str, rdata: set[str]) -> None:
    answer = Cluster(IMPORTS, MULTICLUSTER).ask(question)

    assert {str(item) for rrset in answer.answer for item in rrset} == rdata
    assert rcode(answer) == ("NOERROR" if rdata else "NXDOMAIN")


E2E = (
    Namespace("test-1"),
    Namespace("test-3"),
    service(
        "svc-1-a",
        "10.96.0.100",
        namespace="test-1",
        ports=(HTTP, Port("https", "tcp", 443)),
    ),
    endpoints("svc-1-a", "svc-1-a@172.17.0.253", namespace="test-1"),
    headless("headless-1", namespace="test-3"),
    endpoints("headless-1", Endpoint(("172.17.0.9",), pod="test-name"), namespace="test-3"),
    headless("headless-2", namespace="test-3"),
    endpoints("headless-2", Endpoint(("172.17.0.8",), pod="x" * 64), namespace="test-3"),
)
CLUSTER = Settings(zones=("cluster.local", "10.0.0.0/8", "172.0.0.0/8"), compat=True)
PODS = Settings(endpoint_pod_names=True)
E2E_CASES = {
    "101": (CLUSTER, "svc-1-a.test-1.svc.cluster.local. SRV", {"0 50 443", "0 50 80"}),
    "103": (
        CLUSTER,
        "253.0.17.172.in-addr.arpa. PTR",
        {"svc-1-a.svc-1-a.test-1.svc.cluster.local."},
    ),
    "106": (PODS, "headless-1.test-3.svc.cluster.local. SRV", {"test-name"}),
    "107": (PODS, "headless-2.test-3.svc.cluster.local. SRV", {"172-17-0-8"}),
    "the address is no name then": (PODS, "172-17-0-9.headless-1.test-3.svc.cluster.local. A", NO),
}


@pytest.mark.parametrize(("settings", "question", "rdata"), E2E_CASES.values(), ids=E2E_CASES)
def test_end_to_end_cases(settings: Settings, question: str, rdata: set[str]) -> None:
    answer = Cluster(E2E, settings).ask(question)

    found = {str(item) for rrset in answer.answer for item in rrset}
    assert len(found) == len(rdata)
    assert all(any(part in text for text in found) for part in rdata)
