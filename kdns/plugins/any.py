"""``any``: answers ANY with as little as possible (RFC 8482 section 4.2). Opens nothing."""

from collections.abc import Sequence

from kdns.assembly import Block
from kdns.chain import FIXED, Answer, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, no_lines
from kdns.wire import codes
from kdns.wire.message import Sections
from kdns.wire.records import Record

TTL = 8482
"""Seconds, as CoreDNS has it: the number of the RFC."""
_STRINGS = (b"ANY obsoleted", b"See RFC 8482")
_RDATA = b"".join(bytes((len(text),)) + text for text in _STRINGS)


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Answer ANY for every name."""
    for directive in directives:
        arguments(directive, 0)
        no_lines(directive)
    return Any()


class Any:
    """Answers ANY with a HINFO record."""

    def wrap(self, following: Handler) -> Handler:
        """Pass on whatever is of another type."""

        async def handle(request: Request) -> Response:
            query = request.query
            if query.rtype != codes.ANY:
                return await following(request)
            record = Record(query.asked, codes.HINFO, TTL, _RDATA)
            return Answer(Sections(answer=(record,), authoritative=False), FIXED, by="any")

        return handle
