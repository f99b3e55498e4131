"""Every case of reading words was compared with caddy's own lexer when it was written."""

import pytest

from kdns.corefile.lexer import lines
from kdns.corefile.syntax import Token
from kdns.errors import CorefileError

ENVIRONMENT = {
    "ZONE": "cluster.local",
    "WORDS": "two words",
    "OUTER": "{$INNER}!",
    "INNER": "in",
    "BRACE": "{",
    "ENDLESS": "{$ENDLESS}",
}


def words(text: str) -> list[list[str]]:
    return [[token.text for token in line] for line in lines(text, "Corefile", ENVIRONMENT)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \n\t\n", [], id="blank lines"),
        pytest.param("a b\tc\nd", [["a", "b", "c"], ["d"]], id="words and lines"),
        pytest.param("a\r\nb\r\n", [["a"], ["b"]], id="CRLF"),
        pytest.param("a\rb c", [["ab", "c"]], id="a lone carriage return vanishes"),
        pytest.param("\ufeffa", [["a"]], id="byte order mark"),
        pytest.param("a\ufeff", [["a\ufeff"]], id="a later mark is part of a word"),
        pytest.param("a\u00a0b\u2003c\vd\x85e", [["a", "b", "c", "d", "e"]], id="Unicode blanks"),
        pytest.param("a\x1cb", [["a\x1cb"]], id="what only Python calls white space"),
        pytest.param("a # b\n# c\nd", [["a"], ["d"]], id="comments"),
        pytest.param("a#b c\nd", [["a", "c"], ["d"]], id="a comment in a word lasts to the blank"),
        pytest.param('"a b" c', [["a b", "c"]], id="quotes"),
        pytest.param('""', [[""]], id="empty quotes"),
        pytest.param('"a"b', [["a", "b"]], id="a quote ends a word"),
        pytest.param('a"b c"', [['a"b', 'c"']], id="a quote inside a word is a character"),
        pytest.param(r'"a\"b" "\d\\"', [['a"b', r"\d\\"]], id="only quotes are escaped"),
        pytest.param('"# no" x', [["# no", "x"]], id="no comment in quotes"),
        pytest.param('a "b\nc" d\ne', [["a", "b\nc", "d"], ["e"]], id="quotes over lines"),
        pytest.param("`a b`", [["`a", "b`"]], id="backticks are characters"),
        pytest.param("a \\\nb", [["a", "\\"], ["b"]], id="a backslash continues no line"),
        pytest.param("{remote} {>id}", [["{remote}", "{>id}"]], id="braces in words"),
    ],
)
def test_words_are_divided_as_caddy_divides_them(text: str, expected: list[list[str]]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{$ZONE}", "cluster.local", id="dollar"),
        pytest.param("{%ZONE%}", "cluster.local", id="percent"),
        pytest.param("dns://{$ZONE}:53", "dns://cluster.local:53", id="inside a word"),
        pytest.param('"a {$ZONE}"', "a cluster.local", id="in quotes"),
        pytest.param("{$WORDS}", "two words", id="a value stays one word"),
        pytest.param("{$OUTER}", "in!", id="a variable in a value"),
        pytest.param("a{$UNSET}b", "ab", id="not set"),
        pytest.param("{$}", "{$}", id="no name"),
        pytest.param("{%%}", "{%%}", id="no name in percents"),
        pytest.param("{$ZONE", "{$ZONE", id="not closed"),
    ],
)
def test_variables_of_the_environment_are_replaced(text: str, expected: str) -> None:
    assert words(text) == [[expected]]


def test_words_know_their_lines_over_comments_and_quotes() -> None:
    text = '# one\na\n\n"b\nc" d # five\ne\r\nf'

    found = [(token.text, token.line) for line in lines(text, "x", {}) for token in line]

    assert found == [("a", 2), ("b\nc", 4), ("d", 5), ("e", 6), ("f", 7)]


@pytest.mark.parametrize(
    ("text", "quoted"), [("{", False), ('"{"', True), ("{$BRACE}", True), ("{$}", False)]
)
def test_a_word_that_was_quoted_or_replaced_is_known_for_it(text: str, quoted: bool) -> None:
    assert list(lines(text, "x", ENVIRONMENT)) == [
        (Token(text if text == "{$}" else "{", "x", 1, quoted),)
    ]


def test_a_quote_that_is_never_closed_is_refused_where_it_opens() -> None:
    with pytest.raises(CorefileError) as caught:
        words('a\nb "c\nd')

    assert str(caught.value) == 'Corefile:2: a quote is opened and never closed: expected "'


def test_a_variable_that_holds_itself_is_refused() -> None:
    with pytest.raises(CorefileError, match="Corefile:1: variables stand in one another without"):
        words("{$ENDLESS}")
