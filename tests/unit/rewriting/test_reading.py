"""Rules as they are written in a Corefile, and what is said of those that are none."""

import re

import pytest

from kdns.corefile.regex import compiled
from kdns.corefile.syntax import Token
from kdns.directives.rewriting import reading
from kdns.directives.rewriting.matching import Exact, Prefix, Regex, Substring, Suffix
from kdns.directives.rewriting.options import Edit, Subnet
from kdns.directives.rewriting.revisions import Recode, Redirect, Rename, Retime, Revalue
from kdns.directives.rewriting.rules import (
    ClassRule,
    NameRule,
    OptionRule,
    ResponseRule,
    Rule,
    TypeRule,
)
from kdns.errors import CorefileError
from tests.plugin import directives


def no_warning(_: Token, text: str) -> None:
    raise AssertionError(text)


def rule(text: str) -> Rule:
    (directive,) = directives(f"rewrite {text}")
    found = reading.rule(directive, no_warning)
    assert found is not None
    return found


def regex(pattern: str) -> Regex:
    return Regex(compiled(pattern))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name A.Example b.example.", NameRule(True, Exact("a.example."), "b.example.", True)),
        ("stop name a b", NameRule(True, Exact("a."), "b.", True)),
        ("CONTINUE NAME a b", NameRule(False, Exact("a."), "b.", True)),
        ("name exact a b", NameRule(True, Exact("a."), "b.", True)),
        ("name PREFIX a b", NameRule(True, Prefix("a."), "b.")),
        ("name suffix .a .b", NameRule(True, Suffix(".a."), ".b.")),
        ("name substring a b", NameRule(True, Substring("a."), "b.")),
        ("name substring a b answer auto", NameRule(True, Substring("a."), "b.", True)),
        ("name regex (.*)[.]a {1}.B", NameRule(True, regex("(.*)[.]a"), "{1}.b.")),
        (
            "name suffix .a .b answer auto",
            NameRule(
                True,
                Suffix(".a."),
                ".b.",
                False,
                (Rename(Suffix(".b."), ".a."), Revalue(Suffix(".b."), ".a.")),
            ),
        ),
        (
            "name regex (.*)[.]a {1}.b answer name (.*)[.]b {1}.a value (.*)[.]b {1}.a",
            NameRule(
                True,
                regex("(.*)[.]a"),
                "{1}.b.",
                False,
                (Rename(regex("(.*)[.]b"), "{1}.a."), Revalue(regex("(.*)[.]b"), "{1}.a.")),
            ),
        ),
        (
            "name suffix .a .a answer name auto answer value b c",
            NameRule(
                True,
                Suffix(".a."),
                ".a.",
                False,
                (
                    Rename(Suffix(".a."), ".a."),
                    Revalue(Suffix(".a."), ".a."),
                    Revalue(regex("b"), "c."),
                ),
            ),
        ),
        (
            "name exact a b answer name c d",
            NameRule(True, Exact("a."), "b.", True, (Rename(regex("c"), "d."),)),
        ),
        ("type any HINFO", TypeRule(True, 255, 13)),
        ("continue class CH IN", ClassRule(False, 3, 1)),
        ("ttl a 30", ResponseRule(True, Retime(30, 30), Exact("a."))),
        ("ttl suffix a 30-300", ResponseRule(True, Retime(30, 300), Suffix("a."))),
        ("ttl prefix a -30", ResponseRule(True, Retime(0, 30), Prefix("a."))),
        ("ttl substring a 30-", ResponseRule(True, Retime(30, 2**31 - 1), Substring("a."))),
        ("ttl regex A 0", ResponseRule(True, Retime(0, 0), regex("A"))),
        ("rcode a SERVFAIL NOERROR", ResponseRule(True, Recode(2, 0), Exact("a."))),
        ("rcode regex a 3 0", ResponseRule(True, Recode(3, 0), regex("a"))),
        ("cname a B", ResponseRule(True, Redirect(Exact("a."), "b."))),
        ("cname prefix A- B-", ResponseRule(True, Redirect(Prefix("a-"), "b-"))),
        ("cname suffix .a .b", ResponseRule(True, Redirect(Suffix(".a"), ".b"))),
        (
            r"cname regex (.*)\.CDN\D {1}.B.",
            ResponseRule(True, Redirect(regex(r"(?i)(.*)\.CDN\D"), "{1}.b.")),
        ),
        ("edns0 local set 0xffee abc", OptionRule(True, Edit("set", 0xFFEE, b"abc"))),
        (
            "continue edns0 local APPEND 65518 0x616263 revert",
            OptionRule(False, Edit("append", 0xFFEE, b"abc", True)),
        ),
        (
            "edns0 local replace 0xffee {client_ip}",
            OptionRule(True, Edit("replace", 0xFFEE, "{client_ip}")),
        ),
        ("edns0 local unset 0xffee", OptionRule(True, Edit("unset", 0xFFEE))),
        ("edns0 nsid set", OptionRule(True, Edit("set", 3))),
        ("edns0 nsid append revert", OptionRule(True, Edit("append", 3, b"", True))),
        ("edns0 nsid unset", OptionRule(True, Edit("unset", 3))),
        ("edns0 subnet set 24 56", OptionRule(True, Edit("set", 8, Subnet(24, 56)))),
        ("edns0 subnet unset", OptionRule(True, Edit("unset", 8))),
    ],
)
def test_a_rule_is_read(text: str, expected: Rule) -> None:
    assert rule(text) == expected


