"""``autopath``: the rest of a client's search list is walked here instead of there.

A name that a client has completed with the first domain of its list, and that does not exist, is
tried with the others at once. What is found goes back behind a CNAME. Opens nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Token
from kdns.errors import UpstreamError, UsageError
from kdns.kube.owners import address_key
from kdns.metrics import Metrics
from kdns.stub.resolvconf import ResolvConf
from kdns.wire import codes, names, records, relay
from kdns.wire.message import Sections
from kdns.wire.names import MAX_NAME, ROOT, Name
from kdns.wire.query import QUESTION_TAIL, Query

_KUBERNETES = "@kubernetes"
_FEWEST_LABELS = 3
"""Of a name that a pod has completed: something, the namespace and ``svc``."""
_TRIED_ON = frozenset({codes.NXDOMAIN, codes.REFUSED})


class Search(Struct, frozen=True):
    """The search list of a client whose query is in its first domain."""

    first: Name
    others: tuple[Name, ...] = ()
    """Empty for a client that has another list."""


Searching: TypeAlias = Callable[[Request], Search | None]
"""Returns None for names that no client has completed with a first domain."""


class AutoPath:
    """Completes what clients would complete next."""

    def __init__(self, zones: Sequence[Name], searching: Searching, metrics: Metrics) -> None:
        self._zones = tuple(zones)
        self._searching = searching
        self._done = metrics.counter(
            "coredns_autopath_success_total", "Counter of requests that did autopath.", ("server",)
        )

    def wrap(self, following: Handler) -> Handler:
        """Walk the search list for names that do not exist, pass on all others."""

        async def handle(request: Request) -> Response:
            name = request.query.name
            if not any(names.is_below(name, zone) for zone in self._zones):
                return await following(request)
            search = self._searching(request)
            first = await following(request)
            # What is there is there for every client, whatever its search list.
            if search is None or not _is_missing(first):
                return first
            return await self._completed(request, search, following) or _for_this_client(first)

        return handle

    async def _completed(
        self, request: Request, search: Search, following: Handler
    ) -> Response | None:
        """Try the other domains; None where the name is in none of them."""
        query = request.query
        base = query.asked[: -len(search.first)]
        for domain in search.others:
            if len(base) + len(domain) > MAX_NAME:
                continue
            tried = _about(query, base + domain)
            response = await following(replace(request, query=tried))
            if not _is_missing(response):
                self._done.labels(request.server).inc()
                return _led(query, tried, response)
        return None


def _about(query: Query, name: Name) -> Query:
    """Return the same query about another name."""
    question = name + query.question[-QUESTION_TAIL:]
    return replace(query, question=question, name=name.lower())


def _is_missing(response: Response) -> bool:
    match response:
        case Answer(Sections(rcode)):
            return rcode in _TRIED_ON
        case Relay(message):
            return relay.rcode(message) in _TRIED_ON


def _led(query: Query, tried: Query, response: Response) -> Answer:
    """Set a CNAME in front of what was found under another name; NODATA needs none."""
    if isinstance(response, Relay):
        response = _read(response, tried)
    sections = response.sections
    if sections.answer:
        found = sections.answer[0]
        link = records.cname(query.asked, found.ttl, found.owner)
        sections = replace(sections, answer=(link, *sections.answer))
    return replace(response, sections=sections, owners=())


def _read(response: Relay, tried: Query) -> Answer:
    """Understand what an upstream said; what cannot be read is its failure."""
    try:
        return Answer(relay.sections(response.message, tried), by=response.by)
    except UpstreamError as error:
        failed = Sections(codes.SERVFAIL, authoritative=False)
        return Answer(failed, by=response.by, error=str(error))


def _for_this_client(first: Response) -> Response:
    """Another client may have another search list: nobody else gets this answer."""
    return replace(first, owners=()) if isinstance(first, Answer) else first


# -- whose search list it is --------------------------------------------------------------------


def _of_everybody(domains: Sequence[Name]) -> Searching:
    """Return the search of clients that all have the same list."""
    first, *others = domains
    search = Search(first, (*others, ROOT))

    def searching(request: Request) -> Search | None:
        name = request.query.name
        return search if name != first and names.is_below(name, first) else None

    return searching


def _of_pods(block: Block, node: Sequence[Name]) -> Searching:
    """Return the search of pods: the domains of their namespace, then those of the node."""

    def searching(request: Request) -> Search | None:
        if block.kubernetes is None:
            return None
        store, authority = block.kubernetes
        question = authority.question(request.query)
        if question is None or authority.settings.pods != "verified":
            return None
        labels, zone = question.labels, question.zone.origin
        if len(labels) < _FEWEST_LABELS or labels[-1] != "svc":
            return None
        services = names.of("svc") + zone
        first = names.of(labels[-2]) + services
        pods = store.pods_at(address_key(request.client[0]))
        # Pods of the host's network share its address: they must agree.
        if {pod.namespace for pod in pods} != {labels[-2]}:
            return Search(first)
        return Search(first, (services, zone, *node, ROOT))

    return searching


def _domains(conf: ResolvConf) -> list[Name]:
    return [names.from_text(domain).lower() for domain in conf.search]


def _of_file(token: Token, block: Block) -> list[Name]:
    """Read the search list of a file, or say what is wrong with it."""
    try:
        domains = _domains(ResolvConf.read(block.root / token.text))
    except (UsageError, ValueError) as error:
        values.fail(token, f"autopath: {error}")
    if not domains:
        values.fail(token, f"autopath: {token.text} has no search list")
    return domains


def _of_this_machine() -> list[Name]:
    # As in CoreDNS: pods get the search list of their node, and this is a pod too.
    with suppress(UsageError, ValueError):
        return _domains(ResolvConf.read())
    return []


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Read ``autopath [ZONES...] @kubernetes|FILE``."""
    directive = values.once(directives)
    values.no_lines(directive)
    *zones, last = values.arguments(directive, 1, values.MANY, what="resolv.conf")
    if last.text == _KUBERNETES:
        searching = _of_pods(block, _of_this_machine())
    elif last.text.startswith("@"):
        values.fail(last, f"autopath: expected {_KUBERNETES} or a file, got {last.text!r}")
    else:
        searching = _of_everybody(_of_file(last, block))
    return AutoPath(values.zones(zones, block.zones), searching, block.runtime.metrics)
