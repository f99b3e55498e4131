"""Write a response: header, question, three sections and OPT, compressed and cut to a limit.

The result is in pieces, because two things change from one sending to the next: the order of the
addresses (rotation) and the SOA serial. Knows no sockets and no Kubernetes.
"""

from collections.abc import Sequence
from struct import Struct as Layout
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import codes
from kdns.wire.names import ROOT, Name, starts_label
from kdns.wire.query import (
    AA,
    CD,
    DO,
    HEADER,
    MIN_UDP_SIZE,
    OPCODE_SHIFT,
    QR,
    QUESTION_TAIL,
    RA,
    RD,
    TC,
    Edns,
    Query,
)
from kdns.wire.records import SOA_SERIAL_FROM_END, Record

MAX_UDP_PAYLOAD = 65_507
"""Octets of the largest UDP payload over IPv4, whatever a client says that it takes."""
MAX_TCP_MESSAGE = 65_535
_ID = 2
"""Octets of the id, which is stamped on when a message is sent."""
_POINTER, _MAX_POINTER = 0xC000, 0x3FFF
_POINTER_TO_QUESTION = (_POINTER | HEADER.size).to_bytes(2)
_FIXED = Layout("!HHIH")
_OPTION = Layout("!HH")
# Options that come back as they were sent; all others are not ours to repeat.
_ECHOED = frozenset(
    {
        codes.EDNS_NSID,
        codes.EDNS_EXPIRE,
        codes.EDNS_COOKIE,
        codes.EDNS_TCP_KEEPALIVE,
        codes.EDNS_PADDING,
    }
)

MAX_ECHOED = 4
MAX_ECHOED_OCTETS = 40
"""The longest cookie (RFC 7873 section 4). Four options of this length, the longest question and
OPT take less than 512 octets together: a reply always has room for them."""

Ede: TypeAlias = tuple[int, str]
"""Info-code and extra text of an extended error (RFC 8914)."""
MAX_EDE_TEXT = 200
"""Octets; an explanation must not push an answer into truncation."""


class Sections(Struct, frozen=True, gc=False):
    """The records of a response and the bits that depend on them."""

    rcode: int = codes.NOERROR
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    truncated: bool = False
    """Whether something was missing before the limit was looked at: TC in any case."""
    ede: Ede | None = None
    options: tuple[tuple[int, bytes], ...] = ()
    """EDNS options of ours: code and data. One of them stands for the client's own of that code.
    An NSID goes only to who asked for it (RFC 5001 section 2.1)."""
    set_flags: int = 0
    clear_flags: int = 0
    """Header bits to set and to clear in the end, whatever else decides about them."""


class Message(Struct, frozen=True, gc=False):
    """A finished response without its id: ``id + head + records + tail``."""

    head: bytes
    records: bytes = b""
    """The run of equal-sized addresses that ends the answer section; empty when none rotates."""
    record_size: int = 0
    shown: int = 0
    """How many of them fit."""
    tail: bytes = b""
    serial_at: int = 0
    """Offset in ``head`` of the SOA serial; 0 when there is none."""

    def first(self) -> bytes:
        """Return the response in its unrotated order, without the id."""
        return self.head + self.records[: self.shown * self.record_size] + self.tail


def udp_limit(edns: Edns | None) -> int:
    """Octets that a client takes over UDP (RFC 6891 section 6.2.3)."""
    if edns is None:
        return MIN_UDP_SIZE
    return min(max(MIN_UDP_SIZE, edns.size), MAX_UDP_PAYLOAD)


def fault(datagram: bytes, rcode: int) -> bytes:
    """Answer a message that is no query: its header, turned round, and nothing else."""
    message_id, flags = HEADER.unpack_from(datagram)[:2]
    opcode = flags & 0xF << OPCODE_SHIFT
    return HEADER.pack(message_id, QR | opcode | flags & (RD | CD) | rcode, 0, 0, 0, 0)


