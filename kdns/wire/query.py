"""Read a query: the header, one question and one OPT record, and nothing that is not needed.

``read_query`` takes any bytes and either returns a ``Query`` or raises ``MalformedMessage``;
no other exception leaves it. Knows no sockets and no answers.
"""

from struct import Struct as Layout

from msgspec import Struct

from kdns.errors import MalformedMessage
from kdns.wire import codes, names
from kdns.wire.names import MAX_LABEL, MAX_NAME, Name

HEADER = Layout("!HHHHHH")
QUESTION_TAIL = 4
_TYPE_AND_CLASS = Layout("!HH")
_RECORD = Layout("!HHIH")

QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
CD = 0x0010
OPCODE_SHIFT = 11
DO = 0x8000

MIN_UDP_SIZE = 512
# A question needs no other records. The limits are those of the server that kdns replaces; they
# bound the work that one packet can ask for.
MAX_OTHER_RECORDS = 1
MAX_ADDITIONAL_RECORDS = 2


class Edns(Struct, frozen=True, gc=False):
    """What the OPT record of a query says (RFC 6891 section 6.1)."""

    size: int
    """Octets of UDP payload that the client takes, as it wrote them."""
    version: int = 0
    do: bool = False
    options: tuple[tuple[int, bytes], ...] = ()
    """Option code and data, in the order sent."""
    passed: tuple[tuple[int, bytes], ...] = ()
    """Options for whoever is asked next: those that ``rewrite`` set, never the client's own."""


class Query(Struct, frozen=True, gc=False):
    """One question and what matters of its message."""

    id: int
    flags: int
    """The 16 flag bits of the header as sent."""
    question: bytes
    """Name, type and class exactly as sent."""
    name: Name
    """The name in lower case."""
    rtype: int
    rclass: int = codes.CLASS_IN
    edns: Edns | None = None

    @property
    def asked(self) -> Name:
        """The name in the case of the client: owners in the answer repeat it."""
        return self.question[:-QUESTION_TAIL]

    @property
    def opcode(self) -> int:
        """Operation code, RFC 1035 section 4.1.1."""
        return self.flags >> OPCODE_SHIFT & 0xF


def ask(name: Name, rtype: int, *, edns: Edns | None = None) -> Query:
    """Make a query as a program would: recursion desired, class IN, id 0."""
    question = name + _TYPE_AND_CLASS.pack(rtype, codes.CLASS_IN)
    return Query(0, RD, question, name.lower(), rtype, codes.CLASS_IN, edns)


def write_query(query: Query, message_id: int) -> bytes:
    """Write a query made with ``ask``."""
    options = (
        b""
        if query.edns is None
        else b"\0" + _RECORD.pack(codes.OPT, query.edns.size, DO if query.edns.do else 0, 0)
    )
    counts = (1, 0, 0, 1 if options else 0)
    return HEADER.pack(message_id, query.flags, *counts) + query.question + options


def read_query(datagram: bytes) -> Query:
    """Read a message as a query, or raise MalformedMessage with the rcode that it deserves."""
    if len(datagram) < HEADER.size:
        raise MalformedMessage("shorter than a header", None)
    message_id, flags, questions, answers, authority, additional = HEADER.unpack_from(datagram)
    _accept(flags, questions, answers, authority, additional)
    end = _name_end(datagram, HEADER.size)
    tail = end + QUESTION_TAIL
    if tail > len(datagram):
        raise MalformedMessage("question cut short", codes.FORMERR)
    rtype, rclass = _TYPE_AND_CLASS.unpack_from(datagram, end)
    others = answers + authority + additional
    return Query(
        message_id,
        flags,
        datagram[HEADER.size : tail],
        datagram[HEADER.size : end].lower(),
        rtype,
        rclass,
        _edns(datagram, tail, others) if others else None,
    )


def _accept(flags: int, questions: int, answers: int, authority: int, additional: int) -> None:
    """Decide from the header alone whether this is a query that can be answered."""
    if flags & QR:
        raise MalformedMessage("a response", None)
    if flags >> OPCODE_SHIFT & 0xF != codes.OPCODE_QUERY:
        raise MalformedMessage("opcode is not QUERY", codes.NOTIMP)
    # RFC 9619: a query has exactly one question.
    if questions != 1:
        raise MalformedMessage("not exactly one question", codes.FORMERR)
    if max(answers, authority) > MAX_OTHER_RECORDS or additional > MAX_ADDITIONAL_RECORDS:
        raise MalformedMessage("a query with records", codes.FORMERR)


def _name_end(datagram: bytes, at: int) -> int:
    """Return the offset after an uncompressed name: a question has nothing to point back to."""
    start, size = at, len(datagram)
    while at < size:
        length = datagram[at]
        at += 1 + length
        if not length:
            if at - start > MAX_NAME:
                break
            return at
        # RFC 1035 section 4.1.4: 01 and 10 are reserved, 11 is a pointer.
        if length > MAX_LABEL:
            break
    raise MalformedMessage("bad name", codes.FORMERR)


def _edns(datagram: bytes, at: int, records: int) -> Edns | None:
    """Find the OPT record among the records after the question."""
    found: Edns | None = None
    for _ in range(records):
        is_root = datagram[at : at + 1] == b"\0"
        at = _skip_name(datagram, at)
        if at + _RECORD.size > len(datagram):
            raise MalformedMessage("record cut short", codes.FORMERR)
        rtype, rclass, ttl, length = _RECORD.unpack_from(datagram, at)
        at += _RECORD.size
        rdata = datagram[at : at + length]
        if len(rdata) != length:
            raise MalformedMessage("rdata cut short", codes.FORMERR)
        at += length
        if rtype == codes.OPT:
            # RFC 6891 section 6.1.1: more than one OPT, or one not at the root, is FORMERR.
            if found is not None or not is_root:
                raise MalformedMessage("misplaced OPT", codes.FORMERR)
            version, do = ttl >> 16 & 0xFF, bool(ttl & DO)
            found = Edns(rclass, version, do, _options(rdata))
    return found


def _skip_name(datagram: bytes, at: int) -> int:
    try:
        return names.skip(datagram, at)
    except ValueError:
        raise MalformedMessage("bad name", codes.FORMERR) from None


def _options(rdata: bytes) -> tuple[tuple[int, bytes], ...]:
    """Split the options of an OPT record (RFC 6891 section 6.1.2)."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(rdata):
        if at + _TYPE_AND_CLASS.size > len(rdata):
            raise MalformedMessage("EDNS option cut short", codes.FORMERR)
        code, length = _TYPE_AND_CLASS.unpack_from(rdata, at)
        at += _TYPE_AND_CLASS.size
        data = rdata[at : at + length]
        if len(data) != length:
            raise MalformedMessage("EDNS option cut short", codes.FORMERR)
        found.append((code, data))
        at += length
    return tuple(found)
