"""Work on the complete response of another server, as its octets.

Takes any bytes: a function here returns a value or raises ``UpstreamError``, no other exception.
Records are located, not understood, except where ``read`` hands them to dnslib. Knows no sockets
and no clock.
"""

from collections.abc import Iterable
from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812 - it is a class

from dnslib import RR
from dnslib.label import DNSBuffer
from msgspec import Struct

from kdns.errors import UpstreamError
from kdns.wire import codes, names
from kdns.wire.message import Sections, extended_error
from kdns.wire.query import AA, DO, HEADER, QR, QUESTION_TAIL, RD, TC, Edns, Query
from kdns.wire.records import Record

AD = 0x0020
"""Authentic data (RFC 4035 section 3.2.3; in a query RFC 6840 section 5.7)."""
_RCODE = 0x000F
_FLAGS_AT = 2
_FIXED = Layout("!HHIH")
_TTL_AT = 4
_MAX_TTL = 0x7FFF_FFFF
# RFC 3597 section 4: the types whose rdata may hold compressed names. In all others the octets
# mean the same in any message.
_MX, _RP, _NAPTR = 15, 17, 35
_COMPRESSED = frozenset({codes.NS, codes.CNAME, codes.SOA, codes.PTR, codes.SRV, _MX, _RP, _NAPTR})


class Place(Struct, frozen=True, gc=False):
    """Where a record stands in its message."""

    rtype: int
    start: int
    fixed: int
    """Offset after the owner: type, class, TTL and length of the rdata."""
    end: int

    @property
    def ttl_at(self) -> int:
        """Offset of the TTL."""
        return self.fixed + _TTL_AT


class Reply(Struct, frozen=True, gc=False):
    """A response whose records were located."""

    message: bytes
    question_end: int
    places: tuple[Place, ...]
    """The records of all three sections, up to and without OPT. What follows OPT can be no more
    than additional data or a signature of the hop; it is left off when the message is rewritten."""
    opt: Place | None

    @property
    def flags(self) -> int:
        """The 16 flag bits of the header."""
        return int.from_bytes(self.message[_FLAGS_AT : _FLAGS_AT + 2])

    @property
    def truncated(self) -> bool:
        """Whether the server left something off."""
        return bool(self.flags & TC)

    @property
    def rcode(self) -> int:
        """The rcode with its upper bits out of OPT (RFC 6891 section 6.1.3)."""
        high = 0 if self.opt is None else self.message[self.opt.ttl_at]
        return high << 4 | self.flags & _RCODE

    @property
    def answers(self) -> int:
        """How many of the records are the answer section's."""
        return int.from_bytes(self.message[6:8])

    @property
    def has_soa(self) -> bool:
        """Whether it says for how long its negative answer holds (RFC 2308 section 3)."""
        return any(place.rtype == codes.SOA for place in self.places)

    @property
    def lowest_ttl(self) -> int | None:
        """Seconds for which all of it may be kept; None without any record."""
        return min((_ttl(self.message, place) for place in self.places), default=None)


class Template(Struct, frozen=True, gc=False):
    """A response that is kept, to be filled in for whoever asks the same again."""

    message: bytes
    ttls: tuple[int, ...]
    """Offsets of every TTL; OPT's is none."""
    owners: tuple[int, ...]
    """Offsets where the name of the question is spelled out once more."""


def is_answer(message: bytes, query: Query, message_id: int) -> bool:
    """Whether these octets answer the query that was sent with this id (RFC 5452 section 4.2)."""
    end = HEADER.size + len(query.question)
    if len(message) < end:
        return False
    found_id, flags, questions = HEADER.unpack_from(message)[:3]
    asked = message[HEADER.size : end - QUESTION_TAIL]
    return (
        found_id == message_id
        and bool(flags & QR)
        and questions == 1
        # RFC 4343 section 4.1: a server may return the name in another case.
        and asked.lower() == query.name
        and message[end - QUESTION_TAIL : end] == query.question[-QUESTION_TAIL:]
    )


def rcode(message: bytes) -> int:
    """Return the rcode in the header of a response, without the upper bits out of OPT."""
    return message[_FLAGS_AT + 1] & _RCODE


