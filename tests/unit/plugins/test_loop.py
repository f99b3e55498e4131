"""``loop``: its own question, over a socket, and how often it comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.message
import pytest

from kdns.assembly import Block
from kdns.chain import Answer, Response
from kdns.errors import CorefileError
from kdns.plugins import loop
from kdns.plugins.loop import Loop
from kdns.upstream.address import Upstream
from kdns.wire import codes, names
from kdns.wire.query import ask
from tests.controlplane.plane import free_ports
from tests.end_to_end.fake_upstream import Fake, Replies, fake, run, says, says_rcode, somewhere
from tests.patience import PATIENCE
from tests.plugin import FakeRuntime, block, handled, request, running, setup_of

CLIENT = "10.0.0.1:40212"


@asynccontextmanager
async def looking(
    at: tuple[str, int], *zones: str
) -> AsyncIterator[tuple[Loop, Block, FakeRuntime]]:
    """Set up the plugin in a block that listens somewhere, and have it begin."""
    runtime = FakeRuntime()
    made = block(*zones, runtime=runtime)
    plugin, _ = setup_of(loop.setup, "loop", into=made)
    made.addresses = (at,)
    assert isinstance(plugin, Loop)
    async with running(made):
        for beginning in made.beginnings:
            beginning()
        yield plugin, made, runtime


@asynccontextmanager
async def asked(replies: Replies, *zones: str) -> AsyncIterator[tuple[Loop, Fake, FakeRuntime]]:
    """Have it ask a server that answers so; enter the block when it has asked."""
    async with fake(replies) as server:
        upstream = server.upstream
        async with looking((upstream.host, upstream.port), *zones) as (plugin, _, runtime):
            async with asyncio.timeout(PATIENCE):
                await server.arrived.wait()
            yield plugin, server, runtime


async def again(plugin: Loop, server: Fake) -> Response:
    """Ask the plugin what it asked."""
    text = str(server.udp[0].question[0].name)
    return await handled(request([plugin], ask(names.from_text(text), codes.HINFO)))


@pytest.mark.parametrize("zone", [".", "example.org"])
def test_it_asks_for_a_random_name_in_the_first_zone(zone: str) -> None:
    async def test() -> dns.message.Message:
        async with asked(says(), zone, "example.net") as (_, server, _runtime):
            return server.udp[0]

    one, other = run(test()), run(test())
    labels = [label.decode() for label in one.question[0].name.labels]
    assert [len(labels[0]) > 9, labels[0].isdigit(), labels[1].isdigit()] == [True] * 3
    assert ".".join(labels[2:]) == ("" if zone == "." else f"{zone}.")
    assert dns.rdatatype.to_text(one.question[0].rdtype) == "HINFO"
    assert one.question[0].name != other.question[0].name


def test_a_question_that_comes_by_a_third_time_ends_the_server() -> None:
    async def test() -> tuple[list[Response], FakeRuntime, str]:
        async with asked(lambda _: []) as (plugin, server, runtime):
            found = [await again(plugin, server) for _ in range(3)]
            where = f"{server.upstream}"
            name = str(server.udp[0].question[0].name)
            text = f'Loop ({CLIENT} -> {where}) detected for zone "."'
            return found, runtime, f'plugin/loop: {text}|. Query: "HINFO {name}"'

    found, runtime, expected = run(test())
    [(status, text)] = runtime.stopped
    begin, end = expected.split("|")
    assert status == 1
    assert text.startswith(begin)
    assert text.endswith(end)
    assert [one.sections.rcode for one in found if isinstance(one, Answer)] == [
        codes.REFUSED,
        codes.REFUSED,
        codes.SERVFAIL,
    ]
    assert isinstance(found[2], Answer)
    assert found[2].error.startswith("Loop (")
    assert found[2].by == "loop"


def test_once_it_has_spoken_it_is_silent() -> None:
    async def test() -> FakeRuntime:
        async with asked(lambda _: []) as (plugin, server, runtime):
            for _ in range(9):
                await again(plugin, server)
            return runtime

    assert len(run(test()).stopped) == 1


def test_other_questions_pass_uncounted() -> None:
    async def test() -> FakeRuntime:
        async with asked(lambda _: []) as (plugin, server, runtime):
            name = names.from_text(str(server.udp[0].question[0].name))
            for query in (ask(name, codes.A), ask(names.from_text("1.2"), codes.HINFO)) * 5:
                response = await handled(request([plugin], query))
                assert response.by == "last"
            return runtime

    assert run(test()).stopped == []


def test_some_time_after_an_answer_nothing_is_counted_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "AFTERMATH", 0.01)

    async def test() -> FakeRuntime:
        async with asked(says_rcode("SERVFAIL")) as (plugin, server, runtime):
            await asyncio.sleep(0.1)
            for _ in range(5):
                await again(plugin, server)
            return runtime

    assert run(test()).stopped == []


def test_without_an_answer_it_asks_again_and_counts_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "PAUSE", 0.01)
    monkeypatch.setattr(loop, "TIMEOUT", 0.05)

    async def test() -> FakeRuntime:
        async with asked(lambda _: []) as (plugin, server, runtime):
            for _ in range(2):
                await again(plugin, server)
            async with asyncio.timeout(PATIENCE):
                while len(server.udp) < 2:
                    server.arrived.clear()
                    await server.arrived.wait()
            for _ in range(2):
                await again(plugin, server)
            return runtime

    assert run(test()).stopped == []


def test_it_gives_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PATIENCE", 0.05)
    monkeypatch.setattr(loop, "PAUSE", 0.01)

    async def test() -> int:
        nobody = somewhere()
        async with looking((nobody.host, nobody.port)):
            await asyncio.sleep(0.1)
            async with fake(says(), at=nobody) as server:
                await asyncio.sleep(0.05)
                return len(server.udp)

    assert run(test()) == 0


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_behind_a_wildcard_it_asks_loopback(host: str) -> None:
    (port,) = free_ports(1)

    async def test() -> int:
        at = Upstream("127.0.0.1", port)
        async with fake(says(), at=at) as server, looking((host, port)):
            async with asyncio.timeout(PATIENCE):
                await server.arrived.wait()
            return len(server.udp)

    assert run(test()) == 1


def test_of_a_free_port_nobody_can_know() -> None:
    async def test() -> int:
        before = asyncio.all_tasks()
        async with looking(("127.0.0.1", 0)):
            return len(asyncio.all_tasks() - before)

    assert run(test()) == 0


WRONG = {
    "loop 5s": "loop: expected no arguments, got one word",
    "loop {\nx\n}": "loop takes no block, got 'x'",
    "loop\nloop": "loop may stand only once in a server block, it is already at Corefile:2",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items())
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CorefileError, match=reason):
        setup_of(loop.setup, text)
