"""The event loop of a program that has none."""

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

import kdns
from kdns.errors import UsageError
from kdns.resolver.background import Background
from tests.patience import PATIENCE


@pytest.fixture
def background() -> Iterator[Background]:
    made = Background("test")
    made.start()
    yield made
    made.stop()


def test_a_coroutine_runs_on_another_thread(background: Background) -> None:
    async def where() -> threading.Thread:
        return threading.current_thread()

    assert background.run(where()) is not threading.current_thread()
    assert background.call(threading.current_thread).daemon


def test_what_is_raised_there_is_raised_here(background: Background) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        background.run(fail())


def test_waiting_for_oneself_is_refused(background: Background) -> None:
    async def again() -> None:
        background.call(list)

    with pytest.raises(UsageError):
        background.run(again())


def test_what_still_runs_at_the_end_is_ended() -> None:
    background = Background("test")
    background.start()
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def begin() -> None:
        background.task = asyncio.create_task(forever())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    background.run(begin())
    background.stop()

    assert ended.is_set()
    with pytest.raises(UsageError, match="not open"):
        background.call(list)


def test_who_waits_for_what_was_ended_is_told() -> None:
    background = Background("test")
    background.start()
    started = threading.Event()
    told: list[str] = []

    async def forever() -> None:
        started.set()
        await asyncio.Event().wait()

    def wait() -> None:
        with pytest.raises(UsageError) as error:
            background.run(forever())
        told.append(str(error.value))

    thread = threading.Thread(target=wait)
    thread.start()
    assert started.wait(PATIENCE)
    background.stop()
    thread.join(PATIENCE)

    assert told == ["the cluster was closed meanwhile"]


def test_stopping_twice_does_no_harm() -> None:
    background = Background("test")
    background.stop()
    background.start()
    background.stop()
    background.stop()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT interrupt; who was started in the background of a script ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_wait_is_cancelled(background: Background) -> None:
    started, cancelled = threading.Event(), threading.Event()
    main = threading.get_ident()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def interrupt() -> None:
        started.wait(PATIENCE)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        background.run(forever())

    assert cancelled.wait(PATIENCE)


def test_a_cluster_takes_no_signals_and_leaves_no_thread() -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    threads = threading.active_count()

    with kdns.Cluster(objects=()) as cluster, cluster.serving():
        assert {number: signal.getsignal(number) for number in before} == before
        assert threading.active_count() == threads + 1

    assert threading.active_count() == threads
