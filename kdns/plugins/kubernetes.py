"""``kubernetes``: answers for the cluster's zones out of the store.

Turns the outcome of a look-up into a response: the SOA and the reason of a negative one, the rest
of an alias, the CNAME of a completed short name. The look-up itself is ``kdns.zone``, the reading
of the directive ``kdns.directives.kubernetes``.
"""

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import MAX_DEPTH, Answer, Handler, Plugin, Relay, Request, Response, Serial, again
from kdns.corefile.syntax import Directive
from kdns.directives import kubernetes as kubernetes_block
from kdns.errors import UpstreamError
from kdns.kube.owners import SYNC
from kdns.kube.store import Store
from kdns.wire import codes, names, records, relay
from kdns.wire.message import Sections
from kdns.wire.names import MAX_NAME, ROOT, Name
from kdns.wire.query import Edns, Query, ask
from kdns.wire.records import Record
from kdns.zone import apex, lookup
from kdns.zone.answers import Alias, Found, Lookup, NoData, NoName, Owners
from kdns.zone.authority import Authority, Question

_ALIAS_EDNS = Edns(size=1232)
"""What the rest of an alias is asked for with: fits every path unfragmented (DNS flag day 2020)."""


NAME = "kubernetes"
MAX_SOAS = 64
_UNKNOWN = "not known yet: not synced with the API server; so far"
_STALE = {codes.NOERROR: codes.EDE_STALE_ANSWER, codes.NXDOMAIN: codes.EDE_STALE_NXDOMAIN}


