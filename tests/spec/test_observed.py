"""What CoreDNS 1.14.7 was seen to answer beside kdns by ``tests/differential``, as facts.

The numbers are those of docs/coredns-differences.md. Each row has the answer with ``compat``,
which is CoreDNS's, and kdns's own.
"""

from typing import Any

import pytest

from kdns.kube.changes import Init, InitDone
from kdns.kube.objects import Endpoint, Kind, Namespace, Object, Pod, Port
from kdns.zone.settings import Settings
from tests.cluster import HTTP, Cluster, endpoints, external, headless, lines, rcode, service

Answer = tuple[str, set[str]]
"""Rcode and rdata of the answer section."""

V4, V6 = "in-addr.arpa.", "ip6.arpa."
ZONES = ("cluster.local", "in-addr.arpa", "ip6.arpa")
BELOW = "testns.svc.cluster.local."
POD = "testns.pod.cluster.local."
NX: Answer = ("NXDOMAIN", set())
NO_DATA: Answer = ("NOERROR", set())
HTTPS = Port("https", "tcp", 443)
FULL = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."

OBJECTS: tuple[Object, ...] = (
    Namespace("testns"),
    service("web", "10.0.0.1", ports=(HTTP, HTTPS)),
    headless("any-port", ports=(Port("any", "tcp", 0),)),
    endpoints("any-port", "172.0.0.1", ports=(Port("any", "tcp", 0),)),
    headless("spelled"),
    endpoints("spelled", "2001:DB8:0::A", "2001:db8::b"),
    external("alias", "ext.interwebs.test"),
    external("itself", f"itself.{BELOW}"),
    external("ping", f"pong.{BELOW}"),
    external("pong", f"ping.{BELOW}"),
    external("missing", f"nothing.{BELOW}"),
    service("web", "10.9.0.1", namespace="ghost"),
    Pod("testns", "web", ips=("10.240.0.9", "fd00::9")),
    Pod("testns", "six", ips=("fd00::5",)),
)
LINK = "ext.interwebs.test."
PING, PONG, ITSELF = f"ping.{BELOW}", f"pong.{BELOW}", f"itself.{BELOW}"

