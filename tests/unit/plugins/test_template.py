"""``template``: records made out of questions, and what Corefiles that cannot be meant are told."""

import asyncio
import re

import pytest
from msgspec.structs import replace

from kdns.chain import FIXED, MAX_DEPTH, Answer, Dropped, Relay, Request, Response
from kdns.errors import CorefileError
from kdns.kube.owners import Owner
from kdns.plugins import template
from kdns.presentation.record import read_record
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.query import RD, Edns
from tests.plugin import (
    SERVER,
    Asking,
    answer,
    ask,
    ede,
    flags,
    handled,
    lines,
    message,
    own,
    plugin_of,
    question,
    rcode,
    request,
    sample,
    says,
    setup_of,
)

AKS = r"""
    template ANY ANY internal.cloudapp.net {
        match "^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"
        rcode NXDOMAIN
        fallthrough
    }
    template ANY ANY reddog.microsoft.com {
        rcode NXDOMAIN
    }
"""
IN_ADDR = r"""
    template IN A example {
        match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
        answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
        fallthrough
    }
    template IN PTR in-addr.arpa {
        match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$
        answer "{{ .Name }} PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.e."
    }
"""
HEX = r"""
    template IN A example {
        match "^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})[.]example[.]$"
        answer "{{ .Name }} 60 IN A 10.0.{{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}"
        fallthrough
    }
"""
TWO_PATTERNS = r"""
    template IN A example {
        match "^ip-(?P<a>[0-9]+)[.]dc[.]example[.]$"
        match "^(?P<a>[0-9]+)[.]ext[.]example[.]$" ^any[.]
        answer "{{ .Name }} 60 IN A 192.0.2.{{ if .Group.a }}{{ .Group.a }}{{ else }}0{{ end }}"
        fallthrough
    }
"""


@pytest.mark.parametrize(
    ("directives", "asked", "expected"),
    [
        (AKS, "a.b.c.d.internal.cloudapp.net. A", "NXDOMAIN"),
        (AKS, "a.b.c.d.e.INTERNAL.cloudapp.net. HTTPS", "NXDOMAIN"),
        (AKS, "a.b.c.internal.cloudapp.net. A", "REFUSED"),
        (AKS, "reddog.microsoft.com. MX", "NXDOMAIN"),
        (AKS, "microsoft.com. A", "REFUSED"),
        (IN_ADDR, "ip-10-1-2-3.example. A", "ip-10-1-2-3.example. 60 A 10.1.2.3"),
        (IN_ADDR, "X.IP-10-1-2-3.Example. A", "x.ip-10-1-2-3.example. 60 A 10.1.2.3"),
        (IN_ADDR, "www.example. A", "REFUSED"),
        (IN_ADDR, "ip-10-1-2-3.example. AAAA", "REFUSED"),
        (IN_ADDR, "3.2.1.10.in-addr.arpa. PTR", "3.2.1.10.in-addr.arpa. 3600 PTR ip-10-1-2-3.e."),
        (IN_ADDR, "10.in-addr.arpa. PTR", "SERVFAIL"),
        (HEX, "ip0a0c09.example. A", "ip0a0c09.example. 60 A 10.0.12.9"),
        (TWO_PATTERNS, "ip-7.dc.example. A", "ip-7.dc.example. 60 A 192.0.2.7"),
        (TWO_PATTERNS, "8.ext.example. A", "8.ext.example. 60 A 192.0.2.8"),
        (TWO_PATTERNS, "any.example. A", "any.example. 60 A 192.0.2.0"),
        ("template ANY ANY {\nrcode NXDOMAIN\n}", "anything. TXT", "NXDOMAIN"),
        ("template IN A", "a. A", "NOERROR"),
        ("template IN A {\nrcode SERVFAIL\nanswer 'a. A 192.0.2.1'\n}", "a. A", "SERVFAIL"),
    ],
)
def test_the_examples_of_its_page_and_of_clouds(directives: str, asked: str, expected: str) -> None:
    read = ask(plugin_of(template.setup, directives.replace("'", '"')), asked)

    assert (lines(read.answer) or [rcode(read)]) == [expected]


