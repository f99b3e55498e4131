"""What rules make of a query, and of what comes back."""

import re

import pytest
from msgspec.structs import replace

from kdns.directives.rewriting.matching import (
    Exact,
    Matcher,
    Prefix,
    Regex,
    Substring,
    Suffix,
    Within,
)
from kdns.directives.rewriting.matching import replaced as matched
from kdns.directives.rewriting.options import WORDS, Content, Edit, Option, Peers, Subnet, Word
from kdns.directives.rewriting.revisions import BadName, Draft, Rename, Retime, Revalue, revised
from kdns.directives.rewriting.rules import (
    ClassRule,
    NameRule,
    OptionRule,
    Outcome,
    ResponseRule,
    Rule,
    TypeRule,
    rewrite,
)
from kdns.directives.rewriting.targets import retargeted, target
from kdns.presentation.record import read_record
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.query import Edns, Query
from tests.plugin import question

PEERS = Peers("192.0.2.77", 40_000, "192.0.2.53", 53, "udp")
LOCAL = 0xFFEE


def asked(outcome: Outcome) -> str:
    return names.to_text(outcome.query.asked)


@pytest.mark.parametrize(
    ("matcher", "to", "name", "expected"),
    [
        (Exact("a.b."), "c.", "a.b.", "c."),
        (Exact("a.b."), "c.", "x.a.b.", None),
        (Prefix("a."), "c.", "a.b.", "c.b."),
        (Prefix("a."), "c.", "ab.", None),
        (Suffix(".b."), ".c.", "a.b.", "a.c."),
        (Suffix("b."), "c.", "ab.", "ac."),
        (Suffix(".b."), ".c.", "b.", None),
        (Substring("b."), "c.", "a.b.b.", "a.c.c."),
        (Substring("x."), "c.", "a.b.", None),
        (Within("b."), "c.", "b.", "c."),
        (Within("b."), "c.", "a.b.", "a.c."),
        (Within("b."), "c.", "ab.", None),
        (Regex(re.compile("(a)(x)?")), "{1}{2}{0}{3}.", "zab.", "aa{3}."),
        (Regex(re.compile("^(.*)[.]b[.]$")), "{1}.{1}.", "{2}.b.", "{2}.{2}."),
        (Regex(re.compile("q")), "c.", "a.b.", None),
    ],
)
def test_a_name_becomes_another(matcher: Matcher, to: str, name: str, expected: str | None) -> None:
    assert matched(matcher, to, name) == expected


def test_rules_are_carried_out_in_order_up_to_one_that_stops() -> None:
    rules: list[Rule] = [
        NameRule(False, Suffix(".a."), ".b."),
        NameRule(False, Exact("other."), "never."),
        TypeRule(False, codes.A, codes.AAAA),
        ClassRule(False, codes.CLASS_IN, codes.CLASS_CH),
        NameRule(True, Suffix(".b."), ".c."),
        NameRule(False, Suffix(".c."), ".d."),
    ]

    outcome = rewrite(rules, question("X.a. A"), PEERS)

    assert asked(outcome) == "x.c."
    assert (outcome.query.rtype, outcome.query.rclass) == (codes.AAAA, codes.CLASS_CH)
    assert outcome.query.question == b"\x01x\x01c\0\0\x1c\0\x03"


def test_a_rule_that_does_not_apply_does_not_stop() -> None:
    rules = [NameRule(True, Exact("other."), "never."), NameRule(True, Exact("a."), "b.")]

    assert asked(rewrite(rules, question("a. A"), PEERS)) == "b."


def test_a_query_that_no_rule_applies_to_is_left() -> None:
    query = question("A.example. A")
    rules: list[Rule] = [
        NameRule(True, Exact("b."), "c."),
        TypeRule(True, codes.MX, codes.A),
        ClassRule(True, codes.CLASS_CH, codes.CLASS_IN),
        ResponseRule(True, Retime(1, 2), Exact("b.")),
    ]

    outcome = rewrite(rules, query, PEERS)

    assert outcome.leaves(query)
    assert outcome.query is query


def test_response_rules_look_at_the_name_that_is_asked_by_then() -> None:
    rules: list[Rule] = [
        ResponseRule(False, Retime(1, 1), Exact("a.")),
        NameRule(False, Exact("a."), "b.", auto=True),
        ResponseRule(False, Retime(2, 2), Exact("a.")),
        ResponseRule(False, Retime(3, 3), Exact("b.")),
        ResponseRule(False, Retime(4, 4)),
    ]

    outcome = rewrite(rules, question("a. A"), PEERS)

    back = Within("b.")
    assert outcome.revisions == (
        Retime(1, 1),
        Rename(back, "a."),
        Revalue(back, "a."),
        Retime(3, 3),
        Retime(4, 4),
    )


