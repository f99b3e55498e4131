"""The words of a directive -> numbers, names, addresses.

Every function takes the token that it reads and raises CorefileError at its file and line, with
what was found and what was expected. Knows no plugin.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from math import isfinite
from typing import Literal, NoReturn

from kdns.corefile import zones as corefile_zones
from kdns.corefile.durations import written
from kdns.corefile.mnemonics import CLASSES, RCODE_ALIASES, RCODES, TYPES
from kdns.corefile.regex import compiled
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.zones import MAX_PORT, Network
from kdns.errors import CorefileError
from kdns.wire.names import Name

MANY = sys.maxsize
"""The ``high`` of ``arguments`` where any number may stand."""

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,  # the micro sign, and the Greek letter
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_SECONDS)})"
_DURATION = re.compile(rf"([+-]?)(?:0|((?:{_PART})+))")
_PARTS = re.compile(_PART)
_LONGEST = 2**63 / 1e9
"""Seconds that Go's duration, an int64 of nanoseconds, can hold."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_HOST_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")
_NUMBERED_TYPE = re.compile(r"TYPE([0-9]{1,5})")
_NUMBERED_CLASS = re.compile(r"CLASS([0-9]{1,5})")
_MAX_CODE = 65_535
_MAX_RCODE = 4095
"""RFC 6891 section 6.1.3: twelve bits, with the eight that EDNS adds."""
_FEW = {0: "no", 1: "one"}