def write(
    query: Query, sections: Sections, limit: int, *, recursion: bool = False, whole: bool = False
) -> Message:
    """Write the response to a query in at most ``limit`` octets.

    What does not fit is left off from the end, and TC says so. ``recursion`` sets RA. ``whole``
    writes all addresses into a message that shows some of them, so that others can be shown later.
    """
    options = _opt(query.edns, sections) if query.edns is not None else b""
    records = sections.answer + sections.authority + sections.additional
    writer = _Writer(query.question)
    for record in records:
        writer.add(record)
        if not whole and len(writer.out) > limit:
            break
    kept = writer.fitting(limit - len(options))
    if kept < len(records) and query.edns is not None and sections.ede is not None:
        # An explanation must not cost an answer.
        options = _opt(query.edns, replace(sections, ede=None))
        kept = writer.fitting(limit - len(options))
    truncated = sections.truncated or kept < len(records)
    flags = _flags(query, sections, truncated=truncated, recursion=recursion)
    counts = _counts(sections, kept, extra=1 if options else 0)
    HEADER.pack_into(writer.out, 0, 0, flags, 1, *counts)
    return _message(writer, sections, kept, options)


def _message(writer: "_Writer", sections: Sections, kept: int, options: bytes) -> Message:
    """Cut what was written into pieces. They lack the id, so offsets shift by two."""
    out, starts = writer.out, writer.starts
    end = starts[kept]
    serial_at = _serial_at(sections, starts, kept) if writer.has_soa else 0
    first, count = _rotating(sections.answer, starts)
    if count and first < kept and not serial_at:
        return Message(
            bytes(out[_ID : starts[first]]),
            bytes(out[starts[first] : starts[first + count]]),
            starts[first + 1] - starts[first],
            min(count, kept - first),
            bytes(out[starts[first + count] : max(end, starts[first + count])]) + options,
            serial_at,
        )
    return Message(bytes(out[_ID:end]) + options, serial_at=serial_at)


def _rotating(answer: Sequence[Record], starts: list[int]) -> tuple[int, int]:
    """Find the run of addresses at the end of the answer: its first index and its length.

    They share owner and type, so every one is a pointer, ten octets and the address; only the
    first could differ, when its owner is not written anywhere before.
    """
    if len(answer) < 2 or answer[-1].rtype not in (codes.A, codes.AAAA):  # noqa: PLR2004
        return 0, 0
    if len(starts) <= len(answer):  # not all of them were written
        return 0, 0
    first = len(answer) - 1
    last = answer[first]
    rtype, owner, size = last.rtype, last.owner, starts[first + 1] - starts[first]
    while first and starts[first] - starts[first - 1] == size:
        before = answer[first - 1]
        if before.rtype != rtype or before.owner != owner:
            break
        first -= 1
    count = len(answer) - first
    return (first, count) if count > 1 else (0, 0)


def _serial_at(sections: Sections, starts: list[int], kept: int) -> int:
    """Offset of a SOA's serial in the message without its id."""
    for index, record in enumerate(sections.answer + sections.authority):
        if record.rtype == codes.SOA and index < kept:
            return starts[index + 1] - SOA_SERIAL_FROM_END - _ID
    return 0


def _counts(sections: Sections, kept: int, extra: int) -> tuple[int, int, int]:
    answer = min(len(sections.answer), kept)
    authority = min(len(sections.authority), kept - answer)
    return answer, authority, kept - answer - authority + extra


def _flags(query: Query, sections: Sections, *, truncated: bool, recursion: bool) -> int:
    flags = (
        QR
        | query.flags & (RD | CD)
        | (AA if sections.authoritative else 0)
        | (TC if truncated else 0)
        | (RA if recursion else 0)
        | sections.rcode & 0xF
    )
    return (flags | sections.set_flags) & ~sections.clear_flags


def _opt(edns: Edns, sections: Sections) -> bytes:
    """OPT of a response: the client's own size and DO bit, and the upper bits of the rcode."""
    ours = sections.options
    if not any(code == codes.EDNS_NSID for code, _ in edns.options):
        ours = tuple(option for option in ours if option[0] != codes.EDNS_NSID)
    echoed = _ECHOED.difference(code for code, _ in ours)
    theirs = (
        (code, data)
        for code, data in edns.options[:MAX_ECHOED]
        if code in echoed and len(data) <= MAX_ECHOED_OCTETS
    )
    options = b"".join(_OPTION.pack(code, len(data)) + data for code, data in (*theirs, *ours))
    if sections.ede is not None:
        options += extended_error(*sections.ede)
    ttl = sections.rcode >> 4 << 24 | (DO if edns.do else 0)
    return b"\0" + _FIXED.pack(codes.OPT, edns.size, ttl, len(options)) + options


