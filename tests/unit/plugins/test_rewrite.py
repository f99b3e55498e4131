"""``rewrite`` in front of handlers that remember what they were asked."""

import asyncio

import dns.edns
import dns.flags
import dns.message
import dns.rrset
import pytest
from msgspec.structs import replace

from kdns.chain import FIXED, MAX_DEPTH, Answer, Dropped, Relay, Request, Response
from kdns.errors import CorefileError
from kdns.kube.owners import Owner
from kdns.plugins import rewrite
from kdns.presentation.record import read_record
from kdns.wire import names
from kdns.wire.message import Sections
from kdns.wire.query import Edns, write_query
from tests.plugin import (
    answer,
    ask,
    flags,
    handled,
    lines,
    message,
    own,
    plugin_of,
    question,
    rcode,
    request,
    says,
    setup_of,
)

LOCAL = 0xFFEE
A = "NAME 60 A 192.0.2.1"
ZONE_SOA = "cluster.local. 30 SOA ns.dns.cluster.local. h.cluster.local. 1 7200 1800 86400 30"
GARDENER = r"""
    rewrite stop {
        name regex (.*)\.shoot\.example\.com {1}.svc.cluster.local
        answer name (.*)\.svc\.cluster\.local {1}.shoot.example.com
        answer value (.*)\.svc\.cluster\.local {1}.shoot.example.com
    }
"""


class Backend:
    """The end of a chain, which answers every name with the same records."""

    def __init__(self, *records: str, authority: str = "", rcode: int = 0) -> None:
        """``NAME`` in a record is the name that is asked for."""
        self.records = records
        self.authority = authority
        self.rcode = rcode
        self.asked: list[str] = []
        self.options: list[tuple[tuple[int, bytes], ...]] = []
        self.owners: tuple[Owner, ...] = FIXED

    async def answer(self, request: Request) -> Response:
        """Answer as a plugin of ours."""
        name = self._note(request)
        answer = tuple(read_record(line.replace("NAME", name)) for line in self.records)
        authority = (read_record(self.authority),) if self.authority else ()
        return Answer(Sections(self.rcode, answer, authority), self.owners, by="backend")

    async def relay(self, request: Request) -> Response:
        """Say the same as an upstream would."""
        name = self._note(request)
        reply = dns.message.make_response(dns.message.from_wire(write_query(request.query, 7)))
        reply.flags |= dns.flags.RA | dns.flags.AD
        reply.set_rcode(dns.rcode.Rcode(self.rcode))
        reply.answer = [_rrset(line.replace("NAME", name)) for line in self.records]
        reply.authority = [_rrset(self.authority)] if self.authority else []
        return Relay(reply.to_wire(), by="upstream", ready=request.query)

    def _note(self, request: Request) -> str:
        query = request.query
        name = names.to_text(query.asked)
        self.asked.append(f"{name} {query.rtype} {query.rclass}")
        self.options.append(() if query.edns is None else query.edns.options)
        return name


def _rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rtype, data = line.split(" ", 3)
    return dns.rrset.from_text(owner, int(ttl), "IN", rtype, data)


