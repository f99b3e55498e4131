"""``forward`` against small upstream servers on loopback, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from secrets import randbelow
from typing import TypeVar, cast

import dns.flags
import dns.message
import dns.rrset
import pytest

from kdns.chain import Answer, Handler, Relay, Request, Response, Transport
from kdns.plugins import forward
from kdns.plugins.forward import Forward, refuse
from kdns.server.eager import start
from kdns.upstream import exchange
from kdns.upstream.resolvconf import Upstream
from kdns.wire import codes, names, relay
from kdns.wire.query import CD, RD, Edns, Query, ask

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
T = TypeVar("T")
Replies = Callable[[dns.message.Message], list[bytes]]
"""What a fake sends back for a query, in order; nothing for silence."""


class Fake(asyncio.DatagramProtocol):
    """An upstream that answers by function, and remembers what it was asked."""

    def __init__(self, upstream: Upstream, udp: Replies, tcp: Replies) -> None:
        self.upstream = upstream
        self.udp: list[dns.message.Message] = []
        self.tcp: list[dns.message.Message] = []
        self.ports: list[int] = []
        self.arrived = asyncio.Event()
        self.replies = udp
        self._tcp = tcp
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.udp.append(query)
        self.ports.append(address[1])
        self.arrived.set()
        for reply in self.replies(query):
            if self._transport is not None:
                self._transport.sendto(reply, address)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2))
            query = dns.message.from_wire(await reader.readexactly(size))
            self.tcp.append(query)
            self.arrived.set()
            replies = self._tcp(query)
            for reply in replies:
                # In two pieces: a reader must not count on getting it at once.
                writer.write(len(reply).to_bytes(2) + reply[:5])
                await writer.drain()
                writer.write(reply[5:])
            if not replies:
                await reader.read()
        writer.close()


def somewhere() -> Upstream:
    """Return an address where nobody listens: all of 127.0.0.0/8 is this machine."""
    first, second, third = (1 + randbelow(254) for _ in range(3))
    return Upstream(f"127.{first}.{second}.{third}", 5300)


@asynccontextmanager
async def fake(
    udp: Replies, tcp: Replies | None = None, at: Upstream | None = None
) -> AsyncIterator[Fake]:
    """Run an upstream while the block runs; TCP answers as UDP unless said."""
    at = at or somewhere()
    loop = asyncio.get_running_loop()
    one = Fake(at, udp, tcp or udp)
    server = await asyncio.start_server(one.connected, at.host, at.port)
    transport, _ = await loop.create_datagram_endpoint(lambda: one, local_addr=(at.host, at.port))
    try:
        yield one
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


def says(address: str = "192.0.2.1", count: int = 1, flags: str = "QR RD RA") -> Replies:
    """Answer with that address, so many times over with different TTLs."""

    def replies(query: dns.message.Message) -> list[bytes]:
        message = dns.message.make_response(query)
        message.flags = dns.flags.from_text(flags)
        owner = query.question[0].name
        message.answer = [
            dns.rrset.from_text(owner, 60, "IN", "TXT", f"{n:0200}") for n in range(count - 1)
        ]
        message.answer.append(dns.rrset.from_text(owner, 60, "IN", "A", address))
        return [message.to_wire(max_size=65_535)]

    return replies


def silence(_query: dns.message.Message) -> list[bytes]:
    return []


def run(test: Coroutine[None, None, T]) -> T:
    """Run a test on a loop of its own."""
    return asyncio.run(test)


def request(query: Query = QUERY, transport: Transport = "udp") -> Request:
    return Request(query, transport, refuse)


def handler(*upstreams: Upstream) -> Handler:
    return Forward(upstreams).wrap(refuse)


def addresses(response: Response) -> list[str]:
    assert isinstance(response, Relay)
    message = dns.message.from_wire(response.message)
    return [rdata.address for rrset in message.answer if rrset.rdtype == 1 for rdata in rrset]


def failure(response: Response) -> str:
    assert isinstance(response, Answer)
    assert response.sections.rcode == codes.SERVFAIL
    assert response.sections.ede is not None
    code, text = response.sections.ede
    assert code == codes.EDE_NO_REACHABLE_AUTHORITY
    return text


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for tenths of a second where people wait for seconds."""
    monkeypatch.setattr(exchange, "READ_TIMEOUT", 0.2)
    monkeypatch.setattr(forward, "DEADLINE", 0.6)


impatient = pytest.mark.usefixtures("_impatient")


# -- what is asked ------------------------------------------------------------------------------


