"""From a datagram that has no prepared packet to its reply: read, ask the chain, write, keep.

Whatever arrives, the outcome is a reply or silence, never an exception. Knows no sockets.
"""

import asyncio
import logging
from typing import TypeAlias

from kdns.chain import Answer, Handler, Relay, Request, Response, Transport
from kdns.errors import MalformedMessage
from kdns.server.eager import start
from kdns.server.packets import Rotating, octets, pack
from kdns.server.table import AnswerTable
from kdns.wire import codes, relay
from kdns.wire.message import MAX_TCP_MESSAGE, Sections, fault, udp_limit, write
from kdns.wire.query import Query, read_query

log = logging.getLogger(__name__)

Reply: TypeAlias = bytes | None
"""Octets to send back, or silence."""

_ID = 2


class Responder:
    """Answers messages from a table and a chain."""

    def __init__(
        self,
        chain: Handler,
        table: AnswerTable,
        *,
        recursion: bool = False,
        rotate: bool = True,
    ) -> None:
        """``recursion`` is RA in every answer of ours; ``rotate`` turns sets of addresses."""
        self.table = table
        self._chain = chain
        self._recursion = recursion
        self._rotate = rotate

    def respond(self, message: bytes, transport: Transport) -> "Reply | asyncio.Task[Reply]":
        """Return the reply to a message, or a task where something has to be waited for."""
        try:
            query = read_query(message)
        except MalformedMessage as error:
            return None if error.rcode is None else fault(message, error.rcode)
        try:
            return self._respond(message, query, transport)
        except Exception:
            log.exception("a query could not be answered")
            return fault(message, codes.SERVFAIL)

    def _respond(
        self, message: bytes, query: Query, transport: Transport
    ) -> "Reply | asyncio.Task[Reply]":
        refusal = _refusal(query)
        if refusal is not None:
            return self._write(query, refusal, transport)
        answer = self.table.answer(query.question)
        if answer is not None:
            return self._keep(message, query, answer, transport)
        return start(self._ask(query, transport))

    async def _ask(self, query: Query, transport: Transport) -> Reply:
        """Ask the chain. What goes wrong in it is our fault and the client's SERVFAIL."""
        changes = self.table.changes
        try:
            response = await self._chain(Request(query, transport, self._chain))
            reply = self._finish(query, response, transport)
        except Exception:
            log.exception("a query made the chain fail")
            return self._write(query, Sections(codes.SERVFAIL, authoritative=False), transport)
        # What was true when the chain began may be no more: then it is sent, and not kept.
        if isinstance(response, Answer) and response.owners and changes == self.table.changes:
            self.table.put(query.question, response)
        return reply

    def _keep(self, message: bytes, query: Query, answer: Answer, transport: Transport) -> bytes:
        """Finish an answer that was asked for before, and keep the result as a packet."""
        limit = _limit(query, transport)
        written = write(query, answer.sections, limit, recursion=self._recursion, whole=True)
        packet = pack(written, self.table.serial, rotate=self._rotate)
        self.table.put_packet(query.question, transport, message[_ID:], packet)
        return message[:_ID] + octets(packet)

    def _finish(self, query: Query, response: Response, transport: Transport) -> bytes:
        match response:
            case Answer(sections):
                return self._write(query, sections, transport)
            case Relay(message):
                return relay.readdress(message, query, _limit(query, transport))

    def _write(self, query: Query, sections: Sections, transport: Transport) -> bytes:
        """Write a response that is sent once."""
        written = write(query, sections, _limit(query, transport), recursion=self._recursion)
        rotates = written.records and self._rotate
        body = Rotating(written).next() if rotates else written.first()
        return query.id.to_bytes(2) + body


def _refusal(query: Query) -> Sections | None:
    """Refuse what no plugin is asked about."""
    edns = query.edns
    if edns is not None and edns.version != 0:
        # RFC 6891 section 6.1.3: the reply names the highest version that we know, 0.
        return Sections(codes.BADVERS, authoritative=False)
    if query.rclass != codes.CLASS_IN:
        text = "only class IN is served"
        return Sections(codes.REFUSED, authoritative=False, ede=(codes.EDE_NOT_SUPPORTED, text))
    if query.rtype in (codes.AXFR, codes.IXFR):
        text = "zone transfer is not served"
        return Sections(codes.REFUSED, authoritative=False, ede=(codes.EDE_NOT_SUPPORTED, text))
    return None


def _limit(query: Query, transport: Transport) -> int:
    return MAX_TCP_MESSAGE if transport == "tcp" else udp_limit(query.edns)
