"""``forward``: asks upstream resolvers about everything that is not the cluster's.

Upstreams are asked in their order; one that failed comes last for a while. Queries that are the
same wait for one exchange, which leaves a forger one id and one port to guess instead of many
(RFC 5452 section 5). Knows no zones; the exchange itself is ``exchange``.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from kdns.chain import Answer, Handler, Relay, Request, Response, Transport
from kdns.errors import UpstreamError
from kdns.upstream import exchange
from kdns.upstream.resolvconf import Upstream
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.query import CD, RD, Edns, Query
from kdns.wire.relay import AD

DEADLINE = 5.0
"""Seconds for all attempts; after that the client has given up."""
CHANCES = 2
"""How often each upstream is asked while there is time: a datagram may have been lost."""
AVOIDED = 10.0
"""Seconds for which an upstream that failed is asked after the others."""
MAX_CONCURRENT = 1000
"""Queries that wait at the same time."""
UDP_SIZE = 1232
"""What we take over UDP: it fits every path unfragmented (DNS flag day 2020)."""

_Key: TypeAlias = tuple[Query, Transport]


class _Flight:
    """An exchange, and how many queries wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: "asyncio.Task[Response]") -> None:
        self.task = task
        self.waiting = 0


class Forward:
    """Hands queries to upstream resolvers."""

    def __init__(
        self, upstreams: Sequence[Upstream], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._clock = clock
        self._failed: dict[Upstream, float] = {}
        self._flights: dict[_Key, _Flight] = {}
        self._waiting = 0

    def wrap(self, following: Handler) -> Handler:  # noqa: ARG002 - nothing is left to follow
        """Answer whatever comes here."""
        return self._forward

    async def _forward(self, request: Request) -> Response:
        if self._waiting >= MAX_CONCURRENT:
            return _refused(codes.EDE_OTHER, f"{MAX_CONCURRENT} queries wait for upstreams already")
        self._waiting += 1
        try:
            return await self._joined((_outgoing(request.query), request.transport))
        finally:
            self._waiting -= 1

    async def _joined(self, key: _Key) -> Response:
        """Wait for the exchange of this question; the last to leave ends it."""
        flight = self._flights.get(key)
        if flight is None:
            # A task even when nobody joins: the server runs handlers outside of any task until
            # they wait, and timeouts need one.
            flight = _Flight(asyncio.ensure_future(self._ask(*key)))
            self._flights[key] = flight
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                del self._flights[key]
                flight.task.cancel()

    async def _ask(self, query: Query, transport: Transport) -> Response:
        """Ask one upstream after the other until one answers or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEADLINE
        reasons: dict[Upstream, str] = {}
        for upstream in self._in_order() * CHANCES:
            if loop.time() >= deadline:
                break
            try:
                message = await exchange.ask(upstream, query, transport, deadline)
            except (OSError, UpstreamError) as error:
                self._failed[upstream] = self._clock()
                reasons[upstream] = _reason(error)
            else:
                self._failed.pop(upstream, None)
                return Relay(message)
        return _unanswered(reasons)

    def _in_order(self) -> list[Upstream]:
        """Return the upstreams as they were given, those that failed of late at the end."""
        since = self._clock() - AVOIDED
        return sorted(self._upstreams, key=lambda one: self._failed.get(one, since) > since)


async def refuse(request: Request) -> Response:
    """End a chain that has no upstream."""
    name = names.to_text(request.query.asked)
    text = f"{name} is outside the zones of this server and no upstream is configured"
    return _refused(codes.EDE_NOT_AUTHORITATIVE, text)


def _outgoing(query: Query) -> Query:
    """Reduce a query to what an upstream is asked, the same for all who ask the same.

    RFC 6891 section 6.1.1 forbids to forward OPT: size and options belong to one hop. So it is
    ours, sent if the client sent one; it carries the client's DO.
    """
    edns = None if query.edns is None else Edns(UDP_SIZE, do=query.edns.do)
    return replace(query, id=0, flags=query.flags & (RD | AD | CD), edns=edns)


def _refused(code: int, text: str) -> Answer:
    return Answer(Sections(codes.REFUSED, authoritative=False, ede=(code, text)))


def _unanswered(reasons: dict[Upstream, str]) -> Answer:
    text = "; ".join(f"{upstream}: {reason}" for upstream, reason in reasons.items())
    ede = (codes.EDE_NO_REACHABLE_AUTHORITY, text)
    return Answer(Sections(codes.SERVFAIL, authoritative=False, ede=ede))


def _reason(error: OSError | UpstreamError) -> str:
    """Say why an exchange failed, in the words of the system where it has some."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error)
