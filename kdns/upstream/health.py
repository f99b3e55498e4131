"""Whether one upstream is in working order: asked about only after something went wrong.

As long as checks fail they are repeated. Whatever comes back, be it an error, is a sign of life.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from kdns.errors import UpstreamError
from kdns.upstream.counts import Counts
from kdns.upstream.question import Question, question
from kdns.upstream.settings import Settings
from kdns.wire import codes
from kdns.wire.query import ask

TIMEOUT = 1.0
"""Seconds that a check waits for its response."""
MIN_INTERVAL = 0.01
"""Seconds between two checks, whatever the settings say: without a pause nothing else would run."""


class Health:
    """Counts the health checks of an upstream that failed in a row."""

    def __init__(
        self,
        check: Callable[[Question, float], Awaitable[bytes]],
        settings: Settings,
        counts: Counts,
    ) -> None:
        """``check`` asks the upstream a question, until a time of the event loop."""
        self._check = check
        self._most = settings.max_fails
        self._interval = max(settings.check.interval, MIN_INTERVAL)
        query = ask(settings.check.domain, codes.NS)
        self._question = question(query if settings.check.recursion else replace(query, flags=0))
        self._counts = counts
        self._fails = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def down(self) -> bool:
        """Whether the upstream is not to be asked."""
        return 0 < self._most < self._fails

    @property
    def doubtful(self) -> bool:
        """Whether something went wrong and no check was successful since."""
        return self._task is not None

    def suspect(self) -> None:
        """Begin to check, after an exchange that failed."""
        if self._most and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._probe())

    def close(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _probe(self) -> None:
        loop = asyncio.get_running_loop()
        while not await self._alive(loop.time() + TIMEOUT):
            self._fails += 1
            self._counts.failed_checks += 1
            await asyncio.sleep(self._interval)
        self._fails = 0
        self._task = None

    async def _alive(self, until: float) -> bool:
        try:
            await self._check(self._question, until)
        except UpstreamError:
            return True
        except OSError:
            return False
        return True
