"""``forward``: asks upstream resolvers about every name in its zone.

Whom and how is ``kdns.directives.forward``; the asking itself is ``kdns.upstream``.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.registry import Collector

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request
from kdns.chain import Response as Reply
from kdns.corefile.mnemonics import RCODES
from kdns.corefile.syntax import Directive
from kdns.directives import forward as forward_block
from kdns.directives.forward import Rules, Wanted
from kdns.metrics import Metrics
from kdns.upstream import certificates
from kdns.upstream.address import Upstream
from kdns.upstream.counts import SECONDS, Counts
from kdns.upstream.flights import Flights
from kdns.upstream.group import Failure, Group
from kdns.upstream.question import Response, question
from kdns.upstream.resolver import Resolver
from kdns.upstream.settings import Settings
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.names import ROOT, Name

NAME = "forward"
_RCODE_TEXTS = {number: text for text, number in RCODES.items()}


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Forward what the directives of a block say, in the order in which they are written."""
    forwards = [_made(wanted, block) for wanted in forward_block.read(directives, block)]
    block.recursion = True
    block.any_class = True
    return Row(forwards)


def _made(wanted: Wanted, block: Block) -> "Forward":
    made = Forward((), wanted.rules, wanted.settings, wanted.context, block.runtime.metrics)

    def use() -> None:
        made.use(*forward_block.upstreams(wanted, block))

    use()
    # Only then can it be known what would come back here.
    block.when_placed(use)
    block.during(made.running())
    return made


class Row:
    """The forwards of one block: a name goes to the first whose zone it is in."""

    def __init__(self, forwards: Sequence["Forward"]) -> None:
        self._forwards = tuple(forwards)

    def wrap(self, following: Handler) -> Handler:
        """Ask the first forward; it asks the next one, and the last one what follows."""
        handler = following
        alternative: Handler | None = None
        for one in reversed(self._forwards):
            handler = alternative = one.wrap(handler, alternative)
        return handler


