"""The cache in front of a handler that counts, under a clock that stands still."""

import asyncio

import dns.flags
import dns.message
import dns.rrset
import pytest
from msgspec import Struct

from kdns.chain import Answer, Relay, Request, Response, Transport
from kdns.plugins import cache
from kdns.plugins.cache import Cache
from kdns.wire import codes, names, relay
from kdns.wire.message import Sections
from kdns.wire.query import CD, RD, Edns, Query, ask, write_query

NAME = "www.example.org."
ADDRESS = f"{NAME} 20 IN A 192.0.2.1"
SOA = "example.org. 12 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Says(Struct, frozen=True):
    """What an upstream answers to everything."""

    answer: str = ""
    authority: str = ""
    flags: str = "QR"
    rcode: int = 0

    def to(self, query: Query) -> bytes:
        message = dns.message.make_response(dns.message.from_wire(write_query(query, 7)))
        message.flags = dns.flags.from_text(self.flags)
        message.set_rcode(dns.rcode.Rcode(self.rcode))
        message.answer = [rrset(self.answer)] if self.answer else []
        message.authority = [rrset(self.authority)] if self.authority else []
        return message.to_wire()


def rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rclass, rtype, data = line.split(" ", 4)
    return dns.rrset.from_text(owner, int(ttl), rclass, rtype, data)


class Asked:
    """A cache in front of an upstream that counts, and a way to ask it."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.count = 0
        self.clock = Clock()
        self._handle = Cache(self.clock).wrap(self._upstream)

    async def _upstream(self, request: Request) -> Response:
        self.count += 1
        return Relay(self.says.to(request.query))

    def ask(self, query: Query | None = None, transport: Transport = "udp") -> dns.message.Message:
        query = query or ask(names.from_text(NAME), codes.A)

        async def asked() -> Response:
            return await self._handle(Request(query, transport, self._handle))

        response = asyncio.run(asked())
        assert isinstance(response, Relay)
        return dns.message.from_wire(relay.readdress(response.message, query, 65_535))

    def after(self, seconds: float) -> dns.message.Message:
        self.clock.now += seconds
        return self.ask()


LIFETIMES = {
    "as long as it says": (Says(ADDRESS), 20),
    "never over 30 s": (Says(ADDRESS.replace("20", "300", 1)), 30),
    "never under 5 s": (Says(ADDRESS.replace("20", "0", 1)), 5),
    "the lowest of all sections": (Says(ADDRESS, authority=SOA), 12),
    "NXDOMAIN": (Says(authority=SOA, rcode=3), 12),
    "NODATA": (Says(authority=SOA), 12),
    "SERVFAIL": (Says(rcode=2), 5),
    "SERVFAIL with records": (Says(authority=SOA, rcode=2), 5),
}


@pytest.mark.parametrize(("says", "ttl"), LIFETIMES.values(), ids=LIFETIMES)
def test_a_response_is_kept_for_its_ttl(says: Says, ttl: int) -> None:
    asked = Asked(says)
    asked.ask()
    asked.after(ttl - 0.1)
    assert asked.count == 1

    asked.after(0.1)
    assert asked.count == 2


NEVER = {
    "truncated": Says(ADDRESS, flags="QR TC"),
    "NODATA without SOA (RFC 2308 section 5)": Says(),
    "NXDOMAIN without SOA (RFC 2308 section 5)": Says(rcode=3),
    "REFUSED": Says(rcode=5),
    "FORMERR": Says(rcode=1),
}


@pytest.mark.parametrize("says", NEVER.values(), ids=NEVER)
def test_what_is_not_kept(says: Says) -> None:
    asked = Asked(says)

    assert asked.ask() == asked.ask()
    assert asked.count == 2


def test_the_ttl_counts_down() -> None:
    asked = Asked(Says(ADDRESS, authority=SOA.replace("12", "300", 1)))
    shown = [asked.after(seconds) for seconds in (0, 0, 1.5, 1, 17)]

    assert [message.answer[0].ttl for message in shown] == [20, 20, 19, 18, 1]
    assert [message.authority[0].ttl for message in shown] == [20, 20, 19, 18, 1]


def test_a_hit_is_for_who_asks() -> None:
    asked = Asked(Says(ADDRESS, flags="QR AA RD RA"))
    other = Query(99, 0, names.from_text("WWW.Example.ORG") + b"\0\1\0\1", names.from_text(NAME), 1)
    first, second = asked.ask(), asked.ask(other, "tcp")

    assert asked.count == 1
    assert dns.flags.to_text(first.flags) == "QR AA RD RA"
    assert dns.flags.to_text(second.flags) == "QR RA"
    assert second.id == 99
    assert str(second.question[0].name) == str(second.answer[0].name) == "WWW.Example.ORG."


DIFFERENT = {
    "the name": ask(names.from_text("example.org"), codes.A),
    "the type": ask(names.from_text(NAME), codes.AAAA),
    "CD": Query(0, RD | CD, names.from_text(NAME) + b"\0\1\0\1", names.from_text(NAME), 1),
    "EDNS": ask(names.from_text(NAME), codes.A, edns=Edns(1232)),
    "DO": ask(names.from_text(NAME), codes.A, edns=Edns(1232, do=True)),
}


@pytest.mark.parametrize("query", DIFFERENT.values(), ids=DIFFERENT)
def test_what_makes_another_question(query: Query) -> None:
    asked = Asked(Says(ADDRESS))
    asked.ask()
    asked.ask(query)
    asked.ask(query)

    assert asked.count == 2


def test_types_are_not_taken_for_letters() -> None:
    # HTTPS is type 65, which is the letter A; lower-cased it would be type 97.
    asked = Asked(Says(ADDRESS))
    asked.ask(ask(names.from_text(NAME), 65))
    asked.ask(ask(names.from_text(NAME), 97))

    assert asked.count == 2


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CAPACITY", 3)
    asked = Asked(Says(ADDRESS))
    for number in range(4):
        asked.ask(ask(names.from_text(f"{number}.example.org"), codes.A))
    asked.ask(ask(names.from_text("3.example.org"), codes.A))
    assert asked.count == 4

    asked.ask(ask(names.from_text("0.example.org"), codes.A))
    assert asked.count == 5


def test_missing_names_do_not_push_out_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CAPACITY", 1)
    asked = Asked(Says(ADDRESS))
    asked.ask()
    asked.says = Says(authority=SOA, rcode=3)
    asked.ask(ask(names.from_text("missing.example.org"), codes.A))

    assert asked.ask().rcode() == codes.NOERROR
    assert asked.count == 2


def test_an_answer_of_ours_passes_untouched() -> None:
    answer = Answer(Sections(codes.SERVFAIL))
    asked = []

    async def following(request: Request) -> Response:
        asked.append(request)
        return answer

    async def twice() -> list[Response]:
        handle = Cache(Clock()).wrap(following)
        request = Request(ask(names.from_text(NAME), codes.A), "udp", handle)
        return [await handle(request), await handle(request)]

    assert asyncio.run(twice()) == [answer, answer]
    assert len(asked) == 2


def test_a_response_that_nobody_can_read_is_passed_on() -> None:
    broken = Relay(b"\0\0\x80\0\0\1\0\1")

    async def following(_request: Request) -> Response:
        return broken

    async def once() -> Response:
        handle = Cache(Clock()).wrap(following)
        return await handle(Request(ask(names.from_text(NAME), codes.A), "udp", handle))

    assert asyncio.run(once()) == broken
