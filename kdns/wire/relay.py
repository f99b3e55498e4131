"""Work on the complete response of another server, as its octets.

Takes any bytes: a function here returns a value or raises ``UpstreamError``, no other exception.
Records are located; ``sections`` and ``read`` understand them. What may be edited in place is:

- ``with_flags`` and ``with_option`` change the header and OPT,
- ``bare`` leaves off all but the answer,
- ``arranged`` puts the addresses of a set in another order.

A plugin that changes anything else makes an ``Answer`` out of a ``Relay``: ``Answer(sections(
message, query), by=relay.by)``, without owners, for it is the upstream's word at this moment.
Knows no sockets and no clock. How a response is kept is ``kept``, what it says ``kinds``.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812 - it is a class

from msgspec import Struct

from kdns.errors import UpstreamError
from kdns.wire import codes, names
from kdns.wire.message import Sections, extended_error
from kdns.wire.names import MAX_LABEL, MAX_NAME, POINTER, Name
from kdns.wire.query import AA, DO, HEADER, QR, QUESTION_TAIL, RA, TC, Edns, Query
from kdns.wire.records import Record

AD = 0x0020
"""Authentic data (RFC 4035 section 3.2.3; in a query RFC 6840 section 5.7)."""
_RCODE = 0x000F
_FLAGS_AT = 2
_FIXED = Layout("!HHIH")
_TTL_AT = 4
_MAX_TTL = 0x7FFF_FFFF
_OPT_HEAD = b"\0\0\x29"
"""How every OPT record begins: it is at the root."""
_OPTION = Layout("!HH")
_TO_QUESTION = POINTER << 8 | HEADER.size
"""The pointer to the name of the question: the owner of nearly every record."""
# RFC 3597 section 4: the types whose rdata may hold compressed names, and how many octets stand
# before how many names. In all others the octets mean the same in any message.
_MD, _MF, _MB, _MG, _MR, _MINFO, _RP, _AFSDB, _RT = 3, 4, 7, 8, 9, 14, 17, 18, 21
_SIG, _PX, _NXT, _NAPTR, _KX, _DNAME = 24, 26, 30, 35, 36, 39
_NAMES = {
    **dict.fromkeys((codes.NS, _MD, _MF, codes.CNAME, _MB, _MG, _MR, codes.PTR), (0, 1)),
    **dict.fromkeys((codes.SOA, _MINFO, _RP), (0, 2)),
    **dict.fromkeys((_NXT, _DNAME), (0, 1)),
    **dict.fromkeys((codes.MX, _AFSDB, _RT, _KX), (2, 1)),
    _SIG: (18, 1),
    _PX: (2, 2),
    codes.SRV: (6, 1),
}
# Those of them that RFC 1035 defines begin with their names, which may be compressed again.
_TARGETS = frozenset({codes.NS, _MD, _MF, codes.CNAME, codes.SOA, _MB, _MG, _MR, codes.PTR, _MINFO})
_NAPTR_FIXED, _NAPTR_STRINGS = 4, 3
_ADDRESS_SIZES = {codes.A: 4, codes.AAAA: 16}


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

    @property
    def rdata_at(self) -> int:
        """Offset of the rdata."""
        return self.fixed + _FIXED.size

    def rclass(self, message: bytes) -> int:
        """Return the class; of OPT it is a size."""
        return int.from_bytes(message[self.fixed + 2 : self.fixed + _TTL_AT])


class Reply(Struct, frozen=True, gc=False):
    """A response whose records were located."""

    message: bytes
    flags: int
    """The 16 flag bits of the header."""
    answers: int
    """How many of the records are the answer section's."""
    authorities: int
    """How many of them are the authority section's."""
    name: Name
    """The name of the question, in lower case."""
    question_end: int
    places: tuple[Place, ...]
    """The records of all three sections, up to and without OPT. What follows OPT can be no more
    than additional data or a signature of the hop; it is left off when the message is rewritten."""
    opt: Place | None

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
    def authority(self) -> tuple[Place, ...]:
        """The records of the authority section."""
        return self.places[self.answers : self.answers + self.authorities]

    @property
    def rtype(self) -> int:
        """The type of the question."""
        return int.from_bytes(self.message[self.question_end - 4 : self.question_end - 2])

    @property
    def rclass(self) -> int:
        """The class of the question."""
        return int.from_bytes(self.message[self.question_end - 2 : self.question_end])

    @property
    def has_soa(self) -> bool:
        """Whether it says for how long its negative answer holds (RFC 2308 section 3)."""
        return any(place.rtype == codes.SOA for place in self.authority)

    def owner(self, place: Place) -> Name:
        """Return the owner of a record in lower case. Raises UpstreamError for a bad name."""
        if _points_to_question(self.message, place.start):
            return self.name
        return spelled(self.message, place.start).lower()

    def rdata(self, place: Place) -> bytes:
        """Return the rdata of a record as it stands there."""
        return self.message[place.rdata_at : place.end]

    @property
    def lowest_ttl(self) -> int | None:
        """Seconds for which all of it may be kept; None without any record."""
        return min((_ttl(self.message, place) for place in self.places), default=None)


