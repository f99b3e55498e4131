"""An event loop on a thread of its own, for programs without one. Knows no DNS."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from kdns.errors import UsageError

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that others have to finish what they were doing when the loop was stopped."""


class Background:
    """Runs coroutines for other threads. The thread is a daemon: it never keeps a program alive."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate = threading.Lock()
        """Held while something is handed to the loop: nothing is after it was stopped."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(loop,), name=self._name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return what it returns.

        Whoever is interrupted while waiting, by SIGINT for instance, cancels it. UsageError where
        no loop runs, or on the thread of the loop itself, which would wait for ever.
        """
        outcome: Future[T] = Future()
        try:
            self._hand_over(work, outcome)
            return outcome.result()
        except CancelledError:
            raise UsageError("the cluster was closed meanwhile") from None
        except BaseException:
            outcome.cancel()
            raise

    def _hand_over(self, work: Coroutine[Any, Any, T], outcome: "Future[T]") -> None:
        with self._gate:
            loop = self._loop
            if loop is None or threading.current_thread() is self._thread:
                work.close()
                raise UsageError("the cluster is not open: use it in a with block")
            loop.call_soon_threadsafe(_begin, work, outcome, loop)

    def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what tidies up; where no loop runs any more, that was done."""
        with suppress(UsageError):
            self.run(work)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the thread of the loop."""

        async def work() -> T:
            return function()

        return self.run(work())

    def stop(self) -> None:
        """End the loop and its thread, and everything that still runs there."""
        with self._gate:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None:
            self._thread.join()


def _begin(
    work: Coroutine[Any, Any, T], outcome: "Future[T]", loop: asyncio.AbstractEventLoop
) -> None:
    """Start a coroutine whose outcome another thread waits for, unless it no longer does."""
    task = loop.create_task(work)

    def ended(task: asyncio.Task[T]) -> None:
        with suppress(InvalidStateError):  # nobody waits any more
            if task.cancelled():
                outcome.cancel()
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

    def settled(outcome: "Future[T]") -> None:
        if outcome.cancelled():
            with suppress(RuntimeError):  # the loop has ended, and the task with it
                loop.call_soon_threadsafe(task.cancel)

    task.add_done_callback(ended)
    outcome.add_done_callback(settled)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, let what is being finished finish, and cancel the rest."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    if tasks := asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.wait(tasks, timeout=PATIENCE))
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
