"""``cache``: keeps what other servers said, for as long as they allow and the Corefile says.

Only a ``Relay`` is kept, and the failure of upstreams. What kdns answers itself is true until an
object changes, and has a table of its own: of it only the TTL is made that of a cached answer. A
response is kept whole, so that it serves UDP and TCP alike. Knows no sockets; how much is kept is
``caching.shelf``, how the directive is read ``caching.block``.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from math import ceil

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Relay, Request, Response
from kdns.corefile.syntax import Directive
from kdns.directives.caching import block as caching_block
from kdns.directives.caching.meters import DENIAL, SUCCESS, Counts, Meters
from kdns.directives.caching.settings import KUBEADM, MIN_TTL, Prefetch, Settings, Stale
from kdns.directives.caching.shelf import Entry, Key, Shelf, rounded
from kdns.errors import KdnsError, UpstreamError
from kdns.kube.owners import Owner
from kdns.metrics import Metrics
from kdns.wire import codes, kinds, names, relay
from kdns.wire.kept import Kept
from kdns.wire.kinds import Kind
from kdns.wire.message import Sections, extended_error
from kdns.wire.names import ROOT, Name
from kdns.wire.query import CD, HEADER, Query
from kdns.wire.records import Record
from kdns.wire.relay import AD, Order

log = logging.getLogger(__name__)

NAME = "cache"
FORWARD = "forward"
"""Who says that upstreams failed."""
MAX_REFRESHES = 1000
"""Queries in the background at the same time."""

_DENIALS = frozenset({Kind.NODATA, Kind.NXDOMAIN, Kind.FAILURE})
_TRUE = frozenset({Kind.ANSWER, Kind.REFERRAL, Kind.NODATA, Kind.NXDOMAIN})


def setup(directives: Sequence[Directive], block: Block) -> "Cache":
    """Keep what the plugins behind say."""
    cache = Cache(caching_block.read(directives, block), block.runtime.metrics)
    block.during(cache.running())
    block.drops.append(cache.drop)
    return cache


class _Asked(Struct, frozen=True):
    """A query on its way to the following handler."""

    request: Request
    key: Key
    counts: Counts
    following: Handler


class _Judged(Struct, frozen=True):
    """A response, and what it means for the cache."""

    response: Response
    kind: Kind
    ttl: int
    """Seconds that it shows."""
    answered: bool = False
    """Whether it has what was asked for."""
    reply: relay.Reply | None = None
    """Its records; None for an answer of ours, and when they cannot be read or are to another
    question."""
    keeps: bool = False
    """Whether it may be kept at all."""


class Cache:
    """Remembers responses of upstreams."""

    def __init__(
        self,
        settings: Settings = KUBEADM,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
    ) -> None:
        """``today`` tells whether a signature is valid; ``clock`` may begin anywhere."""
        self._settings = settings
        self._clock = clock
        self._today = today
        self._success = Shelf(rounded(settings.success.capacity))
        self._denial = Shelf(rounded(settings.denial.capacity))
        stale = settings.stale or Stale(seconds=0)
        self._stale = stale
        self._prefers = stale.prefer_positive and stale.seconds > 0
        self._changes = 0
        self._refreshes: set[asyncio.Task[Response | None]] = set()
        self._ended = False
        zones = ",".join(names.to_text(zone) for zone in settings.zones)
        shelves = {SUCCESS: self._success, DENIAL: self._denial}
        self._meters = Meters(metrics or Metrics(), zones, shelves)

    def wrap(self, following: Handler) -> Handler:
        """Answer from memory, or remember what the following handler answers."""
        zones, everywhere = self._settings.zones, ROOT in self._settings.zones
        prefetch, stale = self._settings.prefetch, self._stale.seconds > 0
        keep_ttl = self._settings.keep_ttl

        async def handle(request: Request) -> Response:
            query = request.query
            if not everywhere and not _is_in(query.name, zones):
                return await following(request)
            edns = query.edns
            do = edns is not None and edns.do
            key = (query.name, query.rtype, query.rclass, query.flags & CD, do)
            now, counts = self._clock(), self._meters.of(request.server)
            entry = self._find(key, now, counts)
            if entry is None:
                return await self._fetch(_Asked(request, key, counts, following))
            left = entry.ttl - int(now - entry.stored)
            if stale and left <= 0:
                return await self._expired(_Asked(request, key, counts, following), entry)
            if prefetch is not None and _is_popular(entry, prefetch, now, left):
                self._begin(_Asked(request, key, counts, following), entry, stale=False)
            response = _sent(entry, query, entry.ttl if keep_ttl else left)
            if prefetch is not None or entry.owners or isinstance(response, Answer):
                return response
            return replace(response, repeat=_Repeat(entry, counts, self._clock))

        return handle

    def drop(self, owners: Iterable[Owner]) -> None:
        """Forget what one of these would answer now."""
        self._changes += 1
        touched = tuple(owners)
        self._success.drop(touched)
        self._denial.drop(touched)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer while the block runs; what still runs behind is ended with it."""
        try:
            yield
        finally:
            self._ended = True
            for task in self._refreshes:
                task.cancel()
            await asyncio.gather(*self._refreshes, return_exceptions=True)
            self._meters.add()
            self._success.clear()
            self._denial.clear()

    # -- looking up -----------------------------------------------------------------------

    def _find(self, key: Key, now: float, counts: Counts) -> Entry | None:
        """Return what is of use, and count it.

        An answer comes before a denial: beside a newer one it is only kept where the denial is a
        failure, or where answers are preferred.
        """
        entry = self._success.entries.get(key)
        if entry is not None and now < entry.until:
            counts.success += 1
            self._success.entries.move_to_end(key)
            return entry
        entry = self._denial.entries.get(key)
        if entry is not None and now < entry.until:
            counts.denial += 1
            self._denial.entries.move_to_end(key)
            return entry
        counts.misses += 1
        return None

    async def _fetch(self, asked: _Asked) -> Response:
        """Ask the following handler, keep what it says, and say so."""
        changes = self._changes
        response = await asked.following(_authentic(asked.request))
        if isinstance(response, Answer) and response.owners:
            return self._passed(asked, response)
        judged = self._judge(asked, response)
        # What was missing when the chain began may be there by now.
        if not (_owners(judged.response) and changes != self._changes):
            return self._shown(asked, judged, self._keep(asked, judged))
        return self._shown(asked, judged)

    def _passed(self, asked: _Asked, answer: Answer) -> Answer:
        """Pass on what is true until an object changes: only its TTL is made that of the others.

        Every first question for a name of the cluster comes this way: see docs/performance.md.
        """
        sections, query = answer.sections, asked.request.query
        kind = kinds.at_a_glance(sections, query) or kinds.of_sections(sections, query).kind
        if kind is not Kind.FAILURE:
            self._success.remove(asked.key)
            self._denial.remove(asked.key)
        ttls = _ttls(sections)
        ttl = self._ttl(kind, min(ttls, default=None))
        answer = _unauthentic(answer, query)
        return answer if ttls == {ttl} else _levelled(answer, ttl, query)

    async def _expired(self, asked: _Asked, entry: Entry) -> Response:
        """Answer with what expired, unless there is better to be had in time (RFC 8767)."""
        if not self._stale.verify:
            self._begin(asked, entry, stale=True)
        elif not self._stale.recheck or self._may_refresh(entry):
            response = await self._verified(asked, entry)
            if response is not None:
                return response
        asked.counts.stale += 1
        rcode = entry.content.rcode if isinstance(entry.content, Kept) else codes.SERVFAIL
        ede = codes.EDE_STALE_NXDOMAIN if rcode == codes.NXDOMAIN else codes.EDE_STALE_ANSWER
        ttl = self._stale.ttl
        if self._settings.keep_ttl and not ttl:
            ttl = entry.ttl
        return _sent(entry, asked.request.query, ttl, extended_error(ede, "expired"))

    # -- refreshing -----------------------------------------------------------------------

    def _may_refresh(self, entry: Entry) -> bool:
        return not entry.refreshing and self._clock() >= entry.retry

    def _begin(self, asked: _Asked, entry: Entry, *, stale: bool) -> None:
        """Ask again in the background, unless somebody does so already."""
        if self._may_refresh(entry) and self._has_room():
            asked.counts.prefetches += 1
            self._behind(_unwatched(asked), entry, stale=stale)

    def _has_room(self) -> bool:
        return len(self._refreshes) < MAX_REFRESHES and not self._ended

    def _behind(
        self, asked: _Asked, entry: Entry, *, stale: bool
    ) -> "asyncio.Task[Response | None]":
        entry.refreshing = True
        work = self._refresh(asked, entry, stale=stale)
        task = asyncio.get_running_loop().create_task(work)
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)
        return task

    async def _verified(self, asked: _Asked, entry: Entry) -> Response | None:
        """Ask first whether there is better; None where there is not, or not in time."""
        if not self._stale.timeout:
            entry.refreshing = True
            return await self._refresh(asked, entry, stale=True)
        if not self._has_room():
            return None
        task = self._behind(asked, entry, stale=True)
        done, _ = await asyncio.wait({task}, timeout=self._stale.timeout)
        return task.result() if done and not task.cancelled() else None

    async def _refresh(self, asked: _Asked, entry: Entry, *, stale: bool) -> Response | None:
        """Ask again; return what a client is shown instead of the old, None for nothing better."""
        response: Response | None = None
        try:
            response = await self._renewed(asked, stale=stale)
        except KdnsError as error:
            log.debug("what is kept was not renewed: %s", error)
        except Exception:
            log.exception("what is kept could not be renewed")
        finally:
            now = self._clock()
            failed = stale and response is None
            entry.retry = now + self._stale.recheck if failed else 0.0
            entry.refreshing = False
        if response is not None:
            self._hand_on(entry, now)
        return response

    async def _renewed(self, asked: _Asked, *, stale: bool) -> Response | None:
        changes = self._changes
        response = await asked.following(_authentic(asked.request))
        if _owners(response) and changes != self._changes:
            return None
        judged = self._judge(asked, response)
        better = not stale or self._is_better(judged)
        # Where answers are preferred a denial is kept beside them, not instead.
        if better or self._prefers:
            self._keep(asked, judged)
        return self._shown(asked, judged) if better else None

    def _is_better(self, judged: _Judged) -> bool:
        """Whether a response takes the place of what expired (RFC 8767 section 4)."""
        if isinstance(judged.response, Answer):
            return judged.kind in _TRUE
        if judged.reply is None or judged.reply.truncated:
            return False
        return judged.answered if self._prefers else judged.kind in _TRUE

    def _hand_on(self, entry: Entry, now: float) -> None:
        """Count on where the old entry ended: what is popular stays so."""
        for shelf in (self._success, self._denial):
            new = shelf.entries.get(entry.key)
            if new is not None and new is not entry:
                new.hits, new.asked = entry.hits, now

    # -- keeping --------------------------------------------------------------------------

    def _judge(self, asked: _Asked, response: Response) -> _Judged:
        """Find out what a response says, and for how long."""
        if isinstance(response, Answer):
            return self._judge_own(asked, response)
        try:
            reply = relay.locate(response.message)
            said = kinds.of_reply(reply)
        except UpstreamError:
            return _Judged(response, Kind.OTHER, 0)
        if not _is_to(reply, asked.request.query):
            return _Judged(response, Kind.OTHER, 0)
        kind = Kind.OTHER if kinds.expired(reply, self._today()) else said.kind
        ttl = self._ttl(kind, reply.lowest_ttl)
        keeps = ttl > 0 and kind is not Kind.OTHER and said.bounded and not reply.truncated
        answered = said.answered and kind is Kind.ANSWER
        return _Judged(response, kind, ttl, answered, reply, keeps)

    def _judge_own(self, asked: _Asked, answer: Answer) -> _Judged:
        sections = answer.sections
        said = kinds.of_sections(sections, asked.request.query)
        ttl = self._ttl(said.kind, min(_ttls(sections), default=None))
        keeps = ttl > 0 and answer.by == FORWARD and answer.error != ""
        return _Judged(answer, said.kind, ttl, keeps=keeps and said.kind is Kind.FAILURE)

    def _ttl(self, kind: Kind, lowest: int | None) -> int:
        """Return the seconds for which a response of this kind and lowest TTL is good."""
        settings = self._settings
        match kind:
            case Kind.FAILURE:
                return settings.servfail
            case Kind.NODATA | Kind.NXDOMAIN:
                return settings.denial.clamp(MIN_TTL if lowest is None else lowest)
            case Kind.ANSWER if lowest is not None:
                return settings.success.clamp(lowest)
            case _:
                return settings.success.clamp(MIN_TTL)

    def _keep(self, asked: _Asked, judged: _Judged) -> Order | None:
        """Keep a response if it may be; return what of it may be put in another order, if known."""
        key, response = asked.key, judged.response
        if isinstance(response, Answer):
            if judged.keeps:
                self._add(asked, judged, response)
            elif judged.kind is not Kind.FAILURE:
                # Somebody here answers for the name by now.
                self._success.remove(key)
                self._denial.remove(key)
        elif judged.reply is None:
            asked.counts.drops += 1
        elif judged.keeps:
            with suppress(UpstreamError):  # an additional record with a bad name
                kept = Kept(judged.reply)
                self._add(asked, judged, kept)
                return kept.order
        return None

    def _add(self, asked: _Asked, judged: _Judged, content: Kept | Answer) -> None:
        now, key = self._clock(), asked.key
        entry = Entry(key, content, judged.ttl, now)
        entry.owners = _owners(judged.response)
        entry.answers = judged.answered
        entry.denial = judged.kind in _DENIALS
        if judged.kind is not Kind.FAILURE:
            entry.until += self._stale.seconds
        if entry.denial:
            self._add_denial(entry, judged.kind, asked.counts)
        elif not (self._prefers and self._has_better(entry, now)):
            self._add_success(entry, asked.counts)

    def _add_denial(self, entry: Entry, kind: Kind, counts: Counts) -> None:
        if kind is not Kind.FAILURE and not self._prefers:
            self._success.remove(entry.key)
        if not _is_in(entry.key[0], self._settings.not_denial):
            counts.denial_evictions += self._denial.add(entry)

    def _add_success(self, entry: Entry, counts: Counts) -> None:
        if entry.answers or not self._prefers:
            self._denial.remove(entry.key)
        if not _is_in(entry.key[0], self._settings.not_success):
            counts.success_evictions += self._success.add(entry)

    def _has_better(self, entry: Entry, now: float) -> bool:
        """Whether there is an answer where this has none."""
        before = self._success.entries.get(entry.key)
        return before is not None and before.answers and not entry.answers and now < before.until

    def _shown(self, asked: _Asked, judged: _Judged, order: Order | None = None) -> Response:
        """Return a new response as the client is to see it: with one TTL, and AD if it asked."""
        response, query = judged.response, asked.request.query
        if isinstance(response, Answer):
            return _levelled(_unauthentic(response, query), judged.ttl, query)
        if judged.reply is None:
            return response
        message = relay.retimed(judged.reply, judged.ttl, 0 if _wants_authentic(query) else AD)
        return replace(response, message=message, order=order)


