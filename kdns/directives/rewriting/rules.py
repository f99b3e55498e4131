"""Rules in their order: a query -> the query that is asked, and how its response is changed."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.directives.rewriting.matching import Matcher, Within, matches, replaced
from kdns.directives.rewriting.options import SUBNET, Edit, Options, Peers, Undo, edited, undone
from kdns.directives.rewriting.revisions import Rename, Revalue, Revision, named
from kdns.wire import names
from kdns.wire.names import Name
from kdns.wire.query import Edns, Query

EDNS_SIZE = 4096
"""Octets that an OPT of ours offers where the client sent none."""


class NameRule(Struct, frozen=True):
    """Asks for another name."""

    stop: bool
    matcher: Matcher
    to: str
    auto: bool = False
    """Whether names in the response go back to the one that was asked for."""
    revisions: tuple[Revision, ...] = ()


class TypeRule(Struct, frozen=True):
    """Asks for another type."""

    stop: bool
    old: int
    new: int


class ClassRule(Struct, frozen=True):
    """Asks in another class."""

    stop: bool
    old: int
    new: int


class OptionRule(Struct, frozen=True):
    """Asks with other EDNS options."""

    stop: bool
    edit: Edit


class ResponseRule(Struct, frozen=True):
    """Asks the same, and changes the response."""

    stop: bool
    revision: Revision
    matcher: Matcher | None = None
    """Of the name that is asked for; None for all."""


Rule: TypeAlias = NameRule | TypeRule | ClassRule | OptionRule | ResponseRule


class Outcome(Struct, frozen=True):
    """What the rules made of a query so far."""

    query: Query
    name: str
    """Of the query, in lower case."""
    revisions: tuple[Revision, ...] = ()
    """In the order of the rules."""
    undos: tuple[Undo, ...] = ()
    shown: frozenset[int] = frozenset()
    """Codes of EDNS options that the response is to repeat."""
    private: bool = False
    """Whether another client may get another response to the same question."""

    def leaves(self, query: Query) -> bool:
        """Whether no rule has anything to do with the query that came."""
        return self.query is query and not self.revisions and not self.private

    def options(self) -> Options:
        """Return the EDNS options of the response, if the client is to see any."""
        asked = () if self.query.edns is None else self.query.edns.options
        back = undone(asked, reversed(self.undos))
        return tuple(option for option in back if option[0] in self.shown)


def rewrite(rules: Sequence[Rule], query: Query, peers: Peers) -> Outcome:
    """Carry out rules up to the first that applies and stops.

    Raises BadName where the name becomes none.
    """
    outcome = Outcome(query, names.to_text(query.name))
    for rule in rules:
        changed = _applied(rule, outcome, peers)
        if isinstance(rule, OptionRule):
            outcome = _seen(rule.edit, outcome)
            changed = None if changed is None else _seen(rule.edit, changed)
        if changed is not None:
            outcome = changed
            if rule.stop:
                break
    return outcome


def reasked(query: Query, name: Name, rtype: int, rclass: int) -> Query:
    """Return the query with another question."""
    question = name + rtype.to_bytes(2) + rclass.to_bytes(2)
    return replace(query, question=question, name=name.lower(), rtype=rtype, rclass=rclass)


def _applied(rule: Rule, outcome: Outcome, peers: Peers) -> Outcome | None:
    """Carry out one rule; None where it does not apply."""
    query = outcome.query
    match rule:
        case NameRule():
            return _renamed(rule, outcome)
        case TypeRule(_, old, new) if query.rtype == old:
            return replace(outcome, query=reasked(query, query.asked, new, query.rclass))
        case ClassRule(_, old, new) if query.rclass == old:
            return replace(outcome, query=reasked(query, query.asked, query.rtype, new))
        case OptionRule(_, edit):
            return _edited(edit, outcome, peers)
        case ResponseRule(_, revision, matcher) if _concerns(matcher, outcome.name):
            return replace(outcome, revisions=(*outcome.revisions, revision))
        case _:
            return None


def _concerns(matcher: Matcher | None, name: str) -> bool:
    return matcher is None or matches(matcher, name)


def _renamed(rule: NameRule, outcome: Outcome) -> Outcome | None:
    query, before = outcome.query, outcome.name
    changed = replaced(rule.matcher, rule.to, before)
    if changed is None:
        return None
    name = named(changed)
    back = Within(names.to_text(name))
    automatic = (Rename(back, before), Revalue(back, before)) if rule.auto else ()
    return replace(
        outcome,
        query=reasked(query, name, query.rtype, query.rclass),
        name=back.text.lower(),
        revisions=(*outcome.revisions, *automatic, *rule.revisions),
    )


def _edited(edit: Edit, outcome: Outcome, peers: Peers) -> Outcome | None:
    query = outcome.query
    edns = Edns(EDNS_SIZE) if query.edns is None else query.edns
    changed = edited(edit, edns.options, query, peers)
    if changed is None:
        return None
    options, undo = changed
    asked = replace(edns, options=options, passed=_passed(edit, edns, options))
    # Nothing to take away is no reason for an OPT record.
    query = query if asked == edns else replace(query, edns=asked)
    undos = (*outcome.undos, undo) if edit.revert else outcome.undos
    return replace(outcome, query=query, undos=undos)


def _passed(edit: Edit, edns: Edns, options: Options) -> Options:
    """Return the options for whoever is asked next: what rules set and did not take away again."""
    others = tuple(option for option in edns.passed if option[0] != edit.code)
    if edit.action == "unset":
        return others
    return (*others, *(option for option in options if option[0] == edit.code))


def _seen(edit: Edit, outcome: Outcome) -> Outcome:
    """Note that a rule looked at an option. A subnet is never repeated, as in CoreDNS."""
    shown = outcome.shown if edit.code == SUBNET else outcome.shown | {edit.code}
    return replace(outcome, shown=shown, private=True)
