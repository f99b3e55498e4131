"""What a resolver gives back: plain values with texts in them. Knows no engine and no cluster."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from msgspec import Struct

Address: TypeAlias = IPv4Address | IPv6Address
NOERROR = "NOERROR"
NOBODY = "nobody"
"""Who answers for names that no plugin answers for."""


class Record(Struct, frozen=True):
    """A resource record."""

    name: str
    """Its owner, with the final dot."""
    ttl: int
    """Seconds."""
    rtype: str
    """``A``, ``SRV``; ``TYPE123`` where the type has no name."""
    data: str
    """As a master file has it: ``10.0.0.1``, ``0 100 80 web.default.svc.cluster.local.``."""

    def __str__(self) -> str:
        return f"{self.name}\t{self.ttl}\tIN\t{self.rtype}\t{self.data}"


class Tried(Struct, frozen=True):
    """A name that was asked for one type."""

    name: str
    """With the final dot."""
    rtype: str
    rcode: str
    """``NOERROR``, ``NXDOMAIN``; empty where nobody could be asked, for a name that is too long."""
    records: tuple[Record, ...] = ()
    """The answer section; NOERROR without any is NODATA."""
    reason: str = ""
    """Why there is no more, in words, where that is known."""
    by: str = ""
    """The plugin that answered; ``nobody`` for a name that is outside the cluster, where no
    upstream is configured."""

    @property
    def found(self) -> bool:
        """Whether this ends a search: NOERROR with an answer."""
        return self.rcode == NOERROR and bool(self.records)

    def __str__(self) -> str:
        became = self.rcode or "not asked"
        if self.rcode == NOERROR and not self.records:
            became = "NODATA"
        return f"{self.name} {self.rtype}: {became}{f' ({self.reason})' if self.reason else ''}"


class Result(Struct, frozen=True):
    """The answer to a question."""

    question: str
    """The name as it was asked."""
    rtype: str
    name: str
    """The full name that matched; where none did, the one whose failure this is."""
    rcode: str
    """``NOERROR``, ``NXDOMAIN``, ``SERVFAIL``, ``REFUSED``, ... of that name."""
    records: tuple[Record, ...] = ()
    """Its answer, aliases first; NOERROR without any record is NODATA."""
    reason: str = ""
    """Why there is no answer, or why it may be out of date; empty where there is nothing to say."""
    tried: tuple[Tried, ...] = ()
    """Every name that was asked, in order."""

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.rcode == NOERROR and bool(self.records)

    @property
    def unasked(self) -> tuple[str, ...]:
        """The names outside the cluster that nobody was asked about: they may well exist."""
        return tuple(dict.fromkeys(one.name for one in self.tried if one.by == NOBODY))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses among the records."""
        return tuple(ip_address(one.data) for one in self.records if one.rtype in {"A", "AAAA"})

    @property
    def canonical(self) -> str:
        """The name at the end of the aliases that begin at ``name``."""
        targets = {one.name.lower(): one.data for one in self.records if one.rtype == "CNAME"}
        name = self.name
        for _ in range(len(targets)):
            name = targets.get(name.lower(), name)
        return name

    def __str__(self) -> str:
        """Write it as lines of a master file, all but the records in comments."""
        tried = [f"; {one}" for one in self.tried]
        return "\n".join([*tried, *map(str, self.records)])


def same(one: Result, other: Result) -> bool:
    """Whether two results say the same; order and TTL of records say nothing."""

    def said(result: Result) -> tuple[str, str, frozenset[tuple[str, str, str]]]:
        records = frozenset((one.name, one.rtype, one.data) for one in result.records)
        return result.name, result.rcode, records

    return said(one) == said(other)
