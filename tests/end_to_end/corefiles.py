"""kdns with a Corefile, as a program, and a resolver for it to ask. Knows no cluster."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import randbelow
from threading import Condition, Event, Thread
from typing import cast

import dns.message
import dns.rdatatype
import dns.rrset

from tests.end_to_end.running import Kdns
from tests.patience import PATIENCE

ZONE = r"^\S+:(\d+)(?: on \S+)?$"
"""The line of a zone in the text at the start."""
SETTLED = r"^linux/"
"""The last line of that text."""
LOW, PORTS = 20_000, 10_000
"""Ports that the kernel gives to nobody who asks for a free one."""


@contextmanager
def running(
    corefile: str, directory: Path, *arguments: str, name: str = "Corefile"
) -> Iterator[Kdns]:
    """Write a Corefile into a directory and run it while the block runs."""
    path = directory / name
    path.write_text(corefile)
    server = Kdns("-conf", str(path), *arguments, started=ZONE, cwd=directory)
    try:
        server.wait_for(SETTLED)
        yield server
    finally:
        server.stop()


def loopback() -> str:
    """Return an address of this machine that nobody else is likely to use."""
    first, second, third = (1 + randbelow(254) for _ in range(3))
    return f"127.{first}.{second}.{third}"


def free_port() -> int:
    """Return a port that is free for UDP and TCP on all addresses."""
    while True:
        port = LOW + randbelow(PORTS)
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("0.0.0.0", port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams:
                streams.bind(("0.0.0.0", port))
                return port


def page(host: str, port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Upstream(asyncio.DatagramProtocol):
    """A resolver that knows every name: A is ``address``, PTR is host.example.org."""

    def __init__(self, address: str = "192.0.2.1") -> None:
        self.host, self.port = loopback(), free_port()
        self.address = address
        self.delay = 0.0
        """Seconds before each answer."""
        self.asked: list[str] = []
        self._news = Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay, self._send, self._answer(data), address)

    def _send(self, reply: bytes, address: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(reply, address)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError), closing(writer):
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                reply = self._answer(await reader.readexactly(size))
                await asyncio.sleep(self.delay)
                writer.write(len(reply).to_bytes(2) + reply)
                await writer.drain()

    def _answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire)
        [question] = query.question
        with self._news:
            self.asked.append(question.name.to_text())
            self._news.notify_all()
        reply = dns.message.make_response(query, recursion_available=True)
        known = {dns.rdatatype.A: self.address, dns.rdatatype.PTR: "host.example.org."}
        if question.rdtype in known:
            data = known[question.rdtype]
            reply.answer = [dns.rrset.from_text(question.name, 60, "IN", question.rdtype, data)]
        return reply.to_wire()

    async def serve(self, started: Event) -> None:
        """Answer until ``stop``."""
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        streams = await asyncio.start_server(self._connected, self.host, self.port)
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: self, local_addr=(self.host, self.port)
        )
        started.set()
        await self._stopped.wait()
        streams.close()
        transport.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def wait_for(self, count: int) -> None:
        """Wait until it was asked so often."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.asked) >= count, PATIENCE), self.asked

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


@contextmanager
def upstream(address: str = "192.0.2.1") -> Iterator[Upstream]:
    """Run a resolver on a thread while the block runs."""
    one, started = Upstream(address), Event()
    thread = Thread(target=asyncio.run, args=(one.serve(started),))
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield one
    finally:
        one.stop()
        thread.join()
