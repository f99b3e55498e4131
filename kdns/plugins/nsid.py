"""``nsid``: names this server in replies to clients that ask for it (RFC 5001)."""

import socket
from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import MANY, arguments, fail, no_lines, once
from kdns.errors import UpstreamError
from kdns.wire import codes, relay
from kdns.wire.query import Query

MAX_OCTETS = 90
"""A reply of 512 octets with the longest question and echoed options has room for that."""


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Name the server as the words say, else as its host."""
    directive = once(directives)
    no_lines(directive)
    words = arguments(directive, 0, MANY)
    data = (" ".join(word.text for word in words) or socket.gethostname() or "localhost").encode()
    if len(data) > MAX_OCTETS:
        fail(directive.name, f"nsid: expected at most {MAX_OCTETS} octets, got {len(data)}")
    return Nsid(data)


class Nsid:
    """Adds an identifier to responses."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def wrap(self, following: Handler) -> Handler:
        """Add the identifier to what the following handler answers."""

        async def handle(request: Request) -> Response:
            response = await following(request)
            match response:
                case Answer():
                    return self._marked(response)
                case Relay():
                    return self._marked_relay(response, request.query)

        return handle

    def _marked(self, answer: Answer) -> Answer:
        """Add the option for every client: only those who ask for it get to see it."""
        sections = answer.sections
        options = (*sections.options, (codes.EDNS_NSID, self._data))
        return replace(answer, sections=replace(sections, options=options))

    def _marked_relay(self, response: Relay, query: Query) -> Relay:
        edns = query.edns
        if edns is None or all(code != codes.EDNS_NSID for code, _ in edns.options):
            return response
        try:
            message = relay.with_option(response.message, edns, codes.EDNS_NSID, self._data)
        except UpstreamError:  # nothing that could be sent: let whoever sends it say so
            return response
        return replace(response, message=message)
