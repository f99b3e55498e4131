"""A coroutine is begun at once, and goes on as soon as what it waits for is there."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kdns.prompt import Prompt
from kdns.server.eager import Rest, start


async def _at_once() -> str:
    return "at once"


async def _waiting(*waits: Awaitable[object]) -> list[object]:
    return [await one for one in waits]


async def _outside(work: Callable[[], object]) -> None:
    """Run something as the event loop runs callbacks: in no task."""
    done = asyncio.Event()

    def run() -> None:
        work()
        done.set()

    asyncio.get_running_loop().call_soon(run)
    await done.wait()


def test_what_does_not_wait_is_a_result() -> None:
    async def test() -> str | Rest[str]:
        return start(_at_once())

    assert asyncio.run(test()) == "at once"


def test_a_prompt_is_gone_on_from_within_the_call_that_sets_it() -> None:
    async def test() -> list[object]:
        one, other = Prompt[object](), Prompt[object]()
        rest = start(_waiting(one, other))
        seen: list[object] = []

        def work() -> None:
            assert isinstance(rest, Rest)
            rest.then(lambda done: seen.append(done.result()))
            one.set_result(1)
            other.set_result(2)
            seen.append("after")

        await _outside(work)
        return seen

    assert asyncio.run(test()) == [[1, 2], "after"]


def test_what_waits_for_anything_else_goes_on_in_a_task() -> None:
    async def test() -> object:
        prompt: Prompt[object] = Prompt()

        async def work() -> object:
            first = await prompt
            await asyncio.sleep(0)
            return first, asyncio.current_task() is not None

        rest = start(work())
        await _outside(lambda: prompt.set_result(1))
        assert isinstance(rest, Rest)
        return await rest

    assert asyncio.run(test()) == (1, True)


@pytest.mark.parametrize("kind", ["prompt", "future"])
def test_an_exception_is_the_result(kind: str) -> None:
    async def test() -> object:
        loop = asyncio.get_running_loop()
        waited_for = Prompt[object]() if kind == "prompt" else loop.create_future()
        rest = start(_waiting(waited_for))
        await _outside(lambda: waited_for.set_exception(LookupError("no")))
        assert isinstance(rest, Rest)
        with pytest.raises(LookupError):
            await rest
        return rest.done()

    assert asyncio.run(test()) is True


@pytest.mark.parametrize("kind", ["prompt", "future"])
def test_when_it_is_cancelled_the_coroutine_hears_of_it(kind: str) -> None:
    async def test() -> list[str]:
        heard: list[str] = []
        loop = asyncio.get_running_loop()
        waited_for = Prompt[object]() if kind == "prompt" else loop.create_future()

        async def work() -> None:
            try:
                await waited_for
            except asyncio.CancelledError:
                heard.append("cancelled")
                raise

        rest = start(work())
        await asyncio.sleep(0)
        assert isinstance(rest, Rest)
        assert rest.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rest
        assert not rest.cancel()
        return heard

    assert asyncio.run(test()) == ["cancelled"]


def test_several_may_wait_for_it() -> None:
    async def test() -> list[object]:
        prompt: Prompt[object] = Prompt()
        rest = start(_waiting(prompt))
        assert isinstance(rest, Rest)
        both = asyncio.gather(_waiting(rest), _waiting(rest))
        await asyncio.sleep(0)
        prompt.set_result(1)
        return [*await both]

    assert asyncio.run(test()) == [[[1]], [[1]]]