def fail(token: Token, text: str) -> NoReturn:
    """Raise CorefileError at the token's file and line."""
    raise CorefileError(token.path, token.line, text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" where another known word is near, else nothing."""
    near = get_close_matches(word, [other for other in known if other != word], n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def arguments(
    words: Directive | Line, low: int, high: int | None = None, *, what: str = "argument"
) -> tuple[Token, ...]:
    """Return the arguments of a directive or line when there are ``low`` to ``high`` of them.

    Without ``high`` there must be exactly ``low``; ``MANY`` is no limit. ``what`` is what one
    argument is called in the error.
    """
    highest = low if high is None else high
    if low <= len(words.args) <= highest:
        return words.args
    expected = _expected(low, highest, what)
    fail(
        words.name, f"{words.name.text}: expected {expected}, got {_many(len(words.args), 'word')}"
    )


def no_lines(directive: Directive) -> None:
    """Refuse a block after a directive that has none."""
    if directive.lines:
        line = directive.lines[0]
        fail(line.name, f"{directive.name.text} takes no block, got {line.name.text!r}")


def once(directives: Sequence[Directive]) -> Directive:
    """Return the only one of a server block's directives of one name.

    The error stands at the second one and names the place of the first.
    """
    first, *others = directives
    if others:
        at = f"{first.name.path}:{first.name.line}"
        text = f"{first.name.text} may stand only once in a server block, it is already at {at}"
        fail(others[0].name, text)
    return first


def unknown(line: Line, known: Iterable[str], *, of: str = "") -> NoReturn:
    """Refuse a line whose name is none of the known ones of the directive ``of``."""
    words = tuple(known)
    whose = f" of {of}" if of else ""
    word = line.name.text
    expected = f"expected {_one_of(words)}" if words else "expected none"
    fail(line.name, f"unknown property {word!r}{whose}: {expected}{nearest(word, words)}")


def duration(
    token: Token,
    low: float = 0.0,
    high: float | None = None,
    bare: Literal["seconds"] | None = None,
) -> float:
    """Read a duration of Go, ``1h2m3.5s``, ``500ms`` or ``0``, in seconds.

    ``bare`` is the unit of a number that stands alone, where CoreDNS takes one.
    """
    seconds = _seconds(token.text)
    if seconds is None and bare is not None and _INTEGER.fullmatch(token.text):
        seconds = float(token.text)
    if seconds is None or abs(seconds) >= _LONGEST:
        also = " or a number of seconds" if bare else ""
        fail(token, f"expected a duration like 30s, 1m30s or 500ms{also}, got {token.text!r}")
    if seconds < low:
        fail(token, f"expected a duration of at least {written(low)}, got {token.text!r}")
    if high is not None and seconds > high:
        fail(token, f"expected a duration of at most {written(high)}, got {token.text!r}")
    return seconds


def integer(token: Token, low: int, high: int) -> int:
    """Read a whole number within bounds, both included."""
    value = int(token.text) if _INTEGER.fullmatch(token.text) else None
    if value is None or not low <= value <= high:
        fail(token, f"expected a whole number {_bounds(low, high)}, got {token.text!r}")
    return value


def number(token: Token, low: float, high: float) -> float:
    """Read a number within bounds, both included."""
    value = float(token.text) if _NUMBER.fullmatch(token.text) else None
    if value is None or not isfinite(value) or not low <= value <= high:
        fail(token, f"expected a number {_bounds(low, high)}, got {token.text!r}")
    return value


def percentage(token: Token, low: int, high: int) -> int:
    """Read ``10%``: whole, within bounds, both included."""
    digits = token.text.removesuffix("%")
    value = int(digits) if _INTEGER.fullmatch(digits) and digits != token.text else None
    if value is None or not low <= value <= high:
        fail(token, f"expected a percentage from {low}% to {high}%, got {token.text!r}")
    return value


def choice(token: Token, words: Iterable[str], what: str) -> str:
    """Read one of the words, as they are written; ``what`` says what they are."""
    known = tuple(words)
    if token.text in known:
        return token.text
    near = nearest(token.text, known)
    fail(token, f"unknown {what} {token.text!r}: expected {_one_of(known)}{near}")


def switch(token: Token) -> bool:
    """Read ``on`` or ``off``."""
    return choice(token, ("on", "off"), "switch") == "on"


def address(token: Token) -> str:
    """Read an IP address; equal addresses come back as equal texts."""
    try:
        return str(ip_address(token.text))
    except ValueError:
        fail(token, f"expected an IP address, got {token.text!r}")


def host_port(token: Token, default_port: int) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[IPV6]:PORT``, ``HOST``, an IPv6 address, or ``:PORT`` of no host."""
    text = token.text
    bracketed, plain, port = _divided(text)
    host = bracketed or plain
    if text in {"", ":"} or not (_is_address(host) or (not bracketed and _is_host(host))):
        fail(token, f"expected ADDRESS:PORT, [IPV6]:PORT or :PORT, got {text!r}")
    if port is not None and not 0 <= int(port) <= MAX_PORT:
        fail(token, f"expected a port from 0 to {MAX_PORT}, got {text!r}")
    known = str(ip_address(host)) if _is_address(host) else host
    return known, default_port if port is None else int(port)


def network(token: Token) -> Network:
    """Read ``ADDRESS/BITS`` or an address, which is a network of one."""
    try:
        return corefile_zones.network(token.text)
    except ValueError:
        expected = "expected an address or a network like 10.0.0.0/8 or 2001:db8::/32"
        fail(token, f"{expected}, got {token.text!r}")


def regex(token: Token) -> re.Pattern[str]:
    """Read a regular expression of Go; what Python would read differently is refused."""
    try:
        return compiled(token.text)
    except ValueError as error:
        fail(token, f"regular expression {token.text!r}: {error}")


def zones(tokens: Iterable[Token], default: Sequence[Name]) -> tuple[Name, ...]:
    """Read zones into names in lower case, a network as its reverse zones; ``default`` for none.

    A scheme and a port are passed over, as CoreDNS does.
    """
    found = tuple(name for token in tokens for name in _zone(token))
    return found or tuple(default)


def rcode(token: Token) -> int:
    """Read the name of an rcode, in any case, or its number."""
    value = _INTEGER.fullmatch(token.text) and int(token.text)
    if value is not None and 0 <= value <= _MAX_RCODE:
        return value
    return _code(token, {**RCODES, **RCODE_ALIASES}, "rcode")


def rtype(token: Token) -> int:
    """Read the mnemonic of a type, in any case, or ``TYPE123`` (RFC 3597 section 5)."""
    return _numbered(token, _NUMBERED_TYPE) or _code(token, TYPES, "type")


def rclass(token: Token) -> int:
    """Read the mnemonic of a class, in any case, or ``CLASS123`` (RFC 3597 section 5)."""
    return _numbered(token, _NUMBERED_CLASS) or _code(token, CLASSES, "class")


def _expected(low: int, high: int, what: str) -> str:
    if high >= MANY:
        return f"at least {_many(low, what)}"
    if low == high:
        return _many(low, what)
    return f"{low} to {_many(high, what)}" if low else f"at most {_many(high, what)}"


def _many(count: int, what: str) -> str:
    """Write a count of things: "no arguments", "one address", "7 words"."""
    ending = "" if count == 1 else "es" if what.endswith("s") else "s"
    return f"{_FEW.get(count, count)} {what}{ending}"


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else "one of " + ", ".join(words)


def _bounds(low: float, high: float) -> str:
    return f"of at least {low}" if high >= MANY else f"from {low} to {high}"


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    sign, parts = found.group(1), found.group(2)
    total = sum(float(count) * _SECONDS[unit] for count, unit in _PARTS.findall(parts or ""))
    return -total if sign == "-" else total


def _divided(text: str) -> tuple[str, str, str | None]:
    """Divide into the host in brackets or without, and the port; one of the hosts is empty."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        return "", text, None
    bracketed, plain, port = found.groups()
    return bracketed or "", plain or "", port


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_host(host: str) -> bool:
    return host == "" or _HOST.fullmatch(host) is not None


def _zone(token: Token) -> tuple[Name, ...]:
    try:
        _, zone, _ = corefile_zones.divide(token.text)
        return corefile_zones.expand(zone)
    except ValueError as error:
        fail(token, f"expected a zone or a network, got {token.text!r}: {error}")


def _numbered(token: Token, form: re.Pattern[str]) -> int:
    """Return the number of RFC 3597 section 5's form, 0 where it is not written so."""
    found = form.fullmatch(token.text.upper())
    value = int(found.group(1)) if found else 0
    return value if value <= _MAX_CODE else 0


def _code(token: Token, known: Mapping[str, int], what: str) -> int:
    word = token.text.upper()
    if word in known:
        return known[word]
    example = ", ".join(list(known)[:3])
    fail(token, f"unknown {what} {token.text!r}: expected one like {example}{nearest(word, known)}")