class Kubernetes:
    """Answers for the zones of an ``Authority`` from a ``Store``."""

    def __init__(self, store: Store, authority: Authority, serial: Serial | None = None) -> None:
        """Without ``serial``, which follows that of the store, a SOA stays as it was made."""
        self._store = store
        self._authority = authority
        self._serial = serial
        self._soas: dict[tuple[int, Name], Record] = {}
        """By serial, and by zone in the case of the client."""

    def wrap(self, following: Handler) -> Handler:
        """Answer for the cluster's names, pass all others on."""

        async def handle(request: Request) -> Response:
            question = self._authority.question(request.query)
            if question is None:
                return await self._elsewhere(request, following)
            outcome = lookup.answer(self._store, self._authority, question)
            if isinstance(outcome, NoName) and self._leaves(outcome, request.query.name):
                return _unless((outcome,), await following(request))
            if isinstance(outcome, Alias):
                return self._signed(await self._follow(request, question, outcome))
            return self._signed(self._direct(question, outcome))

        return handle

    def _soa(self, origin: Name) -> Record:
        """Return the SOA of a zone: every negative answer has one, and it seldom differs."""
        key = self._store.serial, origin
        found = self._soas.get(key)
        if found is None:
            if len(self._soas) >= MAX_SOAS:
                self._soas.clear()
            found = self._soas[key] = apex.soa(self._store, self._authority, origin)
        return found

    def _leaves(self, outcome: NoName, name: Name) -> bool:
        """Whether a missing name is the next plugin's. What is not known yet never is."""
        if not self._authority.falls_through(name):
            return False
        # Q10: CoreDNS lets names go before it knows whether they exist.
        return self._authority.settings.compat or self._is_known(outcome)

    def _is_known(self, outcome: NoName) -> bool:
        """Whether everything that could make the name was listed."""
        store = self._store
        return store.lists(outcome.needs, outcome.namespace if store.unlisted else "")

    def _signed(self, answer: Answer) -> Answer:
        """Say who made the answer, and that what it was made from may be out of date."""
        return self._dated(replace(answer, by=NAME, serial=self._serial))

    def _dated(self, answer: Answer) -> Answer:
        stale, sections = self._store.stale, answer.sections
        if not stale:
            return answer
        ede = (codes.EDE_STALE_ANSWER, stale)
        if sections.ede is not None:
            code, reason = sections.ede
            if reason.endswith(stale):  # the target of an alias said so already
                return answer
            ede = (_STALE.get(sections.rcode, code), f"{reason}; {stale}")
        return replace(answer, sections=replace(sections, ede=ede))

    async def _respond(self, request: Request, question: Question, outcome: Lookup) -> Answer:
        if isinstance(outcome, Alias):
            return await self._follow(request, question, outcome)
        return self._direct(question, outcome)

    def _direct(self, question: Question, outcome: Found | NoData | NoName) -> Answer:
        match outcome:
            case Found(answer, owners, additional):
                return Answer(Sections(answer=answer, additional=additional), owners)
            case NoData(reason, owners):
                return self._negative(question, codes.NOERROR, reason, owners)
            case NoName(reason, owners) if self._is_known(outcome):
                return self._negative(question, codes.NXDOMAIN, reason, owners)
            case NoName(reason):
                return self._unsynced(question, reason)

    def _negative(self, question: Question, rcode: int, reason: str, owners: Owners) -> Answer:
        soa = self._soa(question.origin)
        sections = Sections(rcode, authority=(soa,), ede=(codes.EDE_OTHER, reason))
        # What no object made is still to be kept: the zone itself owns it.
        return Answer(sections, owners or apex.ALWAYS)

    def _unsynced(self, question: Question, reason: str) -> Answer:
        """Admit that the list of objects is not complete: the name may exist."""
        soa = self._soa(question.origin)
        text = f"{_UNKNOWN} {reason}"
        sections = Sections(codes.SERVFAIL, authority=(soa,), ede=(codes.EDE_NOT_READY, text))
        return Answer(sections)

    # -- aliases ------------------------------------------------------------------------------

    async def _follow(self, request: Request, question: Question, alias: Alias) -> Answer:
        """Answer with an alias and with what its target has."""
        if request.depth >= MAX_DEPTH:
            text = f"more than {MAX_DEPTH} aliases in a row"
            if self._authority.settings.compat:  # Q12: the aliases that lead here are left off
                return self._negative(question, codes.NOERROR, text, alias.owners)
            return Answer(Sections(codes.SERVFAIL, (alias.record,), ede=(codes.EDE_OTHER, text)))
        rest = await self._rest(request, question, alias)
        if self._authority.settings.compat:
            return self._as_coredns(question, alias, rest)
        # RFC 6604: the rcode is that of the end of the chain. A target that nobody here answers
        # for is the client's to look up, as after any server that does not recurse.
        rcode = rest.sections.rcode
        rcode = codes.NOERROR if rcode == codes.REFUSED else rcode
        return _led_by(alias.record, alias.owners, rest, rcode)

    async def _rest(self, request: Request, question: Question, alias: Alias) -> Answer:
        """Ask about the target of an alias."""
        query = ask(alias.target, question.rtype, edns=_ALIAS_EDNS)
        target = self._authority.question(query)
        if target and target.zone == question.zone and self._authority.settings.compat:
            # Q33: CoreDNS asks no other plugin about its own zone.
            outcome = lookup.answer(self._store, self._authority, target)
            deeper = replace(request, depth=request.depth + 1)
            return await self._respond(deeper, target, outcome)
        rest = await again(request, query)
        return _read(rest, query) if isinstance(rest, Relay) else rest

    def _as_coredns(self, question: Question, alias: Alias, rest: Answer) -> Answer:
        """Q12: whatever the target's rcode, the answer is the CNAME and what was found, if any."""
        sections = rest.sections
        inside = names.is_below(alias.target.lower(), question.zone.origin)
        if inside and not sections.answer:
            nothing = self._negative(question, codes.NOERROR, "the target has no address", ())
            return replace(nothing, owners=_joined(alias.owners, rest))
        bare = Sections(answer=sections.answer, truncated=sections.truncated)
        return _led_by(alias.record, alias.owners, Answer(bare, rest.owners), codes.NOERROR)

    # -- short names --------------------------------------------------------------------------

    async def _elsewhere(self, request: Request, following: Handler) -> Response:
        """Answer for a name outside every zone: a short name, or the next plugin's."""
        missing: list[NoName] = []
        completed = await self._complete(request, missing)
        if completed is not None:
            return self._signed(completed)
        known = [outcome for outcome in missing if self._is_known(outcome)]
        if len(known) < len(missing) and _is_single(request.query.name):
            # It may be a Service's short name, and nobody outside knows a name of one label.
            return replace(_not_known(missing[0].reason), by=NAME)
        response = _unless(missing, await following(request))
        return _explained(response, known) if known else response

    async def _complete(self, request: Request, missing: list[NoName]) -> Answer | None:
        """Try the search domains in turn; None, and why, when the name is nobody's short name."""
        query = request.query
        owners: Owners = (SYNC,)
        for domain in self._authority.search:
            full = query.asked[:-1] + domain
            question = self._question(full, query)
            if question is None:
                continue
            outcome = lookup.answer(self._store, self._authority, question)
            owners = (*owners, *outcome.owners)
            if isinstance(outcome, NoName):
                missing.append(outcome)
            elif not _is_empty(outcome):
                return await self._completed(request, question, outcome, owners)
        return None

    def _question(self, full: Name, query: Query) -> Question | None:
        if query.name == ROOT or len(full) > MAX_NAME:
            return None
        return self._authority.question(ask(full, query.rtype))

    async def _completed(
        self, request: Request, question: Question, outcome: Lookup, owners: Owners
    ) -> Answer:
        """Answer with a CNAME to the full name, and what the full name has."""
        ttl = self._authority.settings.ttl
        link = records.cname(request.query.asked, ttl, question.name)
        if question.rtype == codes.CNAME:
            return Answer(Sections(answer=(link,)), owners)
        rest = await self._respond(request, question, outcome)
        return _led_by(link, owners, rest, rest.sections.rcode)