Row = tuple[dict[str, Any], str, Answer, Answer]
OBSERVED: dict[str, Row] = {
    "a port without a number has no SRV": ({}, f"any-port.{BELOW} SRV", NO_DATA, NO_DATA),
    "nor under its name": ({}, f"_any._tcp.any-port.{BELOW} SRV", NO_DATA, NO_DATA),
    "but its address": (
        {},
        f"_any._tcp.any-port.{BELOW} A",
        ("NOERROR", {"172.0.0.1"}),
        ("NOERROR", {"172.0.0.1"}),
    ),
    "Q3 HTTPS": ({}, "ns.dns.cluster.local. HTTPS", NO_DATA, NO_DATA),
    "Q3 PTR": ({}, "ns.dns.cluster.local. PTR", NX, NO_DATA),
    "Q4 an alias": ({}, f"alias.{BELOW} SOA", NO_DATA, ("NOERROR", {LINK})),
    "Q5 another type": ({}, "ns.dns.Cluster.local. MX", NX, NO_DATA),
    "Q12 itself": ({}, f"itself.{BELOW} A", NO_DATA, ("SERVFAIL", {ITSELF})),
    "Q12 in a circle": ({}, f"ping.{BELOW} A", NO_DATA, ("SERVFAIL", {PING, PONG})),
    "Q12 nothing inside": (
        {},
        f"missing.{BELOW} A",
        NO_DATA,
        ("NXDOMAIN", {f"nothing.{BELOW}"}),
    ),
    "Q12 nobody to ask": ({}, f"alias.{BELOW} A", ("NOERROR", {LINK}), ("NOERROR", {LINK})),
    "Q16 one label": ({}, f"x.10-0-0-9.{POD} A", ("NOERROR", {"10.0.0.9"}), NX),
    "Q16 two labels": ({}, f"y.x.10-0-0-9.{POD} A", ("NOERROR", {"10.0.0.9"}), NX),
    "Q16 three labels": ({}, f"z.y.x.10-0-0-9.{POD} A", NX, NX),
    "Q16 SRV": ({}, f"10-0-0-9.{POD} SRV", ("NOERROR", {f"0 100 0 10-0-0-9.{POD}"}), NO_DATA),
    "Q18 the first address": (
        {"pods": "verified"},
        f"10-240-0-9.{POD} A",
        ("NOERROR", {"10.240.0.9"}),
        ("NOERROR", {"10.240.0.9"}),
    ),
    "Q18 the second address": (
        {"pods": "verified"},
        f"fd00--9.{POD} AAAA",
        NX,
        ("NOERROR", {"fd00::9"}),
    ),
    "Q18 spelled out": (
        {"pods": "verified"},
        f"fd00-0-0-0-0-0-0-5.{POD} AAAA",
        NX,
        ("NOERROR", {"fd00::5"}),
    ),
    "Q20 any port": (
        {},
        f"_._tcp.web.{BELOW} SRV",
        ("NOERROR", {f"0 50 80 web.{BELOW}", f"0 50 443 web.{BELOW}"}),
        NX,
    ),
    "Q20 any protocol": (
        {},
        f"_http._.web.{BELOW} SRV",
        ("NOERROR", {f"0 100 80 web.{BELOW}"}),
        NX,
    ),
    "Q20 any at all, of an alias": ({}, f"_._.alias.{BELOW} CNAME", ("NOERROR", {LINK}), NX),
    "Q21 a namespace that does not exist": (
        {},
        f"1.0.9.10.{V4} PTR",
        ("NOERROR", {"web.ghost.svc.cluster.local."}),
        NX,
    ),
    "Q21 but where there are namespaces": (
        {"namespaces": ("testns",)},
        f"1.0.9.10.{V4} PTR",
        NX,
        NX,
    ),
    "Q22 in its short form": (
        {},
        f"b.0.0.0.{FULL} PTR",
        ("NOERROR", {f"2001-db8--b.spelled.{BELOW}"}),
        ("NOERROR", {f"2001-db8--b.spelled.{BELOW}"}),
    ),
    "Q22 in another form": (
        {},
        f"a.0.0.0.{FULL} PTR",
        NX,
        ("NOERROR", {f"2001-db8-0--a.spelled.{BELOW}"}),
    ),
    "Q22 capitals": (
        {},
        f"2001-db8-0--a.spelled.{BELOW} SRV",
        ("NOERROR", {f"0 100 80 2001-DB8-0--A.spelled.{BELOW}"}),
        ("NOERROR", {f"0 100 80 2001-db8-0--a.spelled.{BELOW}"}),
    ),
    "Q23 NS": ({}, "cluster.local. NS", NO_DATA, ("NOERROR", {"ns.dns.cluster.local."})),
    "Q23 ns.dns": ({}, "ns.dns.cluster.local. A", NO_DATA, ("NOERROR", {"127.0.0.1"})),
    "Q24 svc": ({}, f"svc.{V4} A", NO_DATA, NX),
    "Q24 TXT": ({}, f"pod.{V6} TXT", NX, NX),
    "Q24 dns-version": ({}, f"dns-version.{V4} TXT", ("NOERROR", {'"1.1.0"'}), NX),
    "Q28 one label": (
        {},
        f"x.b.0.0.0.{FULL} PTR",
        ("NOERROR", {f"2001-db8--b.spelled.{BELOW}"}),
        NX,
    ),
    "Q28 four labels": ({}, f"4.3.2.1.b.0.0.0.{FULL} PTR", NX, NX),
}


def _ask(options: dict[str, Any], question: str) -> Answer:
    settings = Settings(**{"zones": ZONES, "pods": "insecure", **options})
    answer = Cluster(OBJECTS, settings).ask(question, edns=4096)
    return rcode(answer), {str(item) for rrset in answer.answer for item in rrset}


