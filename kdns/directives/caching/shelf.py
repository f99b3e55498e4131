"""What is kept, bounded in entries and in octets; what was unused for longest goes first.

Knows no clock and no query.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

from kdns.chain import Answer
from kdns.kube.owners import EVERYTHING, Owner
from kdns.wire.kept import Kept
from kdns.wire.names import Name

SHARDS = 256
"""A capacity is rounded down to a multiple of this, as in CoreDNS, which has as many shards."""
LEAST_CAPACITY = 4 * SHARDS
OCTETS = 2048
"""For each response that may be kept: all of them together take no more than so many each."""
SWEPT = 2
"""Entries that are looked at, whenever one is added, for whether they are of use."""
_ENTRY = 500
"""Octets of an entry without its content, about."""

Key: TypeAlias = tuple[Name, int, int, int, bool]
"""Name, type, class, CD and DO."""


class Entry:
    """A response that is kept, or the failure to get one."""

    __slots__ = (
        "answers",
        "asked",
        "content",
        "denial",
        "hits",
        "key",
        "owners",
        "refreshing",
        "retry",
        "size",
        "stored",
        "ttl",
        "until",
    )

    def __init__(self, key: Key, content: Kept | Answer, ttl: int, stored: float) -> None:
        self.key = key
        self.content = content
        self.ttl = ttl
        """Seconds."""
        self.stored = stored
        self.until = stored + ttl
        """Until when it is of any use."""
        self.answers = False
        """Whether it has what was asked for."""
        self.denial = False
        """Whether it says that there is nothing."""
        self.owners: tuple[Owner, ...] = ()
        """What would answer instead if it were there."""
        self.hits = 0
        self.asked = stored
        """When somebody asked last; only kept up for prefetching."""
        self.refreshing = False
        self.retry = 0.0
        """When the upstream may be asked again after a failure."""
        octets = content.octets if isinstance(content, Kept) else 0
        self.size = _ENTRY + len(key[0]) + octets


class Shelf:
    """Entries in the order of their last use."""

    def __init__(self, capacity: int) -> None:
        self.entries: OrderedDict[Key, Entry] = OrderedDict()
        self.octets = 0
        """About how much memory is taken."""
        self._capacity = capacity
        self._owned: dict[Owner, set[Key]] = {}

    def add(self, entry: Entry) -> int:
        """Keep an entry; return how many others had to make room."""
        self.remove(entry.key)
        self._sweep(entry.stored)
        self.entries[entry.key] = entry
        self.octets += entry.size
        for owner in entry.owners:
            self._owned.setdefault(owner, set()).add(entry.key)
        evicted = 0
        while len(self.entries) > self._capacity or self.octets > self._capacity * OCTETS:
            self.remove(next(iter(self.entries)))
            evicted += 1
        return evicted

    def remove(self, key: Key) -> None:
        """Keep it no longer, if it was kept."""
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        self.octets -= entry.size
        for owner in entry.owners:
            owned = self._owned[owner]
            owned.discard(key)
            if not owned:
                del self._owned[owner]

    def drop(self, owners: Iterable[Owner]) -> None:
        """Remove what one of these would answer instead."""
        for owner in owners:
            touched = tuple(self._owned) if owner == EVERYTHING else (owner,)
            for key in {key for one in touched for key in self._owned.get(one, ())}:
                self.remove(key)

    def clear(self) -> None:
        """Remove everything."""
        for key in tuple(self.entries):
            self.remove(key)

    def _sweep(self, now: float) -> None:
        """Remove what is longest unused, if it is of no use: memory is not to be held for it."""
        for _ in range(SWEPT):
            oldest = next(iter(self.entries.values()), None)
            if oldest is None or now < oldest.until:
                return
            self.remove(oldest.key)


def rounded(capacity: int) -> int:
    """Return the capacity that CoreDNS has where this one is asked for, evenly filled."""
    return max(LEAST_CAPACITY, capacity // SHARDS * SHARDS)
