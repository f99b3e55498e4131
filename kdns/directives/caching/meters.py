"""The metrics of a cache, under the names that CoreDNS gives them. Knows no query."""

import threading
import weakref
from collections.abc import Mapping
from functools import partial

from prometheus_client import Counter

from kdns.directives.caching.shelf import Shelf
from kdns.metrics import Metrics

SUCCESS, DENIAL = "success", "denial"
_TYPED = ("server", "type", "zones", "view")
_PLAIN = ("server", "zones", "view")
_VIEW = ""
"""kdns has no views."""


class Counts:
    """What the queries of one server met with, counted on the event loop in 20 ns each."""

    def __init__(self) -> None:
        self.success = 0
        self.denial = 0
        self.misses = 0
        self.prefetches = 0
        self.drops = 0
        self.stale = 0
        self.success_evictions = 0
        self.denial_evictions = 0

    @property
    def requests(self) -> int:
        """Whatever was looked up."""
        return self.success + self.denial + self.misses


class Meters:
    """The metrics of one cache, by server."""

    def __init__(self, metrics: Metrics, zones: str, shelves: Mapping[str, Shelf]) -> None:
        """``zones`` are those of the directive, as text, with commas."""
        self._zones = zones
        # What Prometheus has of a cache lives on after a reload, and is not to hold its memory.
        self._shelves = {kind: weakref.ref(shelf) for kind, shelf in shelves.items()}
        self._counts: dict[str, Counts] = {}
        self._added: list[tuple[Counts, str, Counter, int]] = []
        """What is counted where, to which metric, and how much of it was added."""
        self._lock = threading.Lock()
        # First of all: a scrape asks the metrics in the order in which they were made. When it
        # asks for this one, what was counted is added to the others.
        self._entries = metrics.gauge("coredns_cache_entries", "Responses that are kept.", _TYPED)
        self._typed = {
            attribute: metrics.counter(f"coredns_cache_{name}_total", text, _TYPED)
            for attribute, name, text in _BY_TYPE
        }
        self._plain = {
            attribute: metrics.counter(f"coredns_cache_{name}_total", text, _PLAIN)
            for attribute, name, text in _BY_SERVER
        }

    def of(self, server: str) -> Counts:
        """Return where the queries of a server are counted."""
        found = self._counts.get(server)
        return self._begin(server) if found is None else found

    def add(self) -> None:
        """Add what was counted since the last time. Any thread may ask for it."""
        with self._lock:
            for index, (counts, attribute, counter, before) in enumerate(self._added):
                now = getattr(counts, attribute)
                counter.inc(now - before)
                self._added[index] = (counts, attribute, counter, now)

    def _begin(self, server: str) -> Counts:
        counts = self._counts[server] = Counts()
        with self._lock:
            for attribute, plain in self._plain.items():
                child = plain.labels(server, self._zones, _VIEW)
                self._added.append((counts, attribute, child, 0))
            for kind, shelf in self._shelves.items():
                for attribute, typed in self._typed.items():
                    child = typed.labels(server, kind, self._zones, _VIEW)
                    self._added.append((counts, kind + attribute, child, 0))
                size = partial(self._size, shelf)
                self._entries.labels(server, kind, self._zones, _VIEW).set_function(size)
        return counts

    def _size(self, wanted: "weakref.ref[Shelf]") -> int:
        self.add()
        shelf = wanted()
        return 0 if shelf is None else len(shelf.entries)


_BY_TYPE = (
    ("", "hits", "Queries answered from memory."),
    ("_evictions", "evictions", "Responses that made room for others."),
)
_BY_SERVER = (
    ("requests", "requests", "Queries that were looked up."),
    ("misses", "misses", "Queries not answered from memory. Deprecated: requests less hits."),
    ("prefetches", "prefetch", "Queries in the background, before or after something expired."),
    ("drops", "drops", "Responses that were not kept because they were malformed."),
    ("stale", "served_stale", "Queries answered with what had expired."),
)
