"""The sockets, with a chain of the test's own behind them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import dns.asyncquery
import dns.message
import pytest
from msgspec.structs import replace

from kdns.chain import FIXED, Address, Answer, Handler, Relay, Request, Response
from kdns.errors import UsageError
from kdns.server.listeners import Listener
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable
from kdns.server.tcp import TcpLimits, TcpServer
from kdns.wire import names, records
from kdns.wire.message import Sections
from tests.patience import PATIENCE

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _a(request: Request) -> Answer:
    return Answer(Sections(answer=(records.address(request.query.asked, 5, b"\x0a\0\0\1"),)))


@asynccontextmanager
async def _server(
    chain: Handler, limits: TcpLimits | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Address]:
    listener = Listener(host, 0)
    try:
        await listener.start(_responder(chain), limits or TcpLimits())
        yield listener.addresses[0]
    finally:
        await listener.close()


def _responder(chain: Handler) -> Responder:
    return Responder(Routes([Route(names.ROOT, ".", chain)]), AnswerTable())


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def _framed(name: str) -> bytes:
    wire = dns.message.make_query(name, "A").to_wire()
    return len(wire).to_bytes(2) + wire


async def _read(reader: asyncio.StreamReader) -> dns.message.Message:
    async with asyncio.timeout(PATIENCE):
        return dns.message.from_wire(
            await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        )


def _name(message: dns.message.Message) -> str:
    return message.question[0].name.to_text()


def test_rfc7766_a_query_that_waits_does_not_hold_up_the_next() -> None:
    async def test() -> None:
        release = asyncio.Event()

        async def chain(request: Request) -> Response:
            if request.query.name.startswith(b"\4slow"):
                await release.wait()
            return _a(request)

        async with _server(chain) as address, _connected(address) as (reader, writer):
            writer.write(_framed("slow.") + _framed("fast."))
            assert _name(await _read(reader)) == "fast."
            release.set()
            assert _name(await _read(reader)) == "slow."

    asyncio.run(test())


def test_udp_answers_later_what_has_to_wait() -> None:
    async def test() -> None:
        async def chain(request: Request) -> Response:
            await asyncio.sleep(0)
            async with asyncio.timeout(PATIENCE):
                await asyncio.sleep(0)
            return _a(request)

        async with _server(chain) as address:
            query = dns.message.make_query("slow.", "A")
            reply = await asyncio.to_thread(_udp, query.to_wire(), address)

        assert query.is_response(dns.message.from_wire(reply))

    asyncio.run(test())


def _udp(datagram: bytes, address: Address) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(datagram, address)
        return client.recv(65_535)


def test_udp_survives_what_is_no_query() -> None:
    async def test() -> None:
        async def chain(request: Request) -> Response:
            return _a(request)

        async with _server(chain) as address:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for junk in (b"", b"\0", b"\xff" * 12, b"\0" * 600):
                    client.sendto(junk, address)
            query = dns.message.make_query("fine.", "A").to_wire()
            assert (await asyncio.to_thread(_udp, query, address))[:2] == query[:2]

    asyncio.run(test())


async def _never(_: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def _at_once(request: Request) -> Response:
    return _a(request)


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


LIMITS = {
    "an idle connection": (TcpLimits(idle=0.05), b""),
    "a query that does not end": (TcpLimits(read=0.05), b"\0\x20abc"),
}


@pytest.mark.parametrize(("limits", "sent"), LIMITS.values(), ids=LIMITS)
def test_tcp_closes(limits: TcpLimits, sent: bytes) -> None:
    async def test() -> None:
        async with _server(_at_once, limits) as address, _connected(address) as (reader, writer):
            writer.write(sent)
            assert await _is_closed(reader)

    asyncio.run(test())


def test_tcp_closes_on_a_client_that_does_not_read() -> None:
    async def test() -> None:
        reply = _framed("x.")[2:] + bytes(60_000)

        async def chain(_: Request) -> Response:
            return Relay(reply)

        server = TcpServer(_responder(chain), TcpLimits(write=0.05))
        listening_socket = socket.create_server(("127.0.0.1", 0))
        await server.start(listening_socket)
        async with _connected(listening_socket.getsockname()) as (reader, writer):
            writer.write(_framed("x.") * 400)
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
                await _until(lambda: server.connections > 0)
                # The server gives up in the middle: the stream ends without all the replies.
                await _until(lambda: server.connections == 0)
                received = 0
                while part := await _part(reader):
                    received += len(part)
        await server.close()

        assert received < 400 * 60_000

    asyncio.run(test())


async def _part(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(1 << 20)
    except ConnectionError:
        return b""


def test_tcp_limits_connections() -> None:
    async def test() -> None:
        limits = TcpLimits(connections=2)
        async with (
            _server(_at_once, limits) as address,
            _connected(address) as one,
            _connected(address) as two,
        ):
            for reader, writer in (one, two):
                writer.write(_framed("x."))
                await _read(reader)
            async with _connected(address) as (third, _):
                assert await _is_closed(third)

    asyncio.run(test())


def test_tcp_stops_reading_a_connection_with_too_many_waiting() -> None:
    async def test() -> None:
        started = 0

        async def chain(request: Request) -> Response:
            nonlocal started
            started += 1
            return await _never(request)

        limits = TcpLimits(waiting=5)
        async with _server(chain, limits) as address, _connected(address) as (_, writer):
            writer.write(_framed("x.") * 100)
            await writer.drain()
            async with asyncio.timeout(PATIENCE):
                await _until(lambda: started == 5)
            # Time for more, were there any.
            await asyncio.sleep(0.1)

        assert started == 5

    asyncio.run(test())


def test_closing_ends_what_waits() -> None:
    async def test() -> None:
        async with _server(_never) as address, _connected(address) as (_, writer):
            writer.write(_framed("x."))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(_framed("y.")[2:], address)
            await asyncio.sleep(0.05)
        mine = asyncio.current_task()
        others = asyncio.all_tasks() - {mine}
        if others:
            await asyncio.wait(others, timeout=PATIENCE)
        assert asyncio.all_tasks() == {mine}

    asyncio.run(test())


def test_both_transports_have_the_same_port_on_every_address() -> None:
    async def test() -> None:
        listener = Listener("", 0)
        ports = {port for _, port in listener.addresses}
        await listener.close()
        assert len(ports) == 1
        assert 0 not in ports

    asyncio.run(test())


def test_a_host_name_is_no_address() -> None:
    async def test() -> None:
        with pytest.raises(UsageError, match="cannot listen on example: expected an IP address"):
            async with _server(_at_once, host="example"):
                pass

    asyncio.run(test())


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0.01)


def test_tcp_is_closed_for_good_even_if_the_client_never_reads() -> None:
    async def test() -> None:
        reply = _framed("x.")[2:] + bytes(60_000)

        async def chain(_: Request) -> Response:
            return Relay(reply)

        server = TcpServer(_responder(chain), TcpLimits(idle=0.1, write=0.1))
        listening_socket = socket.create_server(("127.0.0.1", 0))
        await server.start(listening_socket)
        with ExitStack() as stack:
            # Some of them fill the kernel's buffers and leave a little in the server's own.
            for queries in range(30, 60):
                client = stack.enter_context(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                address = listening_socket.getsockname()
                await asyncio.get_running_loop().sock_connect(client, address)
                await asyncio.get_running_loop().sock_sendall(client, _framed("x.") * queries)
            async with asyncio.timeout(PATIENCE):
                await _until(lambda: server.connections > 0)
                await _until(lambda: server.connections == 0)
        await server.close()

    asyncio.run(test())


def test_tcp_closes_on_a_message_without_a_header() -> None:
    async def test() -> None:
        async with _server(_at_once) as address, _connected(address) as (reader, writer):
            writer.write(b"\0\0" * 1000)
            assert await _is_closed(reader)

    asyncio.run(test())


def test_a_busy_connection_lets_others_have_their_turn() -> None:
    async def test() -> None:
        answered = turns = 0

        async def chain(request: Request) -> Response:
            nonlocal answered
            answered += 1
            return _a(request)

        async with _server(chain) as address, _connected(address) as (_, writer):
            writer.write(b"".join(_framed(f"n{number}.") for number in range(500)))
            while answered < 500:
                await asyncio.sleep(0)
                turns += 1

        assert turns >= 500

    asyncio.run(test())


def _big(request: Request) -> Answer:
    """5,000 octets of addresses: more than goes out with a batch."""
    owner = request.query.asked
    many = (records.address(owner, 5, number.to_bytes(4)) for number in range(310))
    return Answer(Sections(answer=tuple(many)), FIXED)


@pytest.fixture(params=["in batches", "one by one"])
def batched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to drain a socket; the second is for systems without recvmmsg."""
    if request.param == "one by one":
        monkeypatch.setattr("kdns.server.udp.available", lambda: False)


