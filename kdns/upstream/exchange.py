"""Ask one upstream one question, over UDP or TCP, each time from a socket of its own.

Raises ``OSError`` or ``UpstreamError`` where no usable response came. Knows no clients, no cache
and no second upstream.
"""

import asyncio
import secrets
import socket
from contextlib import suppress

from kdns.chain import Transport
from kdns.errors import UpstreamError
from kdns.upstream.resolvconf import Upstream
from kdns.wire import relay
from kdns.wire.query import Query, write_query

READ_TIMEOUT = 2.0
"""Seconds that one attempt over one transport waits."""
_MAX_MESSAGE = 65_535
_LENGTH = 2


async def ask(upstream: Upstream, query: Query, transport: Transport, deadline: float) -> bytes:
    """Return the complete response; a truncated one only where TCP does not give more.

    ``deadline`` is in the time of the event loop. Must run in a task.
    """
    if transport == "tcp":
        return await _ask_tcp(upstream, query, deadline)
    async with asyncio.timeout_at(_until(deadline)):
        reply = relay.locate(await _over_udp(upstream, query))
    if reply.truncated:
        # RFC 7766 section 5: the rest is to be had by TCP.
        with suppress(OSError, UpstreamError):
            return await _ask_tcp(upstream, query, deadline)
    return _without_surprise(reply, query)


async def _ask_tcp(upstream: Upstream, query: Query, deadline: float) -> bytes:
    async with asyncio.timeout_at(_until(deadline)):
        return _without_surprise(relay.locate(await _over_tcp(upstream, query)), query)


def _until(deadline: float) -> float:
    return min(deadline, asyncio.get_running_loop().time() + READ_TIMEOUT)


def _without_surprise(reply: relay.Reply, query: Query) -> bytes:
    """Leave off an OPT that nobody asked for."""
    return reply.message if query.edns is not None else relay.without_edns(reply)


async def _over_udp(upstream: Upstream, query: Query) -> bytes:
    """Send a datagram and wait for its reply.

    RFC 5452 section 9.2: the id is random and so is the port, which the kernel picks anew for
    every socket. The socket is connected: the kernel drops what others send, and reports it
    when nobody listens there.
    """
    loop = asyncio.get_running_loop()
    message_id = secrets.randbits(16)
    family, address = _sockaddr(upstream)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(address)
        await loop.sock_sendall(sock, write_query(query, message_id))
        while True:
            message = await loop.sock_recv(sock, _MAX_MESSAGE)
            if relay.is_answer(message, query, message_id):
                return message
            # Reading does not wait while there is something to read: a flood of forged replies
            # must not keep the others waiting, nor the timeout.
            await asyncio.sleep(0)


async def _over_tcp(upstream: Upstream, query: Query) -> bytes:
    """Send the query in a connection of its own (RFC 1035 section 4.2.2)."""
    loop = asyncio.get_running_loop()
    message_id = secrets.randbits(16)
    family, address = _sockaddr(upstream)
    sent = write_query(query, message_id)
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, len(sent).to_bytes(_LENGTH) + sent)
        message = await _receive(sock, int.from_bytes(await _receive(sock, _LENGTH)))
    if not relay.is_answer(message, query, message_id):
        raise UpstreamError("the response is to another question")
    return message


async def _receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly so many octets."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < size:
        part = await loop.sock_recv(sock, size - len(received))
        if not part:
            raise UpstreamError("the connection was closed before the response was complete")
        received += part
    return bytes(received)


def _sockaddr(upstream: Upstream) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """Translate a numeric address, its scope included. Asks nobody, so it does not block."""
    family, _, _, _, address = socket.getaddrinfo(
        upstream.host, upstream.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    return family, address
