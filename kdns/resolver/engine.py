"""Ask the chain, name after name of the search list. Knows no cluster and opens nothing.

The outcome keeps everything that was said on the way, with its owners: whoever wants to explain an
answer, or to hear when it changes, finds it here.
"""

import asyncio
from collections.abc import Iterator, Sequence

from msgspec import Struct

from kdns.chain import FIXED, Address, Answer, Dropped, Plugin, Relay, Request, Response, compose
from kdns.corefile.mnemonics import RCODES, type_text
from kdns.errors import UpstreamError, UsageError
from kdns.kube.owners import Owner
from kdns.presentation import text
from kdns.resolver.results import NOBODY, Record, Result, Tried
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Outcome, Style, walk
from kdns.wire import codes, names, relay
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import Edns, Query, ask

UNKNOWN: Address = ("", 0)
"""A client of which nothing is known."""
_EDNS = Edns(size=1232)
"""Sent to upstreams, so that they can say why (RFC 8914)."""
_RCODE_TEXTS = {number: word for word, number in reversed([*RCODES.items()])}
_OUTCOMES = {codes.NXDOMAIN: Outcome.NXDOMAIN, codes.SERVFAIL: Outcome.SERVFAIL}


class Question(Struct, frozen=True):
    """What a program asks, and as whom."""

    name: str
    rtypes: tuple[int, ...]
    """Each name is asked for all of these; one with data ends the search."""
    conf: ResolvConf
    style: Style = "glibc"
    client: Address = UNKNOWN


class Reply(Struct, frozen=True, gc=False):
    """What was said to one name and type."""

    rtype: int
    sections: Sections
    owners: tuple[Owner, ...] = ()
    """What it was made from, or what would be answered instead."""
    by: str = ""
    lasting: bool = True
    """Whether it stays as it is until one of the owners is touched."""

    @property
    def unasked(self) -> bool:
        """Whether the name is nobody's who could be asked."""
        return self.by == NOBODY

    @property
    def outcome(self) -> Outcome:
        """What this means to a stub resolver."""
        sections = self.sections
        if self.unasked:
            # Somebody there might know it. That is not for us to say; the search goes on.
            return Outcome.NXDOMAIN
        if sections.rcode == codes.NOERROR:
            # An alias alone is an answer to the C library too.
            return Outcome.FOUND if sections.answer else Outcome.NODATA
        return _OUTCOMES.get(sections.rcode, Outcome.FAILED)


class Step(Struct, frozen=True):
    """One name of the walk."""

    name: str
    replies: tuple[Reply, ...] = ()
    problem: str = ""
    """Why nobody was asked."""

    @property
    def outcome(self) -> Outcome:
        """What becomes of the walk: data of one type will do."""
        if not self.replies:
            return Outcome.UNASKABLE
        outcomes = [reply.outcome for reply in self.replies]
        if Outcome.FOUND in outcomes:
            return Outcome.FOUND
        return next((one for one in outcomes if one is not Outcome.NODATA), Outcome.NODATA)

    @property
    def unasked(self) -> bool:
        """Whether the name is nobody's who could be asked."""
        return bool(self.replies) and all(reply.unasked for reply in self.replies)

    @property
    def telling(self) -> Reply | None:
        """The reply whose rcode is that of the step."""
        matching = (reply for reply in self.replies if reply.outcome is self.outcome)
        return next(matching, None)


class Finding(Struct, frozen=True):
    """The outcome of a question."""

    question: Question
    steps: tuple[Step, ...]
    chosen: Step
    """The name that was found or, if none was, whose failure is told."""

    @property
    def replies(self) -> Iterator[Reply]:
        """Everything that was said."""
        return (reply for step in self.steps for reply in step.replies)

    @property
    def owners(self) -> frozenset[Owner]:
        """What this was made from."""
        return frozenset(owner for reply in self.replies for owner in reply.owners)

    @property
    def lasting(self) -> bool:
        """Whether it stays as it is until one of the owners is touched."""
        return all(reply.lasting for reply in self.replies)

    @property
    def ttl(self) -> int:
        """Seconds for which the replies may be kept that do not last."""
        volatile = [reply.sections for reply in self.replies if not reply.lasting]
        found = (
            one.ttl for sections in volatile for one in (*sections.answer, *sections.authority)
        )
        return min(found, default=0)


