"""How many queries a server answered, and how: plain numbers that processes can add up.

A prepared packet counts its own sendings (``Packet.hits``), which costs 20 ns a query; ``flush``
folds them in, so that the numbers are exact to the query whenever they are read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from operator import add
from typing import Literal, Protocol, TypeAlias, TypeVar

from dnslib import QTYPE, RCODE
from msgspec import Struct

from kdns.chain import Transport

SECONDS = tuple(0.00025 * 2**n for n in range(16))
OCTETS = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000)
"""Upper bounds of the buckets, as CoreDNS has them."""
DROPPED = "dropped"
"""The zone of queries that no server block is for."""
OTHER = "other"
_NAMED = frozenset(
    (
        *("A", "AAAA", "CNAME", "DNSKEY", "DS", "MX", "NSEC3", "NSEC", "NS", "PTR"),
        *("RRSIG", "SOA", "SRV", "TXT", "HTTPS", "SVCB", "IXFR", "AXFR", "ANY"),
    )
)

_LATER_RCODES = {16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 23: "BADCOOKIE"}

_RTYPES: dict[int, str] = {rtype: text for rtype, text in QTYPE.forward.items() if text in _NAMED}
_RCODES: dict[int, str] = {**RCODE.forward, **_LATER_RCODES}

_K = TypeVar("_K")
_Zone: TypeAlias = tuple[str, str]
"""Zone of the server block and view; kdns has no views, so the latter is empty."""
_Way: TypeAlias = tuple[str, str, str]
"""Zone, view and transport."""
Sort: TypeAlias = tuple[str, Transport, Literal["1", "2"], str, str, str, bool]
"""What metrics tell queries apart by: zone of the server block, transport, family (1 is IPv4, 2 is
IPv6), type, rcode, the plugin that made the response (empty for the server itself), and DO."""


class Traffic(Struct, frozen=True, gc=False):
    """All that is counted of a query and its reply."""

    sort: Sort
    asked: int
    """Octets of the query."""
    replied: int
    """Octets of the reply."""


class Counted(Protocol):
    """What counts its own sendings."""

    hits: int
    traffic: Traffic | None

    def sent(self, times: int) -> None:
        """Take note of sendings that were counted."""


class Histogram:
    """Counts by size: ``buckets`` has one more than ``bounds``, for all above the last."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, as often as it occurred."""
        self.buckets[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def copied(self) -> "Histogram":
        """Return the same counts, which stay as they are."""
        return Histogram(self.bounds).with_all_of(self)

    def with_all_of(self, other: "Histogram") -> "Histogram":
        """Add the counts of another one with the same bounds; return this one."""
        self.buckets = [*map(add, self.buckets, other.buckets)]
        self.sum += other.sum
        return self


class _Count:
    """The queries of one sort."""

    __slots__ = ("asked", "replied", "seconds", "times")

    def __init__(self) -> None:
        self.times = 0
        self.seconds = Histogram(SECONDS)
        self.asked = Histogram(OCTETS)
        self.replied = Histogram(OCTETS)

    def copied(self) -> "_Count":
        copied = _Count()
        copied.times = self.times
        copied.seconds, copied.asked, copied.replied = (
            shape.copied() for shape in (self.seconds, self.asked, self.replied)
        )
        return copied


class Tally:
    """The counts of one server.

    Queries are counted by sort, one look-up for each. The sums that metrics show are made when
    somebody reads them.
    """

    def __init__(self) -> None:
        self.panics = 0
        """Queries that made a handler fail."""
        self._sorts: dict[Sort, _Count] = {}

    def count(self, traffic: Traffic, seconds: float, times: int = 1) -> None:
        """Count queries that looked the same; ``seconds`` is from reading to sending, of each."""
        found = self._sorts.get(traffic.sort)
        if found is None:
            found = self._sorts[traffic.sort] = _Count()
        found.times += times
        found.seconds.observe(seconds, times)
        found.asked.observe(traffic.asked, times)
        found.replied.observe(traffic.replied, times)

    def fold(self, packets: Iterable[Counted], seconds: float) -> None:
        """Move the hits of prepared packets here; each took that long on average."""
        for packet in packets:
            if packet.hits:
                if packet.traffic is not None:
                    self.count(packet.traffic, seconds, packet.hits)
                packet.sent(packet.hits)
                packet.hits = 0

    def copied(self) -> "Tally":
        """Return the same counts, which stay as they are."""
        copied = Tally()
        copied.panics = self.panics
        copied._sorts = {sort: count.copied() for sort, count in self._sorts.items()}
        return copied

    @property
    def requests(self) -> Counter[tuple[str, str, str, str, str]]:
        """Return queries by zone, view, transport, family and type."""
        return _sums(
            ((zone, "", transport, family, rtype), count.times)
            for (zone, transport, family, rtype, *_), count in self._sorts.items()
        )

    @property
    def responses(self) -> Counter[tuple[str, str, str, str]]:
        """Return replies by zone, view, rcode and plugin."""
        return _sums(
            ((zone, "", rcode, by), count.times)
            for (zone, _, _, _, rcode, by, _), count in self._sorts.items()
        )

    @property
    def do(self) -> Counter[_Zone]:
        """Return queries with the DO bit by zone and view."""
        return _sums(((zone, ""), one.times) for (zone, *_, do), one in self._sorts.items() if do)

    @property
    def durations(self) -> dict[_Zone, Histogram]:
        """Return seconds from reading a query to sending its reply by zone and view."""
        return _shapes(((sort[0], ""), count.seconds) for sort, count in self._sorts.items())

    @property
    def request_sizes(self) -> dict[_Way, Histogram]:
        """Return octets of queries."""
        return _shapes(((sort[0], "", sort[1]), one.asked) for sort, one in self._sorts.items())

    @property
    def response_sizes(self) -> dict[_Way, Histogram]:
        """Return octets of replies."""
        return _shapes(((sort[0], "", sort[1]), one.replied) for sort, one in self._sorts.items())


def rtype_label(rtype: int) -> str:
    """Return a type as metrics name it: rare ones together, so that nobody can make labels."""
    return _RTYPES.get(rtype, OTHER)


def rcode_label(rcode: int) -> str:
    """Return an rcode as metrics name it."""
    return _RCODES.get(rcode) or str(rcode)


def _sums(counts: Iterable[tuple[_K, int]]) -> Counter[_K]:
    found = Counter[_K]()
    for key, times in counts:
        found[key] += times
    return found


def _shapes(shapes: Iterable[tuple[_K, Histogram]]) -> dict[_K, Histogram]:
    found: dict[_K, Histogram] = {}
    for key, shape in shapes:
        before = found.get(key)
        found[key] = shape.copied() if before is None else before.with_all_of(shape)
    return found
