"""The rows of the table of queries: what is asked, in which way, of whom, and the budget.

Knows what the rows mean. Measures nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench import questions
from bench.contestants import CACHING, COREDNS, FAST, KDNS, NSD, UNBOUND
from bench.load import Way
from bench.questions import Questions

CLUSTER = (KDNS, FAST, COREDNS, CACHING, NSD)
OUTSIDE = (KDNS, FAST, COREDNS, UNBOUND)
FASTEST = 60_000
"""Queries a second for which there have to be names that nobody asked before."""
PARTS = 5
"""Of all names, one for each round: none comes twice, as long as there are no more rounds."""
IDLE_RATE, IDLE_TIMES = 2000, 3
FLOOD_RATE, WORK_RATE = 8000, 1000


@dataclass(frozen=True)
class Budget:
    """How much CPU kdns may use for a query, as a share of what others use; 0 is no limit."""

    coredns: float = 0
    nsd: float = 0


@dataclass(frozen=True)
class Row:
    """One kind of work."""

    name: str
    lines: Callable[[Questions, int, float], Sequence[str]]
    """From what can be asked, the number of the round and the seconds to the questions."""
    way: Callable[[Way], Way] = lambda way: way
    contestants: tuple[str, ...] = CLUSTER
    budget: Budget = Budget()
    warm: bool = True
    """Whether everything was asked before."""


def _unknown(make: Callable[[int], list[str]]) -> Callable[[Questions, int, float], list[str]]:
    return lambda _, __, seconds: make(int(seconds * FASTEST))


def _first(known: Questions, number: int, seconds: float) -> Sequence[str]:
    lines = questions.part(known.everything, number, PARTS)
    return lines[: int(seconds * FASTEST)]


def _once(way: Way) -> Way:
    return replace(way, once=True)


_PREPARED = Budget(coredns=0.20, nsd=1.3)
_FIRST = Budget(coredns=0.7)
_LARGE = Budget(coredns=0.06, nsd=1.5)

ROWS = (
    Row("first ask", _first, _once, budget=_FIRST, warm=False),
    Row("A of ClusterIPs", lambda known, *_: known.cluster_ip(), budget=_PREPARED),
    Row("NXDOMAIN of the search list", lambda known, *_: known.search_list(), budget=_PREPARED),
    Row("SRV", lambda known, *_: known.srv(), budget=_PREPARED),
    Row("PTR", lambda known, *_: known.ptr(), budget=Budget(coredns=0.35, nsd=1.3)),
    Row("mix of ndots:5, A and AAAA", lambda known, *_: known.mix(), budget=_PREPARED),
    Row("A of 100 endpoints, 512 octets", lambda known, *_: known.headless(), budget=_LARGE),
    Row(
        "A of 100 endpoints, EDNS 4096",
        lambda known, *_: known.headless(),
        lambda way: replace(way, edns=True),
        budget=_LARGE,
    ),
    Row("flood of random names", _unknown(questions.missing), _once, budget=_FIRST, warm=False),
    Row(
        "A of ClusterIPs, 2,000 a second",
        lambda known, *_: known.cluster_ip(),
        lambda way: replace(way, rate=IDLE_RATE, seconds=way.seconds * IDLE_TIMES),
    ),
    Row(
        "A of ClusterIPs over TCP",
        lambda known, *_: known.cluster_ip(),
        lambda way: replace(way, tcp=True, clients=10),
    ),
    Row(
        "forwarded, cached",
        lambda *_: questions.known_outside(),
        contestants=OUTSIDE,
        budget=Budget(coredns=0.5),
    ),
    Row(
        "forwarded, not cached",
        _unknown(questions.outside),
        _once,
        OUTSIDE,
        Budget(coredns=1.0),
        warm=False,
    ),
)

BESIDE = Row(
    f"flood of {FLOOD_RATE:,} and {WORK_RATE:,} other queries a second",
    lambda known, *_: known.cluster_ip(),
)
AFTER = Row("the other queries right after that flood", lambda known, *_: known.cluster_ip())
