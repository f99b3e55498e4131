"""Which names stand for a name, one after the other, and when that ends.

A walk yields a name, is sent what became of it, and so on; what it returns is the place of the
name that speaks for the whole: the one that was found or, if none was, the one whose failure the
caller gets to see. ``glibc`` follows ``res_nsearch`` of the GNU C library 2.26 to 2.41, ``musl``
the search of musl 1.1.13 and later.
"""

from collections.abc import Generator
from enum import Enum, auto
from typing import Literal, TypeAlias

from kdns.stub.resolvconf import NO_TLD_QUERY, ResolvConf

Style: TypeAlias = Literal["glibc", "musl"]


class Outcome(Enum):
    """What became of a name."""

    FOUND = auto()
    """NOERROR with an answer, if only an alias."""
    NODATA = auto()
    NXDOMAIN = auto()
    SERVFAIL = auto()
    FAILED = auto()
    """Any other rcode."""
    UNASKABLE = auto()
    """Nobody was asked: too long for a name, or none at all."""


Walk: TypeAlias = Generator[str, Outcome, int]


def walk(name: str, conf: ResolvConf, style: Style = "glibc") -> Walk:
    """Return the walk for a name; all that it yields are full names with their final dot."""
    return _musl(name, conf) if style == "musl" else _glibc(name, conf)


def _glibc(name: str, conf: ResolvConf) -> Walk:
    # Escaped dots count too.
    dots, rooted = name.count("."), name.endswith(".")
    if rooted or dots >= conf.ndots:
        as_is = yield _rooted(name)
        if not (rooted or as_is is Outcome.FOUND):
            searched = yield from _search(name, conf, Outcome.FAILED, Outcome.UNASKABLE)
            return len(searched) if Outcome.FOUND in searched else 0
        return 0
    searched = yield from _search(name, conf, Outcome.FAILED, Outcome.UNASKABLE)
    if Outcome.FOUND not in searched and _ends_as_is(conf, dots, len(searched)):
        last = yield _rooted(name)
        if last is Outcome.FOUND:
            return len(searched)
        return _telling(searched, len(searched))
    return _telling(searched, len(searched) - 1)


def _musl(name: str, conf: ResolvConf) -> Walk:
    """Complete names of few dots only, and go on after NXDOMAIN only."""
    if name.endswith(".") or name.count(".") >= conf.ndots:
        yield _rooted(name)
        return 0
    others = (Outcome.NODATA, Outcome.SERVFAIL, Outcome.FAILED)
    searched = yield from _search(name, conf, *others)
    if searched and searched[-1] not in {Outcome.NXDOMAIN, Outcome.UNASKABLE}:
        return len(searched) - 1
    yield _rooted(name)
    return len(searched)


def _search(name: str, conf: ResolvConf, *last: Outcome) -> Generator[str, Outcome, list[Outcome]]:
    """Try the search list until a name is found, or one ends like this."""
    searched: list[Outcome] = []
    for domain in conf.search:
        searched.append((yield _rooted(f"{name}.{domain.removeprefix('.')}")))
        if searched[-1] is Outcome.FOUND or searched[-1] in last:
            break
    return searched


def _ends_as_is(conf: ResolvConf, dots: int, searched: int) -> bool:
    """Whether a name that so many domains were tried for is tried as it is in the end."""
    if "." in conf.search[:searched]:
        return False
    return bool(dots) or not conf.search or NO_TLD_QUERY not in conf.options


def _telling(searched: list[Outcome], last: int) -> int:
    """Return the place of the failure that is told.

    A domain in which the name is there without data, or else one whose servers failed, tells more
    than the name that happened to be the last.
    """
    for outcome in (Outcome.FOUND, Outcome.NODATA, Outcome.SERVFAIL):
        if outcome in searched:
            return searched.index(outcome)
    return last


def _rooted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."