def locate(message: bytes) -> Reply:
    """Find the records of a response."""
    try:
        return _locate(message)
    except (IndexError, LayoutError, ValueError):
        raise UpstreamError("the response is cut short") from None


def read(message: bytes, query: Query) -> Sections:
    """Understand a response, for an answer of ours that continues with it.

    Of the authority section only the SOA matters: it makes a negative answer one (RFC 2308
    section 2).
    """
    reply = locate(message)
    if not is_answer(message, query, int.from_bytes(message[:2])):
        raise UpstreamError("the response is to another question")
    answer, rest = reply.places[: reply.answers], reply.places[reply.answers :]
    return Sections(
        reply.rcode,
        _records(message, answer),
        _records(message, [place for place in rest if place.rtype == codes.SOA]),
        authoritative=False,
        truncated=reply.truncated,
    )


def readdress(message: bytes, query: Query, limit: int) -> bytes:
    """Turn a response to a question like this one into the response to this query.

    Id and question become those of the client. What is over ``limit`` octets is cut off at the
    end, in whole records.
    """
    rest = message[HEADER.size + len(query.question) :]
    own = query.id.to_bytes(2) + message[2 : HEADER.size] + query.question + rest
    if query.edns is not None:
        own = _with_opt(locate(own), query.edns)
    return own if len(own) <= limit else _cut(locate(own), limit)


def explain(message: bytes, code: int, text: str) -> bytes:
    """Add an extended error (RFC 8914) to a response that has an OPT record at its end."""
    opt = locate(message).opt
    if opt is None or opt.end != len(message):
        return message
    option = extended_error(code, text)
    length_at = opt.fixed + _FIXED.size - 2
    length = opt.end - length_at - 2 + len(option)
    return message[:length_at] + length.to_bytes(2) + message[length_at + 2 :] + option


def without_edns(reply: Reply) -> bytes:
    """Return the response without OPT, for a client that sent none (RFC 6891 section 7)."""
    return reply.message if reply.opt is None else _joined(reply, len(reply.places), b"", tc=0)


def template(reply: Reply) -> Template:
    """Prepare a response for being sent again, to others and later."""
    message = reply.message
    name = message[HEADER.size : reply.question_end - QUESTION_TAIL].lower()
    return Template(
        # RFC 1035 section 4.1.1: AA says that the responder is an authority; a cache is none.
        _with_flags(message, reply.flags & ~AA),
        tuple(place.ttl_at for place in reply.places),
        tuple(
            place.start
            for place in reply.places
            if message[place.start : place.start + len(name)].lower() == name
        ),
    )


def fill(kept: Template, query: Query, ttl: int) -> bytes:
    """Write a kept response for this client: its flags, its spelling of the name, the TTL left."""
    out = bytearray(retime(kept.message, kept.ttls, ttl))
    flags = int.from_bytes(out[_FLAGS_AT : _FLAGS_AT + 2]) & ~RD | query.flags & RD
    # RFC 6840 section 5.8: AD only for who asked with AD or DO.
    if not (query.flags & AD or (query.edns is not None and query.edns.do)):
        flags &= ~AD
    out[_FLAGS_AT : _FLAGS_AT + 2] = flags.to_bytes(2)
    out[HEADER.size : HEADER.size + len(query.question)] = query.question
    for at in kept.owners:
        out[at : at + len(query.name)] = query.asked
    return bytes(out)


def retime(message: bytes, ttls: tuple[int, ...], ttl: int) -> bytes:
    """Write one TTL to all of these offsets."""
    out, packed = bytearray(message), ttl.to_bytes(4)
    for at in ttls:
        out[at : at + 4] = packed
    return bytes(out)


