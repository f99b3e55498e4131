"""Whether a response of another server can be read by everybody: whole, and its names in order.

A pointer leads back to a name that stands before it (RFC 1035 section 4.1.4). One that leads
forward, into the header or round in circles makes readers stumble: such a response is not to be
passed on. Takes any bytes: what is not sound is ``UpstreamError``, no other exception. Knows no
sockets.
"""

from struct import Struct as Layout
from struct import error as LayoutError  # noqa: N812 - it is a class
from typing import TypeAlias

from kdns.errors import UpstreamError
from kdns.wire import codes
from kdns.wire.names import MAX_LABEL, MAX_NAME, POINTER
from kdns.wire.query import HEADER, TC

_FIXED = Layout("!HHIH")
_unpack = _FIXED.unpack_from
_MD, _MF, _MB, _MG, _MR, _MINFO, _RP = 3, 4, 7, 8, 9, 14, 17
_MX, _AFSDB, _RT, _PX, _NAPTR, _KX, _DNAME = 15, 18, 21, 26, 35, 36, 39
# Octets before the names in a type's rdata, how many names there are, and octets after them.
_NAMES = {
    **dict.fromkeys((codes.NS, _MD, _MF, codes.CNAME, _MB, _MG, _MR), (0, 1, 0)),
    **dict.fromkeys((codes.PTR, _DNAME), (0, 1, 0)),
    **dict.fromkeys((_MINFO, _RP), (0, 2, 0)),
    **dict.fromkeys((_MX, _AFSDB, _RT, _KX), (2, 1, 0)),
    _PX: (2, 2, 0),
    codes.SOA: (0, 2, 20),
    codes.SRV: (6, 1, 0),
    _NAPTR: (0, 1, 0),  # and strings before it
}
_NAPTR_NUMBERS, _NAPTR_STRINGS = 4, 3
_SIZES = {codes.A: 4, codes.AAAA: 16}
MAX_POINTERS = 127
"""In one name: it has no more labels than that."""

_Known: TypeAlias = dict[int, int]
"""Where pointers lead, and how long the name is from there."""


def check(message: bytes, question_end: int) -> int | None:
    """Return the upper bits of the rcode out of OPT (RFC 6891 section 6.1.3), None without OPT.

    Header and question, which end at ``question_end``, were looked at already. Raises
    UpstreamError for what cannot be read.
    """
    try:
        return _records(message, question_end)
    except (IndexError, LayoutError):
        raise UpstreamError("the response is cut short") from None


def stump(message: bytes, question_end: int) -> bytes:
    """Return a response as truncated, without any record: its client asks again over TCP."""
    message_id, flags = HEADER.unpack_from(message)[:2]
    return HEADER.pack(message_id, flags | TC, 1, 0, 0, 0) + message[HEADER.size : question_end]


def _records(message: bytes, at: int) -> int | None:
    """Read all records; every response that is forwarded comes by here."""
    size, upper = len(message), None
    known: _Known = {}
    _, _, _, answers, authority, additional = HEADER.unpack_from(message)
    for index in range(answers + authority + additional):
        start = at
        # Nearly every owner is a pointer to the question.
        if message[at] == POINTER and message[at + 1] == HEADER.size:
            at += 2
        else:
            at = _name(message, at, known)
        rtype, rclass, ttl, length = _unpack(message, at)
        at += _FIXED.size
        end = at + length
        if end > size:
            raise UpstreamError("the response is cut short")
        if rtype in _SIZES:
            if length != _SIZES[rtype] and rclass == codes.CLASS_IN:
                raise _wrong_length(rtype)
        elif rtype == codes.OPT:
            # RFC 6891 section 6.1.1: one at the most, at the root, in the additional section.
            if upper is not None or message[start] or index < answers + authority:
                raise UpstreamError("the response has a misplaced OPT")
            upper = ttl >> 24
        elif rtype in _NAMES and _rdata_end(message, rtype, at, known) != end:
            raise _wrong_length(rtype)
        at = end
    return upper


def _rdata_end(message: bytes, rtype: int, at: int, known: _Known) -> int:
    """Read the names in rdata; return where it ends, by what its type has in it."""
    before, count, after = _NAMES[rtype]
    at += _strings(message, at) if rtype == _NAPTR else before
    for _ in range(count):
        at = _name(message, at, known)
    return at + after


def _strings(message: bytes, start: int) -> int:
    """Return how many octets of a NAPTR come before its name (RFC 3403 section 4.1)."""
    at = start + _NAPTR_NUMBERS
    for _ in range(_NAPTR_STRINGS):
        at += 1 + message[at]
    return at - start


def _name(message: bytes, start: int, known: _Known) -> int:
    """Read a name; return the offset behind it."""
    at = start
    while (length := message[at]) and length <= MAX_LABEL:
        at += 1 + length
    if not length:
        rest, end = 0, at + 1
    elif length >= POINTER:
        target, end = (length & ~POINTER) << 8 | message[at + 1], at + 2
        rest = known.get(target, 0)
        if not rest:
            rest = known[target] = _octets(message, target, start)
    else:
        raise _reserved()
    if at - start + rest >= MAX_NAME:
        raise _too_long()
    return end


def _octets(message: bytes, at: int, before: int) -> int:
    """Follow a pointer that stands at ``before``; return how long the name is, without its root."""
    octets = 0
    for _ in range(MAX_POINTERS):
        if not HEADER.size <= at < before:
            raise UpstreamError("the response has a pointer to where no name was before")
        before = at
        while (length := message[at]) and length <= MAX_LABEL:
            at += 1 + length
        octets += at - before
        if not length:
            return octets
        if length < POINTER:
            raise _reserved()
        at = (length & ~POINTER) << 8 | message[at + 1]
    raise _too_long()


def _reserved() -> UpstreamError:
    # RFC 1035 section 4.1.4: the combinations 10 and 01.
    return UpstreamError("the response has a label of a reserved type")


def _too_long() -> UpstreamError:
    return UpstreamError(f"the response has a name over {MAX_NAME} octets")


def _wrong_length(rtype: int) -> UpstreamError:
    return UpstreamError(f"the response has a record of type {rtype} of a wrong length")