@pytest.mark.parametrize("to", ["a..b.", ".", "x" * 64 + ".", ""])
def test_a_name_that_is_none_is_an_error(to: str) -> None:
    rules = [NameRule(True, Prefix("a."), to)]

    with pytest.raises(BadName, match="invalid name after rewrite"):
        rewrite(rules, question("a. A") if to == "" else question("a.b. A"), PEERS)


# -- EDNS --------------------------------------------------------------------------------------


def with_options(*options: Option) -> Query:
    return question("Name.example. AAAA", edns=Edns(1232, do=True, options=options))


def edited(edit: Edit, query: Query) -> Outcome:
    return rewrite([OptionRule(True, edit)], query, PEERS)


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("set", [], [(LOCAL, b"new")]),
        ("set", [(LOCAL, b"old"), (9, b"x")], [(LOCAL, b"new"), (9, b"x")]),
        ("set", [(LOCAL, b"a"), (LOCAL, b"b")], [(LOCAL, b"new"), (LOCAL, b"b")]),
        ("append", [(9, b"x")], [(9, b"x"), (LOCAL, b"new")]),
        ("append", [(LOCAL, b"old")], [(LOCAL, b"old")]),
        ("replace", [(LOCAL, b"old")], [(LOCAL, b"new")]),
        ("replace", [(9, b"x")], [(9, b"x")]),
        ("unset", [(LOCAL, b"a"), (9, b"x"), (LOCAL, b"b")], [(9, b"x")]),
        ("unset", [(9, b"x")], [(9, b"x")]),
    ],
)
def test_an_option_is_edited(action: str, before: list[Option], after: list[Option]) -> None:
    edit = replace(Edit("set", LOCAL, b"new"), action=action)
    outcome = edited(edit, with_options(*before))

    assert outcome.query.edns is not None
    assert replace(outcome.query.edns, passed=()) == Edns(1232, do=True, options=tuple(after))
    assert outcome.private


@pytest.mark.parametrize(
    ("edits", "passed"),
    [
        ([Edit("set", LOCAL, b"new")], [(LOCAL, b"new")]),
        ([Edit("set", LOCAL, b"own")], [(LOCAL, b"own")]),
        ([Edit("replace", LOCAL, b"new", revert=True)], [(LOCAL, b"new")]),
        ([Edit("append", LOCAL, b"new")], []),
        ([Edit("set", 8, b"x"), Edit("set", LOCAL, b"y")], [(8, b"x"), (LOCAL, b"y")]),
        ([Edit("set", 8, b"x"), Edit("replace", 8, b"y")], [(8, b"y")]),
        ([Edit("set", 8, b"x"), Edit("unset", 8)], []),
        ([Edit("unset", LOCAL)], []),
    ],
)
def test_an_upstream_gets_the_options_of_rules_and_not_the_clients(
    edits: list[Edit], passed: list[Option]
) -> None:
    rules = [OptionRule(False, edit) for edit in edits]
    edns = rewrite(rules, with_options((LOCAL, b"own"), (9, b"own")), PEERS).query.edns

    assert edns is not None
    assert edns.passed == tuple(passed)


def test_a_query_without_edns_gets_one_for_the_option() -> None:
    option = (LOCAL, b"x")

    outcome = edited(Edit("set", *option), question("a. A"))

    assert outcome.query.edns == Edns(4096, options=(option,), passed=(option,))


@pytest.mark.parametrize("action", ["replace", "unset"])
def test_a_query_without_edns_gets_none_for_nothing(action: str) -> None:
    query = question("a. A")
    edit = replace(Edit("set", LOCAL, b"x"), action=action)

    assert edited(edit, query).query is query


def test_an_option_rule_that_does_not_apply_does_not_stop() -> None:
    rules: list[Rule] = [
        OptionRule(True, Edit("replace", LOCAL, b"x")),
        NameRule(True, Exact("a."), "b."),
    ]

    assert asked(rewrite(rules, question("a. A"), PEERS)) == "b."


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{qname}", b"Name.example."),
        ("{qtype}", b"\0\x1c"),
        ("{client_ip}", bytes((192, 0, 2, 77))),
        ("{client_port}", (40_000).to_bytes(2)),
        ("{server_ip}", bytes((192, 0, 2, 53))),
        ("{server_port}", b"\0\x35"),
        ("{protocol}", b"udp"),
        (Subnet(24, 56), b"\0\x01\x18\0\xc0\0\x02"),
        (Subnet(20, 56), b"\0\x01\x14\0\xc0\0\0"),
        (Subnet(0, 56), b"\0\x01\0\0"),
    ],
)
def test_an_option_holds_what_is_known_of_the_query(content: Content, expected: bytes) -> None:
    outcome = edited(Edit("set", LOCAL, content), with_options())

    assert outcome.query.edns is not None
    assert outcome.query.edns.options == ((LOCAL, expected),)


def test_the_network_of_an_ipv6_client_has_its_own_length() -> None:
    peers = replace(PEERS, client="2001:db8:1:2ff::1%eth0")
    rule = OptionRule(True, Edit("set", 8, Subnet(24, 60)))

    edns = rewrite([rule], with_options(), peers).query.edns

    assert edns is not None
    assert edns.options == ((8, b"\0\x02\x3c\0" + bytes.fromhex("20010db8000102f0")),)