@pytest.mark.parametrize("way", ["answer", "relay"])
@pytest.mark.parametrize(
    ("rules", "asked", "records", "seen"),
    [
        pytest.param(
            "rewrite name www.example.com web.prod.svc.cluster.local",
            ("WWW.example.com.", "web.prod.svc.cluster.local."),
            [A, "x.NAME 60 A 192.0.2.2", "NAME 60 SRV 0 0 80 a.NAME"],
            [
                "www.example.com. 60 A 192.0.2.1",
                "x.www.example.com. 60 A 192.0.2.2",
                "www.example.com. 60 SRV 0 0 80 a.www.example.com.",
            ],
            id="exact",
        ),
        pytest.param(
            "rewrite name suffix .example.com .svc.cluster.local answer auto",
            ("web.prod.example.com.", "web.prod.svc.cluster.local."),
            [A, "NAME 60 SRV 0 0 80 other.prod.svc.cluster.local."],
            [
                "web.prod.example.com. 60 A 192.0.2.1",
                "web.prod.example.com. 60 SRV 0 0 80 other.prod.example.com.",
            ],
            id="suffix with answers",
        ),
        pytest.param(
            "rewrite name suffix .example.com .svc.cluster.local",
            ("web.prod.example.com.", "web.prod.svc.cluster.local."),
            [A],
            ["web.prod.svc.cluster.local. 60 A 192.0.2.1"],
            id="suffix without answers",
        ),
        pytest.param(
            "rewrite name substring us-west.example us-east.example answer auto",
            ("a.us-west.example.", "a.us-east.example."),
            [A],
            ["a.us-west.example. 60 A 192.0.2.1"],
            id="substring",
        ),
        pytest.param(
            "rewrite name prefix db mysql answer auto",
            ("db.prod.example.", "mysql.prod.example."),
            [A],
            ["db.prod.example. 60 A 192.0.2.1"],
            id="prefix",
        ),
        pytest.param(
            GARDENER,
            ("web.prod.shoot.example.com.", "web.prod.svc.cluster.local."),
            [A, "NAME 60 SRV 0 0 80 ep.web.prod.svc.cluster.local."],
            [
                "web.prod.shoot.example.com. 60 A 192.0.2.1",
                "web.prod.shoot.example.com. 60 SRV 0 0 80 ep.web.prod.shoot.example.com.",
            ],
            id="Gardener",
        ),
        pytest.param(
            "rewrite stop {\nname suffix .arpa .arpa\nanswer name auto\n"
            "answer value (.*)\\.service\\.consul\\. {1}.coredns.rocks.\n}",
            ("30.30.30.10.in-addr.arpa.", "30.30.30.10.in-addr.arpa."),
            ["NAME 60 PTR ftp.service.consul."],
            ["30.30.30.10.in-addr.arpa. 60 PTR ftp.coredns.rocks."],
            id="the values of PTR",
        ),
        pytest.param(
            "rewrite continue name suffix .a .b answer auto\nrewrite name suffix .b .c answer auto",
            ("x.a.", "x.c."),
            [A],
            ["x.a. 60 A 192.0.2.1"],
            id="two rules undone in reverse",
        ),
        pytest.param(
            "rewrite ttl suffix example 5-30",
            ("a.example.", "a.example."),
            [A, "b.NAME 1 A 192.0.2.2", "c.NAME 10 A 192.0.2.3"],
            [
                "a.example. 30 A 192.0.2.1",
                "b.a.example. 5 A 192.0.2.2",
                "c.a.example. 10 A 192.0.2.3",
            ],
            id="TTL",
        ),
    ],
)
def test_the_client_sees_names_of_its_own(
    rules: str, asked: tuple[str, str], records: list[str], seen: list[str], way: str
) -> None:
    backend = Backend(*records)
    outside, inside = asked

    read = ask(plugin_of(rewrite.setup, rules), f"{outside} A", last=getattr(backend, way))

    assert backend.asked == [f"{inside} 1 1"]
    assert sorted(lines(read.answer)) == sorted(seen)
    assert str(read.question[0].name) == outside


@pytest.mark.parametrize("way", ["answer", "relay"])
def test_another_type_is_asked_for_and_the_question_stays_the_clients(way: str) -> None:
    backend = Backend(A)
    plugin = plugin_of(rewrite.setup, "rewrite type AAAA A")

    read = ask(plugin, "A.example. AAAA", last=getattr(backend, way))

    assert backend.asked == ["A.example. 1 1"]
    assert str(read.question[0]) == "A.example. IN AAAA"
    assert lines(read.answer) == ["A.example. 60 A 192.0.2.1"]


def test_another_class_is_asked_for() -> None:
    backend = Backend(A)

    read = ask(plugin_of(rewrite.setup, "rewrite class CH IN"), "a. A CH", last=backend.answer)

    assert backend.asked == ["a. 1 1"]
    assert str(read.question[0]) == "a. CH A"


@pytest.mark.parametrize("way", ["answer", "relay"])
@pytest.mark.parametrize(("found", "seen"), [(2, "NOERROR"), (3, "NXDOMAIN"), (0, "NOERROR")])
def test_an_rcode_is_replaced_with_records_and_without(way: str, found: int, seen: str) -> None:
    backend = Backend(rcode=found, authority=ZONE_SOA if found == 3 else "")
    plugin = plugin_of(rewrite.setup, "rewrite rcode regex (.*)\\.example SERVFAIL NOERROR")

    assert rcode(ask(plugin, "a.example. A", last=getattr(backend, way))) == seen


@pytest.mark.parametrize("way", ["answer", "relay"])
def test_the_soa_of_a_negative_answer_stays_that_of_its_zone(way: str) -> None:
    backend = Backend(authority=ZONE_SOA, rcode=3)
    plugin = plugin_of(
        rewrite.setup, "rewrite name suffix .example.com .svc.cluster.local answer auto"
    )

    read = ask(plugin, "no.prod.example.com. A", last=getattr(backend, way))

    assert rcode(read) == "NXDOMAIN"
    assert str(read.authority[0].name) == "cluster.local."


def test_a_query_that_no_rule_is_for_passes_untouched() -> None:
    response = Relay(b"anything")
    plugin = plugin_of(rewrite.setup, "rewrite name a.example b.example")

    assert answer(plugin, "c.example. A", last=says(response)) is response


