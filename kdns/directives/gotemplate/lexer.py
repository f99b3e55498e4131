"""Text with actions between ``{{`` and ``}}`` -> texts and the tokens of each action.

Comments and the white space that trim markers (``{{- `` and `` -}}``) ask to drop are gone.
Raises ValueError for what no template can hold.
"""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal[
    "string", "raw", "char", "number", "field", "dot", "variable", "word", "mark"
]


class Token(Struct, frozen=True):
    """A part of an action."""

    kind: Kind
    text: str
    spaced: bool
    """Whether white space stands before it, which separates arguments."""


Piece: TypeAlias = str | tuple[Token, ...]
"""Plain text, or an action."""

_SPACE = " \t\r\n"
_LEFT, _RIGHT = "{{", "}}"
_COMMENT_END = "*/"
_TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\[^\n]|[^"\\\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:\\[^\n]|[^'\\\n])*')
    | (?P<number>[+-]?\.?[0-9][\w.]*(?:(?<=[eE])[+-][\w.]*)?|[+-])
    | (?P<field>\.\w+)
    | (?P<dot>\.)
    | (?P<variable>\$\w*)
    | (?P<word>\w+)
    | (?P<mark>:=|[=|(),])
    """,
    re.VERBOSE,
)
_JOINED = frozenset({"field", "dot", "variable", "word"})
"""What must be followed by white space or one of ``_ENDS``."""
_ENDS = ".,|:()"
_UNCLOSED = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}


def pieces(text: str) -> Iterator[Piece]:
    """Divide a template into plain text and actions."""
    at = 0
    trims = False
    while True:
        start = text.find(_LEFT, at)
        plain = text[at:] if start < 0 else text[at:start]
        plain = plain.lstrip(_SPACE) if trims else plain
        if start < 0:
            yield from filter(None, (plain,))
            return
        inside = start + len(_LEFT)
        if _marks(text[inside : inside + 2]):
            plain = plain.rstrip(_SPACE)
            inside += 2
        yield from filter(None, (plain,))
        tokens, at, trims = _action(text, inside)
        if tokens is not None:
            yield tokens


def _marks(two: str) -> bool:
    """Whether an action begins with a trim marker: a minus and white space."""
    return len(two) > 1 and two[0] == "-" and two[1] in _SPACE


def _action(text: str, at: int) -> tuple[tuple[Token, ...] | None, int, bool]:
    """Read an action: its tokens, where the text after it begins, whether that is trimmed.

    A comment has no tokens: None.
    """
    if text.startswith("/*", at):
        end = text.find(_COMMENT_END, at)
        if end < 0:
            raise ValueError("unclosed comment")
        closed = _closing(text, end + len(_COMMENT_END))
        if closed is None:
            raise ValueError("a comment must fill its action: {{/* like this */}}")
        return None, *closed
    found: list[Token] = []
    while True:
        closed = _closing(text, at)
        if closed is not None:
            return tuple(found), *closed
        token, at = _token(text, at)
        found.append(token)


def _closing(text: str, at: int) -> tuple[int, bool] | None:
    """Return the offset after ``}}`` or `` -}}`` and whether it trims; None where neither is."""
    if text.startswith(_RIGHT, at):
        return at + len(_RIGHT), False
    end = at
    while end < len(text) and text[end] in _SPACE:
        end += 1
    if end > at and text.startswith("-" + _RIGHT, end):
        return end + 1 + len(_RIGHT), True
    if end > at and text.startswith(_RIGHT, end):
        return end + len(_RIGHT), False
    return None


def _token(text: str, at: int) -> tuple[Token, int]:
    """Read one token of an action, and where the next begins."""
    start = at
    while at < len(text) and text[at] in _SPACE:
        at += 1
    found = _TOKEN.match(text, at)
    if found is None:
        raise ValueError(_misread(text, at))
    kind, end = found.lastgroup, found.end()
    if kind in _JOINED and not _ends(text, end):
        raise ValueError(f"bad character {text[end]!r} after {found.group()!r}")
    return Token(kind, found.group(), at > start), end  # type: ignore[arg-type] # named as Kind


def _ends(text: str, at: int) -> bool:
    return at >= len(text) or text[at] in _SPACE + _ENDS or text.startswith(_RIGHT, at)


def _misread(text: str, at: int) -> str:
    if at >= len(text):
        return "unclosed action: expected }}"
    unclosed = _UNCLOSED.get(text[at])
    return f"unterminated {unclosed}" if unclosed else f"unexpected {text[at]!r} in an action"
