"""Meanings were compared with Go's regexp package when they were written."""

import re

import pytest

from kdns.corefile.regex import compiled


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        pytest.param(r"^(.*)\.example\.$", "a.b.example.", ("a.b",), id="what both read alike"),
        pytest.param("(a|b)+?", "ba", ("b",), id="lazy"),
        pytest.param("(?P<x>a)", "a", ("a",), id="named"),
        pytest.param("(?<x>a)", "a", ("a",), id="named without P"),
        pytest.param("(?:a)(b)", "ab", ("b",), id="not captured"),
        pytest.param("([[:alpha:]]+)", "ab1", ("ab",), id="POSIX class"),
        pytest.param("([[:^alpha:]]+)", "ab1", ("1",), id="POSIX class of the others"),
        pytest.param("([^[:digit:].]+)", "1.ab", ("ab",), id="POSIX class, others of all"),
        pytest.param(r"([\d\-x]+)", "a1-x", ("1-x",), id="class in a class"),
        pytest.param("([]a]+)", "b]a", ("]a",), id="a bracket first in a class"),
        pytest.param("([[a]+)", "b[a", ("[a",), id="a bracket in a class"),
        pytest.param("([a&&b]+)", "c&b", ("&b",), id="no set operations"),
        pytest.param(r"(\s)", "\v ", (" ",), id="the vertical tab is no space"),
        pytest.param(r"([\S]+)", " \v", ("\v",), id="the vertical tab in a class"),
        pytest.param(r"(\w+)", "\u00e9a", ("a",), id="words are ASCII"),
        pytest.param(r"(a)\z", "ba", ("a",), id="end of text"),
        pytest.param(r"(\x41\x{42}\103)", "ABC", ("ABC",), id="codes of characters"),
        pytest.param(r"(\Qa.b\E.)", "axb a.bc", ("a.bc",), id="quoted literals"),
        pytest.param(r"(a)\Q.b)", "axb a.b)", ("a",), id="quoted to the end"),
        pytest.param("(a{,2})", "aa a{,2}", ("a{,2}",), id="braces that are no count"),
        pytest.param("(a{2})", "a aa", ("aa",), id="a count"),
        pytest.param("(?i)(AB)", "ab", ("ab",), id="a flag for all"),
        pytest.param("(a(?i)b|c)d", "Cd", ("C",), id="a flag to the end of its group"),
        pytest.param("(a(?i)b(?-i)c)", "aBc", ("aBc",), id="a flag off again"),
        pytest.param("((?i:a)b)", "Ab", ("Ab",), id="a flag for one group"),
        pytest.param("(?s)(a.)", "a\n", ("a\n",), id="dot and newline"),
        pytest.param("(?m)^(b)$", "a\nb\nc", ("b",), id="ends of lines"),
        pytest.param(r"(\B)", "", ("",), id="no boundary in nothing"),
        pytest.param("(a#b c)", "a#b c", ("a#b c",), id="no comments"),
    ],
)
def test_a_pattern_means_what_it_means_in_go(
    pattern: str, text: str, groups: tuple[str, ...]
) -> None:
    found = compiled(pattern).search(text)

    assert found is not None
    assert found.groups() == groups


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param("a$", "a\n", id="the end is the end, newline or not"),
        pytest.param("a(?i)b|c", "A", id="a flag does not reach back"),
        pytest.param("(a(?i)b)c", "aBC", id="a flag ends with its group"),
        pytest.param(".", "\n", id="dot and newline"),
        pytest.param(r"\d", "\u0663", id="digits are ASCII"),
    ],
)
def test_a_pattern_does_not_match_more_than_in_go(pattern: str, text: str) -> None:
    assert compiled(pattern).search(text) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        pytest.param("(?=a)", "'(?=' is not in Go's syntax", id="lookahead"),
        pytest.param("(?P=x)", "'(?P' is not in Go's syntax", id="reference by name"),
        pytest.param("(?#c)", "'(?#' is not in Go's syntax", id="comment"),
        pytest.param("(?>a)", "'(?>' is not in Go's syntax", id="atomic group"),
        pytest.param(r"(a)\1", r"'\\1' is not supported", id="backreference"),
        pytest.param(r"a\Z", r"'\\Z' is not supported", id="Python's end of text"),
        pytest.param(r"\pL", r"'\\p' is not supported", id="Unicode class"),
        pytest.param("a\\", "'\\\\' is not supported", id="lone backslash"),
        pytest.param("a*+", "nothing that '+' could repeat", id="possessive"),
        pytest.param("a**", "nothing that '*' could repeat", id="repeated repetition"),
        pytest.param("*a", "nothing that '*' could repeat", id="nothing before"),
        pytest.param("^*", "nothing to repeat", id="a place is not repeated"),
        pytest.param("a{2,1}", "expected counts up to 1000, got '{2,1}'", id="count backwards"),
        pytest.param("a{1001}", "expected counts up to 1000, got '{1001}'", id="count too high"),
        pytest.param("(a", "'(' is never closed", id="open group"),
        pytest.param("a)", "')' closes nothing", id="closed group"),
        pytest.param("[a", "'[' is never closed", id="open class"),
        pytest.param("[b-a]", "range from 'b' to 'a' is empty", id="range backwards"),
        pytest.param(r"\x{110000}", r"\x{110000} is no character", id="no such character"),
        pytest.param(
            "(?U)a+", "the flag U, which makes + and +? change places, is not supported", id="U"
        ),
        pytest.param("(" * 200, "groups nest deeper than 100", id="nested too deep"),
        pytest.param("(?P<x>a)(?P<x>b)", "redefinition of group name 'x'", id="a name twice"),
        pytest.param("[[:alfa:]]", "unknown class [:alfa:]: expected one of alnum,", id="class"),
    ],
)
def test_what_cannot_be_read_with_one_meaning_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(reason)):
        compiled(pattern)
