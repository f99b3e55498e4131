"""A response of another server that is kept, and filled in for whoever asks the same again.

This is the way of every reply out of the cache: nothing is parsed, and nothing is written twice
that was the same in the last second. Knows no sockets and no clock.
"""

from array import array

from kdns.wire import codes, relay
from kdns.wire.names import POINTER
from kdns.wire.query import AA, CD, HEADER, QR, RA, RD, Query
from kdns.wire.relay import AD, Reply

_RCODE = 0x000F
_OVERHEAD = 300
"""Octets that one takes besides its records, about."""


class Kept:
    """A response without its question and without OPT, which belongs to one hop.

    Of OPT only the extended errors are kept: they are about the answer, not about the hop.
    """

    __slots__ = (
        "_authentic",
        "_counts",
        "_errors",
        "_flags",
        "_owners",
        "_records",
        "_spelling",
        "_ttl",
        "_ttls",
        "order",
    )

    def __init__(self, reply: Reply) -> None:
        """Take over a response; UpstreamError where its names cannot be read."""
        end = reply.places[-1].end if reply.places else reply.question_end
        self._records = bytearray(reply.message[reply.question_end : end])
        # AA as CoreDNS does it: some resolvers of old take no answer without it. No RD, CD, TC.
        self._flags = QR | AA | reply.flags & (RA | _RCODE)
        self._authentic = bool(reply.flags & AD)
        answer, authority = reply.answers, reply.authorities
        self._counts = answer, authority, len(reply.places) - answer - authority
        self._ttls = array("H", [place.ttl_at - reply.question_end for place in reply.places])
        self._owners = _repeated(reply)
        self._errors = _errors(reply)
        self._spelling = b""
        self._ttl = -1
        self.order = relay.order(reply)

    @property
    def octets(self) -> int:
        """Return about how much memory this takes."""
        return _OVERHEAD + len(self._records) + 2 * len(self._ttls) + len(self._errors)

    @property
    def rcode(self) -> int:
        """The rcode; only those of the header are kept."""
        return self._flags & _RCODE

    def fill(self, query: Query, ttl: int, options: bytes = b"") -> bytes:
        """Write the response to this query, with this TTL and these EDNS options besides."""
        if ttl != self._ttl:
            self._show(ttl)
        if self._owners:
            self._spell(query)
        edns, flags = query.edns, self._flags | query.flags & (RD | CD)
        # RFC 6840 section 5.8: AD only for who asked with AD or DO.
        if self._authentic and (query.flags & AD or (edns is not None and edns.do)):
            flags |= AD
        answer, authority, additional = self._counts
        if edns is None:
            header = HEADER.pack(query.id, flags, 1, answer, authority, additional)
            return header + query.question + self._records
        header = HEADER.pack(query.id, flags, 1, answer, authority, additional + 1)
        opt = relay.opt_record(edns, self._errors + options)
        return header + query.question + self._records + opt

    def _show(self, ttl: int) -> None:
        records, packed = self._records, ttl.to_bytes(4)
        for at in self._ttls:
            records[at : at + 4] = packed
        self._ttl = ttl

    def _spell(self, query: Query) -> None:
        """Spell the name as the client does where it stands once more, not compressed."""
        asked = query.asked
        if asked != self._spelling:
            for at in self._owners:
                self._records[at : at + len(asked)] = asked
            self._spelling = asked


def _repeated(reply: Reply) -> tuple[int, ...]:
    """Return where owners spell out the name of the question, within the records."""
    name, message = reply.name, reply.message
    if all(message[place.start] >= POINTER for place in reply.places):
        return ()
    return tuple(
        place.start - reply.question_end
        for place in reply.places
        if message[place.start : place.start + len(name)].lower() == name
    )


def _errors(reply: Reply) -> bytes:
    """Return the extended errors of OPT as they are written (RFC 8914)."""
    if reply.opt is None:
        return b""
    return b"".join(
        code.to_bytes(2) + len(data).to_bytes(2) + data
        for code, data in relay.options(reply)
        if code == codes.EDNS_EDE
    )