@pytest.mark.parametrize(
    ("directives", "asked", "expected"),
    [
        ("template IN A", "a. A CH", "REFUSED"),
        ("template ANY A", "a. A CH", "NOERROR"),
        ("template IN A", "a. A ANY", "NOERROR"),
        ("template IN A", "a. ANY", "NOERROR"),
        ("template IN ANY", "a. MX", "NOERROR"),
        ("template IN A example", "a. A", "REFUSED"),
        ("template IN A example other", "a.OTHER. A", "NOERROR"),
        ("template IN A 10.0.0.0/8", "1.2.3.10.in-addr.arpa. A", "NOERROR"),
        ("template IN A example {\nmatch ^a\n}", "b.example. A", "SERVFAIL"),
        ("template IN A example {\nmatch ^a\nfallthrough\n}", "b.example. A", "REFUSED"),
        ("template IN A {\nmatch ^a\nfallthrough sub\n}", "b.example. A", "SERVFAIL"),
        ("template IN A {\nmatch ^a\nfallthrough sub\n}", "b.sub. A", "REFUSED"),
        ("template IN A {\nmatch ^a\nrcode REFUSED\n}\ntemplate IN A", "b. A", "SERVFAIL"),
        ("template IN A {\nmatch ^a\nfallthrough\n}\ntemplate IN A", "b. A", "NOERROR"),
        ("template IN MX {\nmatch ^a\n}\ntemplate IN A", "b. A", "NOERROR"),
    ],
)
def test_the_first_template_that_is_for_a_question_decides(
    directives: str, asked: str, expected: str
) -> None:
    assert rcode(ask(plugin_of(template.setup, directives), asked)) == expected


def test_without_zones_a_template_is_for_those_of_its_block() -> None:
    plugin = plugin_of(template.setup, "template IN A", zones=("example.", "org."))

    assert rcode(ask(plugin, "a.org. A")) == "NOERROR"
    assert rcode(ask(plugin, "a.net. A")) == "REFUSED"


def test_all_sections_and_the_extended_error_are_made() -> None:
    plugin = plugin_of(
        template.setup,
        """
        template ANY MX example {
            answer "{{ .Name }} 60 {{ .Class }} MX 10 mail.{{ .Zone }}" "{{ .Name }} MX 20 b."
            additional "mail.{{ .Zone }} 60 IN A 192.0.2.1"
            authority "{{ .Zone }} 60 IN NS ns0.{{ .Zone }}"
            authority "{{ .Zone }} 60 IN NS ns1.{{ .Zone }}"
            rcode YXDOMAIN
            ederror 21 "Blocked according to RFC2606"
        }
        """,
    )

    read = ask(plugin, "a.example. MX", edns=1232)

    assert sorted(lines(read.answer)) == [
        "a.example. 60 MX 10 mail.example.",
        "a.example. 60 MX 20 b.",
    ]
    assert lines(read.additional) == ["mail.example. 60 A 192.0.2.1"]
    assert lines(read.authority) == ["example. 60 NS ns0.example.", "example. 60 NS ns1.example."]
    assert rcode(read) == "YXDOMAIN"
    assert ede(read) == (21, "Blocked according to RFC2606")
    assert "AA" in flags(read)


