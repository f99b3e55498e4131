"""One plugin, or a few, without a server: set up from text, asked, and read by dnspython."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict, Unpack

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from msgspec.structs import replace

from kdns.assembly import Block, Check, Setup
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response, Transport, compose
from kdns.cluster import Clusters
from kdns.corefile.parser import parse
from kdns.corefile.syntax import Corefile, Directive
from kdns.kube.owners import Owner
from kdns.metrics import Metrics
from kdns.server.eager import Rest, start
from kdns.server.tally import Tally
from kdns.wire import codes, names, relay
from kdns.wire.message import MAX_TCP_MESSAGE, Sections, udp_limit, write
from kdns.wire.query import RD, Edns, Query, read_query

PATH = "Corefile"
SERVER = "dns://:53"
CLIENT_PORT = 40_212


class FakeRuntime:
    """Counts for itself, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.clusters = Clusters()
        self.corefile: Corefile | None = None
        self.reloads = 0
        """How often ``reload`` was called."""
        self.reloaded = True
        """What ``reload`` returns."""
        self.stopped: list[tuple[int, str]] = []
        """What ``stop`` was called with."""
        self.ending = False
        self.is_worker = False
        self.ready: dict[str, Check] = {}
        """What ``checks`` returns."""

    def tally(self, server: str) -> Tally:  # noqa: ARG002 - nothing is counted
        return Tally()

    def checks(self) -> dict[str, Check]:
        return self.ready

    async def reload(self) -> bool:
        self.reloads += 1
        return self.reloaded

    def stop(self, status: int, why: str) -> None:
        self.stopped.append((status, why))


def block(*zones: str, runtime: FakeRuntime | None = None) -> Block:
    """A server block of these zones, of the root without any."""
    origins = [names.from_text(zone).lower() for zone in zones or (".",)]
    return Block(origins, runtime or FakeRuntime())


def directives(text: str) -> tuple[Directive, ...]:
    """The directives of a server block, from what would stand in its braces: from line 2 on."""
    (read,) = parse(f". {{\n{text}\n}}\n", PATH).blocks
    return read.directives


def setup_of(
    setup: Setup, text: str, zones: Sequence[str] = (), into: Block | None = None
) -> tuple[Plugin | None, Block]:
    """Set up one plugin from its directives in a block of these zones, or in a given block."""
    made = block(*zones) if into is None else into
    return setup(directives(text), made), made


def plugin_of(setup: Setup, text: str, zones: Sequence[str] = ()) -> Plugin:
    """Set up a plugin that takes part in the chain."""
    plugin, _ = setup_of(setup, text, zones)
    assert plugin is not None
    return plugin


def dropped(made: Block) -> list[Owner]:
    """Return a list that gets the owners that a block drops from now on."""
    seen: list[Owner] = []
    made.drops.append(seen.extend)
    return seen


@asynccontextmanager
async def running(made: Block) -> AsyncIterator[None]:
    """Do what a block does in the background, as a server does from before its first query."""
    async with AsyncExitStack() as stack:
        for resource in made.resources:
            await stack.enter_async_context(resource)
        yield


def question(
    asked: str, *, edns: int | Edns | None = None, flags: int = RD, message_id: int = 7
) -> Query:
    """The query for ``name type`` or ``name type class``, read from octets that dnspython wrote.

    ``edns`` is a payload size, or all that OPT says.
    """
    name, rtype, *rclass = asked.split()
    written = dns.message.make_query(name, rtype, rclass[0] if rclass else "IN", id=message_id)
    opt = Edns(edns) if isinstance(edns, int) else edns
    return replace(read_query(written.to_wire()), flags=flags, edns=opt)


async def refuse(_: Request) -> Response:
    """End a chain: nobody answered."""
    return Answer(Sections(codes.REFUSED, authoritative=False), by="last")


def says(response: Response) -> Handler:
    """End a chain with this response."""

    async def handle(_: Request) -> Response:
        return response

    return handle


class Asking(TypedDict, total=False):
    """How a question is asked; what is left out is as in most tests."""

    last: Handler
    """The end of the chain; ``refuse`` if left out."""
    client: str
    transport: Transport
    edns: int | Edns | None
    flags: int
    zone: str
    """The zone of the server block, as metrics name it."""


def request(plugins: Sequence[Plugin], asked: str | Query, **more: Unpack[Asking]) -> Request:
    """A request as the server makes it; its ``chain`` is the plugins and then ``last``."""
    client = more.get("client", "10.0.0.1")
    return Request(
        _query(asked, more),
        more.get("transport", "udp"),
        compose(plugins, more.get("last", refuse)),
        client=(client, CLIENT_PORT if client else 0),
        server=SERVER,
        local=("127.0.0.1", 53),
        zone=more.get("zone", "."),
    )


async def handled(wanted: Request) -> Response:
    """Ask the chain of a request, in the way of the server: outside of any task until it waits."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[Response | Rest[Response]] = loop.create_future()

    def begin() -> None:
        try:
            started.set_result(start(_coroutine(wanted)))
        except Exception as error:  # noqa: BLE001 - of the plugin
            started.set_exception(error)

    loop.call_soon(begin)
    outcome = await started
    return await outcome if isinstance(outcome, asyncio.Future) else outcome


async def _coroutine(wanted: Request) -> Response:
    return await wanted.chain(wanted)


def answer(
    plugins: Sequence[Plugin] | Plugin, asked: str | Query, **more: Unpack[Asking]
) -> Response:
    """Ask plugins ``name type [class]`` and return their response; Dropped is raised."""
    chain = plugins if isinstance(plugins, Sequence) else [plugins]
    return asyncio.run(handled(request(chain, asked, **more)))


def own(response: Response) -> Answer:
    """The response, which must be an answer of ours."""
    assert isinstance(response, Answer)
    return response


def message(response: Response, asked: str | Query, **more: Unpack[Asking]) -> dns.message.Message:
    """What the client reads: the response to a question, written as the server does."""
    query = _query(asked, more)
    limit = MAX_TCP_MESSAGE if more.get("transport") == "tcp" else udp_limit(query.edns)
    if isinstance(response, Relay):
        return dns.message.from_wire(relay.readdress(response.message, query, limit))
    written = write(query, response.sections, limit)
    return dns.message.from_wire(query.id.to_bytes(2) + written.first())


def ask(
    plugins: Sequence[Plugin] | Plugin, asked: str, **more: Unpack[Asking]
) -> dns.message.Message:
    """Ask plugins ``name type [class]`` and read the reply as a client does."""
    return message(answer(plugins, asked, **more), asked, **more)


def _query(asked: str | Query, more: Asking) -> Query:
    if isinstance(asked, Query):
        return asked
    return question(asked, edns=more.get("edns"), flags=more.get("flags", RD))


def lines(section: Sequence[dns.rrset.RRset]) -> list[str]:
    """The records of a section as lines of a zone file, in their order."""
    return [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    ]


def rcode(read: dns.message.Message) -> str:
    return dns.rcode.to_text(read.rcode())


def flags(read: dns.message.Message) -> list[str]:
    """The names of the flags in the header."""
    return dns.flags.to_text(read.flags).split()


def ede(read: dns.message.Message) -> tuple[int, str] | None:
    """Code and text of the extended error."""
    found = [(int(option.code), option.text) for option in read.options if int(option.otype) == 15]
    return found[0] if found else None


def sample(made: Block, name: str, **labels: str) -> float | None:
    """The value of a metric, as Prometheus would see it."""
    return made.runtime.metrics.registry.get_sample_value(name, labels)
