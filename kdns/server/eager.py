"""Run a coroutine at once, and go on with it by hand where it waits for a ``Prompt``.

A step by hand takes under 1 us. A task takes 8 us, and two more rounds of the event loop until
somebody hears of its result: it is for what waits for anything else. Python 3.12 has eager tasks,
but those wait like all others; kdns runs on 3.11. Knows nothing of DNS.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

from kdns.prompt import Prompt

T = TypeVar("T")


def start(work: Coroutine[Any, Any, T]) -> "T | Rest[T]":
    """Run until the first wait: return the result, or a future for it.

    Until it has waited for something else than a ``Prompt`` it is not inside a task: it must not
    use ``asyncio.current_task()`` or what stands on it (``asyncio.timeout``).
    """
    try:
        waited_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return Rest(work, waited_for)


class Rest(Prompt[T]):
    """The result of a coroutine that waits. It can be cancelled as a task can."""

    def __init__(self, work: Coroutine[Any, Any, T], waited_for: object) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._work = work
        self._waited_for: asyncio.Future[Any] = self._wait(waited_for)

    def cancel(self, msg: object = None) -> bool:
        """Have what is waited for raise CancelledError; whether there was anything to wait for."""
        return not self.done() and self._waited_for.cancel(msg)

    def _wait(self, waited_for: object) -> asyncio.Future[Any]:
        if isinstance(waited_for, Prompt):
            waited_for.resume(self._step)
            return waited_for
        task = self.get_loop().create_task(_rest(self._work, waited_for))
        task.add_done_callback(self._ended)
        return task

    def _step(self, _: object) -> None:
        """Go on: what was waited for is done."""
        try:
            waited_for = self._work.send(None)
        except StopIteration as done:
            self.set_result(done.value)
        except asyncio.CancelledError:
            super().cancel()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self.set_exception(error)
        else:
            self._waited_for = self._wait(waited_for)

    def _ended(self, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            super().cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(task.result())


@coroutine
def _rest(work: Coroutine[Any, Any, T], waited_for: object) -> Generator[object, Any, T]:
    """Hand the task what the coroutine waits for, and the coroutine what the task answers."""
    try:
        while True:
            try:
                value = yield waited_for
            except BaseException as error:  # noqa: BLE001 - cancellation too belongs to the work
                waited_for = work.throw(error)
            else:
                waited_for = work.send(value)
    except StopIteration as done:
        result: T = done.value
        return result
