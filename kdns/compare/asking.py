"""Ask two servers the same, some questions at a time. Knows no cluster and prints nothing."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from msgspec import Struct

from kdns.compare import replies
from kdns.compare.questions import Question
from kdns.compare.replies import Difference
from kdns.errors import UpstreamError
from kdns.upstream.address import Upstream
from kdns.upstream.counts import Counts
from kdns.upstream.question import question as asked
from kdns.upstream.resolver import Resolver
from kdns.upstream.settings import Settings
from kdns.wire.query import Edns, ask

AT_A_TIME = 32
"""Questions in flight to each server."""
ATTEMPTS = 2
"""A datagram may be lost."""
NO_ANSWER = "no answer"
_EDNS = Edns(size=1232)


class Plan(Struct, frozen=True):
    """Who is asked, and what counts."""

    theirs: Upstream
    ours: Upstream
    everything: bool = False
    """Whether every difference counts, see ``replies.lines``."""
    patience: float = 2.0
    """Seconds to wait for an answer, each time."""


class Outcome(Struct, frozen=True):
    """What came of it."""

    asked: int
    differences: tuple[tuple[Question, Difference], ...]
    """In the order of the questions."""
    passing: int
    """Differences that were gone when the same was asked again."""


async def compare(questions: Sequence[Question], plan: Plan) -> Outcome:
    """Ask both servers everything; what differs is asked again, for the world changes meanwhile.

    UpstreamError where a server answers nothing at all.
    """
    settings = Settings(prefer_udp=True, read_timeout=plan.patience)
    servers = [Resolver(one, settings, Counts()) for one in (plan.theirs, plan.ours)]
    with closing(servers[0]), closing(servers[1]):
        first = await _all(servers, questions, plan)
        _check_heard(first, plan)
        differing = [question for question, said in first if replies.difference(*said)]
        again = await _all(servers, differing, plan)
    found = [(question, replies.difference(*said)) for question, said in again]
    lasting = tuple((question, one) for question, one in found if one is not None)
    return Outcome(len(questions), lasting, len(differing) - len(lasting))


_Said = tuple[tuple[str, ...], tuple[str, ...]]


def _check_heard(first: Sequence[tuple[Question, _Said]], plan: Plan) -> None:
    for index, server in enumerate((plan.theirs, plan.ours)):
        heard = [said[index] for _, said in first]
        if heard and all(lines[0] == NO_ANSWER for lines in heard):
            why = heard[0][1]
            raise UpstreamError(f"{server} answers none of {len(heard)} questions: {why}")


async def _all(
    servers: Sequence[Resolver], questions: Sequence[Question], plan: Plan
) -> list[tuple[Question, _Said]]:
    """Ask, with a few workers that share the questions; the order stays."""
    found: list[tuple[Question, _Said] | None] = [None] * len(questions)
    todo = enumerate(questions)
    async with asyncio.TaskGroup() as workers:
        for _ in range(min(AT_A_TIME, len(questions))):
            workers.create_task(_work(servers, todo, found, plan))
    return [one for one in found if one is not None]


async def _work(
    servers: Sequence[Resolver],
    todo: Iterator[tuple[int, Question]],
    found: list[tuple[Question, _Said] | None],
    plan: Plan,
) -> None:
    for index, question in todo:
        theirs, ours = await asyncio.gather(*(_lines(one, question, plan) for one in servers))
        found[index] = question, (theirs, ours)


async def _lines(server: Resolver, question: Question, plan: Plan) -> tuple[str, ...]:
    """Return what a server says, or that it says nothing and why."""
    query = ask(question.name, question.rtype, edns=_EDNS)
    loop = asyncio.get_running_loop()
    trouble = ""
    for _ in range(ATTEMPTS):
        until = loop.time() + ATTEMPTS * plan.patience
        try:
            response = await server.ask(asked(query), "udp", until)
            return replies.lines(response.message, query, everything=plan.everything)
        except (OSError, UpstreamError) as error:
            trouble = _words(error, plan)
    return NO_ANSWER, trouble


def _words(error: OSError | UpstreamError, plan: Plan) -> str:
    if isinstance(error, TimeoutError):
        return f"silent for {plan.patience:g} s"
    return getattr(error, "strerror", None) or str(error)


def sides(differences: Iterable[tuple[Question, Difference]]) -> Iterator[str]:
    """Write differences for people, as a diff: ``-`` is theirs, ``+`` is ours."""
    for question, one in differences:
        yield str(question)
        yield from (f"  - {line}" for line in one.theirs)
        yield from (f"  + {line}" for line in one.ours)
