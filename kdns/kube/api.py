"""The API server as a source of changes: threads that read, one event loop that is told.

Each collection has a reflector on a thread of its own; its changes cross to the event loop in
batches, and the sink is called there. Knows no DNS.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition
from types import TracebackType
from typing import Self

from kdns.kube.access import Access
from kdns.kube.changes import Change, Sink
from kdns.kube.connect import Connection
from kdns.kube.measures import Measures
from kdns.kube.merge import Merger
from kdns.kube.objects import Kind
from kdns.kube.reflector import BATCH, Batch, Clock, Reflector, log
from kdns.kube.resources import Selection, Target, targets
from kdns.kube.status import Status
from kdns.kube.watch import Pace

PENDING = 5_000
"""Changes that may wait for the event loop before the readers have to."""
JOIN = 1.0
"""Seconds in which all readers should notice that they were stopped; they are daemons."""


class Bridge:
    """Takes batches from many threads to the event loop, in order and never too many at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[Batch], None]) -> None:
        """``take`` is called on the loop's thread."""
        self._loop = loop
        self._take = take
        self._batches: deque[Batch] = deque()
        self._pending = 0
        self._scheduled = False
        self._closed = False
        self._room = Condition()

    def put(self, batch: Batch) -> None:
        """Hand over a batch; waits while the loop is far behind. Called by readers."""
        with self._room:
            self._room.wait_for(lambda: self._closed or self._pending < PENDING)
            if self._closed:
                return
            self._batches.append(batch)
            self._pending += len(batch.changes)
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon_threadsafe(self._drain)

    def close(self) -> None:
        """Drop what is left and let go of readers that wait."""
        with self._room:
            self._closed = True
            self._batches.clear()
            self._room.notify_all()

    def _drain(self) -> None:
        """Take some batches, then let the loop answer what has come in meanwhile."""
        taken = 0
        while taken < BATCH:
            batch = self._next()
            if batch is None:
                return
            taken += max(len(batch.changes), 1)
            self._take(batch)
        self._loop.call_soon(self._drain)

    def _next(self) -> Batch | None:
        with self._room:
            if not self._batches:
                self._scheduled = False
                return None
            batch = self._batches.popleft()
            self._pending -= len(batch.changes)
            self._room.notify_all()
            return batch


class ApiSource:
    """Follows the selected part of a cluster while its block runs.

    ``async with ApiSource(sink, Access(kubeconfig)) as source: ...``
    """

    def __init__(  # noqa: PLR0913 - pace and clock are for tests, which cannot wait
        self,
        sink: Sink,
        access: Access | None = None,
        wanted: Selection | None = None,
        *,
        told: Callable[[], None] = lambda: None,
        measures: Measures | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Read the configuration, or raise ``UsageError``; the network is not touched yet.

        ``told`` is called, on the loop's thread, whenever ``statuses`` may have changed;
        ``measures`` on the threads of the readers.
        """
        self._sink = sink
        self._told = told
        self._access = access or Access()
        self._pace = pace or Pace()
        self._clock = clock or Clock()
        self._bridge: Bridge | None = None
        self._reflectors: tuple[Reflector, ...] = ()
        self._targets = targets(wanted or Selection())
        self._connections = [Connection(self._access, measures) for _ in self._targets]
        self._mergers = _mergers(self._targets)
        self._statuses = {
            target: Status(target.kind, target.resource.name, target.namespace)
            for target in self._targets
        }

    @property
    def kinds(self) -> frozenset[Kind]:
        """Return the kinds that this source will list."""
        return frozenset(target.kind for target in self._targets)

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return self._connections[0].server

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Return how each collection is doing, never ahead of what the sink was told."""
        return tuple(self._statuses.values())

    async def __aenter__(self) -> Self:
        """Start reading."""
        loop = asyncio.get_running_loop()
        self._bridge = Bridge(loop, self._take)
        self._reflectors = tuple(
            Reflector(target, connection, self._bridge.put, self._pace, self._clock)
            for target, connection in zip(self._targets, self._connections, strict=True)
        )
        for reflector in self._reflectors:
            reflector.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading; afterwards the sink is not called any more."""
        if self._bridge is not None:
            self._bridge.close()
        for reflector in self._reflectors:
            reflector.stop()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        until = time.monotonic() + JOIN
        for reflector in self._reflectors:
            reflector.join(max(0.0, until - time.monotonic()))

    def _take(self, batch: Batch) -> None:
        target, merger = batch.target, self._mergers.get(batch.target.kind)
        self._statuses[target] = batch.status
        if merger is None:
            self._tell(batch.changes)
        else:
            for change in batch.changes:
                self._tell(merger.feed(target.namespace, change))
            if batch.status.forbidden:
                self._tell(merger.excuse(target.namespace))
        self._told()

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            try:
                self._sink(change)
            except Exception:  # noqa: BLE001 - what one object does to the sink must not cost the others
                log.exception("a change was not taken: %s", change)


def _mergers(followed: Iterable[Target]) -> dict[Kind, Merger]:
    """Return a merger for each kind that has more than one collection."""
    scopes: dict[Kind, list[str]] = {}
    for target in followed:
        scopes.setdefault(target.kind, []).append(target.namespace)
    return {kind: Merger(kind, found) for kind, found in scopes.items() if len(found) > 1}
