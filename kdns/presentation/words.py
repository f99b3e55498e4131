"""The text of one record -> its words: quotes, comments and parentheses are gone."""

import re

from msgspec import Struct

_PART = re.compile(
    r"""
    (?P<space>[ \t\r]+)
    | (?P<comment>;[^\n]*)
    | (?P<quoted>"(?:\\.|[^"\\])*")
    | (?P<plain>(?:\\.|[^\s;"()\\])+)
    | (?P<mark>[()\n])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(\d\d\d|.)", re.DOTALL)
_MAX_OCTET = 255


class Word(Struct, frozen=True):
    """A word as it is written, escapes included."""

    text: str
    quoted: bool = False
    glued: bool = False
    """Whether nothing stands between it and the word before."""


def words(text: str) -> tuple[Word, ...]:
    """Divide the text of one record into words.

    A newline ends the record, except in parentheses; nothing may follow it.
    """
    found: list[Word] = []
    depth, glued, ended = 0, False, False
    for part in _parts(text):
        kind, written = part.lastgroup, part.group()
        if kind in ("quoted", "plain"):
            if ended:
                raise ValueError(f"expected one record, got {written!r} after it")
            quoted = kind == "quoted"
            found.append(Word(written[1:-1] if quoted else written, quoted, glued))
        depth += {"(": 1, ")": -1}.get(written, 0) if kind == "mark" else 0
        if depth < 0:
            raise ValueError("a parenthesis is closed that was not opened")
        ended = ended or (written == "\n" and not depth and bool(found))
        glued = kind in ("quoted", "plain")
    if depth:
        raise ValueError("a parenthesis is not closed")
    return tuple(found)


def unescaped(word: Word) -> bytes:
    """Return the octets of a word (RFC 1035 section 5.1)."""
    data = word.text.encode(errors="surrogateescape")
    return _ESCAPED.sub(_unescape, data)


def _parts(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            what = "a quoted string is not closed" if text[at] == '"' else f"bad {text[at]!r}"
            raise ValueError(what)
        found.append(part)
        at = part.end()
    return found


def _unescape(found: re.Match[bytes]) -> bytes:
    escaped = found.group(1)
    if len(escaped) == 1:
        return escaped
    if int(escaped) > _MAX_OCTET:
        raise ValueError(f"\\{escaped.decode()} is no octet")
    return bytes((int(escaped),))