def test_the_question_goes_out_as_it_came() -> None:
    async def test() -> dns.message.Message:
        asked = names.from_text("WwW.example.org")
        async with fake(says()) as upstream:
            query = Query(77, RD | CD | relay.AD, asked + b"\0\1\0\1", asked.lower(), 1)
            assert addresses(await handler(upstream.upstream)(request(query))) == ["192.0.2.1"]
            return upstream.udp[0]

    sent = run(test())
    assert str(sent.question[0].name) == "WwW.example.org."
    assert dns.flags.to_text(sent.flags) == "RD AD CD"
    assert sent.edns == -1


def test_edns_and_do_go_out_when_the_client_sent_them_and_its_options_do_not() -> None:
    async def test() -> dns.message.Message:
        edns = Edns(4096, do=True, options=((codes.EDNS_COOKIE, b"12345678"),))
        async with fake(says()) as upstream:
            await handler(upstream.upstream)(request(ask(QUERY.name, codes.A, edns=edns)))
            return upstream.udp[0]

    sent = run(test())
    assert (sent.edns, sent.payload, sent.options) == (0, 1232, ())
    assert sent.ednsflags == dns.flags.DO


def test_ids_and_ports_are_not_to_be_guessed() -> None:
    async def test() -> Fake:
        async with fake(says()) as upstream:
            ask_it = handler(upstream.upstream)
            for _ in range(20):
                await ask_it(request())
            return upstream

    upstream = run(test())
    assert len({query.id for query in upstream.udp}) > 15
    assert len(set(upstream.ports)) > 10


def test_an_opt_that_nobody_asked_for_is_left_off() -> None:
    def replies(query: dns.message.Message) -> list[bytes]:
        query.use_edns(0)
        return says()(query)

    async def test() -> Response:
        async with fake(replies) as upstream:
            return await handler(upstream.upstream)(request())

    response = run(test())
    assert isinstance(response, Relay)
    assert dns.message.from_wire(response.message).edns == -1


# -- which reply is believed --------------------------------------------------------------------


def _other_id(query: dns.message.Message) -> list[bytes]:
    forged = says("203.0.113.9")(query)[0]
    return [(query.id ^ 1).to_bytes(2) + forged[2:]]


def _other_question(query: dns.message.Message) -> list[bytes]:
    other = dns.message.make_query("wwx.example.org.", "A", id=query.id)
    return says("203.0.113.9")(other)


def _garbage(query: dns.message.Message) -> list[bytes]:
    return [b"", query.id.to_bytes(2), query.to_wire()]


@pytest.mark.parametrize("forged", [_other_id, _other_question, _garbage])
def test_what_is_no_answer_is_ignored_and_waiting_goes_on(forged: Replies) -> None:
    async def test() -> Response:
        async with fake(lambda query: forged(query) * 3 + says()(query)) as upstream:
            return await handler(upstream.upstream)(request())

    assert addresses(run(test())) == ["192.0.2.1"]


@impatient
def test_a_flood_of_forged_replies_does_not_hold_the_timeout_up() -> None:
    async def test() -> Response:
        async with fake(lambda query: _other_id(query) * 100) as upstream:
            return await handler(upstream.upstream)(request())

    assert "no answer in time" in failure(run(test()))


def test_a_connection_that_answers_another_question_is_of_no_use() -> None:
    async def test() -> Response:
        async with fake(says(), _other_question) as upstream:
            return await handler(upstream.upstream)(request(transport="tcp"))

    assert "another question" in failure(run(test()))


def test_a_reply_that_is_broken_makes_way_for_the_next_upstream() -> None:
    async def test() -> Response:
        async with fake(lambda query: [says()(query)[0][:-1]]) as first, fake(says()) as second:
            return await handler(first.upstream, second.upstream)(request())

    assert addresses(run(test())) == ["192.0.2.1"]


# -- truncation and TCP -------------------------------------------------------------------------


def test_a_truncated_reply_is_asked_for_again_over_tcp() -> None:
    async def test() -> Response:
        async with fake(says(flags="QR TC"), says("192.0.2.2", count=100)) as upstream:
            return await handler(upstream.upstream)(request())

    response = run(test())
    assert addresses(response) == ["192.0.2.2"]
    assert isinstance(response, Relay)
    assert len(response.message) > 20_000
    cut = relay.readdress(response.message, QUERY, 512)
    assert len(cut) <= 512
    assert dns.message.from_wire(cut).flags & dns.flags.TC