class AddressSet(Struct, frozen=True, gc=False):
    """Addresses of one owner and type: any order of them says the same."""

    owner: Name
    """In lower case."""
    size: int
    """Octets of an address: 4 or 16."""
    places: "array[int]"
    """Offsets of the addresses."""


class Order(Struct, frozen=True, gc=False):
    """What of a response may be put in another order. True of a copy with the same question too."""

    sets: tuple[AddressSet, ...] = ()
    """Sets of more than one address, of the answer and the additional section."""
    jumbled: bool = False
    """Whether its answer has several MX records, or an alias behind other records: whole records
    would have to be moved, which takes ``sections``."""


_ONLY = Order()


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
    section 2). Records of other classes than IN are passed over, and no flag but TC is taken over:
    the whole is neither the upstream's nor authentic any more.
    """
    reply = _answering(message, query)
    rest = (place for place in reply.places[reply.answers :] if place.rtype == codes.SOA)
    return Sections(
        reply.rcode,
        _of_class_in(_records(message, reply.places[: reply.answers])),
        _of_class_in(_records(message, rest)),
        authoritative=False,
        truncated=reply.truncated,
    )


def sections(message: bytes, query: Query) -> Sections:
    """Understand a whole response, for an answer of ours that stands for it.

    AA and TC are fields, RA and AD are in ``set_flags`` where the upstream set them, and RA in
    ``clear_flags`` where it did not, so that the server does not put in its own; RD and CD are the
    client's in any case. EDNS options, extended errors among them, are in ``options`` as they are.
    Types that nobody knows keep their rdata. Lost are the compression of names, the reserved bit
    of the header, and what follows OPT.
    """
    reply = _answering(message, query)
    first, last = reply.answers, reply.answers + len(reply.authority)
    return Sections(
        reply.rcode,
        _records(message, reply.places[:first]),
        _records(message, reply.places[first:last]),
        _records(message, reply.places[last:]),
        authoritative=bool(reply.flags & AA),
        truncated=reply.truncated,
        options=options(reply),
        set_flags=reply.flags & (RA | AD),
        clear_flags=RA & ~reply.flags,
    )


def readdress(message: bytes, query: Query, limit: int) -> bytes:
    """Turn a response to a question like this one into the response to this query.

    Id and question become those of the client, and so do the size and the DO bit in OPT, which is
    there if the client sent one (RFC 6891 section 6.1.1). What is over ``limit`` octets is cut off
    at the end, in whole records.
    """
    rest = message[HEADER.size + len(query.question) :]
    own = query.id.to_bytes(2) + message[2 : HEADER.size] + query.question + rest
    if query.edns is not None:
        own = _with_opt(locate(own), query.edns)
    elif own[10:12] != b"\0\0" and _OPT_HEAD in rest:
        own = without_edns(locate(own))
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


def with_option(message: bytes, edns: Edns, code: int, data: bytes) -> bytes:
    """Add an EDNS option of ours to the response to a client that sent this OPT."""
    reply = locate(message)
    fields, options = (codes.OPT, edns.size, DO if edns.do else 0), b""
    if reply.opt is not None:
        fields = _FIXED.unpack_from(message, reply.opt.fixed)[:3]
        options = message[reply.opt.fixed + _FIXED.size : reply.opt.end]
    options += code.to_bytes(2) + len(data).to_bytes(2) + data
    opt = b"\0" + _FIXED.pack(*fields, len(options)) + options
    return _joined(reply, len(reply.places), opt, tc=0)


def without_edns(reply: Reply) -> bytes:
    """Return the response without OPT, for a client that sent none (RFC 6891 section 7)."""
    return reply.message if reply.opt is None else _joined(reply, len(reply.places), b"", tc=0)


def bare(message: bytes) -> bytes:
    """Return the response with its answer section and OPT only."""
    reply = locate(message)
    opt = b"" if reply.opt is None else message[reply.opt.start : reply.opt.end]
    return _joined(reply, reply.answers, opt, tc=0)


def with_flags(message: bytes, set_flags: int = 0, clear_flags: int = 0) -> bytes:
    """Set some bits of the header and clear others."""
    flags = (int.from_bytes(message[_FLAGS_AT : _FLAGS_AT + 2]) | set_flags) & ~clear_flags
    return message[:_FLAGS_AT] + flags.to_bytes(2) + message[_FLAGS_AT + 2 :]


def retimed(reply: Reply, ttl: int, clear_flags: int = 0) -> bytes:
    """Return the response with this TTL in every record but OPT, and without some flags."""
    out, packed = bytearray(reply.message), ttl.to_bytes(4)
    if clear_flags & reply.flags:
        out[_FLAGS_AT : _FLAGS_AT + 2] = (reply.flags & ~clear_flags).to_bytes(2)
    for place in reply.places:
        at = place.fixed + _TTL_AT
        out[at : at + 4] = packed
    return bytes(out)


def order(reply: Reply) -> Order:
    """Find what of a response may be put in another order."""
    if len(reply.places) <= 1 or reply.rclass != codes.CLASS_IN:
        return _ONLY
    answer, additional = reply.places[: reply.answers], reply.places[reply.answers :]
    sets = (*_sets(reply, answer), *_sets(reply, additional[reply.authorities :]))
    return Order(sets, jumbled([place.rtype for place in answer]))


def jumbled(types: Sequence[int]) -> bool:
    """Whether the records of an answer have to be moved: several MX, an alias behind an address."""
    if types.count(codes.MX) > 1:
        return True
    first = next((at for at, rtype in enumerate(types) if rtype in _ADDRESS_SIZES), len(types))
    return codes.CNAME in types[first:]


def arranged(
    message: bytes,
    sets: Iterable[AddressSet],
    arrange: Callable[[Name, list[bytes]], Sequence[bytes]],
) -> bytes:
    """Put addresses in another order; ``arrange`` gets the owner and the addresses of each set.

    Only the rdata changes places: all of a set are of one size, so every pointer stays right.
    """
    out = bytearray(message)
    for one in sets:
        size = one.size
        addresses = [message[at : at + size] for at in one.places]
        for at, address in zip(one.places, arrange(one.owner, addresses), strict=True):
            out[at : at + size] = address
    return bytes(out)


def options(reply: Reply) -> tuple[tuple[int, bytes], ...]:
    """Split the options of OPT (RFC 6891 section 6.1.2)."""
    data = b"" if reply.opt is None else reply.rdata(reply.opt)
    found: list[tuple[int, bytes]] = []
    while data:
        code, length = _OPTION.unpack_from(data.ljust(_OPTION.size, b"\xff"))
        end = _OPTION.size + length
        if end > len(data):
            raise UpstreamError("the response has an EDNS option that is cut short")
        found.append((code, data[_OPTION.size : end]))
        data = data[end:]
    return tuple(found)


def spelled(message: bytes, at: int) -> Name:
    """Return the name at an offset, with its pointers followed (RFC 1035 section 4.1.4)."""
    try:
        return _spelled(message, at)
    except (IndexError, ValueError) as error:
        raise UpstreamError(f"the response has a bad record: {error}") from None


def opt_record(edns: Edns, options: bytes, *, rcode: int = 0) -> bytes:
    """Write the OPT record for a client that sent this one; ``options`` are written out."""
    ttl = rcode >> 4 << 24 | (DO if edns.do else 0)
    return b"\0" + _FIXED.pack(codes.OPT, edns.size, ttl, len(options)) + options


def _answering(message: bytes, query: Query) -> Reply:
    """Find the records of the answer to a question."""
    reply = locate(message)
    if not is_answer(message, query, int.from_bytes(message[:2])):
        raise UpstreamError("the response is to another question")
    return reply


def _locate(message: bytes) -> Reply:
    _, flags, questions, answers, authorities, additional = HEADER.unpack_from(message)
    if not flags & QR or questions != 1:
        raise UpstreamError("the response is none, or not to one question")
    name_end = names.skip(message, HEADER.size)
    name, question_end = message[HEADER.size : name_end].lower(), name_end + QUESTION_TAIL
    places: list[Place] = []
    opt: Place | None = None
    at = question_end
    for _ in range(answers + authorities + additional):
        place = _place(message, at)
        at = place.end
        if place.rtype == codes.OPT:
            # RFC 6891 section 6.1.1: one OPT at the most, in the additional section.
            if opt is not None or len(places) < answers + authorities:
                raise UpstreamError("the response has a misplaced OPT")
            opt = place
        elif opt is None:
            places.append(place)
    return Reply(message, flags, answers, authorities, name, question_end, tuple(places), opt)


def _place(message: bytes, start: int) -> Place:
    fixed = start + 2 if message[start] >= POINTER else names.skip(message, start)
    rtype, _, _, length = _FIXED.unpack_from(message, fixed)
    end = fixed + _FIXED.size + length
    if end > len(message):
        raise UpstreamError("the response is cut short")
    return Place(rtype, start, fixed, end)


def _points_to_question(message: bytes, at: int) -> bool:
    return message[at] << 8 | message[at + 1] == _TO_QUESTION


def _ttl(message: bytes, place: Place) -> int:
    ttl = int.from_bytes(message[place.fixed + _TTL_AT : place.fixed + _TTL_AT + 4])
    # RFC 2181 section 8: the most significant bit set means zero.
    return ttl if ttl <= _MAX_TTL else 0


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
    """Give a client that sent OPT an OPT of its own, with the options of the upstream."""
    options = b"" if reply.opt is None else reply.rdata(reply.opt)
    opt = opt_record(edns, options, rcode=reply.rcode)
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


def _sets(reply: Reply, places: Sequence[Place]) -> list[AddressSet]:
    """Find the addresses of a section that share owner and type, where there are several."""
    if len(places) <= 1:
        return []
    found: dict[tuple[Name, int], array[int]] = {}
    for place in places:
        size = _ADDRESS_SIZES.get(place.rtype)
        if size is not None and place.end - place.rdata_at == size:
            owner = reply.owner(place)
            found.setdefault((owner, size), array("H")).append(place.end - size)
    return [AddressSet(*which, at) for which, at in found.items() if len(at) > 1]


def _of_class_in(records: tuple[Record, ...]) -> tuple[Record, ...]:
    return tuple(record for record in records if record.rclass == codes.CLASS_IN)


def _records(message: bytes, places: Iterable[Place]) -> tuple[Record, ...]:
    try:
        return tuple(_record(message, place) for place in places)
    except (IndexError, ValueError) as error:
        raise UpstreamError(f"the response has a bad record: {error}") from None


def _record(message: bytes, place: Place) -> Record:
    targets, rdata = _understood(message, place)
    owner, ttl = _spelled(message, place.start), _ttl(message, place)
    return Record(owner, place.rtype, ttl, rdata, targets, place.rclass(message))


def _understood(message: bytes, place: Place) -> tuple[tuple[Name, ...], bytes]:
    """Return the names that may be compressed again, and the rest of the rdata.

    Names in the rest are spelled out: pointers mean nothing in another message.
    """
    start = place.rdata_at
    before, count = _names_in(message, place.rtype, start)
    at, found = start + before, []
    for _ in range(count):
        found.append(_spelled(message, at))
        at = names.skip(message, at)
    if at > place.end:
        raise ValueError("its rdata is cut short")
    if place.rtype in _TARGETS:
        return tuple(found), message[at : place.end]
    return (), message[start : start + before] + b"".join(found) + message[at : place.end]


def _names_in(message: bytes, rtype: int, start: int) -> tuple[int, int]:
    """Return how many octets of the rdata stand before its names, and how many names there are."""
    if rtype != _NAPTR:
        return _NAMES.get(rtype, (0, 0))
    at = start + _NAPTR_FIXED  # RFC 3403 section 4.1: two numbers and three strings
    for _ in range(_NAPTR_STRINGS):
        at += 1 + message[at]
    return at - start, 1


def _spelled(message: bytes, at: int) -> Name:
    out, before = bytearray(), at
    while length := message[at]:
        if length >= POINTER:
            at = (length & ~POINTER) << 8 | message[at + 1]
            # "A prior occurrence of the same name": so nobody can go round in circles.
            if at >= before:
                raise ValueError("a name points forward")
            before = at
        elif length > MAX_LABEL or len(out) + 1 + length + 1 > MAX_NAME:
            raise ValueError("bad name")
        else:
            out += message[at : at + 1 + length]
            at += 1 + length
    return bytes(out) + names.ROOT
