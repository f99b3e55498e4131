"""DNS over TCP (RFC 7766): many queries in one connection, answered as they become ready.

Knows no zones and no chain.
"""

import asyncio
import logging
import socket
from typing import Any, cast

from msgspec import Struct

from kdns.chain import Address
from kdns.server.eager import Rest
from kdns.server.responder import Reply, Responder
from kdns.server.table import door
from kdns.wire.query import HEADER

log = logging.getLogger(__name__)

_LENGTH = 2


class TcpLimits(Struct, frozen=True):
    """What one client may take. Times are in seconds."""

    idle: float = 10.0
    """Wait for the next query (RFC 7766 section 6.2.3)."""
    read: float = 3.0
    """Wait for the rest of a query that has begun."""
    write: float = 5.0
    """Wait for a client that does not read its replies."""
    connections: int = 1000
    """Beyond these a new connection is closed at once."""
    waiting: int = 100
    """Queries of one connection that wait for an upstream; beyond these it is not read."""
    queries: int | None = None
    """Queries of one connection, which is closed after them; any number when None."""


class TcpServer:
    """One listening socket on the running event loop."""

    def __init__(self, responder: Responder, limits: TcpLimits) -> None:
        self.responder = responder
        """Replaced at a reload; connections that are open go on with the new one."""
        self.limits = limits
        """Replaced at a reload, for connections that are made after it."""
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._server: asyncio.Server | None = None
        self.door = door("tcp", socket.AF_INET)

    async def start(self, listening: socket.socket) -> None:
        """Take over a bound socket and accept connections."""
        self.door = door("tcp", listening.family)
        self._server = await asyncio.start_server(self._accept, sock=listening)

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    async def finish(self, patience: float) -> None:
        """Accept and read no more; close what has its answers, within so many seconds."""
        await asyncio.sleep(0)  # what the kernel has accepted is a client that may have asked
        if self._server is not None:
            self._server.close()
        for connection in self._connections.values():
            connection.end()
        if self._connections:
            await asyncio.wait(self._connections, timeout=patience)

    async def close(self) -> None:
        """Stop listening and close every connection at once."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self.limits.connections:
            writer.transport.abort()
            return
        connection = _Connection(reader, writer, self)
        task = asyncio.get_running_loop().create_task(connection.serve())
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)


class _Connection:
    """One client: reads its queries in turn, and writes replies in the order they are ready."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: TcpServer,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._server = server
        self._limits = server.limits
        self._asked = 0
        self._client: Address = (writer.get_extra_info("peername") or ("", 0))[:2]
        self._waiting: set[asyncio.Future[Any]] = set()
        """Replies that wait, and tasks that write to a client which does not read."""

    async def serve(self) -> None:
        """Answer until the client closes, is idle too long, or breaks the protocol."""
        try:
            while self._asked != self._limits.queries and (message := await self._read()):
                self._asked += 1
                await self._answer(message)
                # While a client sends fast enough nothing above waits, and others would have to.
                await asyncio.sleep(0)
            await self._finish_waiting()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("connection closed: %r", error)
            # Closing would wait for a client that does not read.
            self._writer.transport.abort()
        finally:
            for one in tuple(self._waiting):
                one.cancel()
            await self._close()

    def end(self) -> None:
        """Read no more from the client; what was read is answered."""
        cast("asyncio.Transport", self._writer.transport).pause_reading()
        self._reader.feed_eof()

    async def _read(self) -> bytes | None:
        """Read one message; None at the end of the connection or of the client's time."""
        try:
            async with asyncio.timeout(self._limits.idle):
                length = await self._reader.readexactly(_LENGTH)
        except (TimeoutError, asyncio.IncompleteReadError):
            return None
        async with asyncio.timeout(self._limits.read):
            message = await self._reader.readexactly(int.from_bytes(length))
        # What has no header is no DNS: nothing good will come of such a client.
        return message if len(message) >= HEADER.size else None

    async def _answer(self, message: bytes) -> None:
        responder, door = self._server.responder, self._server.door
        packet = responder.table.packets[door].get(message[2:])
        body = b"" if packet is None else packet.next()
        if packet is not None and body:
            packet.hits += 1
            await self._write(message[:2] + body)
            return
        reply = responder.respond(message, self._client, door)
        if isinstance(reply, Rest):
            await self._wait_for(reply)
        elif reply is not None:
            await self._write(reply)

    async def _wait_for(self, waited_for: Rest[Reply]) -> None:
        """Write the reply when it is ready, and read on; but not on and on."""
        self._waiting.add(waited_for)
        waited_for.then(self._answer_later)
        while len(self._waiting) >= self._limits.waiting:
            await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)

    def _answer_later(self, waited_for: Rest[Reply]) -> None:
        """Write a reply that is ready, in a task only where the client does not read."""
        self._waiting.discard(waited_for)
        reply = None if waited_for.cancelled() else waited_for.result()
        if reply is None:
            return
        transport = self._writer.transport
        if not transport.is_closing() and not transport.get_write_buffer_size():
            self._writer.write(_framed(reply))
            return
        writing = asyncio.get_running_loop().create_task(self._write_later(reply))
        self._waiting.add(writing)
        writing.add_done_callback(self._waiting.discard)

    async def _write_later(self, reply: bytes) -> None:
        try:
            await self._write(reply)
        except (OSError, TimeoutError) as error:
            log.debug("reply not written: %r", error)
            self._writer.transport.abort()

    async def _finish_waiting(self) -> None:
        """Wait for the rest: a client may close its side and still read (RFC 7766 6.2.4)."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    async def _close(self) -> None:
        """Close, and give up on what a client does not read: it counts until it is closed."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._limits.write):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _write(self, reply: bytes) -> None:
        self._writer.write(_framed(reply))
        async with asyncio.timeout(self._limits.write):
            await self._writer.drain()


def _framed(reply: bytes) -> bytes:
    """Put the length before a message, for one write: RFC 7766 section 8, or it is two segments."""
    return len(reply).to_bytes(_LENGTH) + reply
