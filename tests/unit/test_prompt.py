"""Futures that resume a coroutine within the call that sets them."""

import asyncio

import pytest

from kdns.prompt import Prompt


def test_who_waits_is_called_at_once() -> None:
    async def test() -> list[str]:
        done: list[str] = []
        prompt: Prompt[str] = Prompt()
        prompt.then(lambda one: done.append(one.result()))
        outside: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        def work() -> None:
            prompt.set_result("now")
            outside.set_result([*done])

        asyncio.get_running_loop().call_soon(work)
        return await outside

    assert asyncio.run(test()) == ["now"]


def test_within_the_step_of_a_task_nobody_is_called() -> None:
    async def test() -> tuple[list[object], list[object]]:
        tasks: list[object] = []
        prompt: Prompt[None] = Prompt()
        prompt.then(lambda _: tasks.append(asyncio.current_task()))
        prompt.set_result(None)
        during = [*tasks]
        await asyncio.sleep(0)
        return during, tasks

    assert asyncio.run(test()) == ([], [None])


@pytest.mark.parametrize("how", ["result", "exception", "cancel"])
def test_a_task_can_wait_for_it(how: str) -> None:
    async def test() -> object:
        prompt: Prompt[str] = Prompt()

        async def wait() -> str:
            return await prompt

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        match how:
            case "result":
                prompt.set_result("result")
            case "exception":
                prompt.set_exception(LookupError("exception"))
            case _:
                prompt.cancel()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        return outcome if isinstance(outcome, str) else type(outcome)

    expected = {
        "result": "result",
        "exception": LookupError,
        "cancel": asyncio.CancelledError,
    }
    assert asyncio.run(test()) == expected[how]
