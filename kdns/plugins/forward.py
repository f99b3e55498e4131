"""``forward``: asks upstream resolvers about every name in its zone.

Whom and how is ``kdns.forward_block``; the asking itself is ``kdns.upstream``.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import Counter, Histogram, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from kdns import forward_block
from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request
from kdns.chain import Response as Reply
from kdns.corefile.mnemonics import RCODES
from kdns.corefile.syntax import Directive
from kdns.forward_block import Rules, Wanted
from kdns.metrics import Metrics
from kdns.upstream import certificates
from kdns.upstream.address import Upstream
from kdns.upstream.flights import Flights
from kdns.upstream.group import Failure, Group
from kdns.upstream.question import Response, question
from kdns.upstream.resolver import Resolver
from kdns.upstream.settings import Settings
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.names import ROOT, Name

NAME = "forward"
_OLD = "coredns_forward"
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

    ``close`` it, or run it in ``running``: its sockets stay open for a while.
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
        self._measures = _Measures(metrics or Metrics())
        self._flights: Flights[Response | Failure] = Flights()
        self._waiting = 0
        self.use(upstreams)

    def use(self, upstreams: Sequence[Upstream], failed: str = "no upstream is configured") -> None:
        """Ask these from now on; ``failed`` says why, where there are none."""
        if any(upstream.tls for upstream in upstreams) and self._context is None:
            self._context = certificates.context()
        resolvers = [
            Resolver(one, self._settings, self._measures.of(one), self._context)
            for one in upstreams
        ]
        self._group = Group(resolvers, self._settings, self._measures.all_down.inc)
        self._failed = "" if resolvers else failed

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
        """Close everything when the block ends."""
        try:
            yield
        finally:
            self.close()
            # Connections close when the event loop goes on.
            await asyncio.sleep(0)

    def close(self) -> None:
        """Close all sockets; who waits gets SERVFAIL."""
        self._group.close()

    async def _answer(self, request: Request, alternative: Handler | None) -> Reply:
        rules = self._rules
        if self._waiting >= rules.most:
            self._measures.rejected.inc()
            return _rejected(rules.most)
        self._waiting += 1
        try:
            outcome = await self._ask(request)
        finally:
            self._waiting -= 1
        if isinstance(outcome, Failure):
            return _unanswered(outcome)
        if alternative is not None and _is_for_next(rules, outcome):
            return await alternative(request)
        return Relay(outcome.message, by=NAME)

    async def _ask(self, request: Request) -> Response | Failure:
        if self._failed:
            return Failure(self._failed, talked=False)
        asked = question(request.query)
        work = partial(self._group.ask, asked, request.transport)
        if request.query.rtype == codes.HINFO:
            # ``loop`` counts how often its own question comes by: it must not wait for itself.
            return await work()
        return await self._flights.join((request.transport, asked.body), work)


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


class _Measures:
    """What is counted of all upstreams."""

    def __init__(self, metrics: Metrics) -> None:
        self.all_down = metrics.counter(
            "coredns_forward_healthcheck_broken_total",
            "Queries for which no upstream was in working order.",
        )
        self.rejected = metrics.counter(
            "coredns_forward_max_concurrent_rejects_total",
            "Queries refused because too many waited already.",
        )
        self.durations = metrics.histogram(
            "coredns_proxy_request_duration_seconds",
            "Time until an upstream responded.",
            ("proxy_name", "to", "rcode"),
        )
        self.failures = metrics.counter(
            "coredns_proxy_healthcheck_failures_total",
            "Health checks that failed.",
            ("proxy_name", "to"),
        )
        labels = ("proxy_name", "to", "proto")
        self.reused = metrics.counter(
            "coredns_proxy_conn_cache_hits_total", "Questions from a socket used before.", labels
        )
        self.opened = metrics.counter(
            "coredns_proxy_conn_cache_misses_total", "Questions from a new socket.", labels
        )
        metrics.add_once(NAME, lambda: _Historic(self.durations, self.failures))

    def of(self, upstream: Upstream) -> "_Counts":
        """Return what counts for one upstream."""
        return _Counts(self, str(upstream))


class _Counts:
    """What is counted of one upstream; the labels are looked up once."""

    def __init__(self, measures: _Measures, to: str) -> None:
        self._measures = measures
        self._labels = (NAME, to)
        self._durations: dict[int, Histogram] = {}
        self._took: dict[tuple[str, bool], Counter] = {}

    def answered(self, rcode: int, seconds: float) -> None:
        """Count a response."""
        found = self._durations.get(rcode)
        if found is None:
            text = _RCODE_TEXTS.get(rcode) or str(rcode)
            found = self._durations[rcode] = self._measures.durations.labels(*self._labels, text)
        found.observe(seconds)

    def took(self, transport: str, *, again: bool) -> None:
        """Count a question that goes out."""
        found = self._took.get((transport, again))
        if found is None:
            counter = self._measures.reused if again else self._measures.opened
            found = self._took[transport, again] = counter.labels(*self._labels, transport)
        found.inc()

    def check_failed(self) -> None:
        """Count a health check."""
        self._measures.failures.labels(*self._labels).inc()


class _Historic(Collector):
    """The same numbers under the names of before CoreDNS 1.12, which dashboards still ask for."""

    def __init__(self, durations: Histogram, failures: Counter) -> None:
        self._durations = durations
        self._failures = failures

    def collect(self) -> Iterator[Metric]:
        """Yield the four families."""
        durations = Metric(f"{_OLD}_request_duration_seconds", "As coredns_proxy_*.", "histogram")
        responses = Metric(f"{_OLD}_responses", "Responses of upstreams.", "counter")
        requests = Metric(f"{_OLD}_requests", "Responses of upstreams.", "counter")
        failures = Metric(f"{_OLD}_healthcheck_failures", "Health checks that failed.", "counter")
        totals: dict[str, float] = {}
        for sample in _samples(self._durations):
            name = sample.name.replace("coredns_proxy", _OLD)
            durations.add_sample(name, sample.labels, sample.value)
            if name.endswith("_count"):
                responses.add_sample(f"{responses.name}_total", sample.labels, sample.value)
                to = sample.labels["to"]
                totals[to] = totals.get(to, 0) + sample.value
        for to, total in totals.items():
            requests.add_sample(f"{requests.name}_total", {"to": to}, total)
        for sample in _samples(self._failures):
            if sample.name.endswith("_total"):
                failures.add_sample(f"{failures.name}_total", sample.labels, sample.value)
        yield from (durations, responses, requests, failures)


def _samples(source: Collector) -> Iterator[Sample]:
    """Return the samples of upstreams without the label that is new."""
    for family in source.collect():
        for sample in family.samples:
            labels = {key: value for key, value in sample.labels.items() if key != "proxy_name"}
            if sample.labels.get("proxy_name") == NAME:
                yield sample._replace(labels=labels)
