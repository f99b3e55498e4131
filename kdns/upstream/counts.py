"""What happened at one upstream, in plain numbers. Knows no metrics: a plugin shows them."""

from bisect import bisect_left
from collections import Counter

SECONDS = tuple(0.00025 * 2**n for n in range(16))
"""Upper bounds of the buckets of durations, as CoreDNS has them."""


class Durations:
    """How long responses took: ``buckets`` has one more than ``SECONDS``, for all above."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.sum = 0.0


class Counts:
    """The numbers of one upstream; they only grow."""

    def __init__(self) -> None:
        self.durations: dict[int, Durations] = {}
        """By rcode."""
        self.opened: Counter[str] = Counter()
        """Questions from a new socket, by transport."""
        self.reused: Counter[str] = Counter()
        """Questions from a socket that was used before."""
        self.failed_checks = 0

    def answered(self, rcode: int, seconds: float) -> None:
        """Count a response that came so many seconds after its question was sent."""
        found = self.durations.get(rcode)
        if found is None:
            found = self.durations[rcode] = Durations()
        found.buckets[bisect_left(SECONDS, seconds)] += 1
        found.sum += seconds
