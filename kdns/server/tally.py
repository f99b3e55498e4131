"""How many queries a server answered, and how: plain numbers that processes can add up.

A prepared packet counts its own sendings (``Packet.hits``), which costs 20 ns a query; ``flush``
folds them in, so that the numbers are exact to the query whenever they are read.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeAlias, TypeVar

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

_K = TypeVar("_K")
_Zone: TypeAlias = tuple[str, str]
"""Zone of the server block and view; kdns has no views, so the latter is empty."""


class Traffic(Struct, frozen=True, gc=False):
    """All that is counted of a query and its reply."""

    zone: str
    transport: Transport
    family: str
    """1 for IPv4, 2 for IPv6."""
    rtype: str
    rcode: str
    by: str
    """The plugin that made the response; empty for the server itself."""
    do: bool
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


class Tally:
    """The counts of one server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str, str, str]] = Counter()
        """By zone, view, transport, family and type."""
        self.responses: Counter[tuple[str, str, str, str]] = Counter()
        """By zone, view, rcode and plugin."""
        self.do: Counter[_Zone] = Counter()
        self.durations: dict[_Zone, Histogram] = {}
        """Seconds from reading a query to sending its reply."""
        self.request_sizes: dict[tuple[str, str, str], Histogram] = {}
        self.response_sizes: dict[tuple[str, str, str], Histogram] = {}
        """Octets, by zone, view and transport."""
        self.panics = 0
        """Queries that made a handler fail."""

    def count(self, traffic: Traffic, seconds: float, times: int = 1) -> None:
        """Count queries that looked the same."""
        zone = (traffic.zone, "")
        way = (*zone, traffic.transport)
        self.requests[(*way, traffic.family, traffic.rtype)] += times
        self.responses[(*zone, traffic.rcode, traffic.by)] += times
        if traffic.do:
            self.do[zone] += times
        _of(self.durations, zone, SECONDS).observe(seconds, times)
        _of(self.request_sizes, way, OCTETS).observe(traffic.asked, times)
        _of(self.response_sizes, way, OCTETS).observe(traffic.replied, times)

    def fold(self, packets: Iterable[Counted], seconds: float) -> None:
        """Move the hits of prepared packets here; each took that long on average."""
        for packet in packets:
            if packet.hits:
                if packet.traffic is not None:
                    self.count(packet.traffic, seconds, packet.hits)
                packet.sent(packet.hits)
                packet.hits = 0


def rtype_label(rtype: int) -> str:
    """Return a type as metrics name it: rare ones together, so that nobody can make labels."""
    text = QTYPE.get(rtype)
    return text if text in _NAMED else OTHER


def rcode_label(rcode: int) -> str:
    """Return an rcode as metrics name it."""
    return RCODE.forward.get(rcode) or _LATER_RCODES.get(rcode) or str(rcode)


def _of(histograms: dict[_K, Histogram], key: _K, bounds: tuple[float, ...]) -> Histogram:
    found = histograms.get(key)
    if found is None:
        found = histograms[key] = Histogram(bounds)
    return found
