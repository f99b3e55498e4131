"""One piece of work for all who want the same."""

import asyncio

import pytest

from kdns.upstream.flights import Flights


class Work:
    """Counts how often it is done, and waits to be released."""

    def __init__(self) -> None:
        self.begun = 0
        self.released = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        await self.released.wait()
        return f"result {self.begun}"


async def _started(flights: Flights[str], work: Work, count: int) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(flights.join("key", work)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_it_is_done_once_at_a_time() -> None:
    async def test() -> tuple[list[str], str]:
        flights: Flights[str] = Flights()
        work = Work()
        tasks = await _started(flights, work, 3)
        work.released.set()
        together = await asyncio.gather(*tasks)
        return together, await flights.join("key", work)

    assert asyncio.run(test()) == (["result 1"] * 3, "result 2")


def test_other_keys_are_other_work() -> None:
    async def test() -> list[str]:
        flights: Flights[str] = Flights()
        work = Work()
        work.released.set()
        return [*await asyncio.gather(flights.join("a", work), flights.join("b", work))]

    assert sorted(asyncio.run(test())) == ["result 1", "result 2"]


def test_when_the_one_who_does_it_leaves_another_begins_again() -> None:
    async def test() -> tuple[list[str], int]:
        flights: Flights[str] = Flights()
        work = Work()
        first, *others = await _started(flights, work, 4)
        first.cancel()
        others.pop().cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.released.set()
        return await asyncio.gather(*others), work.begun

    assert asyncio.run(test()) == (["result 2"] * 2, 2)


def test_when_all_leave_nothing_is_left() -> None:
    async def test() -> int:
        flights: Flights[str] = Flights()
        work = Work()
        for task in (tasks := await _started(flights, work, 3)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return work.begun

    assert asyncio.run(test()) == 1


def test_what_goes_wrong_goes_wrong_for_everybody() -> None:
    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def test() -> list[object]:
        flights: Flights[str] = Flights()
        both = (flights.join("key", fail) for _ in range(2))
        return [type(one) for one in await asyncio.gather(*both, return_exceptions=True)]

    assert asyncio.run(test()) == [ValueError] * 2


def test_it_can_begin_outside_of_a_task() -> None:
    async def at_once() -> str:
        return "done"

    with pytest.raises(StopIteration) as ended:
        Flights[str]().join("key", at_once).send(None)
    assert ended.value.value == "done"
