"""Two answers to one question, and what differs between them. Knows no server and no reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

SECTIONS = ("answer", "authority", "additional")
SERIAL_AT = 2
"""Which word of a SOA's rdata is the serial; it is each process's own."""
EDE = 15
CUT_SLACK = 3
"""Records by which two truncated answers may differ: names are compressed as each server likes."""


@dataclass(frozen=True, order=True)
class Row:
    """A record, apart from its class."""

    owner: str
    rtype: str
    rdata: str
    ttl: int

    def __str__(self) -> str:
        return f"{self.owner} {self.ttl} {self.rtype} {self.rdata}"

    @property
    def bare(self) -> tuple[str, str, str]:
        """Everything but the TTL."""
        return self.owner, self.rtype, self.rdata


@dataclass(frozen=True)
class Reply:
    """An answer, read."""

    rcode: str
    flags: frozenset[str]
    question: str
    answer: tuple[Row, ...]
    """In the order of the message, as the other sections."""
    authority: tuple[Row, ...]
    additional: tuple[Row, ...]
    edns: tuple[object, ...] | None
    """Size, DO, version and options, apart from explanations."""
    explanation: str

    @property
    def cut(self) -> bool:
        """Whether it is truncated."""
        return "TC" in self.flags

    @property
    def negative(self) -> bool:
        """Whether the answer section is empty."""
        return not self.answer

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(len(self.section(name)) for name in SECTIONS)

    def section(self, name: str) -> tuple[Row, ...]:
        """Return the section of that name."""
        rows: tuple[Row, ...] = getattr(self, name)
        return rows

    def folded(self) -> "Reply":
        """Return it with all names in lower case."""
        answer, authority, additional = (
            tuple(
                replace(row, owner=row.owner.lower(), rdata=row.rdata.lower())
                for row in self.section(name)
            )
            for name in SECTIONS
        )
        return replace(self, answer=answer, authority=authority, additional=additional)

    def lines(self) -> list[str]:
        """Write it for people."""
        found = [f"{self.rcode} {' '.join(sorted(self.flags))}", f"?{self.question}"]
        for name in SECTIONS:
            found += [f"{name}:"] if self.section(name) else []
            found += [f"  {row}" for row in sorted(self.section(name))]
        found += [f"edns: {self.edns}"] if self.edns is not None else []
        return found + ([f"because: {self.explanation}"] if self.explanation else [])


SILENCE = Reply("SILENCE", frozenset(), "", (), (), (), None, "")
"""No answer."""


def read(wire: bytes | None, *, fold: bool = False) -> Reply:
    """Read a message; ``fold`` takes the case of names to mean nothing."""
    if wire is None:
        return SILENCE
    try:
        message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    except (dns.exception.DNSException, ValueError) as error:
        return replace(SILENCE, rcode="UNREADABLE", explanation=f"{error!r}: {wire.hex()}")
    reply = _reply(message)
    return reply.folded() if fold else reply


def _reply(message: dns.message.Message) -> Reply:
    options = [option for option in message.options if int(option.otype) != EDE]
    explained = [option for option in message.options if int(option.otype) == EDE]
    edns = (int(message.payload), bool(message.ednsflags & dns.flags.DO), message.edns)
    return Reply(
        rcode=dns.rcode.to_text(message.rcode()),
        flags=frozenset(dns.flags.to_text(message.flags).split()),
        question=" ".join(map(str, message.question)),
        answer=_rows(message.answer),
        authority=_rows(message.authority),
        additional=_rows(message.additional),
        edns=(*edns, *sorted(map(str, options))) if message.edns >= 0 else None,
        explanation=" ".join(str(getattr(option, "text", "")) for option in explained),
    )


def _rows(section: Iterable[dns.rrset.RRset]) -> tuple[Row, ...]:
    return tuple(
        Row(rrset.name.to_text(), rtype, _rdata(rtype, str(rdata)), rrset.ttl)
        for rrset in section
        for rtype in (dns.rdatatype.to_text(rrset.rdtype),)
        for rdata in rrset
    )


def _rdata(rtype: str, text: str) -> str:
    """Write rdata, but for the serial of a SOA."""
    if rtype != "SOA":
        return text
    words = text.split()
    words[SERIAL_AT] = "*"
    return " ".join(words)


def differences(theirs: Reply, ours: Reply, slack: int = 0) -> frozenset[str]:
    """Return the kinds of difference; ``slack`` are the seconds by which TTLs may differ."""
    if theirs != ours and not (theirs.flags and ours.flags):
        return frozenset({"silence"})
    found = {"rcode"} if theirs.rcode != ours.rcode else set()
    found |= {f"flag {flag}" for flag in theirs.flags ^ ours.flags}
    found |= {"question"} if theirs.question != ours.question else set()
    found |= {"edns"} if theirs.edns != ours.edns else set()
    found |= {"order"} if _disordered(ours.answer) else set()
    if theirs.cut and ours.cut:
        return frozenset(found | _cut(theirs, ours))
    for name in SECTIONS:
        found |= _compare(name, theirs.section(name), ours.section(name), slack)
    return frozenset(found)


def _compare(name: str, theirs: tuple[Row, ...], ours: tuple[Row, ...], slack: int) -> set[str]:
    """Compare two sections as multisets."""
    if Counter(row.bare for row in theirs) != Counter(row.bare for row in ours):
        return {name}
    pairs = zip(sorted(theirs), sorted(ours), strict=True)
    return {"ttl"} if any(abs(one.ttl - other.ttl) > slack for one, other in pairs) else set()


def _cut(theirs: Reply, ours: Reply) -> set[str]:
    """Compare two truncated answers: which records of a set are in them is chance."""
    found = {"cut"} if abs(theirs.records - ours.records) > CUT_SLACK else set()
    shapes = [
        {(row.owner, row.rtype, row.ttl) for row in reply.answer if row.rtype in {"A", "AAAA"}}
        for reply in (theirs, ours)
    ]
    return found | ({"answer"} if shapes[0] != shapes[1] else set())


def _disordered(answer: tuple[Row, ...]) -> bool:
    """Whether an alias stands behind a record that it leads to."""
    seen: set[str] = set()
    for row in answer:
        if row.rtype == "CNAME" and row.rdata.lower() in seen:
            return True
        seen.add(row.owner.lower())
    return False


def beside(theirs: Reply, ours: Reply) -> str:
    """Write two answers side by side, marking the lines that are not in both."""
    left, right = theirs.lines(), ours.lines()
    rows = [("CoreDNS", "kdns"), *zip_longest(left, right, fillvalue="")]
    width = max(len(line) for line, _ in rows)
    common = set(left) & set(right)
    return "\n".join(
        f"  {one:{width}} {' ' if one in common or not one else '!'} | "
        f"{' ' if other in common or not other else '!'} {other}"
        for one, other in rows
    )
