"""``forward`` against small upstream servers on loopback, over real sockets."""

import asyncio
import socket
import ssl

import dns.flags
import dns.message
import dns.rrset
import pytest

from kdns.chain import Answer, Relay, Request, Response, Transport
from kdns.directives.forward import Rules
from kdns.metrics import Metrics
from kdns.plugins.forward import Forward, refuse
from kdns.server.eager import Rest, start
from kdns.upstream.address import Upstream
from kdns.upstream.datagrams import MAX_USES, PORTS
from kdns.upstream.pool import MAX_OPEN
from kdns.upstream.settings import Check, Settings
from kdns.wire import codes, names, relay
from kdns.wire.query import CD, RD, Edns, Query, ask
from tests.end_to_end.fake_upstream import (
    NAME,
    QUERY,
    Fake,
    Replies,
    addresses,
    asked_once,
    failure,
    fake,
    forwarding,
    rcode,
    request,
    run,
    says,
    says_rcode,
    silence,
    somewhere,
    waited,
)
from tests.patience import PATIENCE

IMPATIENT = Settings(read_timeout=0.2, deadline=0.6)
"""Waits for tenths of a second where people wait for seconds."""

# -- what is asked ------------------------------------------------------------------------------


def test_the_question_goes_out_as_it_came() -> None:
    async def test() -> dns.message.Message:
        asked = names.from_text("WwW.example.org")
        query = Query(77, RD | CD | relay.AD, asked + b"\0\1\0\1", asked.lower(), 1)
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            assert addresses(await handler(request(query))) == ["192.0.2.1"]
            return upstream.udp[0]

    sent = run(test())
    assert str(sent.question[0].name) == "WwW.example.org."
    assert dns.flags.to_text(sent.flags) == "RD AD CD"
    assert sent.edns == -1


@pytest.mark.parametrize("do", [True, False])
def test_edns_and_do_go_out_when_the_client_sent_them_and_its_options_do_not(*, do: bool) -> None:
    async def test() -> dns.message.Message:
        edns = Edns(4096, do=do, options=((codes.EDNS_COOKIE, b"12345678"),))
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            await handler(request(ask(QUERY.name, codes.A, edns=edns)))
            return upstream.udp[0]

    sent = run(test())
    assert (sent.edns, sent.payload, sent.options) == (0, 1232, ())
    assert sent.ednsflags == (dns.flags.DO if do else 0)


def test_ids_and_ports_are_not_to_be_guessed() -> None:
    count = 10 * MAX_USES

    async def test() -> Fake:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            for _ in range(count):
                await handler(request())
            return upstream

    upstream = run(test())
    assert len({query.id for query in upstream.udp}) > count - 20
    assert max(map(upstream.ports.count, upstream.ports)) <= MAX_USES + 1
    assert len(set(upstream.ports)) >= 9


def test_questions_at_the_same_time_leave_from_different_ports() -> None:
    async def test() -> Fake:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            queries = _names(20)
            await asyncio.gather(*(handler(request(query)) for query in queries))
            return upstream

    assert len(set(run(test()).ports)) == 20


def test_a_port_that_is_idle_for_too_long_is_not_used_again() -> None:
    async def test() -> Fake:
        settings = Settings(expire=0.0)
        async with (
            fake(says()) as upstream,
            forwarding(upstream.upstream, settings=settings) as handler,
        ):
            for _ in range(5):
                await handler(request())
                await asyncio.sleep(0.001)
            return upstream

    assert len(set(run(test()).ports)) == 5


def test_an_opt_that_nobody_asked_for_is_left_off() -> None:
    def replies(query: dns.message.Message) -> list[bytes]:
        query.use_edns(0)
        return says()(query)

    async def test() -> Response:
        async with fake(replies) as upstream:
            return await asked_once(upstream.upstream)

    response = run(test())
    assert isinstance(response, Relay)
    assert dns.message.from_wire(response.message).edns == -1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_is_asked_from_the_address_that_is_wanted(transport: Transport) -> None:
    async def test() -> list[str]:
        found = []

        def replies(query: dns.message.Message) -> list[bytes]:
            found.append(str(query.question[0].name))
            return says()(query)

        async with fake(replies) as upstream:
            good = Settings(source="127.0.0.1")
            bad = Settings(source="192.0.2.1", max_attempts=1)
            assert addresses(
                await asked_once(upstream.upstream, transport=transport, settings=good)
            )
            text = failure(await asked_once(upstream.upstream, transport=transport, settings=bad))
            return [*found, text]

    *asked, text = run(test())
    assert len(asked) == 1
    assert "cannot assign requested address" in text


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
            return await asked_once(upstream.upstream)

    assert addresses(run(test())) == ["192.0.2.1"]