def extended_error(code: int, text: str) -> bytes:
    """Write the EDNS option of an extended error (RFC 8914 section 2)."""
    data = code.to_bytes(2) + text.encode()[:MAX_EDE_TEXT].decode(errors="ignore").encode()
    return _OPTION.pack(codes.EDNS_EDE, len(data)) + data


def _below(record: Record) -> list[bytes]:
    """Return what stands in front of the owner in each target; nothing if one is not below it."""
    owner, found = record.owner, []
    for target in record.targets:
        end = len(target) - len(owner)
        if end <= 0 or not target.endswith(owner) or not starts_label(target, end):
            return []
        found.append(target[:end])
    return found


class _Writer:
    """Appends records after a question, compressing names that were written before.

    Suffixes are compared in their exact case: a pointer must not change the spelling.
    """

    def __init__(self, question: bytes) -> None:
        self.out = bytearray(HEADER.size) + question
        self.starts = [len(self.out)]
        """Where each record begins, and after the last one where it ends."""
        self.has_soa = False
        self._asked = question[:-QUESTION_TAIL]
        self._offsets: dict[bytes, int] = {}
        """Where the suffixes of names stand, but for those of the question."""

    def add(self, record: Record) -> None:
        """Append one record."""
        out, rdata = self.out, record.rdata
        pointer = self._owner(record.owner)
        if not record.targets:
            out += _FIXED.pack(record.rtype, record.rclass, record.ttl, len(rdata))
            if record.rtype == codes.SRV:
                # The target is spelled out, but the additional section may point at it.
                self._remember(rdata[6:], len(out) + 6, ROOT)
            out += rdata
        elif pointer and (below := _below(record)):
            # The names of a SOA, which most negative answers have.
            rdata = pointer.join((*below, rdata))
            out += _FIXED.pack(record.rtype, record.rclass, record.ttl, len(rdata)) + rdata
        else:
            out += _FIXED.pack(record.rtype, record.rclass, record.ttl, 0)
            begin = len(out)
            for target in record.targets:
                self._name(target)
            out += rdata
            out[begin - 2 : begin] = (len(out) - begin).to_bytes(2)
        self.has_soa |= record.rtype == codes.SOA
        self.starts.append(len(out))

    def _owner(self, owner: Name) -> bytes:
        """Append an owner; return the pointer that it is, if it is one."""
        if owner == self._asked != ROOT:
            pointer = _POINTER_TO_QUESTION
        elif offset := self._find(owner):
            pointer = (_POINTER | offset).to_bytes(2)
        else:
            self._name(owner)
            return b""
        self.out += pointer
        return pointer

    def fitting(self, room: int) -> int:
        """How many records end within that many octets."""
        kept = len(self.starts) - 1
        while kept and self.starts[kept] > room:
            kept -= 1
        return kept

    def _name(self, name: Name) -> None:
        at = 0
        while name[at]:
            suffix = name[at:]
            offset = self._find(suffix)
            if offset:
                if at:
                    self._remember(name[:at] + ROOT, len(self.out), suffix)
                self.out += name[:at] + (_POINTER | offset).to_bytes(2)
                return
            at += 1 + name[at]
        self._remember(name, len(self.out), ROOT)
        self.out += name

    def _find(self, suffix: bytes) -> int:
        """Return where a suffix stands, 0 for nowhere."""
        asked = self._asked
        if suffix != ROOT and asked.endswith(suffix):
            # Noting where each suffix of the question stands would take 1.5 us, and nearly every
            # answer needs one of them at most.
            offset = len(asked) - len(suffix)
            if starts_label(asked, offset):
                return HEADER.size + offset
        return self._offsets.get(suffix, 0)

    def _remember(self, name: Name, start: int, suffix: bytes) -> None:
        """Note where each suffix of a name stands; ``suffix`` was written before."""
        at = 0
        while name[at] and start + at <= _MAX_POINTER:
            self._offsets.setdefault(name[at:-1] + suffix, start + at)
            at += 1 + name[at]
