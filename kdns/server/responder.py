"""From a message that has no prepared packet to its reply: read, ask the chain, write, keep.

Whatever arrives, the outcome is a reply or silence, never an exception. Knows no sockets.
"""

import asyncio
import logging
from time import perf_counter
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import Address, Answer, Dropped, Exchange, Observer, Relay, Request, Response
from kdns.errors import MalformedMessage
from kdns.server.eager import Rest, start
from kdns.server.packets import Passing, Rotating, pack
from kdns.server.routes import UNSERVED, Route, Routes
from kdns.server.table import AnswerTable, Door
from kdns.server.tally import DROPPED, Traffic, rcode_label, rtype_label
from kdns.wire import codes, relay
from kdns.wire.message import MAX_TCP_MESSAGE, Sections, fault, udp_limit, write
from kdns.wire.query import Query, read_query

log = logging.getLogger(__name__)

Reply: TypeAlias = bytes | None
"""Octets to send back, or silence."""

_ID = 2
_NOWHERE = Route(zone=b"", label=DROPPED, handler=Routes(()).handle, counted=True)


class _Asked(Struct, frozen=True, gc=False):
    """A query, how it came and where it belongs."""

    message: bytes
    query: Query
    client: Address
    door: Door
    route: Route
    began: float


class Responder:
    """Answers the messages of one server from its table and its chains."""

    def __init__(
        self, routes: Routes, table: AnswerTable, *, server: str = "", local: Address = ("", 0)
    ) -> None:
        """``server`` is its name in metrics, ``local`` where it listens."""
        self.table = table
        self._routes = routes
        self._server = server
        self._local = local
        self._waiting: set[asyncio.Future[Reply]] = set()

    def respond(self, message: bytes, client: Address, door: Door) -> Reply | Rest[Reply]:
        """Return the reply to a message, or a future where something has to be waited for."""
        began = perf_counter()
        try:
            query = read_query(message)
        except MalformedMessage as error:
            return None if error.rcode is None else fault(message, error.rcode)
        try:
            return self._respond(self._routed(message, query, client, door, began))
        except Exception:
            log.exception("a query could not be answered")
            self.table.tally.panics += 1
            return fault(message, codes.SERVFAIL)

    def _routed(
        self, message: bytes, query: Query, client: Address, door: Door, began: float
    ) -> _Asked:
        route = self._routes.find(query) or _NOWHERE
        if query.rclass != codes.CLASS_IN and not self._routes.any_class:
            route = _NOWHERE
        edns = query.edns
        if route.udp_size is not None and edns is not None and edns.size > route.udp_size:
            query = replace(query, edns=replace(edns, size=route.udp_size))
        return _Asked(message, query, client, door, route, began)

    def _respond(self, asked: _Asked) -> Reply | Rest[Reply]:
        refused = self._refused(asked)
        if refused is not None:
            return self._sent_once(asked, refused)
        answer = self.table.answer(asked.query.question)
        if answer is not None:
            return self._prepared(asked, answer)
        reply = start(self._ask(asked))
        if isinstance(reply, Rest):
            self._waiting.add(reply)
            reply.then(self._waiting.discard)
        return reply

    async def settle(self, patience: float) -> None:
        """Wait, at most so many seconds, until every query that was taken has its reply."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=patience)

    def _refused(self, asked: _Asked) -> Answer | None:
        """Refuse what no plugin is asked about."""
        query = asked.query
        if query.edns is not None and query.edns.version != 0:
            # RFC 6891 section 6.1.3: the reply names the highest version that we know, 0.
            return Answer(Sections(codes.BADVERS, authoritative=False))
        if asked.route is _NOWHERE:
            return UNSERVED if query.rclass == codes.CLASS_IN else _REFUSED_CLASS
        if query.rtype in (codes.AXFR, codes.IXFR):
            return _REFUSED_TRANSFER
        return None

    async def _ask(self, asked: _Asked) -> Reply:
        """Ask the chain. What goes wrong in it is our fault and the client's SERVFAIL."""
        changes = self.table.changes
        request = self._request(asked)
        try:
            response = await asked.route.handler(request)
            # What was true when the chain began may be no more: then it is sent, and not kept.
            unchanged = changes == self.table.changes
            if isinstance(response, Answer) and unchanged and self._kept(asked, response):
                return self._prepared(asked, response)
            reply = self._finish(asked, response)
        except Dropped:
            return self._ended(asked, request, None, b"")
        except Exception:
            log.exception("a query made the chain fail")
            self.table.tally.panics += 1
            return self._sent_once(asked, Answer(_FAILED))
        if isinstance(response, Relay) and response.repeat is not None:
            self._keep_passing(asked, request, response, reply)
        return self._ended(asked, request, response, reply)

    def _kept(self, asked: _Asked, answer: Answer) -> bool:
        """Keep an answer, if it may be and is asked for again; return whether it is kept."""
        return bool(answer.owners) and self.table.put(asked.query.question, answer)

    def _keep_passing(self, asked: _Asked, request: Request, response: Relay, reply: bytes) -> None:
        """Keep what others said for the moment in which it stays the same, if nobody looks on."""
        unchanged = response.ready is asked.query and len(response.message) == len(reply)
        if response.repeat is None or not unchanged or _watching(asked.route, request, response):
            return
        packet = Passing(reply[_ID:], response.repeat, response.reorder)
        if asked.route.counted:
            packet.traffic = _traffic(asked, response, len(reply))
        self.table.put_passing(asked.door, asked.message[_ID:], packet)

    def _request(self, asked: _Asked) -> Request:
        return Request(
            asked.query,
            asked.door[0],
            self._routes.handle,
            client=asked.client,
            server=self._server,
            local=self._local,
            zone=asked.route.label,
        )

    # -- writing ------------------------------------------------------------------------------

    def _prepared(self, asked: _Asked, answer: Answer) -> Reply:
        """Finish an answer that was asked for before, and keep the result as a packet."""
        request = self._request(asked) if asked.route.observers else None
        if request is not None and _watching(asked.route, request, answer):
            return self._ended(asked, request, answer, self._written(asked, answer))
        query, route = asked.query, asked.route
        message = write(
            query, answer.sections, _limit(asked), recursion=route.recursion, whole=True
        )
        packet = pack(message, answer.serial, rotate=answer.rotate)
        self.table.put_packet(query.question, asked.door, asked.message[_ID:], packet)
        reply = asked.message[:_ID] + packet.next()
        if route.counted:
            packet.traffic = _traffic(asked, answer, len(reply))
            self.table.tally.count(packet.traffic, perf_counter() - asked.began)
        return reply

    def _finish(self, asked: _Asked, response: Response) -> bytes:
        match response:
            case Answer():
                return self._written(asked, response)
            case Relay(message):
                if response.ready is asked.query and len(message) <= _limit(asked):
                    return message
                return relay.readdress(message, asked.query, _limit(asked))

    def _written(self, asked: _Asked, answer: Answer) -> bytes:
        """Write a response that is sent once."""
        query = asked.query
        message = write(query, answer.sections, _limit(asked), recursion=asked.route.recursion)
        rotates = message.records and answer.rotate
        body = Rotating(message).next() if rotates else message.first()
        return query.id.to_bytes(_ID) + body

    def _sent_once(self, asked: _Asked, answer: Answer) -> bytes | None:
        return self._ended(asked, None, answer, self._written(asked, answer))

    # -- looking on ---------------------------------------------------------------------------

    def _ended(
        self, asked: _Asked, request: Request | None, response: Response | None, reply: bytes
    ) -> Reply:
        """Count a query and show it to whoever looks on; return what to send."""
        route = asked.route
        if route.counted or route.observers:
            seconds = perf_counter() - asked.began
            if route.counted and response is not None:
                self.table.tally.count(_traffic(asked, response, len(reply)), seconds)
            if route.observers:
                request = request or self._request(asked)
                rcode = codes.NOERROR if response is None else _rcode(response)
                exchange = Exchange(request, response, rcode, reply, seconds)
                for observer in _watching(route, request, response):
                    observer.saw(exchange)
        return reply or None