def test_a_record_has_the_class_that_is_written() -> None:
    plugin = plugin_of(
        template.setup, 'template ANY ANY {\nanswer "a. 60 {{ .Class }} TXT {{ .Type }}"\n}'
    )

    read = ask(plugin, "a. TXT CH")

    assert [rrset.to_text() for rrset in read.answer] == ['a. 60 CH TXT "TXT"']


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("{{ .Name }}", "a.example."),
        ("{{ .Zone }}", "example."),
        ("{{ .Regex }}", "^(?P<x>a)(?P<y>b)?[.]"),
        ("{{ .Class }} {{ .Type }}", "IN A"),
        ("{{ .Match }} {{ len .Match }}", "[a. a ] 3"),
        ("{{ .Group }}", "map[0:a. 1:a 2: x:a y:]"),
        ("{{ .Question.Name }} {{ .Question.Qtype }} {{ .Question.Qclass }}", "A.example. 1 1"),
        ("{{ .Remote }}", "10.0.0.1"),
        ("{{ .Meta `kubernetes/client-namespace` }}", ""),
        ("{{ .Message.Id }} {{ .Message.Opcode }} {{ .Message.Rcode }}", "7 0 0"),
        ("{{ .Message.RecursionDesired }} {{ .Message.CheckingDisabled }}", "true false"),
        ("{{ .Message.Response }} {{ .Message.Zero }}", "false false"),
        ("{{ (index .Message.Question 0).Name }}", "A.example."),
    ],
)
def test_a_template_sees_the_question(action: str, expected: str) -> None:
    plugin = plugin_of(
        template.setup,
        "template IN A example {\nmatch ^(?P<x>a)(?P<y>b)?[.]\n"
        f'answer "t. 60 IN TXT \\"{action}\\""\n}}',
    )

    (text,) = lines(ask(plugin, "A.example. A", flags=RD).answer)

    assert text == f't. 60 TXT "{expected}"'


def test_any_is_the_class_and_type_of_the_template() -> None:
    plugin = plugin_of(
        template.setup, 'template CH MX {\nanswer "a. IN TXT {{ .Class }} {{ .Type }}"\n}'
    )

    assert lines(ask(plugin, "a. ANY ANY").answer) == ['a. 3600 TXT "CH" "MX"']


# -- what the table may keep -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "owners"),
    [
        ("{{ .Name }}", FIXED),
        ("plain", FIXED),
        ("{{ .Question.Name }}", FIXED),
        ("{{ .Remote }}", ()),
        ("{{ .Message.Id }}", ()),
        ("{{ .Meta `x` }}x", ()),
        ("{{ if false }}{{ .Remote }}{{ else }}x{{ end }}", ()),
    ],
)
def test_an_answer_is_kept_unless_it_is_for_this_client(
    action: str, owners: tuple[Owner, ...]
) -> None:
    plugin = plugin_of(template.setup, f'template IN A {{\nanswer "a. TXT {action}"\n}}')

    found = own(answer(plugin, "a. A"))

    assert (found.owners, found.by) == (owners, "template")


@pytest.mark.parametrize(
    "directive", ["template IN A {\nmatch ^b\n}", "template IN A {\nrcode 2\n}"]
)
def test_a_failure_that_is_configured_is_kept_and_bare(directive: str) -> None:
    found = own(answer(plugin_of(template.setup, directive), "a. A"))

    assert found == Answer(Sections(codes.SERVFAIL, authoritative=False), FIXED, by="template")


# -- metrics and failures ----------------------------------------------------------------------

LABELS = {"server": SERVER, "zone": "example.", "view": "", "class": "IN", "type": "A"}


def test_matches_are_counted() -> None:
    plugin, made = setup_of(template.setup, "template ANY ANY example")
    assert plugin is not None

    ask(plugin, "a.example. A")
    ask(plugin, "a.example. A")
    ask(plugin, "a.other. A")

    assert sample(made, "coredns_template_matches_total", **LABELS) == 2


@pytest.mark.parametrize(
    ("record", "metric", "label", "error"),
    [
        (
            "{{ .Name }} IN A {{ index .Match 2 }}",
            "coredns_template_template_failures_total",
            "{{.Name}} IN A {{index .Match 2}}",
            "template '{{.Name}} IN A {{index .Match 2}}': index: index out of range: 2",
        ),
        (
            "{{ .Name }} IN A {{ .Name -}} .1",
            "coredns_template_rr_failures_total",
            "{{.Name}} IN A {{.Name}}.1",
            "'a.example. IN A a.example..1' is no record: expected an IPv4 address",
        ),
        (
            "{{ if false }}x{{ end }}",
            "coredns_template_rr_failures_total",
            "{{if false}}x{{end}}",
            "'' is no record: expected a record, got nothing",
        ),
    ],
)
def test_a_record_that_cannot_be_made_is_servfail_and_counted(
    record: str, metric: str, label: str, error: str
) -> None:
    plugin, made = setup_of(
        template.setup, f'template ANY ANY example {{\nadditional "{record}"\n}}'
    )
    assert plugin is not None

    found = own(answer(plugin, "a.example. A"))

    assert rcode(message(found, "a.example. A")) == "SERVFAIL"
    assert found.error.startswith(error)
    assert found.owners == ()
    assert sample(made, metric, **LABELS, section="additional", template=label) == 1


