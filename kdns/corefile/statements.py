"""Lines of words -> statements: words, and the statements in the braces after them.

Knows what a brace is, and neither directives nor imports.
"""

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from kdns.corefile.syntax import Token
from kdns.corefile.values import fail

_DEEPEST = 3
"""A snippet that holds a server block that holds a directive with lines."""


class Statement(Struct):
    """Words of one line; ``body`` is None where no braces follow."""

    words: tuple[Token, ...]
    body: "list[Statement] | None" = None


_Open: TypeAlias = tuple[Token, list[Statement]]


def statements(lines: Iterable[tuple[Token, ...]]) -> list[Statement]:
    """Put lines into the braces that they stand in.

    Raises CorefileError for a brace without its other one, and for one that has words around it:
    CoreDNS takes those for something else than what they look like.
    """
    outermost: list[Statement] = []
    opened: list[_Open] = []
    for line in lines:
        here = opened[-1][1] if opened else outermost
        if _is(line[0], "}"):
            _close(line, opened)
        else:
            _add(line, here, opened)
    if opened:
        fail(opened[-1][0], "'{' is never closed: expected a line with '}'")
    return outermost


def _close(line: tuple[Token, ...], opened: list[_Open]) -> None:
    if not opened:
        fail(line[0], "'}' closes nothing: no '{' is open")
    if len(line) > 1:
        fail(line[1], f"expected the end of the line after '}}', got {line[1].text!r}")
    opened.pop()


def _add(line: tuple[Token, ...], here: list[Statement], opened: list[_Open]) -> None:
    """Add a line to the statements; words after ``{`` are the first line in the braces."""
    words: list[Token] = []
    for token in line:
        if _is(token, "}"):
            fail(token, "expected '}' on a line of its own")
        if not _is(token, "{"):
            words.append(token)
            continue
        here = _open(token, words, here, opened)
        words = []
    if words:
        _refuse_glued(words[-1])
        here.append(Statement(tuple(words)))


def _refuse_glued(last: Token) -> None:
    """Refuse ``log{``: the closing brace would be what is reported, far below."""
    if last.text.endswith("{") and not last.quoted:
        fail(last, f"expected a space before the '{{' of {last.text!r}")


def _open(
    brace: Token, words: list[Token], here: list[Statement], opened: list[_Open]
) -> list[Statement]:
    """Open the braces of the words before it, or of the line before: return what goes in."""
    if len(opened) >= _DEEPEST:
        fail(brace, "braces nest too deep: expected a server block, a directive and its lines")
    if words:
        _refuse_glued(words[-1])
        here.append(Statement(tuple(words)))
    elif opened or not here or here[-1].body is not None:
        fail(brace, "expected a word before '{'")
    here[-1].body = []
    opened.append((brace, here[-1].body))
    return here[-1].body


def _is(token: Token, brace: str) -> bool:
    return token.text == brace and not token.quoted