def _unless(missing: Sequence[NoName], response: Response) -> Response:
    """Keep the response of another plugin only until this plugin has the name."""
    if missing and (isinstance(response, Relay) or response.owners):
        ours = (owner for outcome in missing for owner in outcome.owners)
        return replace(response, owners=(SYNC, *ours, *response.owners))
    return response


def _led_by(link: Record, owners: Owners, rest: Answer, rcode: int) -> Answer:
    """Set a CNAME in front of an answer; it is kept only if that answer may be."""
    sections = rest.sections
    # RFC 2181 section 5: no record twice. Aliases in a circle would be there once a round.
    answer = tuple(dict.fromkeys((link, *sections.answer)))
    joined = replace(sections, rcode=rcode, answer=answer, authoritative=True)
    return Answer(joined, _joined(owners, rest))


def _joined(owners: Owners, rest: Answer) -> Owners:
    """Return the owners of an answer that is made with another one; that may have none."""
    return (*owners, *rest.owners) if rest.owners else ()


def _is_empty(outcome: Lookup) -> bool:
    return isinstance(outcome, NoData) and outcome.empty


def _is_single(name: Name) -> bool:
    return name != ROOT and name[1 + name[0]] == 0


def _not_known(reason: str) -> Answer:
    text = f"{_UNKNOWN} {reason}"
    return Answer(Sections(codes.SERVFAIL, ede=(codes.EDE_NOT_READY, text)))


def _explained(response: Response, missing: list[NoName]) -> Response:
    """Add to a negative response why the name is no short name of the cluster's."""
    # Of interest is the search domain that got furthest: past the namespace, if any did.
    text = "as a short name: " + max(reversed(missing), key=_reach).reason
    match response:
        case Answer(Sections(rcode=codes.REFUSED, ede=(code, refused)) as sections):
            both = replace(sections, ede=(code, f"{text}; {refused}"))
            return replace(response, sections=both)
        case Relay(message) if relay.rcode(message) == codes.NXDOMAIN:
            with suppress(UpstreamError):
                return replace(response, message=relay.explain(message, codes.EDE_OTHER, text))
            return response
        case _:
            return response


def _reach(name: NoName) -> int:
    return len(name.needs)


def _read(response: Relay, query: Query) -> Answer:
    """Understand what an upstream said about the target of an alias."""
    try:
        return Answer(relay.read(response.message, query))
    except UpstreamError as error:
        return Answer(Sections(codes.SERVFAIL, ede=(codes.EDE_OTHER, str(error))))


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Follow the cluster that the directive names, and answer for its zones."""
    wanted = kubernetes_block.read(directives, block)
    cluster, serial = kubernetes_block.follow(wanted, block)
    return Kubernetes(cluster.store, wanted.authority, serial)
