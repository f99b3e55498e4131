"""``whoami``: says in the additional section from where a query came.

Answers every name and type: nothing follows it in the chain.
"""

from collections.abc import Sequence

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, no_lines
from kdns.wire import names, records
from kdns.wire.message import Sections
from kdns.wire.names import MAX_NAME, ROOT
from kdns.wire.records import Record


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Answer all queries of a block."""
    for directive in directives:
        no_lines(directive)
        arguments(directive, 0)
    return Whoami()


class Whoami:
    """Tells clients who they are."""

    def wrap(self, following: Handler) -> Handler:  # noqa: ARG002 - nothing is left to follow
        """Answer whatever comes here."""
        return self._tell

    async def _tell(self, request: Request) -> Response:
        # No owners: the next client is another one.
        return Answer(Sections(additional=_records(request)), by="whoami")


def _records(request: Request) -> tuple[Record, ...]:
    """Return the client's address, and its port and transport as SRV."""
    host, port = request.client
    packed = records.pack_address(host.partition("%")[0])
    if packed is None:  # the question is kdns's own
        return ()
    asked = request.query.asked
    # Of class IN whatever was asked: only there an A is an IP address (RFC 1035 section 3.4).
    found = [records.address(asked, 0, packed)]
    owner = names.of(f"_{request.transport}") + asked
    if len(owner) <= MAX_NAME:
        found.append(records.srv(owner, 0, 0, port, ROOT))
    return tuple(found)