class _Repeat:
    """What is kept may be sent again until it would show another TTL.

    Not where it is counted for prefetching, nor where somebody nearer may have the name by then.
    """

    __slots__ = ("_clock", "_counts", "_entry")

    def __init__(self, entry: Entry, counts: Counts, clock: Callable[[], float]) -> None:
        self._entry = entry
        self._counts = counts
        self._clock = clock

    def until(self) -> float:
        """Return the next full second of the entry's age, or its end."""
        entry, now = self._entry, self._clock()
        return min(entry.until, entry.stored + int(now - entry.stored) + 1)

    def sent(self, times: int) -> None:
        """Count hits."""
        if self._entry.denial:
            self._counts.denial += times
        else:
            self._counts.success += times


def _sent(entry: Entry, query: Query, ttl: int, options: bytes = b"") -> Response:
    """Write what is kept for the one who asks."""
    content = entry.content
    if isinstance(content, Answer):
        return replace(content, by=NAME)
    return Relay(content.fill(query, ttl, options), NAME, query, content.order)


def _is_popular(entry: Entry, prefetch: Prefetch, now: float, left: int) -> bool:
    """Count a query; whether there were enough of them, and little of the TTL is left."""
    entry.hits = entry.hits + 1 if entry.asked >= now - prefetch.gap else 1
    entry.asked = now
    soon = ceil(prefetch.percentage * entry.ttl / 100)
    return entry.hits >= prefetch.amount and left <= soon