# -- what the table may keep -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("rewrite name a.example b.example", True),
        ("rewrite ttl a.example 5", True),
        ("rewrite continue name a.example b.example\nrewrite edns0 nsid set", False),
        ("rewrite name a.example b.example\nrewrite edns0 nsid set", True),
        ("rewrite edns0 local replace 0xffee x", False),
    ],
    ids=["name", "ttl", "options too", "options never looked at", "options of others"],
)
def test_an_answer_is_kept_unless_options_of_the_client_count(rules: str, kept: bool) -> None:
    found = own(answer(plugin_of(rewrite.setup, rules), "a.example. A", last=Backend(A).answer))

    assert found.owners == (FIXED if kept else ())
    assert found.by == "backend"


def test_a_relay_that_is_read_is_an_answer_of_the_moment() -> None:
    plugin = plugin_of(rewrite.setup, "rewrite name a.example b.example")

    found = own(answer(plugin, "a.example. A", last=Backend(A).relay))

    assert found.owners == ()
    assert found.by == "upstream"
    assert {"RA", "AD"} <= set(flags(message(found, "a.example. A")))
    assert "AA" not in flags(message(found, "a.example. A"))


def test_a_relay_whose_question_has_another_type_is_not_read() -> None:
    found = answer(
        plugin_of(rewrite.setup, "rewrite type AAAA A"), "a. AAAA", last=Backend(A).relay
    )

    assert isinstance(found, Relay)
    # It was ready for another query.
    assert found.ready is None


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules",
    [
        "rewrite name regex (.*) a..b",
        "rewrite name suffix .example .ex answer name (.*) a..b",
    ],
    ids=["of the question", "of an answer"],
)
def test_a_name_that_is_none_is_servfail_and_a_line_in_the_log(rules: str) -> None:
    found = own(answer(plugin_of(rewrite.setup, rules), "a.example. A", last=Backend(A).answer))

    assert rcode(message(found, "a.example. A")) == "SERVFAIL"
    assert found.error.startswith("invalid name after rewrite")
    assert found.owners == ()
    assert found.by == "rewrite"


def test_a_relay_that_cannot_be_read_is_servfail() -> None:
    plugin = plugin_of(rewrite.setup, "rewrite name a.example b.example")

    found = own(answer(plugin, "a.example. A", last=says(Relay(b"nonsense"))))

    assert rcode(message(found, "a.example. A")) == "SERVFAIL"
    assert found.error


def test_a_rule_that_is_none_is_refused_with_file_and_line() -> None:
    with pytest.raises(CorefileError, match=r"Corefile:3: unknown field of rewrite 'nam'"):
        plugin_of(rewrite.setup, "rewrite name a b\nrewrite nam a b")


def test_a_variable_of_metadata_is_warned_about_and_does_nothing() -> None:
    backend = Backend(A)
    plugin, made = setup_of(rewrite.setup, "rewrite edns0 local set 0xffee {plugin/label}")
    assert plugin is not None

    ask(plugin, "a. A", last=backend.answer)

    assert backend.options == [()]
    assert made.warnings == [
        "Corefile:2: rewrite: nothing here sets metadata, {plugin/label} is never there"
    ]


# -- EDNS options ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sent", "asked", "seen"),
    [
        ("local set 0xffee abcd", [], [(LOCAL, b"abcd")], [(LOCAL, b"abcd")]),
        ("local set 0xffee abcd revert", [], [(LOCAL, b"abcd")], []),
        (
            "local set 0xffee abcd revert",
            [(LOCAL, b"own")],
            [(LOCAL, b"abcd")],
            [(LOCAL, b"own")],
        ),
        ("local unset 0xffee", [(LOCAL, b"own")], [], []),
        ("local set 0xffee {qname}", [], [(LOCAL, b"a.")], [(LOCAL, b"a.")]),
        ("local set 0xffee {client_ip}", [], [(LOCAL, b"\n\0\0\1")], [(LOCAL, b"\n\0\0\1")]),
        ("nsid set", [], [(3, b"")], []),
        ("subnet set 24 56", [], [(8, b"\0\x01\x18\0\n\0\0")], []),
    ],
)
def test_options_are_asked_with_and_repeated(
    rule: str, sent: list[tuple[int, bytes]], asked: list[tuple[int, bytes]], seen: list[object]
) -> None:
    backend = Backend(A)
    edns = Edns(1232, options=tuple(sent))

    read = ask(
        plugin_of(rewrite.setup, f"rewrite edns0 {rule}"), "a. A", last=backend.answer, edns=edns
    )

    assert backend.options == [tuple(asked)]
    assert [(int(option.otype), option.to_wire()) for option in read.options] == seen


