"""What a response says: an answer, a denial, a failure. Knows no octets, sockets or clocks.

The kinds are those by which ``cache`` and ``minimal`` of CoreDNS decide.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from msgspec import Struct

from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import Query
from kdns.wire.relay import Place, Reply, spelled

_TRANSFERS = (codes.AXFR, codes.IXFR)
_EXPIRATION = slice(8, 12)
_INCEPTION = slice(12, 16)


class Kind(Enum):
    """What a response says."""

    ANSWER = auto()
    """NOERROR, and no denial: also one without any record, which may have its data elsewhere."""
    REFERRAL = auto()
    """NOERROR without an answer, but with the servers of a zone below."""
    NODATA = auto()
    """RFC 2308 section 2.2; an alias may lead to it."""
    NXDOMAIN = auto()
    """RFC 2308 section 2.1; an alias may lead to it."""
    FAILURE = auto()
    """SERVFAIL or NOTIMP."""
    OTHER = auto()
    """Other rcodes, zone transfers, and what is signed but not valid at the moment."""


_DENIALS = {codes.NOERROR: Kind.NODATA, codes.NXDOMAIN: Kind.NXDOMAIN}
"""What a SOA without an answer says, by rcode."""


class Said(Struct, frozen=True):
    """What of a response decides about its kind."""

    name: Name
    rtype: int
    rcode: int
    answers: int
    """How many records the answer section has."""
    answered: bool
    """Whether it has what was asked for, at the end of the aliases."""
    authority: frozenset[int]
    """The types of the authority section."""

    @property
    def kind(self) -> Kind:
        """Return what is said."""
        if self.rtype in _TRANSFERS:
            return Kind.OTHER
        match self.rcode:
            case codes.NOERROR:
                return self._without_error()
            case codes.NXDOMAIN:
                return Kind.NXDOMAIN
            case codes.SERVFAIL | codes.NOTIMP:
                return Kind.FAILURE
            case _:
                return Kind.OTHER

    @property
    def bounded(self) -> bool:
        """Whether it says for how long it holds: a denial without SOA does not.

        RFC 2308 section 5. A response without any record is no denial, in CoreDNS and here.
        """
        denies = self.rcode == codes.NXDOMAIN or (self.answers > 0 and not self.answered)
        return not denies or codes.SOA in self.authority

    def _without_error(self) -> Kind:
        if codes.SOA in self.authority and not self.answered:
            return Kind.NODATA
        if codes.NS in self.authority and not self.answers:
            return Kind.REFERRAL
        return Kind.ANSWER


def of_reply(reply: Reply) -> Said:
    """Read what another server said. Raises UpstreamError where its names cannot be read."""
    message, answer = reply.message, reply.places[: reply.answers]
    records = [
        (reply.owner(place), place.rtype, _target(reply, place))
        for place in answer
        if reply.rclass in (place.rclass(message), codes.ANY)
    ]
    return Said(
        reply.name,
        reply.rtype,
        reply.rcode,
        reply.answers,
        has_answer(reply.name, reply.rtype, records),
        frozenset(place.rtype for place in reply.authority),
    )


def at_a_glance(sections: Sections, query: Query) -> Kind | None:
    """Return what nearly every answer of ours is; None for one that has to be looked at closely.

    That is records of the name itself, or a SOA and nothing else. An alias needs a closer look.
    """
    answer, authority = sections.answer, sections.authority
    if answer:
        last = answer[-1]
        plain = last.rtype == query.rtype != codes.CNAME and last.owner == query.asked
        return Kind.ANSWER if plain and sections.rcode == codes.NOERROR else None
    if not authority or authority[0].rtype != codes.SOA or query.rtype in _TRANSFERS:
        return None
    return _DENIALS.get(sections.rcode)


def of_sections(sections: Sections, query: Query) -> Said:
    """Read what an answer of ours says."""
    records = [
        (record.owner.lower(), record.rtype, record.targets[0].lower() if record.targets else b"")
        for record in sections.answer
    ]
    return Said(
        query.name,
        query.rtype,
        sections.rcode,
        len(sections.answer),
        has_answer(query.name, query.rtype, records),
        frozenset(record.rtype for record in sections.authority),
    )


def has_answer(name: Name, rtype: int, records: Sequence[tuple[Name, int, Name]]) -> bool:
    """Whether records have a type at the end of the aliases that begin at a name.

    A record is its owner and its type and, for an alias, its target, in lower case. Aliases that
    go round in a circle, and names with two targets (RFC 2181 section 10.1), lead nowhere.
    """
    if rtype == codes.ANY:
        return any(owner == name for owner, _, _ in records)
    if rtype == codes.CNAME:
        return len(_targets(name, records)) == 1
    seen: set[Name] = set()
    while targets := _targets(name, records):
        if len(targets) > 1 or name in seen:
            return False
        seen.add(name)
        [name] = targets
    return any(owner == name and found == rtype for owner, found, _ in records)


def expired(reply: Reply, now: float) -> bool:
    """Whether a response with DO has a signature that is not valid at a time.

    ``now`` is in seconds since 1970; times wrap around (RFC 4034 section 3.1.5).
    """
    do = reply.opt is not None and bool(reply.message[reply.opt.ttl_at + 2] & 0x80)
    return do and any(
        not _is_valid(reply.rdata(place), int(now))
        for place in reply.places
        if place.rtype == codes.RRSIG
    )


def _is_valid(rdata: bytes, now: int) -> bool:
    until, since = int.from_bytes(rdata[_EXPIRATION]), int.from_bytes(rdata[_INCEPTION])
    return _is_before(since, now) and _is_before(now, until)


def _is_before(one: int, other: int) -> bool:
    """Compare as RFC 1982 does: one is not later than the other."""
    return (other - one) & 0xFFFF_FFFF < 1 << 31


def _targets(name: Name, records: Iterable[tuple[Name, int, Name]]) -> set[Name]:
    return {target for owner, rtype, target in records if rtype == codes.CNAME and owner == name}


def _target(reply: Reply, place: Place) -> Name:
    if place.rtype != codes.CNAME:
        return names.ROOT
    return spelled(reply.message, place.rdata_at).lower()
