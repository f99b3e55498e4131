"""The chain: a query in, a response out, and plugins composed around one another.

A handler is a coroutine function; a plugin wraps the next handler. Handlers that answer from
memory never wait, and the server never makes a task of them. Knows no sockets and no Kubernetes.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import reduce
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from kdns.kube.owners import Owner
from kdns.wire.message import Sections
from kdns.wire.query import Query

Transport: TypeAlias = Literal["udp", "tcp"]
MAX_DEPTH = 8
"""How often a query may ask the chain again: an alias of an alias, and so on."""


class Answer(Struct, frozen=True, gc=False):
    """A response that kdns made."""

    sections: Sections
    owners: tuple[Owner, ...] = ()
    """What it was made from. It stays true until one of these is touched; with none it is for
    this client and this moment only."""


class Relay(Struct, frozen=True, gc=False):
    """A response that another server made, as its complete octets.

    Id and spelling of the question become the client's on the way out, where it is also cut.
    """

    message: bytes


Response: TypeAlias = Answer | Relay


class Request(Struct, frozen=True, gc=False):
    """A query on its way through the chain."""

    query: Query
    transport: Transport
    chain: "Handler"
    """The head of the chain, for whoever must ask about another name."""
    depth: int = 0


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Plugin(Protocol):
    """Wraps the handler that follows it in the chain."""

    def wrap(self, following: Handler) -> Handler:
        """Return a handler that answers, or passes the request on to the following one."""


def compose(plugins: Sequence[Plugin], last: Handler) -> Handler:
    """Build the chain once, the first plugin outermost."""
    return reduce(lambda following, plugin: plugin.wrap(following), reversed(plugins), last)


async def again(request: Request, query: Query) -> Response:
    """Ask the whole chain about another name on behalf of a request."""
    return await request.chain(Request(query, request.transport, request.chain, request.depth + 1))