@impatient
@pytest.mark.parametrize("tcp", [silence, lambda _: [b""], lambda _: [b"\0" * 30], _other_id])
def test_without_tcp_the_truncated_reply_is_better_than_none(tcp: Replies) -> None:
    async def test() -> Response:
        async with fake(says(flags="QR TC"), tcp) as upstream:
            return await handler(upstream.upstream)(request())

    response = run(test())
    assert isinstance(response, Relay)
    assert dns.message.from_wire(response.message).flags & dns.flags.TC


def test_a_connection_that_ends_too_early_is_of_no_use() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.close()

    async def test() -> Response:
        at = somewhere()
        async with await asyncio.start_server(hang_up, at.host, at.port):
            return await handler(at)(request(transport="tcp"))

    assert "closed before the response was complete" in failure(run(test()))


def test_a_client_of_tcp_is_asked_for_over_tcp() -> None:
    async def test() -> tuple[Response, Fake]:
        async with fake(silence, says("192.0.2.2", count=200)) as upstream:
            return await handler(upstream.upstream)(request(transport="tcp")), upstream

    response, upstream = run(test())
    assert addresses(response) == ["192.0.2.2"]
    assert (len(upstream.udp), len(upstream.tcp)) == (0, 1)


# -- several upstreams --------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_dead_upstream_makes_way_for_the_next(transport: Transport) -> None:
    async def test() -> Response:
        async with fake(says()) as alive:
            return await handler(somewhere(), alive.upstream)(request(transport=transport))

    assert addresses(run(test())) == ["192.0.2.1"]


@impatient
def test_a_silent_upstream_makes_way_for_the_next() -> None:
    async def test() -> Response:
        async with fake(silence) as silent, fake(says()) as alive:
            return await handler(silent.upstream, alive.upstream)(request())

    assert addresses(run(test())) == ["192.0.2.1"]


@impatient
def test_a_lost_datagram_is_sent_again() -> None:
    seen: list[int] = []

    def second_time(query: dns.message.Message) -> list[bytes]:
        seen.append(query.id)
        return says()(query) if len(seen) > 1 else []

    async def test() -> Response:
        async with fake(second_time) as upstream:
            return await handler(upstream.upstream)(request())

    assert addresses(run(test())) == ["192.0.2.1"]


def test_when_time_is_up_nobody_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "DEADLINE", 0.1)

    async def test() -> tuple[Response, int]:
        async with fake(silence) as first, fake(says()) as second:
            response = await handler(first.upstream, second.upstream)(request())
            return response, len(second.udp)

    response, asked = run(test())
    assert "no answer in time" in failure(response)
    assert asked == 0


def test_an_upstream_that_failed_comes_last_until_it_is_forgiven() -> None:
    now = 1000.0

    async def test() -> list[str]:
        nonlocal now
        address, found = somewhere(), []
        async with fake(says("192.0.2.2")) as second:
            ask_it = Forward([address, second.upstream], lambda: now).wrap(refuse)
            found += addresses(await ask_it(request()))
            async with fake(says("192.0.2.1"), at=address):
                found += addresses(await ask_it(request()))
                now += forward.AVOIDED
                found += addresses(await ask_it(request()))
        return found

    assert run(test()) == ["192.0.2.2", "192.0.2.2", "192.0.2.1"]


def test_an_upstream_that_recovers_is_used_at_once_when_there_is_no_other() -> None:
    async def test() -> tuple[Response, Response]:
        address = somewhere()
        ask_it = handler(address)
        before = await ask_it(request())
        async with fake(says(), at=address):
            return before, await ask_it(request())

    before, after = run(test())
    assert "Connection refused" in failure(before)
    assert addresses(after) == ["192.0.2.1"]


@impatient
def test_when_all_fail_the_client_hears_which_and_why() -> None:
    async def test() -> tuple[str, str]:
        gone = somewhere()
        async with fake(silence) as silent:
            text = failure(await handler(gone, silent.upstream)(request()))
            return text, f"{gone}: Connection refused; {silent.upstream}: no answer in time"

    text, expected = run(test())
    assert text == expected


def test_an_interface_that_does_not_exist_is_a_reason_too() -> None:
    response = run(_waited(handler(Upstream("fe80::1%kdns-none"))(request())))

    assert "fe80::1%kdns-none" in failure(response)


async def _waited(work: Awaitable[T]) -> T:
    return await work


# -- many queries -------------------------------------------------------------------------------


def test_a_slow_upstream_does_not_hold_others_up() -> None:
    async def test() -> tuple[bool, list[str]]:
        def slow(query: dns.message.Message) -> list[bytes]:
            return [] if "slow" in str(query.question[0].name) else says()(query)

        async with fake(slow) as upstream:
            ask_it = handler(upstream.upstream)
            query = ask(names.from_text("slow.example.org"), codes.A)
            waiting = asyncio.ensure_future(ask_it(request(query)))
            found = addresses(await ask_it(request()))
            ahead = not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return ahead, found

    assert run(test()) == (True, ["192.0.2.1"])


