"""Which template a question is answered by."""

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.corefile.mnemonics import CLASSES
from kdns.directives.gotemplate.nodes import Node
from kdns.wire import codes, names
from kdns.wire.message import Ede
from kdns.wire.names import Name
from kdns.wire.query import Query
from kdns.wire.records import Record

ANY_CLASS = CLASSES["ANY"]


Section: TypeAlias = Literal["answer", "authority", "additional"]


class Pattern(Struct, frozen=True):
    """A regular expression for the name of the question."""

    compiled: re.Pattern[str]
    text: str
    """As it is written in the Corefile."""


class Source(Struct, frozen=True):
    """What one record is made from."""

    section: Section
    nodes: tuple[Node, ...]
    label: str
    """The template as metrics name it."""
    constant: Record | None = None
    """The record itself where the template is plain text."""


class Template(Struct, frozen=True):
    """One ``template`` of a Corefile."""

    rclass: int
    rtype: int
    zones: tuple[Name, ...]
    patterns: tuple[Pattern, ...] = ()
    sources: tuple[Source, ...] = ()
    rcode: int = codes.NOERROR
    ede: Ede | None = None
    leaves: tuple[Name, ...] = ()
    """Zones whose names are left to the next template when no pattern matches."""
    private: bool = False
    """Whether its records depend on more than the question."""


class Match(Struct, frozen=True):
    """A question that a template answers."""

    zone: Name
    name: str
    """Of the question, in lower case."""
    rclass: int
    rtype: int
    """As asked; those of the template where ANY is asked for."""
    pattern: Pattern
    found: re.Match[str]


Outcome: TypeAlias = Match | Literal["refused", "elsewhere"]
"""``refused``: the template is for this question and no pattern fits; ``elsewhere``: the next
template is to be tried."""


def matched(template: Template, query: Query) -> Outcome:
    """Find out whether a template answers a question."""
    zone = _longest(template.zones, query.name)
    if zone is None or not _is_for(template, query):
        return "elsewhere"
    name = names.to_text(query.name)
    for pattern in template.patterns:
        found = pattern.compiled.search(name)
        if found is not None:
            rclass = template.rclass if query.rclass == ANY_CLASS else query.rclass
            rtype = template.rtype if query.rtype == codes.ANY else query.rtype
            return Match(zone, name, rclass, rtype, pattern, found)
    return "refused" if _longest(template.leaves, query.name) is None else "elsewhere"


def _is_for(template: Template, query: Query) -> bool:
    """Compare class and type; ANY is all of them, in the template and in the question."""
    rclasses, rtypes = {template.rclass, query.rclass}, {template.rtype, query.rtype}
    same_class = len(rclasses) == 1 or ANY_CLASS in rclasses
    return same_class and (len(rtypes) == 1 or codes.ANY in rtypes)


def _longest(zones: Sequence[Name], name: Name) -> Name | None:
    return max((zone for zone in zones if names.is_below(name, zone)), key=len, default=None)