def test_a_client_without_edns_gets_none() -> None:
    read = ask(
        plugin_of(rewrite.setup, "rewrite edns0 local set 0xffee abcd"),
        "a. A",
        last=Backend(A).answer,
    )

    assert read.edns == -1


def test_the_option_that_an_upstream_repeats_is_taken_back() -> None:
    query = question("a. A", edns=Edns(1232, options=((LOCAL, b"abcd"),)))
    reply = dns.message.make_response(dns.message.from_wire(write_query(query, 7)))
    reply.use_edns(options=[dns.edns.GenericOption(str(LOCAL), b"abcd")])
    plugin = plugin_of(rewrite.setup, "rewrite edns0 local set 0xffee abcd revert")

    read = ask(plugin, "a. A", last=says(Relay(reply.to_wire())), edns=1232)

    assert read.options == ()


# -- CNAME targets -----------------------------------------------------------------------------


CHAIN = (
    "my-app.com. 200 CNAME my-app.example.",
    "my-app.example. 200 CNAME my-app.com.cdn.example.net.",
    "my-app.com.cdn.example.net. 300 A 198.51.100.1",
)


class Cdn:
    """An upstream with one alias, and an address for everything at the other provider."""

    def __init__(self, *, truncated: bool = False, owners: tuple[Owner, ...] = FIXED) -> None:
        self.truncated = truncated
        self.owners = owners
        self.depths: list[int] = []

    async def answer(self, request: Request) -> Response:
        self.depths.append(request.depth)
        name = names.to_text(request.query.name)
        if not name.endswith(".other.cdn.com."):
            return Answer(Sections(answer=tuple(map(read_record, CHAIN))), FIXED, by="cdn")
        record = read_record(f"{name} 100 A 192.0.2.9")
        return Answer(Sections(answer=(record,), truncated=self.truncated), self.owners)


@pytest.mark.parametrize(
    "rule",
    [
        "cname regex (.*).CDN.example.net. {1}.other.cdn.com.",
        "cname suffix .cdn.example.net. .other.cdn.com.",
        "cname my-app.com.cdn.example.net my-app.com.other.cdn.com",
        "cname substring cdn.example.net other.cdn.com",
    ],
)
def test_the_target_of_an_alias_is_replaced_and_looked_up(rule: str) -> None:
    cdn = Cdn()

    read = ask(plugin_of(rewrite.setup, f"rewrite {rule}"), "my-app.com. A", last=cdn.answer)

    assert lines(read.answer) == [
        "my-app.com. 200 CNAME my-app.example.",
        "my-app.example. 200 CNAME my-app.com.other.cdn.com.",
        "my-app.com.other.cdn.com. 100 A 192.0.2.9",
    ]
    assert cdn.depths == [0, 1]


TO_OTHER = "rewrite cname suffix .cdn.example.net. .other.cdn.com."


@pytest.mark.parametrize(("owners", "kept"), [((("zone",),), (*FIXED, ("zone",))), ((), ())])
def test_a_replaced_alias_is_kept_if_both_answers_may_be(
    owners: tuple[Owner, ...], kept: tuple[Owner, ...]
) -> None:
    plugin = plugin_of(rewrite.setup, TO_OTHER)

    assert own(answer(plugin, "my-app.com. A", last=Cdn(owners=owners).answer)).owners == kept


def test_what_the_new_target_leaves_off_is_said() -> None:
    plugin = plugin_of(rewrite.setup, TO_OTHER)

    assert "TC" in flags(ask(plugin, "my-app.com. A", last=Cdn(truncated=True).answer))


def test_an_alias_stays_where_nobody_answers_for_the_new_target() -> None:
    async def last(request: Request) -> Response:
        if request.depth:
            raise Dropped
        return await Cdn().answer(request)

    found = own(answer(plugin_of(rewrite.setup, TO_OTHER), "my-app.com. A", last=last))

    assert sorted(lines(message(found, "my-app.com. A").answer)) == sorted(CHAIN)
    assert found.owners == ()


def test_aliases_end_at_the_depth_limit() -> None:
    cdn = Cdn()
    deep = request([plugin_of(rewrite.setup, TO_OTHER)], "my-app.com. A", last=cdn.answer)

    found = own(asyncio.run(handled(replace(deep, depth=MAX_DEPTH))))

    assert cdn.depths == [MAX_DEPTH]
    assert len(found.sections.answer) == len(CHAIN)


def test_other_aliases_are_left_alone() -> None:
    plugin = plugin_of(rewrite.setup, "rewrite cname exact other.example. x.other.cdn.com.")

    read = ask(plugin, "my-app.com. A", last=Cdn().answer)

    assert sorted(lines(read.answer)) == sorted(CHAIN)