def test_a_rule_in_braces_is_the_rule_on_one_line() -> None:
    braces = """continue {
        name regex (.*)-(us-west-1)\\.coredns\\.rocks {1}.service.{2}.consul
        answer name (.*)\\.service\\.(us-west-1)\\.consul {1}-{2}.coredns.rocks
        answer value b c
    }"""
    line = " ".join(braces.replace("{\n", "").removesuffix("}").split())

    assert rule(braces) == rule(line)


def test_a_match_type_can_be_in_braces_too() -> None:
    assert rule("name {\nsuffix .a .b\n}") == rule("name suffix .a .b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "rewrite: expected a field like name after 'rewrite', got the end of the rule"),
        ("stop", "rewrite: expected a field like name after 'stop', got the end of the rule"),
        (
            "nam a b",
            "unknown field of rewrite 'nam': expected one of name, type, class, edns0, ttl",
        ),
        ("answer name a b", "rewrite: answer stands after the name rule that it belongs to"),
        ("name a", "rewrite: expected a name after 'a', got the end of the rule"),
        ("name a b c", "unknown kind of match 'a': expected one of exact, prefix, suffix"),
        (
            "name sufix a b",
            "unknown kind of match 'sufix': expected one of exact, prefix, suffix, ",
        ),
        ("name exact a b c d", "rewrite: expected answer, got 'c'"),
        ("name exact a b answer", "rewrite: expected auto, name or value after 'answer'"),
        ("name exact a b answer foo", "unknown answer rule 'foo': expected one of auto, name"),
        ("name exact a b answer name c", "rewrite: expected a name after 'c'"),
        ("name suffix a b answer auto name c d", "rewrite: answer auto and answer name do not go"),
        ("name regex ( b", "regular expression '('"),
        ("name regex " + "x" * 10_001 + " b", "rewrite: a regular expression of more than 10000"),
        ("type A", "rewrite: expected a type after 'A', got the end of the rule"),
        ("type A AAAA MX", "rewrite: expected the end of the rule, got 'MX'"),
        ("type A FOO", "unknown type 'FOO'"),
        ("class IN FOO", "unknown class 'FOO'"),
        ("ttl a", "rewrite: expected a TTL after 'a'"),
        ("ttl a -", "rewrite: expected a TTL or a range like 30-300, got '-'"),
        ("ttl a 1-2-3", "rewrite: expected a TTL or a range like 30-300, got '1-2-3'"),
        ("ttl a 300-30", "rewrite: expected a range from low to high, got '300-30'"),
        ("ttl a 4294967296", "rewrite: expected a range from low to high, got '4294967296'"),
        ("ttl foo a 30", "unknown kind of match 'foo'"),
        ("rcode a SERVFAIL", "rewrite: expected an rcode after 'SERVFAIL'"),
        ("rcode a FOO NOERROR", "unknown rcode 'FOO'"),
        ("cname a", "rewrite: expected a target after 'a'"),
        ("cname foo a b", "unknown kind of match 'foo'"),
        ("edns0", "rewrite: expected local, nsid or subnet after 'edns0'"),
        ("edns0 cookie set", "unknown kind of EDNS option 'cookie': expected one of local, nsid"),
        (
            "edns0 local put 1 a",
            "unknown action 'put': expected one of set, append, replace, unset",
        ),
        ("edns0 local set 1", "rewrite: expected the data of an option after '1'"),
        ("edns0 local set 65536 a", "rewrite: expected the code of an option like 0xffee, got '65"),
        ("edns0 local set x a", "rewrite: expected the code of an option like 0xffee, got 'x'"),
        ("edns0 local set 1 0xabc", "rewrite: expected pairs of hex digits after 0x, got '0xabc'"),
        ("edns0 local set 1 {clientip}", "unknown variable of rewrite '{clientip}'"),
        ("edns0 local unset 1 revert", "rewrite: expected the end of the rule, got 'revert'"),
        ("edns0 subnet set 33 1", "expected a whole number from 0 to 32, got '33'"),
        ("edns0 subnet set 24 129", "expected a whole number from 0 to 128, got '129'"),
        ("edns0 subnet set 24", "rewrite: expected the bits of an IPv6 network after '24'"),
        ("name a b {\nanswer auto\n}", "rewrite: a rule is on one line or in braces, not both"),
    ],
)
def test_what_is_no_rule_is_refused_at_its_line(text: str, reason: str) -> None:
    (directive,) = directives(f"rewrite {text}")

    with pytest.raises(CorefileError, match=re.escape(reason)) as refused:
        reading.rule(directive, no_warning)

    assert refused.value.path == "Corefile"
    assert refused.value.line == 2 + ("\n" in text)


def test_a_group_that_the_pattern_does_not_have_is_warned_about() -> None:
    warnings: list[str] = []
    (directive,) = directives("rewrite name regex (a)b? {0}{1}{2}.c")

    reading.rule(directive, lambda _, text: warnings.append(text))

    assert warnings == ["rewrite: the pattern has no group 2, {2} stays as it is"]


def test_a_variable_that_nothing_sets_makes_no_rule_and_a_warning() -> None:
    warnings: list[str] = []
    (directive,) = directives("rewrite edns0 local set 0xffee {some-plugin/some-label}")

    found = reading.rule(directive, lambda _, text: warnings.append(text))

    assert found is None
    assert warnings == [
        "rewrite: nothing here sets metadata, {some-plugin/some-label} is never there"
    ]
