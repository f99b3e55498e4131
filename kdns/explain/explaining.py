"""Ask a question as a client would, and say why the answer is what it is."""

from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import Answer, Request, Response
from kdns.configuration import Assembled
from kdns.corefile.mnemonics import type_text
from kdns.explain import origins
from kdns.explain.nearest import nearest
from kdns.explain.origins import View
from kdns.explain.reading import read
from kdns.explain.report import Difference, Explanation, Near, Origin, Reading, Size, Tried, Used
from kdns.explain.tracing import Traced, Visit
from kdns.plugins.forward import refuse
from kdns.plugins.kubernetes import Kubernetes
from kdns.resolver import places, results
from kdns.resolver.engine import Engine, Finding, Question, Reply, rcode_text, result
from kdns.resolver.engine import records as told
from kdns.stub.walk import Style
from kdns.wire import codes, names
from kdns.wire.message import MAX_TCP_MESSAGE, Sections, write
from kdns.wire.names import Name
from kdns.wire.query import Edns, Query, ask
from kdns.wire.records import Record
from kdns.zone.authority import Authority

SIZES = (512, 1232)
"""Octets that a client of UDP takes: without EDNS, and as resolvers say since DNS flag day 2020."""
MOST_NEAR = 5
UNKNOWN_AGE = "age unknown: the server keeps no creation times"
_ID = 2


class Subject(Struct, frozen=True):
    """What is to be explained, and who answers it."""

    name: str
    rtype: int
    place: str
    view: places.View
    blocks: tuple[Assembled, ...]
    """The server blocks behind the address that is asked."""
    style: Style = "glibc"


async def explain(subject: Subject) -> Explanation:
    """Walk the search list as a client does, and explain where that ends.

    The chain is asked for real: ``forward`` asks its upstreams, ``cache`` keeps what they say.
    """
    seen, conf = subject.view, subject.view.conf
    traced = Traced(subject.blocks, "kubernetes" if seen.elsewhere else "")
    question = Question(subject.name, (subject.rtype,), conf, subject.style, seen.client)
    finding = await Engine([traced], seen.elsewhere).find(question)
    found = result(finding)
    visits = _visits(finding, traced.visits)
    tried = tuple(map(_tried, found.tried, visits))
    queries = sum(bool(one.rcode) for one in tried)
    plain = Explanation(
        question=subject.name,
        rtype=type_text(subject.rtype),
        place=subject.place,
        search=conf.search,
        ndots=conf.ndots,
        name=found.name,
        rcode=found.rcode,
        tried=tried,
        reason=found.reason,
        queries=queries,
        wasted=max(0, queries - 1),
    )
    chosen = visits[[*map(id, finding.steps)].index(id(finding.chosen))]
    return await _explained(plain, finding, chosen)


def _visits(finding: Finding, visits: Iterable[Visit]) -> list[Visit]:
    """Give each name of the walk its way; a name that nobody was asked about has none."""
    ways = iter(visits)
    return [next(ways, Visit()) if step.replies else Visit() for step in finding.steps]


def _tried(one: results.Tried, way: Visit) -> Tried:
    parts = tuple(part for part in way.parts if part is not None)
    return Tried(
        one.name, one.rcode, len(one.records), one.reason, one.by, way.block, way.chain, parts
    )


async def _explained(plain: Explanation, finding: Finding, way: Visit) -> Explanation:
    reply = finding.chosen.telling
    if reply is None:
        return plain
    name = names.from_text(finding.chosen.name)
    sized = _sized(plain, ask(name, reply.rtype), reply.sections)
    block = way.assembled.block if way.assembled is not None else None
    if block is None or block.kubernetes is None or "kubernetes" not in way.chain:
        found = told(reply.sections)
        return replace(sized, records=tuple(Origin(one, f"plugin {reply.by}") for one in found))
    return await _in_cluster(sized, _Seen(finding, reply, View(*block.kubernetes), way))


class _Seen(Struct, frozen=True):
    """What a cluster was asked, and what came out."""

    finding: Finding
    reply: Reply
    view: View
    way: Visit

    @property
    def name(self) -> Name:
        """The name that the cluster was asked for: a plugin may have put it in."""
        altered = [part.asked for part in self.way.parts if part and part.asked and not part.depth]
        text = altered[-1].partition(" ")[0] if altered else self.finding.chosen.name
        return names.from_text(text)

    @property
    def records(self) -> Iterator[Record]:
        """The answer, under the name that the cluster was asked for."""
        asked = names.from_text(self.finding.chosen.name).lower()
        for one in self.reply.sections.answer:
            yield replace(one, owner=self.name) if one.owner.lower() == asked else one

    @property
    def owners(self) -> list[Name]:
        """The name, and those that aliases lead to."""
        aliases = (one for one in self.records if one.rtype == codes.CNAME)
        return [self.name, *(one.targets[0] for one in aliases if one.targets)]

    @property
    def tried(self) -> list[Name]:
        """The names of the walk that somebody was asked about."""
        return [names.from_text(step.name) for step in self.finding.steps if step.replies]


