"""``rewrite``: changes questions on their way in, and responses so that nobody notices.

What the rules do is ``kdns.directives.rewriting``. Here the following handlers are asked, and the
response becomes one to the question that the client sent.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import MAX_DEPTH, Answer, Dropped, Handler, Plugin, Relay, Request, Response, again
from kdns.corefile.syntax import Directive
from kdns.directives.rewriting import reading
from kdns.directives.rewriting.options import Options, Peers, undone
from kdns.directives.rewriting.revisions import (
    BadName,
    Draft,
    Redirect,
    redirected,
    redirection,
    revised,
)
from kdns.directives.rewriting.rules import Outcome, Rule, reasked, rewrite
from kdns.errors import UpstreamError
from kdns.kube.owners import Owner
from kdns.wire import codes, relay
from kdns.wire.message import Sections
from kdns.wire.query import HEADER, Query


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Read the rules; they are carried out in the order in which they are written."""
    read = (reading.rule(directive, block.warn) for directive in directives)
    return Rewrite([rule for rule in read if rule is not None])


class Rewrite:
    """Asks the following handlers what the rules make of a question."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def wrap(self, following: Handler) -> Handler:
        """Rewrite the question for the following handler, and its response for the client."""

        async def handle(request: Request) -> Response:
            try:
                outcome = rewrite(self._rules, request.query, _peers(request))
            except BadName as error:
                return _servfail(str(error))
            if outcome.leaves(request.query):
                return await following(request)
            response = await following(replace(request, query=outcome.query))
            return await _restored(request, outcome, response)

        return handle


def _peers(request: Request) -> Peers:
    client, local = request.client, request.local
    return Peers(client[0], client[1], local[0], local[1], request.transport)


async def _restored(request: Request, outcome: Outcome, response: Response) -> Response:
    """Turn the response to the rewritten query into one to the query that was sent."""
    if isinstance(response, Relay) and not _must_be_read(request.query, outcome):
        return _passed_on(request.query, response)
    try:
        answer = _understood(response, outcome.query)
        answer = replace(answer, sections=_with_options(answer.sections, outcome))
        return await _revised(request, outcome, answer)
    except (BadName, UpstreamError) as error:
        return _servfail(str(error))


def _must_be_read(query: Query, outcome: Outcome) -> bool:
    """Whether octets do not do: pointers lead into the name of the question."""
    return bool(outcome.revisions or outcome.undos) or query.name != outcome.query.name


def _passed_on(query: Query, response: Relay) -> Relay:
    """Put the question of the client into a response that has a question of the same length."""
    rest = response.message[HEADER.size + len(query.question) :]
    message = response.message[: HEADER.size] + query.question + rest
    return replace(response, message=message, ready=None)


def _understood(response: Response, query: Query) -> Answer:
    if isinstance(response, Answer):
        return response
    return Answer(relay.sections(response.message, query), by=response.by)


def _with_options(sections: Sections, outcome: Outcome) -> Sections:
    """Repeat options that rules set, and take away those that they take back."""
    kept: Options = undone(sections.options, reversed(outcome.undos))
    known = {code for code, _ in kept}
    added = tuple(option for option in outcome.options() if option[0] not in known)
    return replace(sections, options=(*kept, *added))


async def _revised(request: Request, outcome: Outcome, answer: Answer) -> Answer:
    """Change the response, the last rule first."""
    draft = Draft(answer.sections)
    owners = () if outcome.private else answer.owners
    for revision in reversed(outcome.revisions):
        if isinstance(revision, Redirect):
            draft, owners = await _redirected(request, outcome.query, draft, revision, owners)
        else:
            draft = revised(draft, revision)
    return replace(answer, sections=draft.finished(), owners=owners)


async def _redirected(
    request: Request, query: Query, draft: Draft, redirect: Redirect, owners: tuple[Owner, ...]
) -> tuple[Draft, tuple[Owner, ...]]:
    """Give a CNAME another target and the records of that; unchanged where nobody answers."""
    found = redirection(draft, redirect)
    if found is None or request.depth >= MAX_DEPTH:
        return draft, owners
    old, new = found
    rest = await _asked(request, reasked(query, new, query.rtype, codes.CLASS_IN))
    if rest is None:
        return draft, ()
    joined = (*owners, *rest.owners) if owners and rest.owners else ()
    return redirected(draft, old, new, rest.sections), joined


async def _asked(request: Request, query: Query) -> Answer | None:
    """Ask the whole chain; None where there is no response, or none that can be read."""
    try:
        rest = await again(request, query)
        return rest if isinstance(rest, Answer) else Answer(relay.read(rest.message, query))
    except (Dropped, UpstreamError):
        return None


def _servfail(error: str) -> Answer:
    """Answer where a rule leads nowhere; made anew every time, so that every query is logged."""
    return Answer(Sections(codes.SERVFAIL, authoritative=False), by="rewrite", error=error)
