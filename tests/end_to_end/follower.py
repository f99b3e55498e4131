"""An API source that runs on a loop of its own, and a fold of what it says. Knows no cluster."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread, get_ident

from kdns.kube.access import Access
from kdns.kube.api import ApiSource
from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.objects import Key, Kind, Object
from kdns.kube.resources import Selection
from kdns.kube.status import Status
from kdns.kube.watch import Pace
from tests.patience import PATIENCE

HASTY = Pace(first=0.01, ceiling=0.05)
"""For tests that wait for a recovery and not for a back-off."""


class Follower:
    """What a store would know, and what it was told."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.synced: set[Kind] = set()
        self.threads: set[int] = set()
        self.source: ApiSource | None = None
        self._live: dict[Kind, dict[Key, Object]] = {}
        self._incoming: dict[Kind, dict[Key, Object]] = {}
        self._news = Condition()

    def __call__(self, change: Change) -> None:
        with self._news:
            self.threads.add(get_ident())
            self.changes.append(change)
            self._fold(change)
            self._news.notify_all()

    def _fold(self, change: Change) -> None:
        match change:
            case Init(kind):
                self._incoming[kind] = {}
            case InitDone(kind):
                self._live[kind] = self._incoming.pop(kind)
                self.synced.add(kind)
            case Apply(item):
                self._objects(item.KIND)[item.key] = item
            case Delete(kind, key, uid):
                before = self._objects(kind).get(key)
                if before is not None and before.uid == uid:
                    del self._objects(kind)[key]

    def _objects(self, kind: Kind) -> dict[Key, Object]:
        return self._incoming.get(kind, self._live.setdefault(kind, {}))

    def live(self, kind: Kind) -> dict[Key, Object]:
        with self._news:
            return dict(self._live.get(kind, {}))

    def versions(self, kind: Kind) -> dict[Key, int]:
        return {key: item.version for key, item in self.live(kind).items()}

    def status(self, kind: Kind, namespace: str = "") -> Status:
        assert self.source is not None
        found = [s for s in self.source.statuses if (s.kind, s.namespace) == (kind, namespace)]
        return found[0]

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true; what is not told by a change is looked at often."""
        for _ in range(int(PATIENCE * 100)):
            if true():
                return
            with self._news:
                self._news.wait(0.01)
        raise TimeoutError(f"not within {PATIENCE} s: {self.source and self.source.statuses}")


@contextmanager
def following(
    access: Access | str, wanted: Selection | None = None, pace: Pace = HASTY
) -> Iterator[Follower]:
    """Follow a cluster on a thread with an event loop while the block runs."""
    access = Access(access, read_timeout=10.0) if isinstance(access, str) else access
    follower, stop, started = Follower(), asyncio.Event(), Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with ApiSource(follower, access, wanted, pace=pace) as follower.source:
            started.set()
            await stop.wait()

    thread = Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield follower
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
