"""Aliases through the chain, short names, and what upstreams say about targets."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from kdns.chain import Answer, Handler, Relay, Request, Response
from kdns.kube.changes import Apply, Delete, Init, InitDone
from kdns.kube.objects import Endpoint, Kind, Namespace
from kdns.kube.store import KINDS
from kdns.wire import codes
from kdns.wire.message import Sections
from kdns.wire.query import write_query
from kdns.zone.settings import Settings
from tests.cluster import F1, Cluster, ede, endpoints, external, headless, lines, rcode, service

OWNER = "external.testns.svc.cluster.local."
LINK = f"{OWNER} 5 CNAME ext.interwebs.test."
SOA = "interwebs.test. 60 IN SOA ns.interwebs.test. root.interwebs.test. 1 2 3 4 5"


def _upstream(*answer: str, rcode: str = "NOERROR", flags: int = 0) -> Handler:
    """An upstream that says the same to everybody."""

    async def handle(request: Request) -> Response:
        query = dns.message.from_wire(write_query(request.query, 7))
        reply = dns.message.make_response(query)
        reply.flags |= flags
        reply.set_rcode(dns.rcode.from_text(rcode))
        reply.answer = [dns.rrset.from_text(*_fields(line)) for line in answer]
        if not answer:
            reply.authority = [dns.rrset.from_text(*_fields(SOA))]
        return Relay(reply.to_wire())

    return handle


def _fields(line: str) -> tuple[str, int, str, str, str]:
    owner, ttl, rdclass, rtype, rdata = line.split(None, 4)
    return owner, int(ttl), rdclass, rtype, rdata


def test_an_alias_is_followed_upstream() -> None:
    cluster = Cluster(F1, upstream=_upstream("ext.interwebs.test. 60 IN A 1.2.3.4"))
    answer = cluster.ask(f"{OWNER} A")

    assert [str(rrset) for rrset in answer.answer] == [
        f"{OWNER} 5 IN CNAME ext.interwebs.test.",
        "ext.interwebs.test. 60 IN A 1.2.3.4",
    ]
    assert answer.flags & dns.flags.AA
    assert rcode(answer) == "NOERROR"


def test_43_a_truncated_target_is_a_truncated_answer() -> None:
    upstream = _upstream("ext.interwebs.test. 60 IN A 1.2.3.4", flags=dns.flags.TC)
    answer = Cluster(F1, upstream=upstream).ask(f"{OWNER} A")

    assert answer.flags & dns.flags.TC
    assert lines(answer.answer) == {LINK, "ext.interwebs.test. 60 A 1.2.3.4"}


@pytest.mark.parametrize(("compat", "expected"), [(False, "NXDOMAIN"), (True, "NOERROR")])
def test_q12_rfc6604_rcode_is_the_targets(compat: bool, expected: str) -> None:
    cluster = Cluster(F1, Settings(compat=compat), upstream=_upstream(rcode="NXDOMAIN"))
    answer = cluster.ask(f"{OWNER} A")

    assert rcode(answer) == expected
    assert lines(answer.answer) == {LINK}


def test_a_negative_target_brings_its_soa() -> None:
    answer = Cluster(F1, upstream=_upstream(rcode="NXDOMAIN")).ask(f"{OWNER} A")

    assert [str(rrset) for rrset in answer.authority] == [SOA]


def test_q11_an_alias_is_followed_for_every_type() -> None:
    upstream = _upstream('ext.interwebs.test. 60 IN TXT "hello"')
    answer = Cluster(F1, upstream=upstream).ask(f"{OWNER} TXT")

    assert lines(answer.answer) == {LINK, 'ext.interwebs.test. 60 TXT "hello"'}


@pytest.mark.parametrize("compat", [False, True])
def test_an_upstream_that_fails(compat: bool) -> None:
    async def broken(_: Request) -> Response:
        return Answer(Sections(codes.SERVFAIL, authoritative=False, ede=(22, "nobody answered")))

    answer = Cluster(F1, Settings(compat=compat), upstream=broken).ask(f"{OWNER} A", edns=1232)

    assert rcode(answer) == ("NOERROR" if compat else "SERVFAIL")
    assert lines(answer.answer) == {LINK}
    assert ede(answer) == ("" if compat else "nobody answered")


def test_garbage_from_upstream_is_servfail() -> None:
    async def garbage(_: Request) -> Response:
        return Relay(b"\0\0\x80\0\0\1\0\5\0\0\0\0\xff")

    answer = Cluster(F1, upstream=garbage).ask(f"{OWNER} A")

    assert rcode(answer) == "SERVFAIL"


def test_a_plugin_that_breaks_is_servfail(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Request) -> Response:
        raise RuntimeError("on purpose")

    answer = Cluster(F1, upstream=broken).ask("example.com. A")

    assert rcode(answer) == "SERVFAIL"
    assert "on purpose" in caplog.text


INSIDE = (
    Namespace("a"),
    external("first", "second.a.svc.cluster.local", namespace="a"),
    external("second", "web.a.svc.cluster.local", namespace="a"),
    service("web", "10.0.0.5", namespace="a"),
    external("lost", "nobody.a.svc.cluster.local", namespace="a"),
    external("loop", "loop.a.svc.cluster.local", namespace="a"),
    external("literal", "192.0.2.9", namespace="a"),
    external("broken", "a..b", namespace="a"),
)


def test_aliases_of_aliases() -> None:
    answer = Cluster(INSIDE).ask("first.a.svc.cluster.local. A")

    assert [rrset.name.labels[0] for rrset in answer.answer] == [b"first", b"second", b"web"]


def test_an_alias_within_the_cluster_follows_its_target_at_once() -> None:
    cluster = Cluster(INSIDE)
    for _ in range(3):
        cluster.ask("first.a.svc.cluster.local. A")
    cluster.change(Apply(service("web", "10.0.0.6", namespace="a")))
    answer = cluster.ask("first.a.svc.cluster.local. A")

    assert "web.a.svc.cluster.local. 5 A 10.0.0.6" in lines(answer.answer)


@pytest.mark.parametrize(("compat", "expected"), [(False, "NXDOMAIN"), (True, "NOERROR")])
def test_a_target_that_is_missing_here(compat: bool, expected: str) -> None:
    answer = Cluster(INSIDE, Settings(compat=compat)).ask("lost.a.svc.cluster.local. A")

    assert rcode(answer) == expected
    assert len(answer.answer) == (0 if compat else 1)
    assert len(answer.authority) == 1


def test_a_loop_of_aliases_ends() -> None:
    answer = Cluster(INSIDE).ask("loop.a.svc.cluster.local. A", edns=4096)

    assert rcode(answer) == "SERVFAIL"
    assert ede(answer) == "more than 8 aliases in a row"


Q13 = {
    "A": ("A", False, "NOERROR", {"literal.a.svc.cluster.local. 5 A 192.0.2.9"}),
    "AAAA": ("AAAA", False, "NOERROR", set[str]()),
    "compat": ("A", True, "NXDOMAIN", set[str]()),
}


@pytest.mark.parametrize(("rtype", "compat", "expected", "shown"), Q13.values(), ids=Q13)
def test_q13_an_alias_of_an_address(
    rtype: str, compat: bool, expected: str, shown: set[str]
) -> None:
    answer = Cluster(INSIDE, Settings(compat=compat)).ask(f"literal.a.svc.cluster.local. {rtype}")

    assert rcode(answer) == expected
    assert lines(answer.answer) == shown


def test_an_alias_of_no_name_is_nodata_with_the_reason() -> None:
    answer = Cluster(INSIDE).ask("broken.a.svc.cluster.local. A", edns=1232)

    assert rcode(answer) == "NOERROR"
    assert ede(answer).startswith("externalName 'a..b': label of 0 octets")


SEARCH = Settings(
    search=("default.svc.cluster.local", "svc.cluster.local", "cluster.local"), pods="insecure"
)
NAMED = (
    Namespace("default"),
    Namespace("prod"),
    Namespace("com"),
    service("web", "10.0.0.1", namespace="default"),
    service("web", "10.0.0.2", namespace="prod"),
    headless("db", namespace="prod"),
    endpoints("db", "db-0@10.1.0.1", namespace="prod"),
    external("pay", "pay.example", namespace="default"),
)
SHORT = {
    "service": ("web. A", "web.default.svc.cluster.local.", "A 10.0.0.1"),
    "any case": ("WeB. A", "WeB.default.svc.cluster.local.", "A 10.0.0.1"),
    "namespace": ("web.prod. A", "web.prod.svc.cluster.local.", "A 10.0.0.2"),
    "svc": ("web.prod.svc. A", "web.prod.svc.cluster.local.", "A 10.0.0.2"),
    "endpoint": ("db-0.db.prod. A", "db-0.db.prod.svc.cluster.local.", "A 10.1.0.1"),
    "port": (
        "_http._tcp.web.prod. SRV",
        "_http._tcp.web.prod.svc.cluster.local.",
        "SRV 0 100 80 web.prod.svc.cluster.local.",
    ),
    "pod": ("10-1-2-3.prod.pod. A", "10-1-2-3.prod.pod.cluster.local.", "A 10.1.2.3"),
    "version": ("dns-version. TXT", "dns-version.cluster.local.", 'TXT "1.1.0"'),
}


@pytest.mark.parametrize(("question", "full", "record"), SHORT.values(), ids=SHORT)
def test_a_short_name_is_led_to_its_full_name(question: str, full: str, record: str) -> None:
    answer = Cluster(NAMED, SEARCH).ask(question)
    ttl = 28_800 if "TXT" in record else 5

    assert lines(answer.answer) == {
        f"{question.partition(' ')[0]} 5 CNAME {full}",
        f"{full} {ttl} {record}",
    }


def test_a_short_name_without_this_type_is_nodata_not_upstream() -> None:
    cluster = Cluster(NAMED, SEARCH)
    answer = cluster.ask("web. AAAA")

    assert rcode(answer) == "NOERROR"
    assert lines(answer.answer) == {"web. 5 CNAME web.default.svc.cluster.local."}
    assert len(answer.authority) == 1
    assert not cluster.asked


def test_a_short_name_of_an_alias_is_followed() -> None:
    upstream = _upstream("pay.example. 60 IN A 192.0.2.1")
    answer = Cluster(NAMED, SEARCH, upstream=upstream).ask("pay. A")

    assert [rrset.name.to_text() for rrset in answer.answer] == [
        "pay.",
        "pay.default.svc.cluster.local.",
        "pay.example.",
    ]


@pytest.mark.parametrize(
    "question", ["example.com. A", "com. NS", "prod. A", "svc. A", ". NS", "nobody. A"]
)
def test_other_names_go_upstream_untouched(question: str) -> None:
    cluster = Cluster(NAMED, SEARCH)
    cluster.ask(question)

    [request] = cluster.asked
    assert request.query.name == dns.name.from_text(question.partition(" ")[0]).to_wire()


def test_an_earlier_search_domain_wins_as_soon_as_it_has_the_name() -> None:
    cluster = Cluster(NAMED, Settings(search=("prod.svc.cluster.local", *SEARCH.search)))
    for _ in range(3):
        cluster.ask("web. A")
    cluster.change(Delete("Service", ("prod", "web")))
    after = cluster.ask("web. A")

    assert "web.default.svc.cluster.local. 5 A 10.0.0.1" in lines(after.answer)


def test_a_name_too_long_to_complete_goes_upstream() -> None:
    cluster = Cluster(NAMED, SEARCH)
    cluster.ask(".".join(["x" * 60] * 4) + ". A")

    assert len(cluster.asked) == 1


STALE = "endpointslices: no news from the API server since 14:03:12 UTC"
DATED = {
    "an answer": ("svc1.testns.svc.cluster.local. A", 3, STALE),
    "NODATA": (
        "svc1.testns.svc.cluster.local. AAAA",
        3,
        f"service svc1 has no IPv6 address; {STALE}",
    ),
    "NXDOMAIN": (
        "x.testns.svc.cluster.local. A",
        19,
        f"service x does not exist in namespace testns; {STALE}",
    ),
}


@pytest.mark.parametrize(("question", "code", "text"), DATED.values(), ids=DATED)
def test_rfc8914_stale_answers_say_so(question: str, code: int, text: str) -> None:
    cluster = Cluster(F1)
    cluster.store.stale = STALE
    answer = cluster.ask(question, edns=1232)

    assert [int(option.code) for option in answer.options] == [code]
    assert ede(answer) == text


def test_a_stale_alias_says_so_once() -> None:
    cluster = Cluster(INSIDE)
    cluster.store.stale = STALE

    assert ede(cluster.ask("first.a.svc.cluster.local. A", edns=1232)) == STALE


LISTED: dict[str, tuple[tuple[Kind, ...], str, str]] = {
    "a missing service": (("Namespace", "Service"), "x.testns.svc.cluster.local. A", "NXDOMAIN"),
    "a missing namespace": (("Namespace",), "x.nowhere.svc.cluster.local. A", "NXDOMAIN"),
    "a service, no namespaces": (("Service",), "x.testns.svc.cluster.local. A", "SERVFAIL"),
    "an endpoint, no slices": (
        ("Namespace", "Service"),
        "ep9.svc1.testns.svc.cluster.local. A",
        "SERVFAIL",
    ),
    "a headless service, no slices": (
        ("Namespace", "Service"),
        "nobody.testns.svc.cluster.local. A",
        "SERVFAIL",
    ),
    "a port": (
        ("Namespace", "Service", "EndpointSlice"),
        "_x._tcp.svc1.testns.svc.cluster.local. SRV",
        "NXDOMAIN",
    ),
    "nothing that objects could make": ((), "x.cluster.local. A", "NXDOMAIN"),
}


@pytest.mark.parametrize(("kinds", "question", "expected"), LISTED.values(), ids=LISTED)
def test_a_name_is_missing_when_all_that_could_make_it_is_known(
    kinds: tuple[Kind, ...], question: str, expected: str
) -> None:
    cluster = Cluster(settings=Settings(short_names=False), synced=False)
    for kind in kinds:
        cluster.change(Init(kind))
        cluster.change(InitDone(kind))
    for item in (*F1, headless("nobody")):
        cluster.change(Apply(item))

    assert rcode(cluster.ask(question)) == expected


def test_what_was_not_known_is_asked_again_after_the_list() -> None:
    cluster = Cluster(F1, synced=False)
    question = "x.testns.svc.cluster.local. A"
    for _ in range(3):
        assert rcode(cluster.ask(question)) == "SERVFAIL"
    for kind in KINDS:
        cluster.change(Init(kind))
        for item in F1:
            if kind == item.KIND:
                cluster.change(Apply(item))
        cluster.change(InitDone(kind))

    assert rcode(cluster.ask(question)) == "NXDOMAIN"


SHORT_REASONS = {
    "service": ("backend. A", "service backend does not exist in namespace default"),
    "endpoint": ("db-9.db.prod. A", "service db has no endpoint named db-9; has db-0"),
    "service of a namespace": ("x.prod. A", "service x does not exist in namespace prod"),
}


@pytest.mark.parametrize(("question", "reason"), SHORT_REASONS.values(), ids=SHORT_REASONS)
def test_a_refused_short_name_says_why_it_is_none(question: str, reason: str) -> None:
    assert ede(Cluster(NAMED, SEARCH).ask(question, edns=1232)).startswith(
        f"as a short name: {reason}; "
    )


def test_an_upstreams_nxdomain_says_why_it_is_no_short_name() -> None:
    async def nobody(request: Request) -> Response:
        query = dns.message.from_wire(write_query(request.query, 7))
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return Relay(reply.to_wire())

    cluster = Cluster(NAMED, SEARCH, upstream=nobody)
    answer = cluster.ask("backend. A", edns=1232)

    assert ede(answer) == "as a short name: service backend does not exist in namespace default"
    assert rcode(cluster.ask("backend. A")) == "NXDOMAIN"


def test_a_client_with_edns_gets_opt_from_an_upstream_without() -> None:
    async def old(request: Request) -> Response:
        query = dns.message.from_wire(write_query(request.query, 7))
        query.use_edns(False)
        return Relay(dns.message.make_response(query).to_wire())

    answer = Cluster(F1, upstream=old).ask("example.com. A", edns=1400)

    assert (answer.edns, answer.payload) == (0, 1400)


def test_an_endpoint_that_is_not_ready_is_called_so() -> None:
    objects = (
        Namespace("testns"),
        headless("db"),
        endpoints("db", "db-0@10.0.0.1", Endpoint(("10.0.0.2",), "db-1", ready=False)),
    )
    answer = Cluster(objects).ask("db-1.db.testns.svc.cluster.local. A", edns=1232)

    assert ede(answer) == "endpoint db-1 of service db is not ready"
