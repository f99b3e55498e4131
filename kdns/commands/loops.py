"""The event loop of the servers: uvloop's where that is installed, or asyncio's own."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from kdns.errors import UsageError

VARIABLE = "KDNS_LOOP"
"""Of the environment: ``asyncio`` or ``uvloop`` have a server take that and no other."""
T = TypeVar("T")
_Factory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function to its end in the fastest event loop that there is.

    Raises UsageError where the environment wants one that there is not.
    """
    with asyncio.Runner(loop_factory=_factory(os.environ.get(VARIABLE, ""))) as runner:
        return runner.run(work())


def _factory(wanted: str) -> _Factory | None:
    """Return what makes event loops; None is for asyncio's own."""
    if wanted == "asyncio":
        return None
    if wanted not in {"", "uvloop"}:
        raise UsageError(f"{VARIABLE}: expected asyncio or uvloop, got {wanted!r}")
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - it may be missing
    except ImportError:
        if wanted:
            raise UsageError(f"{VARIABLE}: uvloop is not installed") from None
        return None
    made: _Factory = new_event_loop
    return made


def remark() -> str:
    """Return what the start-up text has to say of the running event loop."""
    package = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    return "" if package == "asyncio" else f", {package}"