@pytest.mark.parametrize(("options", "question", "theirs", "ours"), OBSERVED.values(), ids=OBSERVED)
def test_as_observed(options: dict[str, Any], question: str, theirs: Answer, ours: Answer) -> None:
    assert _ask({**options, "compat": True}, question) == theirs
    assert _ask(options, question) == ours


@pytest.mark.parametrize("compat", [False, True])
def test_q19_the_name_of_a_pod_may_have_dots(compat: bool) -> None:
    pod = Endpoint(("172.0.0.3",), pod="a.b")
    objects = (Namespace("testns"), headless("dotted"), endpoints("dotted", pod))
    cluster = Cluster(objects, Settings(endpoint_pod_names=True, compat=compat))
    answer = cluster.ask(f"dotted.{BELOW} SRV")

    name = "a.b" if compat else "172-0-0-3"
    assert lines(answer.answer) == {f"dotted.{BELOW} 5 SRV 0 100 80 {name}.dotted.{BELOW}"}


@pytest.mark.parametrize("compat", [False, True])
def test_q12_an_alias_into_another_zone_is_as_one_to_outside(compat: bool) -> None:
    objects = (Namespace("testns"), external("away", "nothing.testns.svc.other.test"))
    settings = Settings(zones=("cluster.local", "other.test"), compat=compat)
    answer = Cluster(objects, settings).ask(f"away.{BELOW} A")

    assert lines(answer.answer) == {f"away.{BELOW} 5 CNAME nothing.testns.svc.other.test."}
    assert rcode(answer) == ("NOERROR" if compat else "NXDOMAIN")


@pytest.mark.parametrize("question", [f"1.0.0.10.{V4} PTR", f"0.10.{V4} PTR"])
def test_without_endpoints_an_unknown_address_does_not_wait_for_them(question: str) -> None:
    listed: tuple[Kind, ...] = ("Namespace", "Service")
    cluster = Cluster((), Settings(zones=ZONES, noendpoints=True), synced=False)
    for kind in listed:
        cluster.change(Init(kind))
        cluster.change(InitDone(kind))

    assert rcode(cluster.ask(question)) == "NXDOMAIN"


@pytest.mark.parametrize("compat", [False, True])
def test_q10_a_name_that_is_not_known_yet_is_left_to_the_next_plugin(compat: bool) -> None:
    settings = Settings(fallthrough=(), compat=compat)
    cluster = Cluster((), settings, synced=False)
    answer = cluster.ask(f"nothing.{BELOW} A")

    assert rcode(answer) == ("REFUSED" if compat else "SERVFAIL")
    assert bool(cluster.asked) is compat


IMPORTS = (
    Namespace("testns"),
    service("alone", "10.97.0.3", ports=(), imported=True),
    service("web", "10.97.0.1", imported=True),
    endpoints("web", "172.19.0.1", imported=True, cluster="east"),
)
IMPORTED: dict[str, tuple[str, Answer, Answer]] = {
    "Q39": ("alone", NX, ("NOERROR", {"10.97.0.3"})),
    "Q40": ("172-19-0-1.east.web", ("NOERROR", {"172.19.0.1"}), NX),
    "another cluster": ("172-19-0-1.west.web", NX, NX),
}


@pytest.mark.parametrize(("name", "theirs", "ours"), IMPORTED.values(), ids=IMPORTED)
def test_imports_as_observed(name: str, theirs: Answer, ours: Answer) -> None:
    for compat, expected in ((True, theirs), (False, ours)):
        zone = "clusterset.local"
        settings = Settings(zones=("cluster.local", zone), multicluster=(zone,), compat=compat)
        answer = Cluster(IMPORTS, settings).ask(f"{name}.testns.svc.{zone}. A")

        found = {str(item) for rrset in answer.answer for item in rrset}
        assert (rcode(answer), found) == expected
