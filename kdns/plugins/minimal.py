"""``minimal``: leaves off the authority and the additional section where there is an answer.

Denials keep their SOA, referrals their servers, failures whatever they have. Opens nothing.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, no_lines
from kdns.errors import UpstreamError
from kdns.wire import kinds, relay
from kdns.wire.kinds import Kind
from kdns.wire.query import Query


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Make every answer small."""
    for directive in directives:
        arguments(directive, 0)
        no_lines(directive)
    return Minimal()


class Minimal:
    """Leaves off what was not asked for."""

    def wrap(self, following: Handler) -> Handler:
        """Make small what the following handler answers."""

        async def handle(request: Request) -> Response:
            response = await following(request)
            if isinstance(response, Answer):
                return _smaller(response, request.query)
            return _smaller_relay(response)

        return handle


def _smaller(answer: Answer, query: Query) -> Answer:
    sections = answer.sections
    if not (sections.authority or sections.additional):
        return answer
    if kinds.of_sections(sections, query).kind is not Kind.ANSWER:
        return answer
    return replace(answer, sections=replace(sections, authority=(), additional=()))


def _smaller_relay(response: Relay) -> Relay:
    try:
        reply = relay.locate(response.message)
        if len(reply.places) == reply.answers or kinds.of_reply(reply).kind is not Kind.ANSWER:
            return response
    except UpstreamError:
        return response
    return replace(response, message=relay.bare(response.message), order=None)
