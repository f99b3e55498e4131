"""``health``: the page, its own request for it, and the delay at the end."""

import asyncio
import logging
import time
from collections.abc import Callable

import pytest

from kdns.errors import CorefileError
from kdns.metrics import Metrics
from kdns.plugins.health import Pulse, setup
from kdns.server.http import HttpListener, Visit
from tests import plugin
from tests.patience import PATIENCE

COUNT = "coredns_health_request_duration_seconds_count"
BUCKET = "coredns_health_request_duration_seconds_bucket"
FAILURES = "coredns_health_request_failures_total"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("health", ("", 8080), id="default"),
        pytest.param("health localhost:8091", ("localhost", 8091), id="host"),
        pytest.param("health :8081", ("", 8081), id="every address"),
        pytest.param("health [::1]:8081", ("::1", 8081), id="IPv6"),
        pytest.param("health :1\nhealth :2", ("", 2), id="the last one counts"),
        pytest.param("health :1\nhealth {\nlameduck 1s\n}", ("", 1), id="each adds to it"),
    ],
)
def test_the_page_says_ok(text: str, address: tuple[str, int]) -> None:
    _, block = plugin.setup_of(setup, text)
    [(where, pages)] = block.pages.items()
    reply = pages["/health"](Visit())

    assert where == address
    assert (reply.status, reply.body) == ("200 OK", b"OK")


def test_the_end_waits_for_the_lame_duck(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _, block = plugin.setup_of(setup, "health {\nlameduck 30ms\n}")
    [farewell] = block.farewells

    async def said() -> None:
        await farewell()

    began = time.monotonic()
    asyncio.run(said())

    assert 0.03 <= time.monotonic() - began < PATIENCE
    assert "plugin/health: Going into lameduck mode for 30ms" in caplog.text


@pytest.mark.parametrize("text", ["health", "health {\nlameduck 0s\n}"])
def test_without_a_lame_duck_the_end_waits_for_nothing(text: str) -> None:
    assert not plugin.setup_of(setup, text)[1].farewells


def _beaten(address: tuple[str, int]) -> Callable[..., float | None]:
    """Measure once, and return a way to read the metrics."""
    metrics = Metrics()

    asyncio.run(Pulse(address, metrics).beat())
    return metrics.registry.get_sample_value


def test_the_time_that_the_page_takes_is_measured() -> None:
    _, block = plugin.setup_of(setup, "health")
    listener = HttpListener("127.0.0.1", 0, block.pages[("", 8080)])
    try:
        # Every address: the request goes to loopback.
        value = _beaten(("", listener.address[1]))
    finally:
        listener.close()

    assert (value(COUNT), value(FAILURES)) == (1, 0)
    bounds = ("0.00025", "0.0025", "0.025", "0.25", "2.5", "+Inf")
    assert None not in [value(BUCKET, {"le": bound}) for bound in bounds]
    assert value(BUCKET, {"le": "2.5"}) == 1


def test_a_page_that_is_not_there_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    listener = HttpListener("127.0.0.1", 0, {})
    listener.close()
    port = listener.address[1]

    value = _beaten(("127.0.0.1", port))

    assert (value(COUNT), value(FAILURES)) == (1, 1)
    where = f'plugin/health: Local health request to "http://127.0.0.1:{port}/health" failed: '
    assert where in caplog.text


def test_a_listener_that_hangs_up_is_a_failure() -> None:
    metrics = Metrics()

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def beaten() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            await Pulse(server.sockets[0].getsockname(), metrics).beat()

    asyncio.run(beaten())

    assert metrics.registry.get_sample_value(FAILURES) == 1


def test_it_is_measured_again_and_again_until_the_configuration_ends() -> None:
    async def beaten() -> int:
        asked = 0
        thrice = asyncio.Event()

        async def count(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            writer.write(b"OK")
            writer.close()
            if asked == 3:
                thrice.set()

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        pulse = Pulse(server.sockets[0].getsockname(), Metrics(), every=0.001)
        async with server, pulse.running(), asyncio.timeout(PATIENCE):
            await thrice.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        return len([task for task in left if "_beat_on" in repr(task)])

    assert asyncio.run(beaten()) == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("health 8080", "expected ADDRESS:PORT or :PORT, got '8080'", id="no port"),
        pytest.param("health :1 :2", "expected at most one argument", id="two"),
        pytest.param("health {\nlameduk 1s\n}", "did you mean 'lameduck'?", id="no option"),
        pytest.param("health {\nlameduck 5\n}", "expected a duration like", id="no unit"),
        pytest.param("health {\nlameduck\n}", "expected one argument", id="no duration"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        plugin.setup_of(setup, text)

    assert error in str(refused.value)
