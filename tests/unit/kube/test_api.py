import asyncio
from threading import Thread

import pytest

from kdns.kube.access import Access
from kdns.kube.api import PENDING, ApiSource, Bridge
from kdns.kube.changes import Change, Init, InitDone
from kdns.kube.reflector import Batch
from kdns.kube.resources import RESOURCES, Target
from kdns.kube.status import Status
from kdns.testing import FakeApiServer

TARGET = Target(RESOURCES["Service"])
STATUS = Status("Service", "services")
FULL = Batch(TARGET, STATUS, (Init("Service"),) * PENDING)
LAST = Batch(TARGET, STATUS, (InitDone("Service"),))


def test_a_sink_that_fails_gets_the_next_change(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(kubeconfig: str) -> int:
        told, complete = list[Change](), asyncio.Event()

        def sink(change: Change) -> None:
            told.append(change)
            if sum(isinstance(change, InitDone) for change in told) == 3:
                complete.set()
            raise ValueError("no")

        async with ApiSource(sink, Access(kubeconfig)):
            await complete.wait()
        return len(told)

    with FakeApiServer() as server:
        assert asyncio.run(scenario(server.kubeconfig())) == 6

    assert caplog.text.count("a change was not taken") == 6


def test_a_reader_waits_for_a_loop_that_is_behind_and_is_let_go_at_the_end() -> None:
    async def scenario() -> list[Batch]:
        taken, second = list[Batch](), asyncio.Event()

        def take(batch: Batch) -> None:
            taken.append(batch)
            if batch is LAST:
                second.set()

        bridge = Bridge(asyncio.get_running_loop(), take)
        bridge.put(FULL)
        reader = Thread(target=bridge.put, args=(LAST,))
        reader.start()
        reader.join(0.05)
        assert reader.is_alive()
        await asyncio.to_thread(reader.join)
        await second.wait()
        bridge.put(FULL)
        late = Thread(target=bridge.put, args=(LAST,))
        late.start()
        bridge.close()
        late.join()
        return taken

    assert asyncio.run(scenario()) == [FULL, LAST]
