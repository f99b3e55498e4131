"""The chain: a query in, a response out, and plugins composed around one another.

A handler is a coroutine function; a plugin wraps the next handler. Handlers that answer from
memory never wait, and the server never makes a task of them. Knows no sockets and no Kubernetes.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import reduce
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.errors import KdnsError
from kdns.kube.owners import Owner
from kdns.wire.message import Sections
from kdns.wire.query import Query
from kdns.wire.relay import Order

Transport: TypeAlias = Literal["udp", "tcp"]
Address: TypeAlias = tuple[str, int]
"""IP address and port."""
MAX_DEPTH = 8
"""How often a query may ask the chain again: an alias of an alias, and so on."""
FIXED: tuple[Owner, ...] = (("configuration",),)
"""Owners of an answer that only another configuration can change; never touched."""


class Serial:
    """The SOA serial of a store, shared by every prepared packet that shows it."""

    __slots__ = ("octets",)

    def __init__(self, value: int = 0) -> None:
        self.octets = b""
        self.set(value)

    def set(self, value: int) -> None:
        """Show this serial from now on; it is taken modulo 2**32."""
        self.octets = (value & 0xFFFF_FFFF).to_bytes(4)


class Answer(Struct, frozen=True, gc=False):
    """A response that kdns made.

    A plugin that alters the answer of another one uses ``replace`` and keeps the rest.
    """

    sections: Sections
    owners: tuple[Owner, ...] = ()
    """What it was made from. It stays true until one of these is touched, for every client that
    asks this question; with none it is for this client and this moment only."""
    by: str = ""
    """The plugin that made it, for metrics."""
    rotate: bool = False
    """Whether sets of addresses start one further in every reply."""
    serial: Serial | None = None
    """The serial that its SOA shows, if that moves without the answer being made again."""
    error: str = ""
    """What went wrong, for the log of ``errors``; empty when the rcode is the truth."""


class Repeat(Protocol):
    """Leave to send a response again, for a moment, to who sends the very same octets."""

    def until(self) -> float:
        """Return when it ends, in seconds of ``time.monotonic``."""

    def sent(self, times: int) -> None:
        """Take note of how often it was made use of."""


class Relay(Struct, frozen=True, gc=False):
    """A response that another server made, as its complete octets.

    Id and spelling of the question become the client's on the way out, where it is also cut.
    """

    message: bytes
    by: str = ""
    """The plugin that got it, for metrics."""
    ready: Query | None = None
    """The query whose id, question and OPT are in the message already, if any."""
    order: Order | None = None
    """What of it may be put in another order, where that was found out before."""
    owners: tuple[Owner, ...] = ()
    """What would answer instead if it were there: nobody keeps it once one of these is touched."""
    repeat: Repeat | None = None
    """Whoever makes the response depend on anything but the query takes this away."""
    reorder: Callable[[], bytes] | None = None
    """Returns the message with its addresses in another order, if that is to be done."""


Response: TypeAlias = Answer | Relay


class Dropped(KdnsError):
    """Raised by a handler that wants the client to get no response at all."""


class Request(Struct, frozen=True, gc=False):
    """A query on its way through the chain."""

    query: Query
    transport: Transport
    chain: "Handler"
    """The head of the server's chain, for whoever must ask about another name."""
    depth: int = 0
    client: Address = ("", 0)
    """Who asks; no address when the question is kdns's own."""
    server: str = ""
    """The server that was asked, as metrics name it: ``dns://:53``."""
    local: Address = ("", 0)
    """Where that server listens."""
    zone: str = ""
    """The zone of the server block, as metrics name it: ``.`` or ``example.org.``."""


Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Plugin(Protocol):
    """Wraps the handler that follows it in the chain."""

    def wrap(self, following: Handler) -> Handler:
        """Return a handler that answers, or passes the request on to the following one."""


class Exchange(Struct, frozen=True, gc=False):
    """A query that was answered, for those who only look on."""

    request: Request
    response: Response | None
    """None when there was no answer to be had: an exception, or silence."""
    rcode: int
    reply: bytes
    """As sent; empty for silence."""
    seconds: float


class Observer(Protocol):
    """Looks on at queries and their replies."""

    def wants(self, request: Request, response: Response | None) -> bool:
        """Whether this exchange is to be seen.

        Asked also before a reply is prepared: one that is to be seen is never sent unseen.
        """

    def saw(self, exchange: Exchange) -> None:
        """Take note of an exchange that was wanted."""


def compose(plugins: Sequence[Plugin], last: Handler) -> Handler:
    """Build the chain once, the first plugin outermost."""
    return reduce(lambda following, plugin: plugin.wrap(following), reversed(plugins), last)


async def again(request: Request, query: Query) -> Response:
    """Ask the whole chain about another name on behalf of a request."""
    return await request.chain(replace(request, query=query, depth=request.depth + 1))
