"""The text of a Corefile -> words, line by line. Knows no braces and no directives.

Read as CoreDNS's lexer reads: words are divided by white space, a word in double quotes may hold
anything but knows only one escape, and ``#`` begins a comment, inside a word too.
"""

import re
from collections.abc import Iterator, Mapping

from kdns.corefile.syntax import Token
from kdns.errors import CorefileError

# What Go's unicode.IsSpace calls white space, without the newline and the carriage return.
_BLANKS = "\\t\\v\\f \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
# A carriage return ends no word: it vanishes. A comment inside a word lasts to the next blank.
_PIECE = re.compile(
    rf"(?P<newline>\n)|[{_BLANKS}\r]+|\#[^\n]*|"
    r'"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<open>")|'
    rf"(?P<word>[^{_BLANKS}\n\#]+)(?:\#[^{_BLANKS}\n]*)?",
    re.DOTALL,
)
# Both forms of an environment variable, ``{%HOME%}`` and ``{$HOME}``, in this order.
_VARIABLES = (re.compile(r"\{%((?:(?!%\}).)+)%\}", re.DOTALL), re.compile(r"\{\$([^}]+)\}"))
_MAX_DEPTH = 10
"""Variables that may stand in one another's values; one that holds itself has no end."""
_BYTE_ORDER_MARK = "\ufeff"


def lines(text: str, path: str, environment: Mapping[str, str]) -> Iterator[tuple[Token, ...]]:
    """Yield the words of every line that has some; a word in quotes may go over several lines.

    A variable that is not set is nothing. Raises CorefileError for a quote that is never closed,
    and for variables without end.
    """
    words: list[Token] = []
    line = 1
    for piece in _PIECE.finditer(text.removeprefix(_BYTE_ORDER_MARK)):
        if piece["open"]:
            raise CorefileError(path, line, 'a quote is opened and never closed: expected "')
        if piece["quoted"] is not None or piece["word"] is not None:
            words.append(_token(piece, path, line, environment))
        elif piece["newline"] and words:
            yield tuple(words)
            words = []
        line += piece.group().count("\n")
    if words:
        yield tuple(words)


def _token(piece: re.Match[str], path: str, line: int, environment: Mapping[str, str]) -> Token:
    """Make a token; one that a variable has changed is as good as quoted: never a brace."""
    quoted = piece["quoted"]
    text = piece["word"].replace("\r", "") if quoted is None else quoted.replace('\\"', '"')
    token = Token(text, path, line, quoted is not None)
    for form in _VARIABLES:
        token = _replaced(token, form, environment)
    return token


def _replaced(token: Token, form: re.Pattern[str], environment: Mapping[str, str]) -> Token:
    """Replace the variables of one form, and those that stand in their values."""
    for _ in range(_MAX_DEPTH):
        text, count = form.subn(lambda found: environment.get(found[1], ""), token.text)
        if not count:
            return token
        token = Token(text, token.path, token.line, quoted=True)
    raise CorefileError(token.path, token.line, "variables stand in one another without end")
