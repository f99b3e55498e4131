"""Any text is a template, refused or executed; what is written of a template is the same template.

And the records that templates make: any text is a record or refused, and what is read of one is
what dnspython reads.
"""

from contextlib import suppress

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdns.directives.gotemplate.check import check
from kdns.directives.gotemplate.execute import execute
from kdns.directives.gotemplate.nodes import Text, written
from kdns.directives.gotemplate.parser import parse
from kdns.directives.gotemplate.values import Composite, Short, TemplateFailure
from kdns.directives.templating.data import SHAPE
from kdns.presentation.record import read_record

QUESTION = Composite("*dns.Question", {"Name": "A.", "Qtype": Short(1), "Qclass": Short(1)})
DATA = Composite(
    "*template.templateData",
    {
        **dict.fromkeys(("Zone", "Name", "Regex", "Class", "Type", "Remote"), "a.example."),
        "Match": ["a.example.", "", "é"],
        "Group": {"0": "a.example.", "a": "10"},
        "Message": Composite("*dns.Msg", {"Id": Short(7), "Question": [QUESTION]}),
        "Question": QUESTION,
        "Meta": lambda label: label,
    },
)
WORDS = """
    {{ }} {{- -}} ( ) | , := = $ $x . .Name .Group.a .Match .Question .Meta nil true 0 -1 0x1F 'a'
    "%s" "%05d" "%[2]*.3q" "" `r` if else end with range break continue and or not eq lt len index
    slice print printf println html js urlquery parseInt {{if {{end}} {{else}} {{.}}
"""
words = st.sampled_from(WORDS.split())
templates = st.lists(st.one_of(words, st.text(max_size=3)), max_size=14).map(" ".join)
actions = st.lists(words, min_size=1, max_size=6).map(lambda inner: "{{ " + " ".join(inner) + " }}")
texts = st.one_of(st.text(max_size=40), templates, st.lists(actions, max_size=4).map("".join))


@given(texts)
@settings(max_examples=400)
@example("{{ printf .Name | index .Match 0 | len }}")
def test_any_text_is_refused_or_executed(text: str) -> None:
    with suppress(ValueError, TemplateFailure):
        assert isinstance(execute(parse(text), DATA), str)


@given(texts)
@settings(max_examples=200)
def test_what_is_written_of_a_template_is_the_same_template(text: str) -> None:
    with suppress(ValueError):
        nodes = parse(text)
        again = parse(written(nodes))

        assert written(again) == written(nodes)


@given(st.text(max_size=40).filter(lambda text: "{{" not in text))
def test_text_without_actions_is_copied(text: str) -> None:
    nodes = parse(text)

    assert execute(nodes, DATA) == text
    assert all(isinstance(node, Text) for node in nodes)


@given(texts)
@settings(max_examples=200)
def test_a_template_that_uses_no_private_data_does_not_depend_on_them(text: str) -> None:
    with suppress(ValueError, TemplateFailure):
        nodes = parse(text)
        unused = {"Remote", "Message", "Meta"} - check(nodes, SHAPE).fields
        other = dict.fromkeys(unused, "other")

        assert execute(nodes, DATA) == execute(nodes, Composite("other", {**DATA.fields, **other}))


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_any_text_is_a_record_or_refused(text: str) -> None:
    with suppress(ValueError):
        read_record(text)


strings = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
labels = st.from_regex(r"\A[a-z0-9_-]{1,12}\Z")
hosts = st.lists(labels, min_size=1, max_size=4).map(lambda found: ".".join(found) + ".")
numbers = st.integers(0, 65_535).map(str)
rdata = st.one_of(
    st.tuples(st.just("A"), st.ip_addresses(v=4).map(str)),
    st.tuples(st.just("AAAA"), st.ip_addresses(v=6).map(str)),
    st.tuples(st.sampled_from(["CNAME", "NS", "PTR", "DNAME"]), hosts),
    st.tuples(st.just("TXT"), st.lists(strings, min_size=1, max_size=3).map(" ".join)),
    st.tuples(st.just("MX"), st.tuples(numbers, hosts).map(" ".join)),
    st.tuples(st.just("SRV"), st.tuples(numbers, numbers, numbers, hosts).map(" ".join)),
    st.tuples(st.just("SOA"), st.tuples(hosts, hosts, *[numbers] * 5).map(" ".join)),
    st.tuples(st.just("CAA"), st.tuples(st.just("0 issue"), strings).map(" ".join)),
    st.tuples(
        st.just("NAPTR"),
        st.tuples(numbers, numbers, strings, strings, strings, hosts).map(" ".join),
    ),
)


@given(hosts, st.integers(0, 2**31 - 1), rdata)
@settings(max_examples=200)
def test_a_record_is_what_dnspython_reads(owner: str, ttl: int, line: tuple[str, str]) -> None:
    rtype, text = line
    record = read_record(f"{owner} {ttl} IN {rtype} {text}")
    second = dns.rdata.from_text(dns.rdataclass.IN, rtype, text)

    assert b"".join(record.targets) + record.rdata == second.to_wire()
    assert (record.ttl, record.rtype) == (ttl, dns.rdatatype.from_text(rtype))