def test_a_flood_of_forged_replies_does_not_hold_the_timeout_up() -> None:
    async def test() -> Response:
        async with fake(lambda query: _other_id(query) * 100) as upstream:
            return await asked_once(upstream.upstream, settings=IMPATIENT)

    assert "i/o timeout" in failure(run(test()))


def test_a_connection_that_answers_another_question_is_of_no_use() -> None:
    async def test() -> Response:
        async with fake(says(), _other_question) as upstream:
            return await asked_once(upstream.upstream, transport="tcp")

    assert "another question" in failure(run(test()), codes.EDE_NETWORK_ERROR)


def test_a_connection_may_answer_what_was_not_asked_before_it_answers() -> None:
    async def test() -> Response:
        async with fake(says(), lambda query: _other_id(query) + says()(query)) as upstream:
            return await asked_once(upstream.upstream, transport="tcp")

    assert addresses(run(test())) == ["192.0.2.1"]


def _cut_short(query: dns.message.Message) -> list[bytes]:
    return [says()(query)[0][:-1]]


def _points_forward(query: dns.message.Message) -> list[bytes]:
    """Answer with an alias whose name leads to itself."""
    reply = dns.message.make_response(query).to_wire()
    pointer = (0xC000 | len(reply) + 12).to_bytes(2)
    record = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2" + pointer
    return [reply[:7] + b"\1" + reply[8:] + record]


def _complaint(query: dns.message.Message) -> list[bytes]:
    """Answer FORMERR with a mere header, as servers without EDNS do."""
    return [query.id.to_bytes(2) + b"\x80\1" + bytes(8)]


BROKEN = {"cut short": _cut_short, "a loop of names": _points_forward, "a header": _complaint}
broken = pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN)


@broken
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_reply_that_is_broken_makes_way_for_the_next_upstream(
    bad: Replies, transport: Transport
) -> None:
    async def test() -> Response:
        async with fake(bad) as first, fake(says()) as second:
            return await asked_once(first.upstream, second.upstream, transport=transport)

    assert addresses(run(test())) == ["192.0.2.1"]


@broken
def test_a_reply_that_is_broken_is_not_passed_on(bad: Replies) -> None:
    async def test() -> tuple[Response, Upstream]:
        async with fake(bad) as upstream:
            return await asked_once(upstream.upstream), upstream.upstream

    response, upstream = run(test())
    assert f"{upstream}: the response " in failure(response, codes.EDE_NETWORK_ERROR)


# -- truncation and TCP -------------------------------------------------------------------------


def _truncated(response: Response) -> bool:
    assert isinstance(response, Relay)
    return bool(dns.message.from_wire(response.message).flags & dns.flags.TC)


def test_a_client_of_udp_hears_itself_that_a_reply_is_truncated() -> None:
    async def test() -> tuple[Response, Fake]:
        async with fake(says(flags="QR TC")) as upstream:
            return await asked_once(upstream.upstream), upstream

    response, upstream = run(test())
    assert _truncated(response)
    assert not upstream.tcp


def test_a_reply_that_is_truncated_within_a_record_is_truncated_to_none() -> None:
    def replies(query: dns.message.Message) -> list[bytes]:
        return [says(count=9, flags="QR TC")(query)[0][:512]]

    async def test() -> Response:
        async with fake(replies) as upstream:
            return await asked_once(upstream.upstream)

    response = run(test())
    assert _truncated(response)
    assert isinstance(response, Relay)
    assert dns.message.from_wire(response.message).answer == []


def test_prefer_udp_asks_for_the_rest_over_tcp() -> None:
    async def test() -> Response:
        async with fake(says(flags="QR TC"), says("192.0.2.2", count=100)) as upstream:
            return await asked_once(upstream.upstream, settings=Settings(prefer_udp=True))

    response = run(test())
    assert addresses(response) == ["192.0.2.2"]
    assert isinstance(response, Relay)
    assert len(response.message) > 20_000
    cut = relay.readdress(response.message, QUERY, 512)
    assert len(cut) <= 512
    assert dns.message.from_wire(cut).flags & dns.flags.TC