# -- aliases -----------------------------------------------------------------------------------

FOOGLE = r"""
    template IN ANY foogle.com {
        match "^foogle\.com\.$"
        answer "foogle.com 60 IN CNAME google.com"
    }
"""


class Target:
    """The end of a chain that has addresses for every name."""

    def __init__(self, *, truncated: bool = False, owners: tuple[Owner, ...] = FIXED) -> None:
        self.truncated = truncated
        self.owners = owners
        self.asked: list[tuple[str, int, Edns | None]] = []

    async def answer(self, request: Request) -> Response:
        query = request.query
        name = names.to_text(query.asked)
        self.asked.append((name, query.rtype, query.edns))
        record = read_record(f"{name} 30 A 192.0.2.8")
        return Answer(Sections(answer=(record,), truncated=self.truncated), self.owners)


def test_the_target_of_an_alias_is_looked_up_through_the_whole_chain() -> None:
    target = Target()

    read = ask(plugin_of(template.setup, FOOGLE), "foogle.com. A", last=target.answer, edns=1232)

    assert lines(read.answer) == ["foogle.com. 60 CNAME google.com.", "google.com. 30 A 192.0.2.8"]
    assert target.asked == [("google.com.", codes.A, Edns(1232))]


@pytest.mark.parametrize("rtype", ["CNAME", "TXT", "HTTPS"])
def test_only_for_addresses_is_the_target_looked_up(rtype: str) -> None:
    target = Target()

    read = ask(plugin_of(template.setup, FOOGLE), f"foogle.com. {rtype}", last=target.answer)

    assert lines(read.answer) == ["foogle.com. 60 CNAME google.com."]
    assert target.asked == []


@pytest.mark.parametrize(("owners", "kept"), [((("zone",),), (*FIXED, ("zone",))), ((), ())])
def test_an_alias_is_kept_if_the_answer_of_its_target_may_be(
    owners: tuple[Owner, ...], kept: tuple[Owner, ...]
) -> None:
    plugin = plugin_of(template.setup, FOOGLE)

    assert own(answer(plugin, "foogle.com. A", last=Target(owners=owners).answer)).owners == kept


def test_what_the_target_leaves_off_is_said() -> None:
    plugin = plugin_of(template.setup, FOOGLE)

    assert "TC" in flags(ask(plugin, "foogle.com. A", last=Target(truncated=True).answer))


async def _dropped(_: Request) -> Response:
    raise Dropped


@pytest.mark.parametrize("last", [_dropped, says(Relay(b"nonsense"))], ids=["dropped", "nonsense"])
def test_an_alias_without_an_answer_for_its_target_stands_alone(last: object) -> None:
    more: Asking = {"last": last}  # type: ignore[typeddict-item] # a handler
    found = own(answer(plugin_of(template.setup, FOOGLE), "foogle.com. A", **more))

    assert lines(message(found, "foogle.com. A").answer) == ["foogle.com. 60 CNAME google.com."]
    assert found.owners == ()


def test_a_target_at_an_upstream_is_read() -> None:
    query = question("google.com. A")
    record = read_record("google.com. 30 A 192.0.2.8")
    reply = message(Answer(Sections(answer=(record,))), query).to_wire()

    read = ask(plugin_of(template.setup, FOOGLE), "foogle.com. A", last=says(Relay(reply)))

    assert lines(read.answer) == ["foogle.com. 60 CNAME google.com.", "google.com. 30 A 192.0.2.8"]