_EDE = codes.EDE_NOT_SUPPORTED
_FAILED = Sections(codes.SERVFAIL, authoritative=False)
_REFUSED_CLASS = Answer(
    Sections(codes.REFUSED, authoritative=False, ede=(_EDE, "only class IN is served"))
)
_REFUSED_TRANSFER = Answer(
    Sections(codes.REFUSED, authoritative=False, ede=(_EDE, "zone transfer is not served"))
)


def _limit(asked: _Asked) -> int:
    return MAX_TCP_MESSAGE if asked.door[0] == "tcp" else udp_limit(asked.query.edns)


def _watching(route: Route, request: Request, response: Response | None) -> list[Observer]:
    return [observer for observer in route.observers if observer.wants(request, response)]


def _rcode(response: Response) -> int:
    match response:
        case Answer(sections):
            return sections.rcode
        case Relay(message):
            return relay.rcode(message)


def _traffic(asked: _Asked, response: Response, octets: int) -> Traffic:
    query, (transport, family) = asked.query, asked.door
    rcode = rcode_label(_rcode(response))
    do = query.edns is not None and query.edns.do
    label, rtype = asked.route.label, rtype_label(query.rtype)
    sort = (label, transport, family, rtype, rcode, response.by, do)
    return Traffic(sort, len(asked.message), octets)
