"""Answers that are pushed: when, how often, and when not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdns
from kdns.chain import Answer, Relay, Request, Response
from kdns.kube.owners import EVERYTHING, Owner
from kdns.resolver.engine import Engine
from kdns.resolver.places import View
from kdns.resolver.resolver import AsyncResolver, Backend
from kdns.resolver.results import same
from kdns.resolver.wakeups import ANYTHING, Wakeups
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from tests.patience import PATIENCE
from tests.unit.resolver.objects import SHOP, Json, alias, headless, pod, service, slice_of


async def following(watching: AsyncIterator[kdns.Result]) -> kdns.Result:
    """Return the next result, which must come soon."""
    return await asyncio.wait_for(anext(watching), PATIENCE)


async def silent(watching: AsyncIterator[kdns.Result]) -> bool:
    """Whether nothing comes, however often the loop turns."""
    waiting = asyncio.ensure_future(anext(watching))
    for _ in range(50):
        await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait([waiting])
    return all(one.cancelled() for one in done)


def shown(result: kdns.Result) -> list[str]:
    return sorted(one.data for one in result.records) or [result.rcode]


Change = Callable[[kdns.AsyncCluster], None]
# What is watched in the namespace shop, and what it is before and after a change.
CHANGES: dict[str, tuple[str, list[str], Change, list[str]]] = {
    "a service comes": (
        "new A",
        ["NXDOMAIN"],
        lambda cluster: cluster.apply(service("new", "10.0.0.50")),
        ["10.0.0.50"],
    ),
    "a service goes": (
        "web A",
        ["10.0.0.1"],
        lambda cluster: cluster.delete("Service", "web", "shop"),
        ["NXDOMAIN"],
    ),
    "a service changes": (
        "web A",
        ["10.0.0.1"],
        lambda cluster: cluster.apply(service("web", "10.0.0.51")),
        ["10.0.0.51"],
    ),
    "an endpoint comes": (
        "db A",
        ["10.1.0.1", "10.1.0.2"],
        lambda cluster: cluster.apply(slice_of("db", "10.1.0.1", "10.1.0.2", "10.1.0.3")),
        ["10.1.0.1", "10.1.0.2", "10.1.0.3"],
    ),
    "the target of an alias changes": (
        "bank A",
        ["10.0.0.9", "vault.bank.svc.cluster.local."],
        lambda cluster: cluster.apply(service("vault", "10.0.0.52", "bank")),
        ["10.0.0.52", "vault.bank.svc.cluster.local."],
    ),
    "a nearer name comes": (
        "vault.bank A",
        ["10.0.0.9"],
        lambda cluster: cluster.apply(
            headless("bank", app="vault"),
            pod("vault", "10.1.0.99", hostname="vault", subdomain="bank"),
        ),
        ["10.1.0.99"],
    ),
    "a namespace comes": (
        "web.office A",
        ["NXDOMAIN"],
        lambda cluster: cluster.apply(service("web", "10.0.0.53", "office")),
        ["10.0.0.53"],
    ),
    "somebody gets an address": (
        "99.0.1.10.in-addr.arpa. PTR",
        ["REFUSED"],
        lambda cluster: cluster.apply(service("ptr", "10.1.0.99")),
        ["ptr.shop.svc.cluster.local."],
    ),
}


@pytest.mark.parametrize(("asked", "before", "change", "after"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_pushed(
    asked: str, before: list[str], change: Change, after: list[str]
) -> None:
    async def test() -> tuple[list[str], list[str]]:
        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            watching = cluster.resolver("shop").watch(*asked.split())
            first = await following(watching)
            change(cluster)
            return shown(first), shown(await following(watching))

    assert asyncio.run(test()) == (before, after)


def _there_and_back(cluster: kdns.AsyncCluster) -> None:
    cluster.delete("Service", "web", "shop")
    cluster.apply(service("web", "10.0.0.1"))


UNCHANGED: dict[str, Change] = {
    "another service": lambda cluster: cluster.apply(service("other", "10.0.0.60")),
    "the same service": lambda cluster: cluster.apply(service("web", "10.0.0.1")),
    "a port, which an address does not show": lambda cluster: cluster.apply(
        service("web", "10.0.0.1", ports=[{"port": 81}])
    ),
    "there and back": _there_and_back,
}


@pytest.mark.parametrize("change", UNCHANGED.values(), ids=UNCHANGED)
def test_what_leaves_the_answer_as_it_is_is_not_told(change: Change) -> None:
    async def test() -> bool:
        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            watching = cluster.resolver("shop").watch("web")
            await following(watching)
            change(cluster)
            return await silent(watching)

    assert asyncio.run(test())


STEPS = st.lists(
    st.sampled_from(
        [
            service("web", "10.0.0.1"),
            service("web", "10.0.0.2"),
            service("web", "10.0.0.3", "default"),
            headless("db"),
            slice_of("db", "10.1.0.1"),
            slice_of("db", "10.1.0.1", "10.1.0.2"),
            alias("bank", "web.shop.svc.cluster.local"),
            alias("bank", "web.default.svc.cluster.local"),
            alias("bank", "www.example.org"),
        ]
    ),
    max_size=12,
)


@given(STEPS, st.data())
@settings(max_examples=50)
def test_what_was_told_last_is_what_a_fresh_question_gets(
    steps: list[Json], data: st.DataObject
) -> None:
    names = ("web", "db", "bank", "web.default", "db-0.db", "1.1.0.10.in-addr.arpa.")

    async def test() -> None:
        async with kdns.AsyncCluster(objects=()) as cluster:
            resolver, last = cluster.resolver("shop"), dict[str, kdns.Result]()
            tasks = [asyncio.create_task(_note(resolver, name, last)) for name in names]
            there: set[tuple[str, str, str]] = set()
            for step in steps:
                await _settle()
                gone = data.draw(st.sampled_from([None, *sorted(there)]))
                if gone is not None:
                    cluster.delete(*gone)
                    there.remove(gone)
                cluster.apply(step)
                metadata = step["metadata"]
                there.add((step["kind"], metadata["name"], metadata["namespace"]))
            await _settle()
            for name in names:
                assert same(last[name], await resolver.resolve(name)), name
            for task in tasks:
                task.cancel()

    asyncio.run(test())


async def _note(resolver: kdns.AsyncResolver, name: str, last: dict[str, kdns.Result]) -> None:
    async for result in resolver.watch(name):
        last[name] = result


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_changes_while_the_consumer_is_busy_are_not_missed() -> None:
    async def test() -> list[str]:
        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            seen = []
            async for result in cluster.resolver("shop").watch("web"):
                seen.append(shown(result)[0])
                if len(seen) == 1:
                    cluster.apply(service("web", "10.0.0.61"))
                    await asyncio.sleep(0)
                    cluster.apply(service("web", "10.0.0.62"))
                if seen[-1] == "10.0.0.62":
                    break
            return seen

    assert asyncio.run(asyncio.wait_for(test(), PATIENCE)) == ["10.0.0.1", "10.0.0.62"]


def test_watching_ends_with_the_cluster() -> None:
    async def test() -> list[str]:
        seen = []

        async def watch(resolver: kdns.AsyncResolver) -> None:
            seen.extend([shown(result)[0] async for result in resolver.watch("web")])

        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            watching = asyncio.create_task(watch(cluster.resolver("shop")))
            await asyncio.sleep(0)
        await asyncio.wait_for(watching, PATIENCE)
        return seen

    assert asyncio.run(test()) == ["10.0.0.1"]


def test_a_watch_that_ended_leaves_nothing_behind() -> None:
    wakeups = Wakeups()

    with wakeups.waiting([("a",)]) as one, wakeups.waiting([("a",), ("b",)]) as other:
        wakeups.touched([("b",)])
        assert (one.is_set(), other.is_set()) == (False, True)
        wakeups.touched([EVERYTHING])
        assert one.is_set()

    assert not wakeups._waiting  # noqa: SLF001 - that is what is asked


def test_threads_see_changes_too() -> None:
    with kdns.Cluster(objects=SHOP) as cluster:
        seen: list[list[str]] = []
        first, second = threading.Event(), threading.Event()

        def watch() -> None:
            for result, event in zip(
                cluster.resolver("shop").watch("web"), (first, second), strict=False
            ):
                seen.append(shown(result))
                event.set()

        thread = threading.Thread(target=watch)
        thread.start()
        assert first.wait(PATIENCE)
        cluster.apply(service("web", "10.0.0.70"))
        assert second.wait(PATIENCE)
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert seen == [["10.0.0.1"], ["10.0.0.70"]]


# -- answers that nobody pushes -----------------------------------------------------------------


class Upstream:
    """A chain whose answers have no owners; each is given once, the last one for ever."""

    def __init__(self, *answers: Response) -> None:
        self.answers = [*answers]
        self.asked = 0

    def wrap(self, _: object) -> Callable[[Request], object]:
        return self.handle

    async def handle(self, _: Request) -> Response:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def response(address: int, ttl: int = 1, by: str = "forward", *owners: Owner) -> Answer:
    record = records.address(names.from_text("a.test"), ttl, bytes((192, 0, 2, address)))
    return Answer(Sections(answer=(record,)), owners, by=by)


def watching(plugin: Upstream, wakeups: Wakeups) -> AsyncIterator[kdns.Result]:
    async def view() -> View:
        return View(kdns.ResolvConf())

    async def exchange(_message: bytes, _client: object) -> bytes:
        return b""

    backend = Backend(lambda _: Engine([plugin]), exchange, wakeups)  # type: ignore[list-item]
    return AsyncResolver(backend, view, "glibc").watch("a.test.")


def test_an_answer_from_outside_is_asked_for_again_when_its_time_is_over() -> None:
    async def test() -> tuple[list[str], bool]:
        seen = watching(Upstream(response(1), response(2)), Wakeups())
        first = await following(seen)
        loop = asyncio.get_running_loop()
        began = loop.time()
        second = await following(seen)
        return [*shown(first), *shown(second)], loop.time() - began >= 1

    assert asyncio.run(test()) == (["192.0.2.1", "192.0.2.2"], True)


def test_a_change_in_the_cluster_does_not_ask_upstreams_again() -> None:
    async def test() -> int:
        upstream, wakeups = Upstream(response(1, ttl=300)), Wakeups()
        seen = watching(upstream, wakeups)
        await following(seen)
        wakeups.touched([("service", "shop", "web")])
        await silent(seen)
        return upstream.asked

    assert asyncio.run(test()) == 1


def test_an_answer_of_the_cluster_without_owners_is_asked_for_after_any_change() -> None:
    async def test() -> list[str]:
        upstream = Upstream(response(1, 300, "kubernetes"), response(2, 300, "kubernetes"))
        wakeups = Wakeups()
        seen = watching(upstream, wakeups)
        first = await following(seen)
        waiting = asyncio.ensure_future(following(seen))
        await asyncio.sleep(0)
        wakeups.touched([("service", "shop", "web")])
        return [*shown(first), *shown(await waiting)]

    assert asyncio.run(test()) == ["192.0.2.1", "192.0.2.2"]


def test_what_is_touched_while_an_answer_is_being_made_makes_it_be_made_again() -> None:
    async def test() -> list[str]:
        wakeups, owner = Wakeups(), ("service", "shop", "web")

        class Racing(Upstream):
            async def handle(self, request: Request) -> Response:
                given = await super().handle(request)
                if self.asked == 1:
                    wakeups.touched([owner])
                    await asyncio.sleep(0)
                return given

        upstream = Racing(
            response(1, 300, "kubernetes", owner), response(2, 300, "kubernetes", owner)
        )
        seen = watching(upstream, wakeups)
        return [*shown(await following(seen)), *shown(await following(seen))]

    assert asyncio.run(test()) == ["192.0.2.1", "192.0.2.2"]


def test_the_order_of_addresses_and_their_ttl_are_no_change() -> None:
    async def test() -> bool:
        one, other = (response(number, 300) for number in (1, 2))
        both = (*one.sections.answer, *other.sections.answer)
        later = (response(2, 200).sections.answer[0], response(1, 200).sections.answer[0])
        upstream = Upstream(
            Answer(Sections(answer=both), by="kubernetes"),
            Answer(Sections(answer=later), by="kubernetes"),
        )
        wakeups = Wakeups()
        seen = watching(upstream, wakeups)
        await following(seen)
        waiting = asyncio.ensure_future(silent(seen))
        await asyncio.sleep(0)
        wakeups.touched([ANYTHING])
        return await waiting and upstream.asked == 2

    assert asyncio.run(test())


def test_what_cannot_be_read_is_a_failure() -> None:
    async def test() -> kdns.Result:
        return await following(watching(Upstream(Relay(b"\0" * 12, by="forward")), Wakeups()))

    result = asyncio.run(test())

    assert result.rcode == "SERVFAIL"
    assert "response" in result.reason


def test_the_reason_of_an_upstream_is_told() -> None:
    async def test() -> kdns.Result:
        denied = Sections(codes.SERVFAIL, options=((codes.EDNS_EDE, b"\0\6signature is missing"),))
        return await following(watching(Upstream(Answer(denied, by="cache")), Wakeups()))

    assert asyncio.run(test()).reason == "signature is missing"