def test_the_same_question_is_asked_once_for_all_who_wait() -> None:
    async def test() -> tuple[list[Response], int]:
        async with fake(says()) as upstream:
            ask_it = handler(upstream.upstream)
            same = [request(Query(n, RD, QUERY.question, QUERY.name, 1)) for n in range(10)]
            found = await asyncio.gather(*map(ask_it, same))
            return found, len(upstream.udp)

    found, asked = run(test())
    assert [addresses(response) for response in found] == [["192.0.2.1"]] * 10
    assert asked == 1


def test_another_spelling_is_another_question() -> None:
    async def test() -> int:
        async with fake(says()) as upstream:
            ask_it = handler(upstream.upstream)
            loud = Query(1, RD, names.from_text(NAME.upper()) + b"\0\1\0\1", QUERY.name, 1)
            await asyncio.gather(ask_it(request()), ask_it(request(loud)))
            return len(upstream.udp)

    assert run(test()) == 2


def test_a_client_that_leaves_does_not_take_the_answer_from_others() -> None:
    async def test() -> Response:
        async with fake(silence) as upstream:
            ask_it = handler(upstream.upstream)
            leaves = asyncio.ensure_future(ask_it(request()))
            stays = asyncio.ensure_future(ask_it(request()))
            await upstream.arrived.wait()
            leaves.cancel()
            await asyncio.gather(leaves, return_exceptions=True)
            upstream.replies = says()
            return await stays

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "READ_TIMEOUT", 0.1)
        assert addresses(run(test())) == ["192.0.2.1"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_when_nobody_waits_any_more_the_exchange_ends(transport: Transport) -> None:
    async def test() -> None:
        async with fake(silence) as upstream:
            before = asyncio.all_tasks()
            waiting = asyncio.ensure_future(handler(upstream.upstream)(request(QUERY, transport)))
            await upstream.arrived.wait()
            waiting.cancel()
            # Also the fake's end of a TCP connection, which ends when it is closed here.
            left = asyncio.all_tasks() - before
            async with asyncio.timeout(forward.DEADLINE / 5):
                await asyncio.gather(*left, return_exceptions=True)

    run(test())


def test_who_comes_right_after_the_last_left_gets_an_exchange_of_its_own() -> None:
    async def test() -> Response:
        async with fake(silence) as upstream:
            ask_it = handler(upstream.upstream)
            leaves = asyncio.ensure_future(ask_it(request()))
            await upstream.arrived.wait()
            upstream.replies = says()
            leaves.cancel()
            late = asyncio.ensure_future(ask_it(request()))
            await asyncio.gather(leaves, return_exceptions=True)
            return await late

    assert addresses(run(test())) == ["192.0.2.1"]


def test_too_many_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "MAX_CONCURRENT", 2)

    async def test() -> tuple[list[Response], Response]:
        async with fake(says()) as upstream:
            ask_it = handler(upstream.upstream)
            three = await asyncio.gather(*(ask_it(request()) for _ in range(3)))
            return three, await ask_it(request())

    three, later = run(test())
    refused = three[2]
    assert isinstance(refused, Answer)
    assert refused.sections.rcode == codes.REFUSED
    assert refused.sections.ede == (codes.EDE_OTHER, "2 queries wait for upstreams already")
    assert [addresses(response) for response in (*three[:2], later)] == [["192.0.2.1"]] * 3


def test_it_can_be_started_outside_of_a_task() -> None:
    async def test() -> Response:
        async with fake(says()) as upstream:
            started: asyncio.Future[object] = asyncio.get_running_loop().create_future()

            async def work() -> Response:
                return await handler(upstream.upstream)(request())

            asyncio.get_running_loop().call_soon(lambda: started.set_result(start(work())))
            outcome = await started
            assert isinstance(outcome, asyncio.Task)
            response: Response = await outcome
            return response

    assert addresses(run(test())) == ["192.0.2.1"]


# -- no upstream --------------------------------------------------------------------------------


def test_without_an_upstream_a_name_is_refused_by_name() -> None:
    response = run(_waited(refuse(request())))

    assert isinstance(response, Answer)
    assert (response.sections.rcode, response.sections.ede) == (
        codes.REFUSED,
        (20, f"{NAME} is outside the zones of this server and no upstream is configured"),
    )
