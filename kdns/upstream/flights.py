"""Questions that are the same wait for one exchange.

That leaves a forger one id and one port to guess instead of many (RFC 5452 section 5).
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from kdns.prompt import Prompt

_T = TypeVar("_T")


class Flights(Generic[_T]):
    """The exchanges that are under way, and those who wait for each."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Prompt[tuple[_T, ...]]]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of the exchange with this key.

        The first to come does the work, where it waits. When it leaves, another one begins again.
        """
        while (waiting := self._waiting.get(key)) is not None:
            future: Prompt[tuple[_T, ...]] = Prompt()
            waiting.append(future)
            if outcome := await future:
                return outcome[0]
        waiting = self._waiting[key] = []
        outcome = ()
        try:
            result = await work()
            outcome = (result,)
            return result
        finally:
            del self._waiting[key]
            for future in waiting:
                if not future.done():
                    future.set_result(outcome)
