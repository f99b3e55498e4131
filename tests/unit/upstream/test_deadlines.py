"""Futures that are ended in time, by one timer."""

import asyncio

import pytest

from kdns.upstream.deadlines import Deadlines


def test_what_is_done_in_time_is_left_alone_and_what_is_not_is_ended() -> None:
    async def test() -> list[object]:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()
        futures = [loop.create_future() for _ in range(3)]
        for delay, future in zip((0.01, 0.02, 0.03), futures, strict=True):
            deadlines.add(future, loop.time() + delay)
        futures[1].set_result("in time")
        found = await asyncio.gather(*futures, return_exceptions=True)
        return [type(one) if isinstance(one, Exception) else one for one in found]

    assert asyncio.run(test()) == [TimeoutError, "in time", TimeoutError]


def test_a_shorter_wait_ends_before_a_longer_one_that_began_earlier() -> None:
    async def test() -> bool:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()
        long, short = loop.create_future(), loop.create_future()
        deadlines.add(long, loop.time() + 60)
        deadlines.add(short, loop.time() + 0.01)
        with pytest.raises(TimeoutError):
            await short
        return long.done()

    assert asyncio.run(test()) is False


def test_waits_that_begin_later_are_ended_too() -> None:
    async def test() -> None:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()
        for _ in range(3):
            future = loop.create_future()
            deadlines.add(future, loop.time() + 0.01)
            with pytest.raises(TimeoutError):
                await future

    asyncio.run(test())