def _is_in(name: Name, zones: Iterable[Name]) -> bool:
    return any(names.is_below(name, zone) for zone in zones)


def _is_to(reply: relay.Reply, query: Query) -> bool:
    """Whether a response is to this question."""
    if reply.message[HEADER.size : reply.question_end] == query.question:
        return True
    return relay.is_answer(reply.message, query, int.from_bytes(reply.message[:2]))


def _authentic(request: Request) -> Request:
    """Ask for AD whoever asks: the next one may want it, and it is not part of the key."""
    query = request.query
    if query.flags & AD:
        return request
    return replace(request, query=replace(query, flags=query.flags | AD))


def _unwatched(asked: _Asked) -> _Asked:
    """Ask for ourselves: no client waits for the response."""
    return replace(asked, request=replace(asked.request, client=("", 0)))


def _wants_authentic(query: Query) -> bool:
    """RFC 6840 section 5.8: AD is for who asked with AD or DO."""
    return bool(query.flags & AD) or (query.edns is not None and query.edns.do)


def _owners(response: Response) -> tuple[Owner, ...]:
    return response.owners if isinstance(response, Relay) else ()


def _unauthentic(answer: Answer, query: Query) -> Answer:
    """Take AD from an answer of ours for who did not ask for it."""
    sections = answer.sections
    if not sections.set_flags & AD or _wants_authentic(query):
        return answer
    # Another client may ask for it: this one is not to be prepared.
    sections = replace(sections, set_flags=sections.set_flags & ~AD)
    return replace(answer, sections=sections, owners=())


def _levelled(answer: Answer, ttl: int, query: Query) -> Answer:
    """Give all records of an answer of ours the same TTL, as CoreDNS does; not in a transfer."""
    sections = answer.sections
    if _ttls(sections) <= {ttl} or query.rtype in (codes.AXFR, codes.IXFR):
        return answer
    levelled = replace(
        sections,
        answer=_with_ttl(sections.answer, ttl),
        authority=_with_ttl(sections.authority, ttl),
        additional=_with_ttl(sections.additional, ttl),
    )
    return replace(answer, sections=levelled)


def _ttls(sections: Sections) -> set[int]:
    return {record.ttl for record in (*sections.answer, *sections.authority, *sections.additional)}


def _with_ttl(records: tuple[Record, ...], ttl: int) -> tuple[Record, ...]:
    return tuple(replace(record, ttl=ttl) for record in records)
