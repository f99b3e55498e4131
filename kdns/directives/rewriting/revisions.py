"""Changes of a response. Raises BadName where a name becomes none.

They are carried out in the reverse of the order in which the rules stand, like brackets.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.directives.rewriting.matching import Matcher, replaced
from kdns.directives.rewriting.targets import retargeted, target
from kdns.errors import KdnsError
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.records import Record


class BadName(KdnsError):
    """A rule that made something of a name that is no name."""


class Rename(Struct, frozen=True):
    """Changes the owners of records."""

    matcher: Matcher
    to: str


class Revalue(Struct, frozen=True):
    """Changes the name in the rdata of records."""

    matcher: Matcher
    to: str


class Retime(Struct, frozen=True):
    """Brings TTLs into bounds, both included; seconds."""

    low: int
    high: int


class Recode(Struct, frozen=True):
    """Replaces one rcode."""

    old: int
    new: int


class Redirect(Struct, frozen=True):
    """Gives a CNAME another target, whose records then follow it in the answer."""

    matcher: Matcher
    to: str


Revision: TypeAlias = Rename | Revalue | Retime | Recode | Redirect
_Change: TypeAlias = Callable[[Record], Record]


class Draft(Struct, frozen=True):
    """A response that is being changed."""

    sections: Sections
    found: tuple[Record, ...] = ()
    """The end of the answer, which came from a question of its own and is not changed again."""

    def finished(self) -> Sections:
        """Return the response as it is to be sent."""
        return replace(self.sections, answer=(*self.sections.answer, *self.found))


def revised(draft: Draft, revision: Rename | Revalue | Retime | Recode) -> Draft:
    """Carry out a change that needs nothing but the response."""
    if isinstance(revision, Recode):
        return replace(draft, sections=_recoded(draft.sections, revision))
    return replace(draft, sections=_each(draft.sections, partial(_changed, revision)))


def redirection(draft: Draft, redirect: Redirect) -> tuple[Name, Name] | None:
    """Return the first target that is to be replaced, and by what; None where there is none."""
    for record in draft.sections.answer:
        found = target(record) if record.rtype == codes.CNAME else None
        to = None if found is None else _rewritten(found.lower(), redirect.matcher, redirect.to)
        if found is not None and to is not None:
            return found, to
    return None


def redirected(draft: Draft, old: Name, new: Name, rest: Sections) -> Draft:
    """Give the CNAME to ``old`` the target ``new``, and let its records follow.

    Of the records before it only CNAMEs stay, of those after it none.
    """
    kept: list[Record] = []
    for record in draft.sections.answer:
        if record.rtype != codes.CNAME:
            continue
        if target(record) == old:
            kept.append(retargeted(record, new))
            break
        kept.append(record)
    sections = replace(draft.sections, answer=tuple(kept), truncated=rest.truncated)
    return Draft(sections, rest.answer)


def _recoded(sections: Sections, revision: Recode) -> Sections:
    return replace(sections, rcode=revision.new) if sections.rcode == revision.old else sections


def _changed(revision: Rename | Revalue | Retime, record: Record) -> Record:
    match revision:
        case Rename(matcher, to):
            return _renamed(record, matcher, to)
        case Revalue(matcher, to):
            return _revalued(record, matcher, to)
        case Retime(low, high):
            return replace(record, ttl=min(max(record.ttl, low), high))


def _each(sections: Sections, change: _Change) -> Sections:
    return replace(
        sections,
        answer=tuple(map(change, sections.answer)),
        authority=tuple(map(change, sections.authority)),
        additional=tuple(map(change, sections.additional)),
    )


def _renamed(record: Record, matcher: Matcher, to: str) -> Record:
    owner = _rewritten(record.owner, matcher, to)
    return record if owner is None else replace(record, owner=owner)


def _revalued(record: Record, matcher: Matcher, to: str) -> Record:
    value = target(record)
    changed = None if value is None else _rewritten(value, matcher, to)
    return record if changed is None else retargeted(record, changed)


def _rewritten(name: Name, matcher: Matcher, to: str) -> Name | None:
    """Return what a name becomes; None where it stays."""
    text = names.to_text(name)
    changed = replaced(matcher, to, text)
    if changed is None or changed == text:
        return None
    return named(changed)


def named(text: str) -> Name:
    """Read a name that a rule made."""
    if not text:
        raise BadName("invalid name after rewrite: it is empty")
    try:
        return names.from_text(text)
    except ValueError as error:
        raise BadName(f"invalid name after rewrite: {error}") from None