class Engine:
    """Asks one chain."""

    def __init__(self, plugins: Sequence[Plugin], elsewhere: str = "") -> None:
        """``elsewhere`` is why names are not asked for that no plugin answers for."""

        async def nobody(request: Request) -> Response:
            name = names.to_text(request.query.asked)
            text = f"{name} is outside the cluster and was not asked for: no upstream is configured"
            ede = (codes.EDE_NOT_AUTHORITATIVE, elsewhere or text)
            sections = Sections(codes.REFUSED, authoritative=False, ede=ede)
            return Answer(sections, FIXED, by=NOBODY)

        self._chain = compose(plugins, nobody)

    async def ask(self, name: Name, rtype: int, client: Address = UNKNOWN) -> Reply:
        """Ask one question, whatever the search list."""
        query = ask(name, rtype, edns=_EDNS)
        request = Request(query, "udp", self._chain, client=client)
        try:
            return _read(await self._chain(request), query)
        except Dropped:
            return Reply(rtype, _failure("the query was dropped"), lasting=False)

    async def find(self, question: Question) -> Finding:
        """Walk the search list as the C library does."""
        if not question.name:
            raise UsageError("expected a name, got an empty text")
        steps: list[Step] = []
        walking = walk(question.name, question.conf, question.style)
        name = next(walking)
        while True:
            steps.append(await self._step(name, question))
            try:
                name = walking.send(steps[-1].outcome)
            except StopIteration as end:
                return Finding(question, tuple(steps), _telling(steps, end.value))

    async def _step(self, text: str, question: Question) -> Step:
        try:
            name = names.from_text(text)
        except ValueError as error:
            return Step(text, problem=str(error))
        asked = (self.ask(name, rtype, question.client) for rtype in question.rtypes)
        if len(question.rtypes) == 1:
            return Step(names.to_text(name), (await next(asked),))
        return Step(names.to_text(name), tuple(await asyncio.gather(*asked)))


def _telling(steps: Sequence[Step], chosen: int) -> Step:
    """Return the step that speaks for all: one that nobody was asked about only if all are."""
    if not steps[chosen].unasked:
        return steps[chosen]
    asked = [step for step in steps if not step.unasked]
    order = (Outcome.NODATA, Outcome.SERVFAIL)
    better = (step for outcome in order for step in asked if step.outcome is outcome)
    return next(better, asked[-1] if asked else steps[chosen])


def _read(response: Response, query: Query) -> Reply:
    match response:
        case Answer(sections, owners, by):
            return Reply(query.rtype, sections, owners, by, lasting=bool(owners))
        case Relay(message, by, owners=owners):
            try:
                found = relay.sections(message, query)
            except UpstreamError as error:
                found = _failure(str(error))
            return Reply(query.rtype, found, owners, by, lasting=False)


def _failure(why: str) -> Sections:
    return Sections(codes.SERVFAIL, authoritative=False, ede=(codes.EDE_OTHER, why))


# -- to plain values ----------------------------------------------------------------------------


def result(finding: Finding) -> Result:
    """Tell what was found in plain values."""
    question, chosen = finding.question, finding.chosen
    telling = chosen.telling
    return Result(
        question=question.name,
        rtype=" ".join(map(type_text, question.rtypes)),
        name=chosen.name,
        rcode=rcode_text(telling.sections.rcode) if telling is not None else "",
        records=_records(chosen),
        reason=_reasons(finding),
        tried=tuple(one for step in finding.steps for one in _tried(step, question)),
    )


def _reasons(finding: Finding) -> str:
    """Say why the answer is as it is; when there is none, of all the names that had none."""
    if finding.chosen.outcome is Outcome.FOUND:
        steps: Sequence[Step] = [finding.chosen]
    else:
        outcome = finding.chosen.outcome
        steps = [step for step in finding.steps if step.outcome is outcome]
    reasons = (_reason(step.telling) if step.telling else step.problem for step in steps)
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def rcode_text(rcode: int) -> str:
    """Write an rcode, one without a mnemonic as ``RCODE123``."""
    return _RCODE_TEXTS.get(rcode) or f"RCODE{rcode}"


def _records(step: Step) -> tuple[Record, ...]:
    """Return the answers to all types that have one, each record once."""
    found = (reply for reply in step.replies if reply.outcome is step.outcome)
    return tuple(dict.fromkeys(one for reply in found for one in records(reply.sections)))


def records(sections: Sections) -> tuple[Record, ...]:
    """Tell the answer section."""
    return tuple(
        Record(names.to_text(one.owner), one.ttl, type_text(one.rtype), text.rdata(one))
        for one in sections.answer
    )


def _tried(step: Step, question: Question) -> Iterator[Tried]:
    if not step.replies:
        yield Tried(step.name, type_text(question.rtypes[0]), "", reason=step.problem)
    for reply in step.replies:
        yield Tried(
            step.name,
            type_text(reply.rtype),
            rcode_text(reply.sections.rcode),
            records(reply.sections),
            _reason(reply),
            reply.by,
        )


def _reason(reply: Reply) -> str:
    """Return the extended error, ours or that of an upstream."""
    if reply.sections.ede is not None:
        return reply.sections.ede[1]
    found = [data for code, data in reply.sections.options if code == codes.EDNS_EDE]
    return found[0][2:].decode(errors="replace") if found else ""
