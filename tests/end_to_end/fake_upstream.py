"""Small upstream servers on loopback that say what a test wants, and Forward before them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from secrets import randbelow
from typing import TypedDict, TypeVar, Unpack, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from kdns.chain import Answer, Handler, Relay, Request, Response, Transport
from kdns.directives.forward import Rules
from kdns.metrics import Metrics
from kdns.plugins.forward import Forward, refuse
from kdns.upstream.address import Upstream
from kdns.upstream.settings import Settings
from kdns.wire import codes, names
from kdns.wire.query import Query, ask

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
T = TypeVar("T")
Replies = Callable[[dns.message.Message], list[bytes]]
"""What a fake sends back for a query, in order; nothing for silence."""


class Fake(asyncio.DatagramProtocol):
    """An upstream that answers by function, and remembers what it was asked."""

    def __init__(self, upstream: Upstream, udp: Replies, tcp: Replies) -> None:
        self.upstream = upstream
        self.udp: list[dns.message.Message] = []
        self.tcp: list[dns.message.Message] = []
        self.ports: list[int] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.replies = udp
        self.hangs_up = False
        """Whether a connection is closed after each reply."""
        self.tcp_replies = tcp
        self._transport: asyncio.DatagramTransport | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.udp.append(query)
        self.ports.append(address[1])
        self.arrived.set()
        for reply in self.replies(query):
            if self._transport is not None:
                self._transport.sendto(reply, address)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._converse(reader, writer)
                if self.hangs_up:
                    break
        self._writers.discard(writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2))
        query = dns.message.from_wire(await reader.readexactly(size))
        self.tcp.append(query)
        self.arrived.set()
        for reply in self.tcp_replies(query):
            # In two pieces: a reader must not count on getting it at once.
            writer.write(len(reply).to_bytes(2) + reply[:5])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(reply[5:])


def somewhere() -> Upstream:
    """Return an address where nobody listens: all of 127.0.0.0/8 is this machine."""
    first, second, third = (1 + randbelow(254) for _ in range(3))
    return Upstream(f"127.{first}.{second}.{third}", 5300)


@asynccontextmanager
async def fake(
    udp: Replies,
    tcp: Replies | None = None,
    at: Upstream | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Fake]:
    """Run an upstream while the block runs; TCP answers as UDP unless said."""
    at = at or somewhere()
    loop = asyncio.get_running_loop()
    one = Fake(at, udp, tcp or udp)
    server = await asyncio.start_server(one.connected, at.host, at.port, ssl=context)
    transport, _ = await loop.create_datagram_endpoint(lambda: one, local_addr=(at.host, at.port))
    try:
        yield one
    finally:
        transport.close()
        server.close()
        one.hang_up()
        await server.wait_closed()
        await asyncio.sleep(0)


def says(address: str = "192.0.2.1", count: int = 1, flags: str = "QR RD RA") -> Replies:
    """Answer with that address, so many times over with different TTLs."""

    def replies(query: dns.message.Message) -> list[bytes]:
        message = dns.message.make_response(query)
        message.flags = dns.flags.from_text(flags)
        owner = query.question[0].name
        message.answer = [
            dns.rrset.from_text(owner, 60, "IN", "TXT", f"{n:0200}") for n in range(count - 1)
        ]
        message.answer.append(dns.rrset.from_text(owner, 60, "IN", "A", address))
        return [message.to_wire(max_size=65_535)]

    return replies


def says_rcode(rcode: str) -> Replies:
    """Answer without any record."""

    def replies(query: dns.message.Message) -> list[bytes]:
        message = dns.message.make_response(query)
        message.set_rcode(dns.rcode.from_text(rcode))
        return [message.to_wire()]

    return replies


def silence(_query: dns.message.Message) -> list[bytes]:
    return []


def run(test: Coroutine[None, None, T]) -> T:
    """Run a test on a loop of its own."""
    return asyncio.run(test)


def request(query: Query = QUERY, transport: Transport = "udp") -> Request:
    return Request(query, transport, refuse)


class How(TypedDict, total=False):
    """What Forward is made with beside its upstreams."""

    rules: Rules
    settings: Settings
    context: ssl.SSLContext | None
    metrics: Metrics | None


@asynccontextmanager
async def forwarding(*upstreams: Upstream, **how: Unpack[How]) -> AsyncIterator[Handler]:
    """Run Forward while the block runs."""
    forward = Forward(upstreams, **how)
    async with forward.running():
        yield forward.wrap(refuse)


async def asked_once(
    *upstreams: Upstream, transport: Transport = "udp", **how: Unpack[How]
) -> Response:
    """Ask the usual question, once."""
    async with forwarding(*upstreams, **how) as handler:
        return await handler(request(transport=transport))


def addresses(response: Response) -> list[str]:
    assert isinstance(response, Relay)
    assert response.by == "forward"
    message = dns.message.from_wire(response.message)
    return [rdata.address for rrset in message.answer if rrset.rdtype == 1 for rdata in rrset]


def rcode(response: Response) -> str:
    if isinstance(response, Answer):
        return dns.rcode.to_text(dns.rcode.Rcode(response.sections.rcode))
    return dns.rcode.to_text(dns.message.from_wire(response.message).rcode())


def failure(response: Response, code: int = codes.EDE_NO_REACHABLE_AUTHORITY) -> str:
    """The reason in a SERVFAIL of ours, which is the one for the log."""
    assert isinstance(response, Answer)
    assert response.sections.rcode == codes.SERVFAIL
    assert response.sections.ede == (code, response.error)
    assert response.by == "forward"
    return response.error


async def waited(work: Awaitable[T]) -> T:
    return await work
