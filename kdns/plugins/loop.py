"""``loop``: notices at the start that what is forwarded comes back, and ends the server.

A question that nobody else asks goes to this server over a socket, as a client's would, and is
counted when it comes by. Knows no upstreams.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

from kdns.assembly import Block
from kdns.chain import Address, Answer, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, no_lines, once
from kdns.errors import UpstreamError
from kdns.upstream.address import Upstream
from kdns.upstream.counts import Counts
from kdns.upstream.datagrams import Datagrams
from kdns.upstream.question import question
from kdns.upstream.settings import Settings
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import ask

PATIENCE = 30.0
"""Seconds for which the question is repeated until it is answered."""
TIMEOUT = 2.0
"""Seconds that one question waits for its answer."""
PAUSE = 1.0
"""Seconds between two questions."""
AFTERMATH = 2.0
"""Seconds after the answer for which the question is still counted."""
MOST = 2
"""How often it may come by: once from here, and once more by whatever accident."""
_BITS = 62
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Watch for a loop in the first zone of a block."""
    directive = once(directives)
    arguments(directive, 0)
    no_lines(directive)
    loop = Loop(block)
    block.during(loop.running())
    block.when_running(loop.begin)
    return loop


class Loop:
    """Asks a question of its own, and counts how often it is asked that."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._zone = block.zones[0]
        self._name = _random_below(self._zone)
        self._seen = 0
        self._over = False
        self._task: asyncio.Task[None] | None = None

    def wrap(self, following: Handler) -> Handler:
        """Count the question, and pass it on with all others."""

        def handle(request: Request) -> Awaitable[Response]:
            query = request.query
            if self._over or query.rtype != codes.HINFO or query.name != self._name:
                return following(request)
            self._seen += 1
            if self._seen <= MOST:
                return following(request)
            return self._end(request.client)

        return handle

    def begin(self) -> None:
        """Ask, now that there is somebody to answer."""
        host, port = self._block.addresses[0]
        if port:  # or it is a free one, which no upstream can have been told
            probe = self._probe(_LOOPBACK.get(host, host), port)
            self._task = asyncio.get_running_loop().create_task(probe)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stop asking when the block ends."""
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()

    async def _probe(self, host: str, port: int) -> None:
        """Ask until there is an answer, and be counted for a little longer."""
        loop = asyncio.get_running_loop()
        sockets = Datagrams(Upstream(host, port), Settings(), Counts())
        asked = question(ask(self._name, codes.HINFO))
        end = loop.time() + PATIENCE
        try:
            while loop.time() < end:
                try:
                    await sockets.ask(asked, loop.time() + TIMEOUT)
                except (OSError, UpstreamError):
                    self._seen = 0
                    await asyncio.sleep(PAUSE)
                else:
                    await asyncio.sleep(AFTERMATH)
                    break
        finally:
            sockets.close()
            self._over = True

    async def _end(self, client: Address) -> Response:
        """End the server: it would have to answer this for ever."""
        self._over = True
        zone, name = names.to_text(self._zone), names.to_text(self._name)
        where = f"Loop ({_shown(client)} -> {_shown(self._block.addresses[0])})"
        text = f'{where} detected for zone "{zone}": what is forwarded comes back to this server'
        self._block.runtime.stop(1, f'plugin/loop: {text}. Query: "HINFO {name}"')
        ede = (codes.EDE_OTHER, text)
        return Answer(Sections(codes.SERVFAIL, authoritative=False, ede=ede), by="loop", error=text)


def _random_below(zone: Name) -> Name:
    return names.of(*(str(secrets.randbits(_BITS)) for _ in range(2))) + zone


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