@pytest.mark.parametrize("content", [word for word in WORDS if "ip" in word or "port" in word])
def test_an_address_that_is_not_known_sets_nothing(content: Word) -> None:
    query = with_options()
    rule = OptionRule(True, Edit("set", LOCAL, content))

    assert rewrite([rule], query, Peers("", 0, "", 0, "udp")).query is query


def test_a_subnet_of_nobody_sets_nothing() -> None:
    query = with_options()
    rule = OptionRule(True, Edit("set", 8, Subnet(24, 56)))

    assert rewrite([rule], query, replace(PEERS, client="")).query is query


@pytest.mark.parametrize(
    ("edits", "before", "shown"),
    [
        ([Edit("set", LOCAL, b"a")], [], [(LOCAL, b"a")]),
        ([Edit("set", LOCAL, b"a", revert=True)], [], []),
        ([Edit("set", LOCAL, b"a", revert=True)], [(LOCAL, b"old")], [(LOCAL, b"old")]),
        ([Edit("replace", LOCAL, b"a")], [], []),
        ([Edit("unset", LOCAL)], [(LOCAL, b"old")], []),
        ([Edit("set", LOCAL, b"a")], [(9, b"x")], [(LOCAL, b"a")]),
        ([Edit("set", 8, Subnet(24, 56))], [], []),
        (
            [Edit("set", LOCAL, b"a"), Edit("replace", LOCAL, b"b", revert=True)],
            [],
            [(LOCAL, b"a")],
        ),
        (
            [Edit("set", LOCAL, b"a", revert=True), Edit("unset", LOCAL)],
            [],
            [],
        ),
    ],
)
def test_the_response_repeats_options_that_are_not_taken_back(
    edits: list[Edit], before: list[Option], shown: list[Option]
) -> None:
    rules = [OptionRule(False, edit) for edit in edits]

    assert rewrite(rules, with_options(*before), PEERS).options() == tuple(shown)


# -- responses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a. CNAME x.old.", "x.new."),
        ("a. NS x.old.", "x.new."),
        ("a. PTR x.old.", "x.new."),
        ("a. DNAME x.old.", "x.new."),
        ("a. MX 10 x.old.", "10 x.new."),
        ("a. SRV 1 2 3 x.old.", "1 2 3 x.new."),
        ('a. NAPTR 1 2 "u" "sip" "" x.old.', '1 2 "u" "sip" "" x.new.'),
        ("a. SOA x.old. y.old. 1 2 3 4 5", "x.new. y.old. 1 2 3 4 5"),
    ],
)
def test_the_name_in_rdata_is_replaced(line: str, expected: str) -> None:
    record = read_record(line)
    head = " ".join(line.split()[:2])
    wanted = read_record(f"{head} {expected}")
    # As it comes from an upstream: with no name apart.
    flat = replace(record, targets=(), rdata=b"".join(record.targets) + record.rdata)

    for one in (record, flat):
        changed = revised(
            Draft(Sections(answer=(one,))), Revalue(Suffix(".old."), ".new.")
        ).sections.answer[0]
        assert b"".join(changed.targets) + changed.rdata == (
            b"".join(wanted.targets) + wanted.rdata
        )


@pytest.mark.parametrize("line", ["a. A 192.0.2.1", "a. TXT x.old.", "a. RP x.old. y.old."])
def test_other_types_have_no_name_to_be_replaced(line: str) -> None:
    record = read_record(line)

    assert target(record) is None
    with pytest.raises(ValueError, match="has no name to be replaced"):
        retargeted(record, names.from_text("b."))


def test_names_are_changed_in_all_sections_and_exact_in_case() -> None:
    sections = Sections(
        answer=(read_record("x.old. A 192.0.2.1"), read_record("X.OLD. A 192.0.2.1")),
        authority=(read_record("old. NS ns.old."),),
        additional=(read_record("ns.old. A 192.0.2.2"),),
    )

    changed = revised(Draft(sections), Rename(Within("old."), "new.")).sections

    owners = [
        names.to_text(record.owner)
        for record in (*changed.answer, *changed.authority, *changed.additional)
    ]
    assert owners == ["x.new.", "X.OLD.", "new.", "ns.new."]


def test_a_record_without_its_name_changed_stays_the_same_object() -> None:
    record = read_record("a. CNAME b.")

    changed = revised(Draft(Sections(answer=(record,))), Revalue(Suffix(".c."), ".d."))

    assert changed.sections.answer[0] is record


def test_a_change_that_makes_no_name_is_an_error() -> None:
    draft = Draft(Sections(answer=(read_record("a.b. A 192.0.2.1"),)))

    with pytest.raises(BadName, match="invalid name after rewrite"):
        revised(draft, Rename(Prefix("a."), "."))
