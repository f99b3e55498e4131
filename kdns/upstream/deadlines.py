"""Ends waits that take too long, with one timer for all of them.

Waits are all equally long, so the first to begin is the first to end. A timer of the event loop
for each would cost 3 us a query.
"""

import asyncio
from collections import deque
from typing import Any

_EARLY = 0.001
"""Seconds that the event loop's timers may be early."""


class Deadlines:
    """Futures that get a TimeoutError when they are not done in time."""

    def __init__(self) -> None:
        self._queue: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, future: "asyncio.Future[Any]", when: float) -> None:
        """End a future at a time of its event loop."""
        queue = self._queue
        while queue and queue[0][1].done():
            queue.popleft()
        if queue and when < queue[-1][0]:
            # The last attempt of a query: it may wait for less than the others.
            future.get_loop().call_at(when, _end, future)
            return
        queue.append((when, future))
        if self._timer is None:
            self._timer = future.get_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        loop, queue = asyncio.get_running_loop(), self._queue
        now = loop.time() + _EARLY
        while queue and (queue[0][1].done() or queue[0][0] <= now):
            _end(queue.popleft()[1])
        self._timer = loop.call_at(queue[0][0], self._sweep) if queue else None


def _end(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