def _locate(message: bytes) -> Reply:
    _, flags, questions, *counts = HEADER.unpack_from(message)
    if not flags & QR or questions != 1:
        raise UpstreamError("the response is none, or not to one question")
    at = question_end = names.skip(message, HEADER.size) + QUESTION_TAIL
    places: list[Place] = []
    opt: Place | None = None
    for _ in range(sum(counts)):
        place = _place(message, at)
        at = place.end
        if place.rtype == codes.OPT:
            # RFC 6891 section 6.1.1: one OPT at the most, in the additional section.
            if opt is not None or len(places) < counts[0] + counts[1]:
                raise UpstreamError("the response has a misplaced OPT")
            opt = place
        elif opt is None:
            places.append(place)
    return Reply(message, question_end, tuple(places), opt)


def _place(message: bytes, start: int) -> Place:
    fixed = names.skip(message, start)
    rtype, _, _, length = _FIXED.unpack_from(message, fixed)
    end = fixed + _FIXED.size + length
    if end > len(message):
        raise UpstreamError("the response is cut short")
    return Place(rtype, start, fixed, end)


def _ttl(message: bytes, place: Place) -> int:
    ttl = int.from_bytes(message[place.ttl_at : place.ttl_at + 4])
    # RFC 2181 section 8: the most significant bit set means zero.
    return ttl if ttl <= _MAX_TTL else 0


def _with_flags(message: bytes, flags: int) -> bytes:
    return message[:_FLAGS_AT] + flags.to_bytes(2) + message[_FLAGS_AT + 2 :]


def _cut(reply: Reply, limit: int) -> bytes:
    """Keep as many whole records as fit, and OPT (RFC 6891 section 7)."""
    opt = b"" if reply.opt is None else reply.message[reply.opt.start : reply.opt.end]
    if reply.opt is not None and reply.question_end + len(opt) > limit:
        # Options are the upstream's own; OPT itself has to stay.
        opt = opt[: reply.opt.fixed - reply.opt.start + _FIXED.size - 2] + b"\0\0"
    kept = sum(place.end + len(opt) <= limit for place in reply.places)
    needed = sum(HEADER.unpack_from(reply.message)[3:5])
    # RFC 2181 section 9: TC is not set for additional data that might as well be missing.
    return _joined(reply, kept, opt, tc=TC if kept < needed else 0)


def _with_opt(reply: Reply, edns: Edns) -> bytes:
    """Give a client that sent OPT an OPT, whatever the upstream knows (RFC 6891 section 6.1.1)."""
    if reply.opt is not None:
        return reply.message
    opt = b"\0" + _FIXED.pack(codes.OPT, edns.size, DO if edns.do else 0, 0)
    return _joined(reply, len(reply.places), opt, tc=0)


def _joined(reply: Reply, kept: int, opt: bytes, tc: int) -> bytes:
    """Write the first records and OPT under a header that counts them."""
    message_id, flags, questions, answer, authority, _ = HEADER.unpack_from(reply.message)
    answer = min(answer, kept)
    authority = min(authority, kept - answer)
    additional = kept - answer - authority + bool(opt)
    end = reply.places[kept - 1].end if kept else reply.question_end
    header = HEADER.pack(message_id, flags | tc, questions, answer, authority, additional)
    return header + reply.message[HEADER.size : end] + opt


def _records(message: bytes, places: Iterable[Place]) -> tuple[Record, ...]:
    found = (_record(message, place) for place in places)
    return tuple(record for record in found if record is not None)


def _record(message: bytes, place: Place) -> Record | None:
    """Read a record with dnslib; None where its class is not IN."""
    buffer = DNSBuffer(message)
    buffer.offset = place.start
    try:
        parsed = RR.parse(buffer)
        if parsed.rclass != codes.CLASS_IN:
            return None
        rdata = _rdata(message, place, parsed)
        owner = names.from_labels(list(parsed.rname.label))
        return Record(owner, place.rtype, _ttl(message, place), rdata)
    except Exception as error:  # dnslib sets no limit to what it raises
        raise UpstreamError(f"the response has a bad record: {error}") from error


def _rdata(message: bytes, place: Place, parsed: RR) -> bytes:
    """Return the rdata with its names spelled out: pointers mean nothing in another message."""
    if place.rtype not in _COMPRESSED:
        return message[place.fixed + _FIXED.size : place.end]
    out = DNSBuffer()
    out.encode_name = out.encode_name_nocompress
    parsed.rdata.pack(out)
    return bytes(out.data)