class Forward:
    """Hands queries to upstream resolvers.

    Its sockets stay open for a while and belong to the event loop that asks first: ``close`` it
    there, or run it in ``running``.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        rules: Rules = Rules(),  # noqa: B008 - frozen
        settings: Settings = Settings(),  # noqa: B008 - frozen
        context: ssl.SSLContext | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Without ``context`` the certificates of upstreams are checked with the authorities of the
        system.
        """
        self._rules = rules
        self._settings = settings
        self._context = context
        self._measures = (metrics or Metrics()).shared(Measures)
        self._flights: Flights[Response | Failure] = Flights()
        self._waiting = 0
        self._empty: asyncio.Event | None = None
        """Set when nobody waits any more, once somebody wants to know."""
        self.use(upstreams)

    def use(self, upstreams: Sequence[Upstream], failed: str = "no upstream is configured") -> None:
        """Ask these from now on; ``failed`` says why, where there are none."""
        if any(upstream.tls for upstream in upstreams) and self._context is None:
            self._context = certificates.context()
        resolvers = [
            Resolver(one, self._settings, self._measures.of(one), self._context)
            for one in upstreams
        ]
        self._group = Group(resolvers, self._settings, self._measures.found_all_down)
        self._failure = None if resolvers else Failure(failed, talked=False)

    def wrap(self, following: Handler, alternative: Handler | None = None) -> Handler:
        """Answer what is in the zone; ``alternative`` is the next forward, for some responses."""
        rules = self._rules
        everything = rules.zone == ROOT and not rules.excepted

        def handle(request: Request) -> Awaitable[Reply]:
            if everything or _is_for(rules, request.query.name):
                return self._answer(request, alternative)
            return following(request)

        return handle

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close everything after the block, when the queries that wait have their answers."""
        try:
            yield
        finally:
            await self._drain()
            self.close()
            # Connections close when the event loop goes on.
            await asyncio.sleep(0)

    def close(self) -> None:
        """Close all sockets; who waits gets SERVFAIL."""
        self._group.close()

    async def _drain(self) -> None:
        """Wait for those who wait: another configuration may have taken over meanwhile."""
        if self._waiting:
            self._empty = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.deadline):
                    await self._empty.wait()

    async def _answer(self, request: Request, alternative: Handler | None) -> Reply:
        rules = self._rules
        if self._waiting >= rules.most:
            self._measures.rejected += 1
            return _rejected(rules.most)
        self._waiting += 1
        try:
            outcome = await self._ask(request) if self._failure is None else self._failure
        finally:
            self._waiting -= 1
            if self._empty is not None and not self._waiting:
                self._empty.set()
        if isinstance(outcome, Failure):
            return _unanswered(outcome)
        if alternative is not None and _is_for_next(rules, outcome):
            return await alternative(request)
        return Relay(outcome.message, by=NAME)

    def _ask(self, request: Request) -> Awaitable[Response | Failure]:
        asked = question(request.query)
        work = partial(self._group.ask, asked, request.transport)
        if request.query.rtype == codes.HINFO:
            # ``loop`` counts how often its own question comes by: it must not wait for itself.
            return work()
        return self._flights.join((request.transport, asked.body), work)


def _is_for(rules: Rules, name: Name) -> bool:
    """Whether a name is forwarded; FROM itself is, whatever is excepted."""
    if name == rules.zone:
        return True
    excepted = any(names.is_below(name, zone) for zone in rules.excepted)
    return not excepted and names.is_below(name, rules.zone)


def _is_for_next(rules: Rules, response: Response) -> bool:
    if response.rcode in rules.next_rcodes:
        return True
    return rules.next_on_nodata and response.rcode == codes.NOERROR and not response.answers


# -- answers of ours --------------------------------------------------------------------------


async def refuse(request: Request) -> Reply:
    """End a chain that has no upstream."""
    name = names.to_text(request.query.asked)
    text = f"{name} is outside the zones of this server and no upstream is configured"
    ede = (codes.EDE_NOT_AUTHORITATIVE, text)
    return Answer(Sections(codes.REFUSED, authoritative=False, ede=ede))


def _rejected(most: int) -> Answer:
    ede = (codes.EDE_OTHER, f"{most} queries wait for upstreams already")
    sections = Sections(codes.REFUSED, authoritative=False, ede=ede)
    return Answer(sections, by=NAME, error=f"concurrent queries exceeded maximum {most}")


def _unanswered(failure: Failure) -> Answer:
    code = codes.EDE_NETWORK_ERROR if failure.talked else codes.EDE_NO_REACHABLE_AUTHORITY
    sections = Sections(codes.SERVFAIL, authoritative=False, ede=(code, failure.text))
    return Answer(sections, by=NAME, error=failure.text)


# -- metrics ----------------------------------------------------------------------------------


class Measures(Collector):
    """What happened at all upstreams since the server began."""

    def __init__(self) -> None:
        self.all_down = 0
        """Queries for which no upstream was in working order."""
        self.rejected = 0
        """Queries refused because too many waited already."""
        self._upstreams: dict[str, Counts] = {}

    def of(self, upstream: Upstream) -> Counts:
        """Return the numbers of one upstream, those of before a reload."""
        return self._upstreams.setdefault(str(upstream), Counts())

    def found_all_down(self) -> None:
        """Count a query for which no upstream was in working order."""
        self.all_down += 1

    def collect(self) -> Iterator[Metric]:
        """Yield all families; those of upstreams also under names that dashboards had before."""
        yield _counter("coredns_forward_healthcheck_broken", "All upstreams down.", self.all_down)
        yield _counter(
            "coredns_forward_max_concurrent_rejects", "Too many queries waited.", self.rejected
        )
        upstreams = list(self._upstreams.items())
        yield from _exchanges("coredns_proxy", {"proxy_name": NAME}, upstreams)
        yield from _exchanges("coredns_forward", {}, upstreams)
        hits = Metric("coredns_proxy_conn_cache_hits", "From a socket used before.", "counter")
        misses = Metric("coredns_proxy_conn_cache_misses", "From a new socket.", "counter")
        for to, counts in upstreams:
            for family, numbers in ((hits, counts.reused), (misses, counts.opened)):
                for transport, count in list(numbers.items()):
                    labels = {"proxy_name": NAME, "to": to, "proto": transport}
                    family.add_sample(f"{family.name}_total", labels, count)
        yield from (hits, misses)
        yield from _historic(upstreams)


_Upstreams: TypeAlias = Sequence[tuple[str, Counts]]


def _counter(name: str, text: str, value: float) -> Metric:
    family = Metric(name, text, "counter")
    family.add_sample(f"{name}_total", {}, value)
    return family


def _exchanges(prefix: str, labels: dict[str, str], upstreams: _Upstreams) -> Iterator[Metric]:
    """Yield how long responses took, and how many health checks failed."""
    text = "Time until an upstream responded."
    durations = Metric(f"{prefix}_request_duration_seconds", text, "histogram")
    failures = Metric(f"{prefix}_healthcheck_failures", "Health checks that failed.", "counter")
    for to, counts in upstreams:
        for rcode, found in list(counts.durations.items()):
            own = {**labels, "to": to, "rcode": _rcode(rcode)}
            total = 0
            for bound, count in zip((*SECONDS, math.inf), found.buckets, strict=True):
                total += count
                le = {**own, "le": str(bound) if bound < math.inf else "+Inf"}
                durations.add_sample(f"{durations.name}_bucket", le, total)
            durations.add_sample(f"{durations.name}_count", own, total)
            durations.add_sample(f"{durations.name}_sum", own, found.sum)
        failed = {**labels, "to": to}
        failures.add_sample(f"{failures.name}_total", failed, counts.failed_checks)
    yield from (durations, failures)


def _historic(upstreams: _Upstreams) -> Iterator[Metric]:
    """Yield how many responses there were, as CoreDNS counted them before 1.12."""
    requests = Metric("coredns_forward_requests", "Responses of upstreams.", "counter")
    responses = Metric("coredns_forward_responses", "Responses of upstreams.", "counter")
    for to, counts in upstreams:
        totals = {rcode: sum(one.buckets) for rcode, one in list(counts.durations.items())}
        requests.add_sample(f"{requests.name}_total", {"to": to}, sum(totals.values()))
        for rcode, total in totals.items():
            labels = {"to": to, "rcode": _rcode(rcode)}
            responses.add_sample(f"{responses.name}_total", labels, total)
    yield from (requests, responses)


def _rcode(rcode: int) -> str:
    return _RCODE_TEXTS.get(rcode) or str(rcode)