async def _in_cluster(plain: Explanation, seen: _Seen) -> Explanation:
    """Add what the objects of the cluster say."""
    view, rtype = seen.view, seen.reply.rtype
    near: Iterable[Near] = ()
    if seen.reply.sections.answer:
        readings = list(_readings(view, seen.owners, rtype))
    else:
        failed = list(_readings(view, dict.fromkeys((*seen.tried, seen.name)), rtype))
        near = _nearest(view, failed)
        readings = [max(failed, key=lambda one: _reach(view, one))] if failed else []
    objects = dict.fromkeys(one for each in readings for one in origins.used(view, each))
    left = (one for each in readings for one in origins.left_out(view, each, rtype))
    return replace(
        plain,
        reading=readings[0] if readings else None,
        objects=tuple(objects),
        records=tuple(_origins(seen)),
        left_out=tuple(dict.fromkeys(left)),
        nearest=tuple(near),
        coredns=await _coredns(view, ask(seen.name, rtype)),
        notes=tuple(_notes(view, objects)),
    )


def _readings(view: View, owners: Iterable[Name], rtype: int) -> Iterator[Reading]:
    for owner in owners:
        question = view.question(owner, rtype)
        if question is not None:
            yield read(view.authority, question)


def _origins(seen: _Seen) -> Iterator[Origin]:
    for shown, record in zip(told(seen.reply.sections), seen.records, strict=True):
        source, field = origins.origin(seen.view, record)
        yield Origin(shown, source or f"plugin {seen.reply.by}", field)


def _reach(view: View, reading: Reading) -> int:
    """Return how much of a name exists, to tell which of those that were tried was meant."""
    there = reading.namespace in view.store.namespaces
    return 2 if view.service(reading) is not None else int(there)


def _nearest(view: View, readings: Iterable[Reading]) -> Iterator[Near]:
    """Yield what exists near any of the names that were tried."""
    found: dict[str, Near] = {}
    for each in readings:
        for one in nearest(view, each):
            found.setdefault(one.name, one)
    yield from islice(found.values(), MOST_NEAR)


def _notes(view: View, objects: Iterable[Used]) -> Iterator[str]:
    if view.store.stale:
        yield view.store.stale
    if any(one.age is None for one in objects):
        yield UNKNOWN_AGE


# -- sizes --------------------------------------------------------------------------------------


def _sized(plain: Explanation, query: Query, sections: Sections) -> Explanation:
    whole = len(write(query, sections, MAX_TCP_MESSAGE).first()) + _ID
    return replace(
        plain, octets=whole, sizes=tuple(_size(query, sections, limit) for limit in SIZES)
    )


def _size(query: Query, sections: Sections, limit: int) -> Size:
    """Write a response for a client that takes so many octets; 512 is one without EDNS."""
    asked = query if limit == SIZES[0] else replace(query, edns=Edns(size=limit))
    octets = write(asked, sections, limit).first()
    # The flags are the first two octets of a message without its id.
    return Size(limit, len(octets) + _ID, bool(octets[0] & _TC))


_TC = 0x02


# -- CoreDNS ------------------------------------------------------------------------------------


async def _coredns(view: View, query: Query) -> Difference | None:
    """Return what CoreDNS's ``kubernetes`` would answer, where ours answers something else."""
    settings = view.settings
    if settings.compat:
        return None
    # What CoreDNS has not got is not compared: it would not have the option either.
    theirs = replace(settings, compat=True, zonal=False, multicluster=(), search=())
    nameservers = view.authority.nameservers
    if view.authority.question(query) is None:
        return None
    ours = await _asked(view, view.authority, query)
    other = await _asked(view, Authority(theirs, nameservers), query)
    if _said(ours) == _said(other):
        return None
    return Difference(rcode_text(other.rcode), told(other))


async def _asked(view: View, authority: Authority, query: Query) -> Sections:
    """Ask the plugin alone; what is outside of its zones it does not learn."""
    handler = Kubernetes(view.store, authority).wrap(refuse)

    async def again(request: Request) -> Response:
        return await handler(replace(request, chain=again))

    response = await again(Request(query, "udp", again))
    return response.sections if isinstance(response, Answer) else Sections()


def _said(sections: Sections) -> tuple[int, frozenset[tuple[str, str, str]]]:
    """Return what matters to a client: order and TTL do not, nor does a name's case."""
    said = ((one.name.lower(), one.rtype, one.data.lower()) for one in told(sections))
    return sections.rcode, frozenset(said)
