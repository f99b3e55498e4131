"""The constants of a template, in the spelling of Go: strings, characters, whole numbers.

Raises ValueError for what Go does not read either.
"""

import re

from kdns.directives.gotemplate.lexer import Token

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.|$))",
    re.DOTALL,
)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_INTEGER = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9A-Fa-f])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)"
)
_OLD_OCTAL = re.compile(r"\A([+-]?)0_?(?=[0-7])")
_MAX_INT = 2**63 - 1


def string(token: Token) -> str:
    """Read a string in double quotes or backquotes."""
    inner = token.text[1:-1]
    if token.kind == "raw":
        return inner.replace("\r", "")
    return _unescaped(inner, allowed='"')


def character(token: Token) -> int:
    """Read the code point of a character in single quotes."""
    value = _unescaped(token.text[1:-1], allowed="'")
    if len(value) != 1:
        raise ValueError(f"malformed character constant {token.text}")
    return ord(value)


def integer(token: Token) -> int:
    """Read a whole number, with the prefixes and underscores that Go knows."""
    text = token.text
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"bad number {text!r}: expected a whole number")
    value = int(_OLD_OCTAL.sub(r"\g<1>0o", text), 0)
    if not -_MAX_INT - 1 <= value <= _MAX_INT:
        raise ValueError(f"the number {text} has more than 64 bits")
    return value


def _unescaped(text: str, allowed: str) -> str:
    """Replace escapes; those of two or three digits are octets, together they may be UTF-8."""

    def replaced(found: re.Match[str]) -> str:
        name, octal, octet, short, long, other = found.groups()
        if name is not None and name not in "'\"" + allowed:
            return _NAMED.get(name, name)
        if name == allowed:
            return allowed
        if octal is not None and int(octal, 8) <= 0xFF:  # noqa: PLR2004 - an octet
            return _octet(int(octal, 8))
        if octet is not None:
            return _octet(int(octet, 16))
        if (short or long) is not None and _is_character(int(short or long, 16)):
            return chr(int(short or long, 16))
        raise ValueError(f"unknown escape {found.group()!r} in {text!r}: {other or name or octal}")

    joined = _ESCAPE.sub(replaced, text)
    return joined.encode(errors="surrogateescape").decode(errors="surrogateescape")


def _octet(value: int) -> str:
    """Return an octet as it stands in a string: not ASCII as half a surrogate (PEP 383)."""
    return bytes((value,)).decode(errors="surrogateescape")


def _is_character(point: int) -> bool:
    return point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF  # noqa: PLR2004 - Unicode
