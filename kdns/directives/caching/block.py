"""The ``cache`` directive of a Corefile: its words -> settings. Takes every option of CoreDNS 1.14.

Knows no query.
"""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, duration, fail, integer
from kdns.directives.caching.settings import (
    MAX_DENIAL_TTL,
    MAX_TTL,
    SERVFAIL_TTL,
    Bounds,
    Prefetch,
    Settings,
    Stale,
)
from kdns.wire.names import ROOT, Name

OPTIONS = (
    "success",
    "denial",
    "prefetch",
    "serve_stale",
    "serve_stale_policy",
    "servfail",
    "disable",
    "keepttl",
)
HIGHEST_TTL = 0x7FFF_FFFF
"""RFC 2181 section 8."""
MAX_SERVFAIL_TTL = 300.0
"""Seconds; RFC 2308 section 7.1 allows no more."""
MAX_RECHECK = 300.0
"""Seconds; RFC 8767 section 5 allows no more."""
_NUMBER = re.compile(r"[+-]?[0-9]+")
_DURATION = re.compile(r"([0-9]+(ms|s|m|h))+")


def read(directives: Sequence[Directive], block: Block) -> Settings:
    """Read ``cache [TTL] [ZONES...]`` and its options, in a server block only once."""
    directive = values.once(directives)
    ttl, zones = _ttl_and_zones(directive, block)
    lines = _lines(directive, block)
    return Settings(
        zones=values.zones(zones, block.zones),
        success=_bounds(lines.get("success"), Bounds(ttl=ttl or MAX_TTL)),
        denial=_bounds(lines.get("denial"), Bounds(ttl=ttl or MAX_DENIAL_TTL)),
        servfail=_servfail(lines.get("servfail")),
        prefetch=_prefetch(lines.get("prefetch")),
        stale=_stale(lines.get("serve_stale"), lines.get("serve_stale_policy")),
        not_success=_disabled(directive, "success"),
        not_denial=_disabled(directive, "denial"),
        keep_ttl=_is_there(lines.get("keepttl")),
    )


def _ttl_and_zones(directive: Directive, block: Block) -> tuple[int | None, list[Token]]:
    words = list(directive.args)
    ttl: int | None = None
    if words and _NUMBER.fullmatch(words[0].text):
        ttl = integer(words.pop(0), 1, HIGHEST_TTL)
    for word in words:
        if _DURATION.fullmatch(word.text):
            block.warn(word, f"cache: {word.text!r} is taken for a zone: a TTL has no unit")
    return ttl, words


def _lines(directive: Directive, block: Block) -> dict[str, Line]:
    """Return the options by name; of one that stands twice the last counts, as in CoreDNS."""
    found: dict[str, Line] = {}
    for line in directive.lines:
        name = line.name.text
        if name not in OPTIONS:
            values.unknown(line, OPTIONS, of="cache")
        if name in found and name == "serve_stale_policy":
            fail(line.name, "serve_stale_policy may stand only once")
        if name in found and name != "disable":
            block.warn(found[name].name, f"cache: this {name} does not count, the last one does")
        found[name] = line
    return found


def _bounds(line: Line | None, default: Bounds) -> Bounds:
    """Read ``CAPACITY [TTL] [MINTTL]``."""
    if line is None:
        return default
    capacity, *rest = arguments(line, 1, 3)
    ttl = integer(rest[0], 1, HIGHEST_TTL) if rest else default.ttl
    min_ttl = integer(rest[1], 0, HIGHEST_TTL) if len(rest) > 1 else default.min_ttl
    return Bounds(integer(capacity, 0, MANY), ttl, min_ttl)


def _servfail(line: Line | None) -> int:
    if line is None:
        return SERVFAIL_TTL
    [seconds] = arguments(line, 1)
    return int(duration(seconds, 0, MAX_SERVFAIL_TTL))


def _prefetch(line: Line | None) -> Prefetch | None:
    """Read ``AMOUNT [DURATION] [PERCENTAGE%]``; an amount of 0 is none."""
    if line is None:
        return None
    first, *rest = arguments(line, 1, 3)
    wanted = Prefetch(integer(first, 0, MANY))
    if rest:
        wanted = replace(wanted, gap=duration(rest[0]))
    if len(rest) > 1:
        wanted = replace(wanted, percentage=values.percentage(rest[1], 10, 90))
    return wanted if wanted.amount else None


def _stale(line: Line | None, policy: Line | None) -> Stale | None:
    """Read ``[DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]``."""
    if line is None:
        if policy is not None:
            fail(policy.name, "serve_stale_policy is nothing without serve_stale")
        return None
    words = list(arguments(line, 0, 5))
    wanted = Stale(prefer_positive=_prefers_positive(policy))
    if words:
        wanted = replace(wanted, seconds=int(duration(words.pop(0))))
    if words:
        wanted = replace(wanted, verify=_mode(words.pop(0)) == "verify")
    if words and wanted.verify:
        wanted = replace(wanted, timeout=duration(words.pop(0)))
    if words:
        wanted = replace(wanted, ttl=_whole(words.pop(0)))
    if words:
        wanted = replace(wanted, recheck=duration(words.pop(0), 0, MAX_RECHECK))
    if words:
        fail(words[0], f"unexpected {words[0].text!r} after serve_stale DURATION immediate ...")
    return wanted


def _mode(token: Token) -> str:
    return values.choice(_lowered(token), ("immediate", "verify"), "mode of serve_stale")


def _prefers_positive(line: Line | None) -> bool:
    if line is None:
        return False
    [policy] = arguments(line, 1)
    values.choice(_lowered(policy), ("prefer_positive",), "policy")
    return True


def _lowered(token: Token) -> Token:
    return replace(token, text=token.text.lower())


def _whole(token: Token) -> int:
    seconds = duration(token, 0, HIGHEST_TTL)
    if seconds != int(seconds):
        fail(token, f"expected a whole number of seconds, got {token.text!r}")
    return int(seconds)


def _disabled(directive: Directive, which: str) -> tuple[Name, ...]:
    """Read all lines ``disable success|denial [ZONES...]`` of one of the two."""
    found: list[Name] = []
    for line in directive.lines:
        if line.name.text == "disable":
            kind, *zones = arguments(line, 1, MANY)
            if values.choice(kind, ("success", "denial"), "part of the cache") == which:
                found += values.zones(zones, (ROOT,))
    return tuple(found)


def _is_there(line: Line | None) -> bool:
    if line is None:
        return False
    arguments(line, 0)
    return True
