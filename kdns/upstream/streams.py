"""Ask one upstream over TCP or TLS (RFC 7766, RFC 7858), in connections that are used again.

Knows no second upstream.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from kdns.errors import UpstreamError
from kdns.prompt import Prompt
from kdns.upstream.address import Upstream
from kdns.upstream.counts import Counts
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.pool import CLOSED, Channel, Exchange, Pool
from kdns.upstream.question import Question
from kdns.upstream.settings import Settings

_LENGTH = 2


class Streams:
    """The connections to an upstream."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        counts: Counts,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """With a context it is TLS."""
        self._upstream = upstream
        self._settings = settings
        self._counts = counts
        self._context = context
        self._label = "tcp" if context is None else "tcp-tls"
        self._deadlines = Deadlines()
        self._opening: set[asyncio.Future[_Connection]] = set()
        self._queue: deque[asyncio.Future[None]] = deque()
        """Those who wait because too many are being opened."""
        self._pool: Pool[_Connection] = Pool(settings)

    async def ask(self, asked: Question, until: float) -> bytes:
        """Return the response to a question, or raise OSError or UpstreamError.

        ``until`` is in the time of the event loop.
        """
        connection = await self._take(until)
        if connection is not None:
            self._counts.reused[self._label] += 1
            # RFC 7766 section 6.2.4: the other side may close what is idle at any time.
            with suppress(ConnectionError):
                return await self._ask(connection, asked, until)
        else:
            self._counts.opened[self._label] += 1
        return await self._ask(await self._connect(until), asked, until)

    def close(self) -> None:
        """Close all connections, for good; who waits gets an OSError."""
        self._pool.close()
        everybody: list[asyncio.Future[Any]] = [*self._opening, *self._queue]
        for waiting in everybody:
            if not waiting.done():
                waiting.set_exception(ConnectionAbortedError(CLOSED))

    def _ask(self, connection: "_Connection", asked: Question, until: float) -> Awaitable[bytes]:
        return connection.ask(asked, self._deadlines, until)

    async def _take(self, until: float) -> "_Connection | None":
        """Return a connection that was opened before; None where one is to be opened."""
        loop = asyncio.get_running_loop()
        while True:
            opening = len(self._opening)
            connection = self._pool.take(loop.time(), opening)
            if connection is not None or not self._pool.is_full(opening):
                return connection
            turn: Prompt[None] = Prompt(loop=loop)
            self._deadlines.add(turn, until)
            self._queue.append(turn)
            await turn

    async def _connect(self, until: float) -> "_Connection":
        """Open a connection, in a task: whoever waits for it may not be in one."""
        loop = asyncio.get_running_loop()
        opened: Prompt[_Connection] = Prompt(loop=loop)
        self._opening.add(opened)
        task = loop.create_task(self._open())
        task.add_done_callback(partial(_tell, opened))
        self._deadlines.add(opened, until)
        try:
            connection = await opened
            self._pool.add(connection)
        except BaseException:
            self._go_on(1)
            raise
        finally:
            self._opening.discard(opened)
            task.cancel()
        self._go_on(len(self._queue))
        return connection

    def _go_on(self, most: int) -> None:
        """Let so many try who wait: to share what was opened, or to open what could not be."""
        while self._queue and most:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                most -= 1

    async def _open(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        upstream, source = self._upstream, self._settings.source
        name = None if self._context is None else upstream.name or upstream.host
        _, connection = await loop.create_connection(
            lambda: _Connection(loop, self._pool),
            upstream.host,
            upstream.port,
            ssl=self._context,
            server_hostname=name,
            local_addr=(source, 0) if source else None,
        )
        return connection


def _tell(waiting: "asyncio.Future[_Connection]", task: "asyncio.Task[_Connection]") -> None:
    """Hand on what became of opening a connection."""
    if task.cancelled():
        return
    error = task.exception()
    if waiting.done():
        if error is None:
            task.result().close()
    elif error is not None:
        waiting.set_exception(error)
    else:
        waiting.set_result(task.result())


class _Connection(Channel, asyncio.Protocol):
    """A connection over which messages go, each after its length (RFC 1035 section 4.2.2)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool[_Connection]") -> None:
        super().__init__(loop, pool)
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def send(self, message: bytes) -> None:
        """Send a message, with its length in one write (RFC 7766 section 8)."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._transport.write(len(message).to_bytes(_LENGTH) + message)

    def close(self) -> None:
        """Close the connection, without waiting for the other side."""
        if self._transport is not None:
            self._transport.abort()

    def mismatched(self, exchange: Exchange) -> None:
        """Give up: nobody can have forged it, so nothing better will follow."""
        exchange.set_exception(UpstreamError("the response is to another question"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be told by the event loop that the connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Be told by the event loop of octets that came: a message, part of one, or several."""
        received = self._received
        received += data
        while len(received) >= _LENGTH:
            end = _LENGTH + int.from_bytes(received[:_LENGTH])
            if len(received) < end:
                return
            message = bytes(received[_LENGTH:end])
            del received[:end]
            self.arrived(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be told by the event loop that nothing more will come."""
        if isinstance(exc, OSError):
            self.fail(exc)
        else:
            text = "the connection was closed before the response was complete"
            self.fail(ConnectionResetError(text))