@pytest.mark.parametrize("tcp", [silence, lambda _: [b""], lambda _: [b"\0" * 30], _other_id])
def test_without_tcp_the_truncated_reply_is_better_than_none(tcp: Replies) -> None:
    settings = Settings(prefer_udp=True, read_timeout=0.2, deadline=0.6)

    async def test() -> Response:
        async with fake(says(flags="QR TC"), tcp) as upstream:
            return await asked_once(upstream.upstream, settings=settings)

    assert _truncated(run(test()))


TRANSPORTS = {
    "as the client, UDP": (Settings(), "udp", (1, 0)),
    "as the client, TCP": (Settings(), "tcp", (0, 1)),
    "force_tcp": (Settings(force_tcp=True), "udp", (0, 1)),
    "prefer_udp": (Settings(prefer_udp=True), "tcp", (1, 0)),
    "force_tcp before prefer_udp": (Settings(force_tcp=True, prefer_udp=True), "udp", (0, 1)),
}


@pytest.mark.parametrize(
    ("settings", "transport", "expected"), TRANSPORTS.values(), ids=list(TRANSPORTS)
)
def test_over_which_transport(
    settings: Settings, transport: Transport, expected: tuple[int, int]
) -> None:
    async def test() -> tuple[int, int]:
        async with fake(says()) as upstream:
            await asked_once(upstream.upstream, transport=transport, settings=settings)
            return len(upstream.udp), len(upstream.tcp)

    assert run(test()) == expected


def test_a_large_answer_comes_whole_over_tcp() -> None:
    async def test() -> Response:
        async with fake(silence, says("192.0.2.2", count=290)) as upstream:
            return await asked_once(upstream.upstream, transport="tcp")

    response = run(test())
    assert addresses(response) == ["192.0.2.2"]
    assert isinstance(response, Relay)
    assert len(response.message) > 60_000


# -- connections that are used again ------------------------------------------------------------


async def _in_a_row(upstream: Fake, settings: Settings, pause: float = 0.0) -> int:
    """Ask three times over TCP; return over how many connections."""
    async with forwarding(upstream.upstream, settings=settings) as handler:
        for _ in range(3):
            assert addresses(await handler(request(transport="tcp"))) == ["192.0.2.1"]
            await asyncio.sleep(pause)
    return upstream.connections


ROWS = {
    "one connection": (Settings(), 1),
    "idle for too long": (Settings(expire=0.0), 3),
    "too old": (Settings(max_age=0.0001), 3),
}


@pytest.mark.parametrize(("settings", "expected"), ROWS.values(), ids=list(ROWS))
def test_a_connection_is_used_again(settings: Settings, expected: int) -> None:
    async def test() -> int:
        async with fake(says()) as upstream:
            return await _in_a_row(upstream, settings, pause=0.001)

    assert run(test()) == expected


@pytest.mark.parametrize("pause", [0.0, 0.01], ids=["at the same moment", "before"])
def test_a_connection_that_the_other_side_closed_is_replaced(pause: float) -> None:
    async def test() -> tuple[int, int]:
        async with fake(says()) as upstream:
            upstream.hangs_up = True
            count = await _in_a_row(upstream, Settings(max_attempts=1), pause)
            return count, len(upstream.tcp)

    assert run(test()) == (3, 3)


def test_questions_at_the_same_time_have_connections_of_their_own_and_not_all_are_kept() -> None:
    async def test() -> tuple[int, int]:
        settings = Settings(force_tcp=True, max_idle=2)
        async with (
            fake(says()) as upstream,
            forwarding(upstream.upstream, settings=settings) as handler,
        ):
            queries = _names(5)
            for _ in range(2):
                await asyncio.gather(*(handler(request(query)) for query in queries))
            return upstream.connections, len(upstream.tcp)

    assert run(test()) == (5 + 3, 10)


def test_a_connection_that_ends_too_early_is_of_no_use() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(512)
        writer.close()

    async def test() -> Response:
        at = somewhere()
        async with await asyncio.start_server(hang_up, at.host, at.port):
            return await asked_once(at, transport="tcp")

    assert "closed before the response was complete" in failure(run(test()))


