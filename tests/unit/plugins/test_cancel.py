"""What takes too long is given up."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kdns.chain import Answer, Dropped, Request, Response
from kdns.errors import CorefileError
from kdns.plugins import cancel
from kdns.plugins.cancel import Cancel
from kdns.wire.message import Sections
from tests.plugin import answer, handled, plugin_of, request, setup_of

NAME = "example.org. A"
ANSWER = Answer(Sections(), by="last")


class Slow:
    """Waits for something, and says how the waiting ended."""

    def __init__(self, wait: Callable[[], Awaitable[object]]) -> None:
        self._wait = wait
        self.cancelled = False

    async def __call__(self, _: Request) -> Response:
        try:
            await self._wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ANSWER


async def for_ever() -> None:
    await asyncio.Event().wait()


async def for_a_moment() -> None:
    await asyncio.sleep(0)


async def in_vain() -> None:
    await asyncio.sleep(0)
    raise OSError("on purpose")


def test_an_answer_from_memory_is_never_a_task() -> None:
    async def last(_: Request) -> Response:
        assert asyncio.current_task() is None
        return ANSWER

    assert answer(plugin_of(cancel.setup, "cancel"), NAME, last=last) is ANSWER


def test_an_answer_in_time() -> None:
    slow = Slow(for_a_moment)

    assert answer(plugin_of(cancel.setup, "cancel"), NAME, last=slow) is ANSWER
    assert not slow.cancelled


def test_what_takes_too_long_is_cancelled_and_gets_no_reply() -> None:
    slow = Slow(for_ever)
    with pytest.raises(Dropped, match=r"no answer within 0\.01 s"):
        answer(plugin_of(cancel.setup, "cancel 10ms"), NAME, last=slow)

    assert slow.cancelled


def test_a_failure_is_passed_on() -> None:
    with pytest.raises(OSError, match="on purpose"):
        answer(plugin_of(cancel.setup, "cancel"), NAME, last=Slow(in_vain))


def test_when_nobody_waits_any_more_nothing_goes_on() -> None:
    slow = Slow(for_ever)

    async def leave() -> None:
        asked = asyncio.ensure_future(
            handled(request([plugin_of(cancel.setup, "cancel")], NAME, last=slow))
        )
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        await asyncio.sleep(0)

    asyncio.run(leave())

    assert slow.cancelled


SECONDS = {
    "cancel": 5.001,
    "cancel 1s": 1.0,
    "cancel 1ms": 0.001,
    "cancel 1m30s": 90.0,
    "cancel 1s\ncancel 2s": 2.0,
}


@pytest.mark.parametrize(("text", "seconds"), SECONDS.items(), ids=SECONDS)
def test_the_time(text: str, seconds: float) -> None:
    plugin = plugin_of(cancel.setup, text)

    assert isinstance(plugin, Cancel)
    assert plugin.timeout == seconds


REFUSED = {
    "no time": ("cancel 0s", "2: cancel: expected a duration of more than 0, got '0s'"),
    "a negative time": ("cancel -1s", "2: expected a duration of at least 0s, got '-1s'"),
    "no unit": ("cancel 5", "2: expected a duration like 30s, 1m30s or 500ms, got '5'"),
    "two": ("cancel 1s 2s", "2: cancel: expected at most one duration, got 2 words"),
    "a block": ("cancel {\nx\n}", "3: cancel takes no block"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(cancel.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")