def test_an_alias_of_itself_ends() -> None:
    plugin = plugin_of(
        template.setup, 'template IN A {\nanswer "{{ .Name }} 60 IN CNAME {{ .Name }}"\n}'
    )
    asked = request([plugin], "a. A")

    found = own(asyncio.run(handled(asked)))
    last = own(asyncio.run(handled(replace(asked, depth=MAX_DEPTH))))

    assert len(found.sections.answer) == MAX_DEPTH + 1
    assert len(last.sections.answer) == 1


# -- Corefiles that cannot be meant ------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines_", "line", "reason"),
    [
        ("template", 2, "template: expected at least 2 arguments, got no words"),
        ("template IN", 2, "template: expected at least 2 arguments, got one word"),
        ("template XX A", 2, "unknown class 'XX'"),
        ("template IN XX", 2, "unknown type 'XX'"),
        ("template IN A a..b", 2, "expected a zone or a network, got 'a..b'"),
        (
            "template IN A {\nanwser x\n}",
            3,
            "unknown property 'anwser' of template: expected one of",
        ),
        ("template IN A {\nvar x 1\n}", 3, "unknown property 'var' of template"),
        ("template IN A {\nmatch\n}", 3, "match: expected at least one argument"),
        ("template IN A {\nmatch (\n}", 3, "regular expression '('"),
        (
            f"template IN A {{\nmatch {'x' * 10_001}\n}}",
            3,
            "a regular expression of more than 10000",
        ),
        ("template IN A {\nrcode NXDOMIAN\n}", 3, "unknown rcode 'NXDOMIAN'"),
        ("template IN A {\nederror x\n}", 3, "expected a whole number from 0 to 65535, got 'x'"),
        ("template IN A {\nederror 1 2 3\n}", 3, "ederror: expected 1 to 2 arguments, got 3 words"),
        ("template IN A {\nanswer\n}", 3, "answer: expected at least one argument"),
        (
            'template IN A {\nrcode NOERROR\nanswer "{{ .Nmae }} A 192.0.2.1"\n}',
            4,
            "unknown field .Nmae of the data of a template: expected one of .Zone, .Name, .Regex",
        ),
        (
            'template IN A {\nadditional "{{ upper .Name }} A 192.0.2.1"\n}',
            3,
            "template '{{ upper .Name }} A 192.0.2.1': unknown function 'upper'",
        ),
        (
            'template IN A {\nauthority "{{ .Name A 192.0.2.1"\n}',
            3,
            "template '{{ .Name A 192.0.2.1': unclosed action: expected }}",
        ),
        (
            'template IN A {\nanswer "example. 60 IN A 192.0.2"\n}',
            3,
            "template 'example. 60 IN A 192.0.2': expected an IPv4 address, got '192.0.2'",
        ),
    ],
)
def test_what_needs_no_query_to_be_wrong_is_refused_at_its_line(
    lines_: str, line: int, reason: str
) -> None:
    with pytest.raises(CorefileError, match=re.escape(reason)) as refused:
        plugin_of(template.setup, lines_)

    assert (refused.value.path, refused.value.line) == ("Corefile", line)


@pytest.mark.parametrize(
    ("lines_", "warning"),
    [
        ("upstream 8.8.8.8", "template: upstream means nothing, as in CoreDNS"),
        (
            'answer "a. A 192.0.2.{{ .Group.last }}"',
            "template: no match of this template has a group 'last'",
        ),
        (
            'answer "{{ .Meta `x` }}a. A 192.0.2.1"',
            "template: nothing here sets metadata, .Meta is always empty",
        ),
        (f"ederror 1 {'x' * 201}", "template: only 200 octets of the reason are sent"),
    ],
)
def test_what_coredns_takes_without_effect_is_warned_about(lines_: str, warning: str) -> None:
    _, made = setup_of(template.setup, f"template IN A {{\nmatch ^(?P<first>a)\n{lines_}\n}}")

    assert made.warnings == [f"Corefile:4: {warning}"]
