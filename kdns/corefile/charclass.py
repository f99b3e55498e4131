"""Characters and classes of Go's regular expressions -> Python's.

Knows nothing of what stands between them. Syntax: https://pkg.go.dev/regexp/syntax.
"""

import re
import sys
from collections.abc import Iterable
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""The first and the last code point of a range."""

_DIGIT: tuple[Span, ...] = ((48, 57),)
_UPPER: tuple[Span, ...] = ((65, 90),)
_LOWER: tuple[Span, ...] = ((97, 122),)
_ALPHA = (*_UPPER, *_LOWER)
_ALNUM = (*_DIGIT, *_ALPHA)
_WORD = (*_ALNUM, (95, 95))
# Without the vertical tab, which Python's \s has.
_PERL_SPACE: tuple[Span, ...] = ((9, 10), (12, 13), (32, 32))

POSIX: dict[str, tuple[Span, ...]] = {
    "alnum": _ALNUM,
    "alpha": _ALPHA,
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": _LOWER,
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (65, 70), (97, 102)),
}
_PERL = {"d": _DIGIT, "w": _WORD, "s": _PERL_SPACE}
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_CHARACTER = re.compile(
    r"\\(?:x(?P<two>[0-9A-Fa-f]{2})|x\{(?P<any>[0-9A-Fa-f]{1,8})\}|"
    r"(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2})|(?P<control>[afnrtv])|(?P<punct>[!-/:-@\[-`{-~ ]))"
)
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")


def character(pattern: str, at: int) -> tuple[int, int]:
    """Read the escaped character at a backslash: its code point, and where the next thing is.

    Raises ValueError for what Go does not know or what stands for more than a character.
    """
    found = _CHARACTER.match(pattern, at)
    if found is None:
        raise ValueError(f"{pattern[at : at + 2]!r} is not supported")
    two, braced, octal, control, punct = found.groups()
    if control or punct:
        return ord(_CONTROL.get(control, punct)), found.end()
    code = int(octal, 8) if octal else int(two or braced, 16)
    if code > sys.maxunicode:
        raise ValueError(f"{found.group()} is no character")
    return code, found.end()


def literal(code: int) -> str:
    """Write a character so that Python takes it as itself, in a class too."""
    return re.escape(chr(code))


def perl(letter: str) -> str | None:
    r"""Return the class of ``\d``, ``\S``... written for Python, or None for another letter."""
    spans = _PERL.get(letter.lower())
    if spans is None:
        return None
    return _bracketed(spans if letter.islower() else _others(spans), negated=False)


def bracketed(pattern: str, at: int) -> tuple[str, int]:
    """Read the class that opens at ``[``: it written for Python, and where the next thing is."""
    negated = pattern.startswith("^", at + 1)
    at += 2 if negated else 1
    spans: list[Span] = []
    first = True
    while first or not pattern.startswith("]", at):
        found, at = _item(pattern, at)
        spans += found
        first = False
    return _bracketed(spans, negated=negated), at + 1


def _item(pattern: str, at: int) -> tuple[tuple[Span, ...], int]:
    """Read a class in a class, a range or a character."""
    posix = _POSIX.match(pattern, at)
    if posix:
        spans = POSIX.get(posix.group(2))
        if spans is None:
            raise ValueError(f"unknown class {posix.group()}: expected one of {', '.join(POSIX)}")
        return (_others(spans) if posix.group(1) else spans), posix.end()
    letter = pattern[at + 1 : at + 2] if pattern.startswith("\\", at) else ""
    if letter.lower() in _PERL:
        spans = _PERL[letter.lower()]
        return (spans if letter.islower() else _others(spans)), at + 2
    return _range(pattern, at)


def _range(pattern: str, at: int) -> tuple[tuple[Span, ...], int]:
    low, at = _one(pattern, at)
    if not pattern.startswith("-", at) or pattern.startswith("-]", at):
        return ((low, low),), at
    high, at = _one(pattern, at + 1)
    if high < low:
        raise ValueError(f"range from {chr(low)!r} to {chr(high)!r} is empty")
    return ((low, high),), at


def _one(pattern: str, at: int) -> tuple[int, int]:
    if at >= len(pattern):
        raise ValueError("'[' is never closed")
    return character(pattern, at) if pattern[at] == "\\" else (ord(pattern[at]), at + 1)


def _others(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return every character that is in none of the spans."""
    found: list[Span] = []
    begin = 0
    for low, high in sorted(spans):
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    return (*found, (begin, sys.maxunicode))


def _bracketed(spans: Iterable[Span], *, negated: bool) -> str:
    inside = "".join(
        literal(low) if low == high else f"{literal(low)}-{literal(high)}" for low, high in spans
    )
    return f"[{'^' if negated else ''}{inside}]"
