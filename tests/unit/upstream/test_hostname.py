"""Names of upstreams, looked up with resolvers on loopback."""

import asyncio
import socket
from collections.abc import Sequence

import dns.message
import dns.rrset
import pytest

from kdns.errors import UsageError
from kdns.upstream import hostname
from kdns.upstream.address import Upstream
from kdns.upstream.hostname import addresses
from tests.end_to_end.fake_upstream import Fake, fake, run, says_rcode, silence, somewhere

HOST = "dns.example.org"


def zone(*lines: str) -> "Answers":
    return Answers(lines)


class Answers:
    """Answers every question with what a zone has of its type, aliases first."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = [line.split() for line in lines]

    def __call__(self, query: dns.message.Message) -> list[bytes]:
        message = dns.message.make_response(query)
        wanted = {"CNAME", dns.rdatatype.to_text(query.question[0].rdtype)}
        for owner, rtype, data in self._lines:
            if rtype in wanted:
                message.answer.append(dns.rrset.from_text(owner, 60, "IN", rtype, data))
        return [message.to_wire()]


async def _look_up(*resolvers: Upstream) -> list[str]:
    return await asyncio.to_thread(addresses, HOST, resolvers)


def found(answers: Answers) -> list[str]:
    async def test() -> list[str]:
        async with fake(answers) as one:
            return await _look_up(one.upstream)

    return run(test())


def test_all_addresses_are_used_ipv4_first() -> None:
    answers = zone(f"{HOST}. AAAA 2001:db8::1", f"{HOST}. A 192.0.2.1", f"{HOST}. A 192.0.2.2")

    assert found(answers) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


def test_one_family_will_do() -> None:
    assert found(zone(f"{HOST}. AAAA 2001:db8::1")) == ["2001:db8::1"]


def test_an_alias_is_followed() -> None:
    assert found(zone(f"{HOST}. CNAME a.example.", "a.example. A 192.0.2.1")) == ["192.0.2.1"]


def test_the_next_resolver_is_asked_where_one_knows_nothing() -> None:
    async def test() -> list[str]:
        answers = zone(f"{HOST}. A 192.0.2.1")
        async with fake(says_rcode("NXDOMAIN")) as one, fake(answers) as two:
            return await _look_up(somewhere(), one.upstream, two.upstream)

    assert run(test()) == ["192.0.2.1"]


def test_ipv4_is_enough_where_the_question_for_ipv6_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hostname, "TIMEOUT", 0.05)

    def answers(query: dns.message.Message) -> list[bytes]:
        ipv6 = query.question[0].rdtype == dns.rdatatype.AAAA
        return [] if ipv6 else zone(f"{HOST}. A 192.0.2.1")(query)

    async def test() -> list[str]:
        async with fake(answers) as one:
            return await _look_up(one.upstream)

    assert run(test()) == ["192.0.2.1"]


def test_forged_answers_are_passed_over() -> None:
    def answers(query: dns.message.Message) -> list[bytes]:
        good = zone(f"{HOST}. A 192.0.2.1")(query)[0]
        return [b"\0\0" + good[2:] if query.id else b"", good[:12], good]

    async def test() -> list[str]:
        async with fake(answers) as one:
            return await _look_up(one.upstream)

    assert run(test()) == ["192.0.2.1"]


def _reason(*resolvers: Upstream) -> str:
    with pytest.raises(UsageError, match=f"'{HOST}' cannot be found") as caught:
        run(_look_up(*resolvers))
    return str(caught.value)


def test_without_an_address_the_reason_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostname, "TIMEOUT", 0.05)
    gone = somewhere()

    async def silent() -> Fake:
        async with fake(silence) as one:
            with pytest.raises(UsageError, match="timed out"):
                await _look_up(one.upstream)
            return one

    assert f"{gone}: " in _reason(gone)
    assert "refused" in _reason(gone)
    assert len(run(silent()).udp) == 1


def test_a_name_that_has_no_address_is_none() -> None:
    async def test() -> None:
        async with fake(says_rcode("NXDOMAIN")) as one:
            with pytest.raises(UsageError, match="no addresses"):
                await _look_up(one.upstream)

    run(test())


def test_without_resolvers_it_is_the_way_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(addresses("localhost", ())) <= {"127.0.0.1", "::1"}

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UsageError, match="'name' cannot be found: Name or service not known"):
        addresses("name", ())