# -- several upstreams --------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_dead_upstream_makes_way_for_the_next(transport: Transport) -> None:
    async def test() -> Response:
        async with fake(says()) as alive:
            return await asked_once(somewhere(), alive.upstream, transport=transport)

    assert addresses(run(test())) == ["192.0.2.1"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_silent_upstream_makes_way_for_the_next(transport: Transport) -> None:
    async def test() -> Response:
        async with fake(silence) as silent, fake(says()) as alive:
            return await asked_once(
                silent.upstream, alive.upstream, transport=transport, settings=IMPATIENT
            )

    assert addresses(run(test())) == ["192.0.2.1"]


def test_a_lost_datagram_is_sent_again() -> None:
    seen: list[int] = []

    def second_time(query: dns.message.Message) -> list[bytes]:
        seen.append(query.id)
        return says()(query) if len(seen) > 1 else []

    async def test() -> Response:
        async with fake(second_time) as upstream:
            return await asked_once(upstream.upstream, settings=IMPATIENT)

    assert addresses(run(test())) == ["192.0.2.1"]


def test_when_time_is_up_nobody_else_is_asked() -> None:
    async def test() -> tuple[Response, int]:
        async with fake(silence) as first, fake(says()) as second:
            settings = Settings(read_timeout=0.05, deadline=0.05)
            response = await asked_once(first.upstream, second.upstream, settings=settings)
            return response, len(second.udp)

    response, asked = run(test())
    assert "i/o timeout" in failure(response)
    assert asked == 0


def test_an_operator_who_waits_longer_for_one_reply_than_for_all_gets_it() -> None:
    async def test() -> Response:
        async with fake(silence) as upstream:
            settings = Settings(read_timeout=0.2, deadline=0.05, max_attempts=1)
            async with forwarding(upstream.upstream, settings=settings) as handler:
                began = asyncio.get_running_loop().time()
                response = await handler(request())
                assert asyncio.get_running_loop().time() - began > 2 * settings.deadline
                return response

    assert "i/o timeout" in failure(run(test()))


def _questions(upstream: Fake) -> int:
    """Return how often the usual question was asked; health checks are others."""
    return sum(str(query.question[0].name) == NAME for query in upstream.udp)


@pytest.mark.parametrize(
    ("most", "expected"), [(None, 4), (1, 1), (3, 3)], ids=["two each", "one", "three"]
)
def test_so_many_attempts_may_fail(most: int | None, expected: int) -> None:
    async def test() -> int:
        async with fake(_cut_short) as first, fake(_cut_short) as second:
            settings = Settings(max_attempts=most)
            response = await asked_once(first.upstream, second.upstream, settings=settings)
            failure(response, codes.EDE_NETWORK_ERROR)
            return _questions(first) + _questions(second)

    assert run(test()) == expected


def test_without_a_limit_of_attempts_time_is_the_limit() -> None:
    async def test() -> int:
        async with fake(_cut_short) as upstream:
            settings = Settings(max_attempts=0, max_fails=0, read_timeout=0.3, deadline=0.3)
            failure(await asked_once(upstream.upstream, settings=settings), codes.EDE_NETWORK_ERROR)
            return _questions(upstream)

    # Two at once, and then one every 50 ms.
    assert run(test()) <= 10


def test_without_a_limit_of_attempts_it_asks_until_the_response_is_good() -> None:
    seen: list[int] = []

    def fourth_time(query: dns.message.Message) -> list[bytes]:
        seen.append(query.id)
        return says()(query) if len(seen) == 4 else _cut_short(query)

    async def test() -> Response:
        async with fake(fourth_time) as upstream:
            settings = Settings(max_attempts=0, max_fails=0, deadline=PATIENCE)
            return await asked_once(upstream.upstream, settings=settings)

    assert addresses(run(test())) == ["192.0.2.1"]


def test_when_all_fail_the_client_hears_which_and_why() -> None:
    async def test() -> tuple[str, str]:
        gone = somewhere()
        async with fake(silence) as silent:
            text = failure(await asked_once(gone, silent.upstream, settings=IMPATIENT))
            return text, f"{gone}: connection refused; {silent.upstream}: i/o timeout"

    text, expected = run(test())
    assert text == expected


def test_a_connection_that_is_refused_is_a_reason_in_the_same_words() -> None:
    gone = somewhere()

    assert failure(run(asked_once(gone, transport="tcp"))) == f"{gone}: connection refused"


def test_an_interface_that_does_not_exist_is_a_reason_too() -> None:
    response = run(asked_once(Upstream("fe80::1%kdns-none")))

    assert "fe80::1%kdns-none" in failure(response)


# -- policies -----------------------------------------------------------------------------------


async def _shares(settings: Settings, count: int) -> list[int]:
    """Ask so many times; return how often each of three upstreams was asked."""
    async with fake(says()) as one, fake(says()) as two, fake(says()) as three:
        upstreams = (one, two, three)
        async with forwarding(*(u.upstream for u in upstreams), settings=settings) as handler:
            for _ in range(count):
                await handler(request())
        return [len(upstream.udp) for upstream in upstreams]


def test_sequential_asks_the_first() -> None:
    assert run(_shares(Settings(policy="sequential"), 9)) == [9, 0, 0]


def test_round_robin_asks_one_after_the_other() -> None:
    assert run(_shares(Settings(policy="round_robin"), 9)) == [3, 3, 3]


def test_random_asks_all() -> None:
    assert min(run(_shares(Settings(policy="random"), 60))) > 3


# -- failover -----------------------------------------------------------------------------------

FAILOVER = Settings(failover=frozenset((codes.SERVFAIL, codes.REFUSED)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [(FAILOVER, "NOERROR"), (Settings(), "SERVFAIL")],
    ids=["with", "without"],
)
def test_failover_asks_the_next_upstream(settings: Settings, expected: str) -> None:
    async def test() -> Response:
        first, second, third = says_rcode("SERVFAIL"), says_rcode("REFUSED"), says()
        async with fake(first) as one, fake(second) as two, fake(third) as three:
            upstreams = (one.upstream, two.upstream, three.upstream)
            return await asked_once(*upstreams, settings=settings)

    assert rcode(run(test())) == expected


def test_when_all_fail_over_the_last_response_is_passed_on() -> None:
    async def test() -> tuple[Response, int]:
        async with fake(says_rcode("SERVFAIL")) as first, fake(says_rcode("REFUSED")) as second:
            response = await asked_once(first.upstream, second.upstream, settings=FAILOVER)
            return response, len(first.udp) + len(second.udp)

    response, asked = run(test())
    assert isinstance(response, Relay)
    assert (rcode(response), asked) == ("REFUSED", 2)


def test_a_response_with_a_failover_is_better_than_none() -> None:
    async def test() -> Response:
        async with fake(says_rcode("REFUSED")) as first:
            return await asked_once(first.upstream, somewhere(), settings=FAILOVER)

    response = run(test())
    assert isinstance(response, Relay)
    assert rcode(response) == "REFUSED"


# -- health -------------------------------------------------------------------------------------

QUICK = Check(interval=0.01)


async def _until(upstream: Fake, count: int) -> None:
    """Wait for so many queries."""
    async with asyncio.timeout(PATIENCE):
        while len(upstream.udp) + len(upstream.tcp) < count:
            upstream.arrived.clear()
            await upstream.arrived.wait()


def test_an_upstream_that_failed_comes_last_until_a_check_succeeds() -> None:
    async def test() -> list[str]:
        address, found = somewhere(), []
        async with fake(says("192.0.2.2")) as second:
            settings = Settings(check=QUICK)
            async with forwarding(address, second.upstream, settings=settings) as handler:
                found += addresses(await handler(request()))
                async with fake(says("192.0.2.1"), at=address) as first:
                    found += addresses(await handler(request()))
                    await _until(first, 1)
                    await asyncio.sleep(0.01)
                    found += addresses(await handler(request()))
        return found

    assert run(test()) == ["192.0.2.2", "192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOERROR"])
def test_a_check_asks_until_anything_comes_back(rcode: str) -> None:
    async def test() -> list[dns.message.Message]:
        address = somewhere()
        check = Check(0.01, recursion=False, domain=names.from_text("health.example"))
        async with forwarding(address, settings=Settings(check=check)) as handler:
            failure(await handler(request()))
            async with fake(says_rcode(rcode), at=address) as upstream:
                await _until(upstream, 1)
                # Time for three more, were there any.
                await asyncio.sleep(0.04)
                return upstream.udp

    [asked] = run(test())
    assert str(asked.question[0]) == "health.example. IN NS"
    assert asked.flags == 0


def test_an_upstream_that_answers_nonsense_is_in_working_order() -> None:
    async def test() -> int:
        async with fake(_cut_short) as upstream:
            settings = Settings(check=QUICK, max_attempts=1)
            async with forwarding(upstream.upstream, settings=settings) as handler:
                failure(await handler(request()), codes.EDE_NETWORK_ERROR)
                await _until(upstream, 2)
                await asyncio.sleep(0.04)
                return len(upstream.udp)

    assert run(test()) == 2


def test_with_max_fails_0_nothing_is_checked() -> None:
    async def test() -> int:
        address = somewhere()
        async with forwarding(address, settings=Settings(check=QUICK, max_fails=0)) as handler:
            failure(await handler(request()))
            async with fake(says(), at=address) as upstream:
                await asyncio.sleep(0.04)
                return len(upstream.udp)

    assert run(test()) == 0


async def _broken(settings: Settings) -> tuple[Response, Response, float]:
    """Ask an upstream that is gone until it is down; then let it come back, unchecked.

    Returns the responses before and after it came back, and how often all were down.
    """
    address, metrics = somewhere(), Metrics()

    def count() -> float:
        name = "coredns_forward_healthcheck_broken_total"
        return metrics.registry.get_sample_value(name) or 0

    def unchecked(query: dns.message.Message) -> list[bytes]:
        return says()(query) if query.question[0].rdtype == codes.A else []

    async with forwarding(address, settings=settings, metrics=metrics) as handler:
        async with asyncio.timeout(PATIENCE):
            before = await handler(request())
            while not count():
                await asyncio.sleep(0.01)
                before = await handler(request())
        async with fake(unchecked, at=address):
            after = await handler(request())
        return before, after, count()


def test_when_all_are_down_one_is_asked_all_the_same() -> None:
    before, after, count = run(_broken(Settings(check=QUICK)))

    assert "connection refused" in failure(before)
    assert addresses(after) == ["192.0.2.1"]
    assert count == 2


def test_when_all_are_down_failfast_asks_nobody() -> None:
    _, after, count = run(_broken(Settings(check=QUICK, failfast=True)))

    assert failure(after) == "no upstream is in working order"
    assert count == 2


def test_an_upstream_that_recovers_is_used_at_once_when_there_is_no_other() -> None:
    async def test() -> tuple[Response, Response]:
        address = somewhere()
        async with forwarding(address) as handler:
            before = await handler(request())
            async with fake(says(), at=address):
                return before, await handler(request())

    before, after = run(test())
    assert "connection refused" in failure(before)
    assert addresses(after) == ["192.0.2.1"]


# -- many queries -------------------------------------------------------------------------------


def test_a_slow_upstream_does_not_hold_others_up() -> None:
    async def test() -> tuple[bool, list[str]]:
        def slow(query: dns.message.Message) -> list[bytes]:
            return [] if "slow" in str(query.question[0].name) else says()(query)

        async with fake(slow) as upstream, forwarding(upstream.upstream) as handler:
            query = ask(names.from_text("slow.example.org"), codes.A)
            waiting = asyncio.ensure_future(handler(request(query)))
            found = addresses(await handler(request()))
            ahead = not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            return ahead, found

    assert run(test()) == (True, ["192.0.2.1"])


@pytest.mark.parametrize(("transport", "most"), [("udp", PORTS), ("tcp", MAX_OPEN)])
def test_more_questions_than_sockets_share_them(transport: Transport, most: int) -> None:
    async def test() -> int:
        count = MAX_OPEN + 44
        queries = _names(count)
        async with fake(silence) as upstream, forwarding(upstream.upstream) as handler:
            waiting = []
            for number, query in enumerate(queries, 1):
                waiting.append(asyncio.ensure_future(handler(request(query, transport))))
                if number % 100 == 0:  # or they would overflow the fake's socket
                    await _until(upstream, number)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return len(set(upstream.ports)) + upstream.connections

    assert run(test()) == most


def test_a_shared_socket_tells_responses_apart() -> None:
    def replies(query: dns.message.Message) -> list[bytes]:
        number = str(query.question[0].name).split(".")[0]
        return says(f"192.0.2.{number}")(query)

    async def test() -> list[Response]:
        queries = [ask(names.from_text(f"{n % 200}.{n}.example.org"), codes.A) for n in range(300)]
        async with fake(silence, replies) as upstream, forwarding(upstream.upstream) as handler:
            everything = (handler(request(query, "tcp")) for query in queries)
            return await asyncio.gather(*everything)

    assert [addresses(one) for one in run(test())] == [[f"192.0.2.{n % 200}"] for n in range(300)]


def test_the_same_question_is_asked_once_for_all_who_wait() -> None:
    async def test() -> tuple[list[Response], int]:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            same = [request(Query(n, RD, QUERY.question, QUERY.name, 1)) for n in range(10)]
            found = await asyncio.gather(*map(handler, same))
            return found, len(upstream.udp)

    found, asked = run(test())
    assert [addresses(response) for response in found] == [["192.0.2.1"]] * 10
    assert asked == 1


def _spelled() -> Query:
    return Query(1, RD, names.from_text(NAME.upper()) + b"\0\1\0\1", QUERY.name, 1)


OTHERS = {
    "another spelling": request(_spelled()),
    "another transport": request(transport="tcp"),
    "another bit": request(Query(1, RD | CD, QUERY.question, QUERY.name, 1)),
    "another form": request(ask(QUERY.name, codes.A, edns=Edns(1232))),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_asked_otherwise_is_another_question(other: Request) -> None:
    async def test() -> int:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            await asyncio.gather(handler(request()), handler(other))
            return len(upstream.udp) + len(upstream.tcp)

    assert run(test()) == 2


def test_the_question_of_loop_waits_for_nobody() -> None:
    async def test() -> int:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            query = ask(names.from_text("1.2"), codes.HINFO)
            await asyncio.gather(handler(request(query)), handler(request(query)))
            return len(upstream.udp)

    assert run(test()) == 2


def test_a_client_that_leaves_does_not_take_the_answer_from_others() -> None:
    async def test() -> list[str]:
        async with fake(silence) as upstream, forwarding(upstream.upstream) as handler:
            leaves, *stay = (asyncio.ensure_future(handler(request())) for _ in range(3))
            await upstream.arrived.wait()
            upstream.replies = says()
            leaves.cancel()
            await asyncio.gather(leaves, return_exceptions=True)
            found = await asyncio.gather(*stay)
            assert len(upstream.udp) == 2
            return [address for one in found for address in addresses(one)]

    assert run(test()) == ["192.0.2.1"] * 2


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_when_nobody_waits_any_more_the_exchange_ends(transport: Transport) -> None:
    async def test() -> None:
        async with fake(silence) as upstream, forwarding(upstream.upstream) as handler:
            before = asyncio.all_tasks()
            waiting = asyncio.ensure_future(handler(request(QUERY, transport)))
            await upstream.arrived.wait()
            waiting.cancel()
            # Also the fake's end of a TCP connection, which ends when it is closed here.
            left = asyncio.all_tasks() - before
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*left, return_exceptions=True)

    run(test())


def test_who_comes_right_after_the_last_left_gets_an_exchange_of_its_own() -> None:
    async def test() -> Response:
        async with fake(silence) as upstream, forwarding(upstream.upstream) as handler:
            leaves = asyncio.ensure_future(handler(request()))
            await upstream.arrived.wait()
            upstream.replies = says()
            leaves.cancel()
            late = asyncio.ensure_future(handler(request()))
            await asyncio.gather(leaves, return_exceptions=True)
            return await late

    assert addresses(run(test())) == ["192.0.2.1"]


def test_too_many_at_once_are_refused() -> None:
    async def test() -> tuple[list[Response], Response]:
        rules = Rules(most=2)
        async with fake(says()) as upstream, forwarding(upstream.upstream, rules=rules) as handler:
            three = await asyncio.gather(*(handler(request()) for _ in range(3)))
            return three, await handler(request())

    three, later = run(test())
    refused = three[2]
    assert isinstance(refused, Answer)
    assert refused.sections.rcode == codes.REFUSED
    assert refused.sections.ede == (codes.EDE_OTHER, "2 queries wait for upstreams already")
    assert refused.error == "concurrent queries exceeded maximum 2"
    assert [addresses(response) for response in (*three[:2], later)] == [["192.0.2.1"]] * 3


def _names(count: int) -> list[Query]:
    return [ask(names.from_text(f"w{n}.example.org"), codes.A) for n in range(count)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_when_it_is_closed_who_waits_gets_servfail_and_so_does_everybody_after(
    transport: Transport,
) -> None:
    async def test() -> tuple[list[str], int]:
        async with fake(silence) as upstream:
            forward = Forward([upstream.upstream])
            handler = forward.wrap(refuse)
            waiting = asyncio.ensure_future(waited(handler(request(transport=transport))))
            await upstream.arrived.wait()
            forward.close()
            texts = [failure(await waiting), failure(await handler(request(transport=transport)))]
            return texts, len(upstream.udp) + len(upstream.tcp)

    texts, asked = run(test())
    assert all(text.endswith(": its sockets were closed") for text in texts)
    assert asked == 1


def test_when_it_is_closed_who_waits_for_a_connection_gets_servfail() -> None:
    async def test() -> set[str]:
        at, context = somewhere(), ssl.create_default_context()
        # Nobody accepts: so many wait for TLS to begin, and the others for their turn.
        with socket.create_server((at.host, at.port), backlog=2 * MAX_OPEN):
            forward = Forward([Upstream(at.host, at.port, tls=True)], context=context)
            handler = forward.wrap(refuse)
            waiting = [
                asyncio.ensure_future(waited(handler(request(one))))
                for one in _names(MAX_OPEN + 44)
            ]
            await asyncio.sleep(0.01)
            forward.close()
            return {failure(one).partition(" ")[2] for one in await asyncio.gather(*waiting)}

    assert run(test()) == {"its sockets were closed"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_when_it_is_to_end_those_who_wait_get_their_answers_first(transport: Transport) -> None:
    async def test() -> Response:
        async with fake(silence) as upstream:
            settings = Settings(read_timeout=0.2)
            forward = Forward([upstream.upstream], settings=settings)
            async with forward.running():
                handler = forward.wrap(refuse)
                waiting = asyncio.ensure_future(waited(handler(request(transport=transport))))
                await upstream.arrived.wait()
                upstream.replies = upstream.tcp_replies = says()
            assert waiting.done()
            return await waiting

    assert addresses(run(test())) == ["192.0.2.1"]


def test_it_does_not_wait_for_ever_when_it_is_to_end() -> None:
    async def test() -> Response:
        async with fake(silence) as upstream:
            settings = Settings(read_timeout=5.0, deadline=0.1)
            forward = Forward([upstream.upstream], settings=settings)
            async with forward.running():
                waiting = asyncio.ensure_future(waited(forward.wrap(refuse)(request())))
                await upstream.arrived.wait()
            return await waiting

    assert "its sockets were closed" in failure(run(test()))


def test_connections_that_cannot_be_opened_let_others_try() -> None:
    async def test() -> set[str]:
        settings = Settings(force_tcp=True, max_attempts=1)
        async with forwarding(somewhere(), settings=settings) as handler:
            found = await asyncio.gather(*(handler(request(one)) for one in _names(MAX_OPEN * 2)))
            return {failure(one).partition(" ")[2] for one in found}

    assert run(test()) == {"connection refused"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_it_can_be_started_outside_of_a_task(transport: Transport) -> None:
    async def test() -> Response:
        async with fake(says()) as upstream, forwarding(upstream.upstream) as handler:
            started: asyncio.Future[object] = asyncio.get_running_loop().create_future()

            async def work() -> Response:
                return await handler(request(transport=transport))

            asyncio.get_running_loop().call_soon(lambda: started.set_result(start(work())))
            outcome = await started
            assert isinstance(outcome, Rest)
            response: Response = await outcome
            return response

    assert addresses(run(test())) == ["192.0.2.1"]


# -- no upstream --------------------------------------------------------------------------------


def test_without_an_upstream_a_name_is_refused_by_name() -> None:
    response = run(waited(refuse(request())))

    assert isinstance(response, Answer)
    assert (response.sections.rcode, response.sections.ede) == (
        codes.REFUSED,
        (20, f"{NAME} is outside the zones of this server and no upstream is configured"),
    )
