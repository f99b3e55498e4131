"""A future that resumes a coroutine within the call that sets it.

With other futures a task goes on one round of the event loop later, and whoever waits for the task
two rounds later; each round looks at every socket. Knows nothing of DNS.
"""

import asyncio
from collections.abc import Callable
from typing import Self, TypeAlias, TypeVar

T = TypeVar("T")
_Call: TypeAlias = Callable[["Prompt[T]"], object]


class Prompt(asyncio.Future[T]):
    """What ``then`` was given is called at once; awaited in a task it is like any other future."""

    _calls: "tuple[_Call[T], ...]" = ()

    def then(self, call: "Callable[[Self], object]") -> None:
        """Call this with the future, which is pending, as soon as it is done."""
        self._calls += (call,)  # type: ignore[operator]

    def resume(self, call: "Callable[[Self], object]") -> None:
        """Call this when it is done, for a coroutine that has just awaited it."""
        # A task does the same; until then the future could not be awaited once more.
        self._asyncio_future_blocking = False
        self.then(call)

    def set_result(self, result: T) -> None:
        """Set the result, and tell."""
        super().set_result(result)
        self._tell()

    def set_exception(self, exception: type | BaseException) -> None:
        """Set what went wrong, and tell."""
        super().set_exception(exception)
        self._tell()

    def cancel(self, msg: object = None) -> bool:
        """Cancel, and tell; whether it was pending."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._tell()
        return cancelled

    def _tell(self) -> None:
        calls = self._calls
        if not calls:
            return
        self._calls = ()
        loop = self.get_loop()
        # A coroutine that goes on within the step of a task would take that for its own.
        inside = asyncio.current_task(loop) is not None
        for call in calls:
            if inside:
                loop.call_soon(call, self)
            else:
                call(self)