@pytest.mark.usefixtures("batched")
def test_prepared_long_and_new_answers_leave_in_one_batch() -> None:
    async def chain(request: Request) -> Response:
        if request.query.name.startswith(b"\3big"):
            return _big(request)
        return replace(_a(request), owners=FIXED)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with _server(chain) as address:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                await loop.sock_connect(client, address)
                names = ["one.", "big.", "two.", "big.", "one.", "new."]
                for again in range(4):
                    asked = {}
                    for name in names:
                        query = dns.message.make_query(name, "A", use_edns=0, payload=60_000)
                        asked[query.id] = name
                        client.send(query.to_wire())
                    async with asyncio.timeout(PATIENCE):
                        for _ in names:
                            reply = dns.message.from_wire(await loop.sock_recv(client, 65_535))
                            assert _name(reply) == asked.pop(reply.id), again
                            expected = 310 if _name(reply) == "big." else 1
                            assert len(reply.answer[0]) == expected

    asyncio.run(test())


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.9", "::1"])
def test_a_reply_leaves_from_the_address_that_was_asked(asked: str, *, waits: bool) -> None:
    if ":" in asked and not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")

    async def chain(request: Request) -> Response:
        if waits:
            await asyncio.sleep(0.01)
        return replace(_a(request), owners=FIXED)

    async def test() -> None:
        async with _server(chain, host="") as (_, port):
            for _ in range(3):
                query = dns.message.make_query("x.", "A")
                # dnspython refuses a reply from anywhere else.
                await dns.asyncquery.udp(query, asked, port=port, timeout=PATIENCE)

    asyncio.run(test())


def test_garbage_among_queries_costs_nobody_an_answer() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with _server(_at_once) as address:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.setblocking(False)
                await loop.sock_connect(client, address)
                for size in (0, 1, 11, 4096, 20_000):
                    client.send(bytes(size))
                    client.send(dns.message.make_query("x.", "A").to_wire())
                async with asyncio.timeout(PATIENCE):
                    good = 0
                    while good < 5:
                        reply = await loop.sock_recv(client, 65_535)
                        good += len(reply) > 12

    asyncio.run(test())
