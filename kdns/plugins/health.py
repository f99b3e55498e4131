"""``health``: a page that says that the process lives, and a delay before it ends.

The page is asked once a second from the event loop: how long that takes tells how busy both are.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from kdns.assembly import Block
from kdns.chain import Address
from kdns.corefile.durations import written
from kdns.corefile.places import place, shown
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, duration, unknown
from kdns.metrics import Metrics
from kdns.server.http import Reply, Visit

log = logging.getLogger(__name__)

PATH = "/health"
EVERYWHERE: Address = ("", 8080)
SECONDS = (0.00025, 0.0025, 0.025, 0.25, 2.5)
"""Upper bounds of the buckets, as CoreDNS has them."""
EVERY = 1.0
"""Seconds between two requests of our own."""
PATIENCE = 3.0
"""Seconds after which such a request has failed."""
SLOW = 1.0
"""Seconds after which one is worth a line."""
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Serve the page; of several directives the last one that says something decides."""
    address, lameduck = EVERYWHERE, 0.0
    for directive in directives:
        address = place(directive, address)
        for line in directive.lines:
            if line.name.text != "lameduck":
                unknown(line, ("lameduck",), of="health")
            lameduck = duration(arguments(line, 1)[0])
    block.serve_http(address, PATH, healthy)
    block.during(Pulse(address, block.runtime.metrics).running())
    if lameduck:
        block.before_end(lambda: _linger(lameduck))


def healthy(_visit: Visit) -> Reply:
    """Say that the process lives: there is nothing else to it."""
    return Reply(b"OK")


async def _linger(seconds: float) -> None:
    """Go on answering, so that others can notice that the end is near."""
    log.info("plugin/health: Going into lameduck mode for %s", written(seconds))
    await asyncio.sleep(seconds)


class Pulse:
    """Measures how long the page takes."""

    def __init__(self, address: Address, metrics: Metrics, *, every: float = EVERY) -> None:
        host, port = address
        self._address = _LOOPBACK.get(host, host), port
        self._url = f"http://{shown(address)}{PATH}"
        self._every = every
        self._durations = metrics.histogram(
            "coredns_health_request_duration_seconds",
            "Time that the process takes to answer its own request for /health.",
            buckets=SECONDS,
        )
        self._failures = metrics.counter(
            "coredns_health_request_failures_total",
            "Requests of the process for its own /health that failed.",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure while the block runs."""
        measuring = asyncio.create_task(self._beat_on())
        try:
            yield
        finally:
            measuring.cancel()
            with suppress(asyncio.CancelledError):
                await measuring

    async def beat(self) -> None:
        """Measure once."""
        time = asyncio.get_running_loop().time
        began = time()
        try:
            async with asyncio.timeout(PATIENCE):
                await _get(self._address)
        except OSError as error:
            self._failures.inc()
            self._warn(f"failed: {str(error) or 'no answer in time'}")
        seconds = time() - began
        self._durations.observe(seconds)
        if seconds > SLOW:
            self._warn(f"took more than 1s: {written(seconds)}")

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.beat()

    def _warn(self, text: str) -> None:
        log.warning('plugin/health: Local health request to "%s" %s', self._url, text)


async def _get(address: Address) -> None:
    """Ask for the page; OSError where nobody answers."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(f"GET {PATH} HTTP/1.0\r\nHost: {shown(address)}\r\n\r\n".encode())
        if not await reader.read():
            raise ConnectionError("no answer")
    finally:
        writer.close()
