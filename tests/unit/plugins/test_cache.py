"""The cache in front of a handler that counts, under a clock that stands still."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import FIXED, Answer, Relay, Request, Response, Transport
from kdns.directives.caching import block as caching_block
from kdns.errors import UpstreamError
from kdns.kube.owners import EVERYTHING
from kdns.metrics import Metrics
from kdns.plugins import cache
from kdns.plugins.cache import Cache
from kdns.wire import codes, names, records, relay
from kdns.wire.message import Sections, write
from kdns.wire.query import CD, RA, RD, Edns, Query, ask, write_query
from tests.plugin import SERVER, block, directives, plugin_of, setup_of

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
ADDRESS = f"{NAME} 20 IN A 192.0.2.1"
ALIAS = f"{NAME} 20 IN CNAME edge.example.org."
SOA = "example.org. 12 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
NS = "example.org. 40 IN NS ns.example.org."
LONG = SOA.replace("12", "9000", 1)
DAY = 86_400


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Says(Struct, frozen=True):
    """What an upstream answers to everything: whoever is asked about has the answer."""

    answer: str = ""
    authority: str = ""
    flags: str = "QR"
    rcode: int = 0

    def to(self, query: Query) -> bytes:
        message = dns.message.make_response(dns.message.from_wire(write_query(query, 7)))
        message.flags = dns.flags.from_text(self.flags)
        message.set_rcode(dns.rcode.Rcode(self.rcode))
        asked = str(message.question[0].name)
        message.answer = [rrset(self.answer.replace(NAME, asked))] if self.answer else []
        message.authority = [rrset(self.authority)] if self.authority else []
        return message.to_wire()


FOUND = Says(ADDRESS)
MISSING = Says(authority=SOA, rcode=3)
EMPTY = Says(authority=SOA)
FAILED = Says(rcode=2)
UNREACHABLE = Answer(
    Sections(codes.SERVFAIL, authoritative=False), by="forward", error="no answer in time"
)


def rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rclass, rtype, data = line.split(" ", 4)
    return dns.rrset.from_text(owner, int(ttl), rclass, rtype, data)


class Asked:
    """A cache in front of an upstream that counts, and ways to ask it."""

    def __init__(self, says: Says | Response, text: str = "cache 30") -> None:
        self.says: Says | Response | Exception = says
        self.queries: list[Request] = []
        self.clock = Clock()
        self.metrics = Metrics()
        self.gate: asyncio.Event | None = None
        """Where the upstream waits before it answers."""
        settings = caching_block.read(directives(text), block())
        self.cache = Cache(settings, self.metrics, self.clock, lambda: 1_580_515_200.0)
        self._handle = self.cache.wrap(self._upstream)

    @property
    def count(self) -> int:
        return len(self.queries)

    async def _upstream(self, request: Request) -> Response:
        self.queries.append(request)
        if self.gate is not None:
            await self.gate.wait()
        match self.says:
            case Says():
                return Relay(self.says.to(request.query), "forward")
            case Exception():
                raise self.says
            case _:
                return self.says

    async def response(self, query: Query = QUERY, transport: Transport = "udp") -> Response:
        wanted = Request(query, transport, self._handle, client=("10.0.0.1", 9), server=SERVER)
        return await self._handle(wanted)

    async def reads(self, query: Query = QUERY, transport: Transport = "udp") -> "Read":
        return read(await self.response(query, transport), query)

    def ask(self, query: Query = QUERY, transport: Transport = "udp") -> "Read":
        return asyncio.run(self.reads(query, transport))

    def after(self, seconds: float, query: Query = QUERY) -> "Read":
        self.clock.now += seconds
        return self.ask(query)

    def metric(self, name: str, **labels: str) -> float | None:
        known = {"server": SERVER, "zones": ".", "view": "", **labels}
        return self.metrics.registry.get_sample_value(f"coredns_cache_{name}", known)


Read = dns.message.Message


def read(response: Response, query: Query) -> Read:
    """What the client reads."""
    if isinstance(response, Relay):
        return dns.message.from_wire(relay.readdress(response.message, query, 65_535))
    written = write(query, response.sections, 65_535)
    return dns.message.from_wire(query.id.to_bytes(2) + written.first())


def own(response: Response) -> Answer:
    assert isinstance(response, Answer)
    return response


def ttls(message: Read) -> set[int]:
    return {rrset.ttl for section in message.sections[1:] for rrset in section}


async def settled() -> None:
    """Wait until nothing runs in the background."""
    own_task = asyncio.current_task()
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not own_task))


# -- for how long -------------------------------------------------------------------------------

LIFETIMES = {
    "as long as it says": ("cache 30", FOUND, 20),
    "never longer than configured": ("cache 10", FOUND, 10),
    "3600 s without a TTL": ("cache", Says(ADDRESS.replace("20", "9000", 1)), 3600),
    "longer where it is configured": ("cache 9000", Says(ADDRESS.replace("20", "8000", 1)), 8000),
    "never under 5 s": ("cache", Says(ADDRESS.replace("20", "0", 1)), 5),
    "never under MINTTL": ("cache { \n success 1 100 60\n}", FOUND, 60),
    "TTL before MINTTL": ("cache { \n success 1 10 60\n}", FOUND, 10),
    "the lowest of all sections": ("cache", Says(ADDRESS, authority=NS.replace("40", "9", 1)), 9),
    "NXDOMAIN": ("cache", MISSING, 12),
    "NXDOMAIN, 1800 s": ("cache", Says(authority=LONG, rcode=3), 1800),
    "NXDOMAIN, as configured": ("cache { \n denial 1 100\n}", Says(authority=LONG, rcode=3), 100),
    "NXDOMAIN behind an alias": ("cache", Says(ALIAS, SOA, rcode=3), 12),
    "NODATA": ("cache", EMPTY, 12),
    "NODATA behind an alias": ("cache { \n denial 1 9\n}", Says(ALIAS, SOA), 9),
    "nothing at all": ("cache", Says(), 5),
    "a referral": ("cache", Says(authority=NS), 5),
    "SERVFAIL": ("cache", FAILED, 5),
    "SERVFAIL with records": ("cache", Says(authority=SOA, rcode=2), 5),
    "SERVFAIL, as configured": ("cache { \n servfail 1m\n}", FAILED, 60),
    "NOTIMP": ("cache", Says(rcode=4), 5),
    "upstreams that fail": ("cache", UNREACHABLE, 5),
}


@pytest.mark.parametrize(("text", "says", "ttl"), LIFETIMES.values(), ids=LIFETIMES)
def test_a_response_is_kept_for_its_ttl(text: str, says: Says | Answer, ttl: int) -> None:
    asked = Asked(says, text)
    assert ttls(asked.ask()) <= {ttl}

    asked.after(ttl - 0.1)
    assert asked.count == 1

    asked.after(0.1)
    assert asked.count == 2


SIGNATURE = f"{NAME} 20 IN RRSIG A 8 3 60 20200131000000 20200101000000 1 example.org. aaaa"
NEVER = {
    "truncated": Says(ADDRESS, flags="QR TC"),
    "NXDOMAIN without SOA (RFC 2308 section 5)": Says(rcode=3),
    "an alias that leads nowhere, without SOA": Says(ALIAS),
    "REFUSED": Says(rcode=5),
    "FORMERR": Says(rcode=1),
    "an answer of ours": Answer(Sections(answer=(records.txt(QUERY.name, 30, "x"),)), FIXED),
    "a failure of ours": Answer(Sections(codes.SERVFAIL), by="kubernetes", error="why"),
    "a refusal of upstreams": Answer(Sections(codes.REFUSED), by="forward", error="why"),
}


@pytest.mark.parametrize("says", NEVER.values(), ids=NEVER)
def test_what_is_not_kept(says: Says | Answer) -> None:
    asked = Asked(says)

    assert asked.ask() == asked.ask()
    assert asked.count == 2


def test_what_is_signed_but_expired_is_not_kept() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232, do=True))
    message = relay.readdress(Says(SIGNATURE).to(query), query, 512)
    asked = Asked(Relay(message))
    asked.ask(query)
    asked.ask(query)

    assert asked.count == 2


def test_a_transfer_is_not_kept() -> None:
    asked = Asked(FOUND)
    asked.ask(ask(QUERY.name, codes.AXFR))
    asked.ask(ask(QUERY.name, codes.AXFR))

    assert asked.count == 2


def test_servfail_is_not_kept_for_no_time() -> None:
    for says in (FAILED, UNREACHABLE):
        asked = Asked(says, "cache { \n servfail 0\n}")
        asked.ask()
        asked.ask()
        assert asked.count == 2


def test_the_ttl_counts_down() -> None:
    asked = Asked(Says(ADDRESS, authority=NS))

    assert [ttls(asked.after(seconds)) for seconds in (0, 0, 1.5, 1, 17)] == [
        {20},
        {20},
        {19},
        {18},
        {1},
    ]


def test_keepttl_shows_the_ttl_that_it_began_with() -> None:
    asked = Asked(FOUND, "cache { \n keepttl\n}")

    assert [ttls(asked.after(seconds)) for seconds in (0, 1, 18.9)] == [{20}, {20}, {20}]
    assert asked.count == 1
    asked.after(0.1)
    assert asked.count == 2


# -- for whom -----------------------------------------------------------------------------------


def test_a_hit_is_for_who_asks() -> None:
    asked = Asked(Says(ADDRESS, flags="QR RD RA"))
    other = Query(99, 0, names.from_text("WWW.Example.ORG") + b"\0\1\0\1", names.from_text(NAME), 1)
    first, second = asked.ask(), asked.ask(other, "tcp")

    assert asked.count == 1
    assert dns.flags.to_text(first.flags) == "QR RD RA"
    assert dns.flags.to_text(second.flags) == "QR AA RA"
    assert second.id == 99
    assert str(second.question[0].name) == str(second.answer[0].name) == "WWW.Example.ORG."


def test_a_hit_is_ready_for_its_query() -> None:
    asked = Asked(FOUND)
    query = replace(QUERY, id=99, edns=Edns(700))
    asked.ask(query)

    response = asyncio.run(asked.response(query))

    assert isinstance(response, Relay)
    assert response.ready is query
    assert response.message == relay.readdress(response.message, query, 512)
    assert response.by == "cache"


def test_one_response_serves_clients_with_edns_and_without() -> None:
    asked = Asked(FOUND)
    read = [asked.ask(), asked.ask(replace(QUERY, edns=Edns(700)))]

    assert asked.count == 1
    assert [message.edns for message in read] == [-1, 0]


AUTHENTIC = {
    "nobody asked": (RD, None, "QR"),
    "AD": (RD | relay.AD, None, "QR AD"),
    "DO": (RD, Edns(1232, do=True), "QR AD"),
}


@pytest.mark.parametrize(("flags", "edns", "expected"), AUTHENTIC.values(), ids=AUTHENTIC)
def test_ad_is_for_who_asked_also_of_a_new_response(
    flags: int, edns: Edns | None, expected: str
) -> None:
    asked = Asked(Says(ADDRESS, flags="QR AD"))

    assert dns.flags.to_text(asked.ask(replace(QUERY, flags=flags, edns=edns)).flags) == expected
    assert asked.queries[0].query.flags & relay.AD


DIFFERENT = {
    "the name": ask(names.from_text("example.org"), codes.A),
    "the type": ask(names.from_text(NAME), codes.AAAA),
    "the class": Query(0, RD, names.from_text(NAME) + b"\0\1\0\3", names.from_text(NAME), 1, 3),
    "CD": replace(QUERY, flags=RD | CD),
    "DO": ask(names.from_text(NAME), codes.A, edns=Edns(1232, do=True)),
}


@pytest.mark.parametrize("query", DIFFERENT.values(), ids=DIFFERENT)
def test_what_makes_another_question(query: Query) -> None:
    asked = Asked(MISSING)
    asked.ask()
    asked.ask(query)
    asked.ask(query)

    assert asked.count == 2


def test_types_are_not_taken_for_letters() -> None:
    # HTTPS is type 65, which is the letter A; lower-cased it would be type 97.
    asked = Asked(FOUND)
    asked.ask(ask(names.from_text(NAME), 65))
    asked.ask(ask(names.from_text(NAME), 97))

    assert asked.count == 2


# -- zones --------------------------------------------------------------------------------------


def test_what_is_outside_of_its_zones_passes_untouched() -> None:
    asked = Asked(Says(ADDRESS, flags="QR AD"), "cache 5 example.com example.net")

    assert ttls(asked.ask()) == {20}
    assert dns.flags.to_text(asked.ask().flags) == "QR AD"
    assert asked.count == 2
    assert not asked.queries[0].query.flags & relay.AD


DISABLED = {
    "answers": ("disable success", FOUND, 2),
    "answers of a zone": ("disable success example.org", FOUND, 2),
    "answers of another zone": ("disable success example.com", FOUND, 1),
    "answers of two zones": (
        "disable success example.org \n disable success example.com",
        FOUND,
        2,
    ),
    "denials": ("disable denial", MISSING, 2),
    "denials of a zone": ("disable denial example.com EXAMPLE.org", MISSING, 2),
    "failures of a zone": ("disable denial example.org", UNREACHABLE, 2),
    "only answers": ("disable success", MISSING, 1),
    "only denials": ("disable denial", FOUND, 1),
}


@pytest.mark.parametrize(("line", "says", "count"), DISABLED.values(), ids=DISABLED)
def test_what_is_disabled_is_not_kept(line: str, says: Says | Answer, count: int) -> None:
    asked = Asked(says, f"cache 10 {{ \n {line} \n }}")

    assert ttls(asked.ask()) == ttls(asked.ask())
    assert asked.count == count


# -- answers of ours ----------------------------------------------------------------------------

TXT = records.txt(QUERY.name, 28_800, "1.1.0")
BRIEF = records.txt(QUERY.name, 2, "brief")
NEGATIVE = records.soa(QUERY.name, 30, (QUERY.name, QUERY.name), (1, 2, 3, 4, 5))
LEVELLED = {
    "the highest TTL": (Sections(answer=(TXT,)), {30}),
    "the lowest TTL": (Sections(answer=(BRIEF,)), {7}),
    "the lowest of all": (Sections(answer=(TXT, records.txt(QUERY.name, 9, "x"))), {9}),
    "a denial": (Sections(codes.NXDOMAIN, authority=(NEGATIVE,)), {9}),
    "no records": (Sections(codes.NXDOMAIN), set()),
    "a failure": (Sections(codes.SERVFAIL, authority=(NEGATIVE,)), {5}),
    "a refusal": (Sections(codes.REFUSED, authority=(NEGATIVE,)), {7}),
}


@pytest.mark.parametrize(("sections", "expected"), LEVELLED.values(), ids=LEVELLED)
@pytest.mark.parametrize("more", ["", "disable success \n disable denial \n"])
def test_an_answer_of_ours_has_the_ttl_that_a_cached_one_would_have(
    sections: Sections, expected: set[int], more: str
) -> None:
    ours = Answer(sections, FIXED, by="kubernetes", rotate=True)
    asked = Asked(ours, f"cache {{ \n success 1 30 7 \n denial 1 9 7 \n {more}}}")

    answer = own(asyncio.run(asked.response(ask(QUERY.name, codes.TXT))))

    assert ttls(read(answer, QUERY)) == expected
    assert replace(answer, sections=sections) == ours


def test_an_answer_of_ours_whose_ttl_is_right_is_the_same_object() -> None:
    ours = Answer(Sections(answer=(records.txt(QUERY.name, 30, "x"),)), FIXED)

    assert asyncio.run(Asked(ours).response()) is ours


def test_a_zone_transfer_of_ours_keeps_its_ttls() -> None:
    ours = Answer(Sections(answer=(NEGATIVE, TXT, BRIEF, NEGATIVE)))

    assert asyncio.run(Asked(ours).response(ask(QUERY.name, codes.AXFR))) is ours


@pytest.mark.parametrize(("flags", "owners"), [(RD, ()), (RD | relay.AD, FIXED)])
def test_ad_of_an_answer_of_ours_is_for_who_asked(flags: int, owners: object) -> None:
    ours = Answer(Sections(set_flags=relay.AD | RA), FIXED)

    answer = own(asyncio.run(Asked(ours).response(replace(QUERY, flags=flags))))

    assert answer.sections.set_flags == RA | flags & relay.AD
    assert answer.owners == owners


def test_the_failure_of_upstreams_is_told_again() -> None:
    asked = Asked(UNREACHABLE)
    first, second = (own(asyncio.run(asked.response())) for _ in range(2))

    assert (first.by, second.by) == ("forward", "cache")
    assert second.error == UNREACHABLE.error
    assert asked.count == 1


# -- what cannot be kept ------------------------------------------------------------------------

MALFORMED = {
    "cut short": b"\0\0\x80\0\0\1\0\1",
    "to another question": FOUND.to(ask(names.from_text("wwx.example.org"), codes.A)),
    "with a name that points forward": FOUND.to(QUERY).replace(b"\xc0\x0c", b"\xc0\x21"),
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_response_is_passed_on_and_counted(message: bytes) -> None:
    asked = Asked(Relay(message, "forward"))
    responses = [asyncio.run(asked.response()) for _ in range(2)]

    assert responses == [Relay(message, "forward")] * 2
    assert asked.count == 2
    assert asked.metric("drops_total") == 2


# -- what somebody else answers by now ----------------------------------------------------------

OWNER = ("service", "default", "web")


def missing_unless(*owners: tuple[str, ...]) -> Relay:
    return Relay(MISSING.to(QUERY), "forward", owners=owners)


TOUCHED = {
    "its owner": (OWNER, 2),
    "everything": (EVERYTHING, 2),
    "another": (("service", "default", "other"), 1),
}


@pytest.mark.parametrize(("owner", "count"), TOUCHED.values(), ids=TOUCHED)
def test_what_is_missing_is_kept_until_somebody_could_have_it(
    owner: tuple[str, ...], count: int
) -> None:
    asked = Asked(missing_unless(OWNER, ("sync",)))
    asked.ask()
    asked.cache.drop([owner])
    asked.ask()

    assert asked.count == count


def test_what_came_up_in_the_meantime_is_not_kept() -> None:
    asked = Asked(missing_unless(OWNER))

    async def at_once() -> None:
        asked.gate = asyncio.Event()
        waiting = asyncio.ensure_future(asked.response())
        await asyncio.sleep(0)
        asked.cache.drop([("pod", "default", "10.0.0.1")])
        asked.gate.set()
        await waiting

    asyncio.run(at_once())
    asked.gate = None
    asked.ask()

    assert asked.count == 2


# -- prefetching --------------------------------------------------------------------------------


class Background:
    """Ask again and again, and let what runs in the background end every time."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def __call__(self, *waits: float, says: Says | Response | Exception | None = None) -> list[str]:
        """Ask after each of these seconds; return addresses (or rcodes) with their TTL."""
        if says is not None:
            self.asked.says = says
        return asyncio.run(self._all(waits))

    async def _all(self, waits: Sequence[float]) -> list[str]:
        found = []
        for seconds in waits:
            self.asked.clock.now += seconds
            found.append(shown(await self.asked.reads()))
            await settled()
        return found


def shown(message: Read) -> str:
    if message.answer:
        return f"{message.answer[0][0]} {message.answer[0].ttl}"
    return dns.rcode.to_text(message.rcode())


NEWER = Says(ADDRESS.replace("192.0.2.1", "192.0.2.2"))

POPULAR = {
    "at 10 % of the TTL": ("prefetch 1", (0, 17, 1), 2),
    "not before": ("prefetch 1", (0, 17), 1),
    "at another percentage": ("prefetch 1 1m 50%", (0, 10), 2),
    "not before it": ("prefetch 1 1m 50%", (0, 9), 1),
    "after enough queries": ("prefetch 3", (0, 1, 1, 16), 2),
    "not after fewer": ("prefetch 3", (0, 1, 17), 1),
    "not after a gap": ("prefetch 3 10s", (0, 1, 6, 11), 1),
    "never": ("prefetch 0", (0, 18), 1),
}


@pytest.mark.parametrize(("line", "waits", "count"), POPULAR.values(), ids=POPULAR)
def test_what_is_popular_is_asked_for_before_it_expires(
    line: str, waits: tuple[float, ...], count: int
) -> None:
    asked = Asked(FOUND, f"cache {{ \n {line}\n}}")
    Background(asked)(*waits)

    assert asked.count == count
    assert (asked.metric("prefetch_total") or 0) == count - 1


def test_the_next_client_has_what_was_fetched() -> None:
    asked = Asked(FOUND, "cache { \n prefetch 1\n}")
    background = Background(asked)

    assert background(0, 19) == ["192.0.2.1 20", "192.0.2.1 1"]
    assert background(2, says=NEWER) == ["192.0.2.1 18"]
    assert background(17, 1) == ["192.0.2.1 1", "192.0.2.2 19"]


def test_what_is_popular_stays_so() -> None:
    asked = Asked(FOUND, "cache { \n prefetch 4 1m\n}")
    Background(asked)(0, 1, 1, 1, 16, 19)

    assert asked.count == 3


def test_a_failure_behind_leaves_the_answer_until_it_expires() -> None:
    for failure in (FAILED, UNREACHABLE, UpstreamError("gone"), ValueError("broken")):
        background = Background(Asked(FOUND, "cache { \n prefetch 1\n}"))
        background(0)
        assert background(18.5, 1, says=failure) == ["192.0.2.1 2", "192.0.2.1 1"]


def test_a_denial_behind_ends_the_answer() -> None:
    background = Background(Asked(FOUND, "cache { \n prefetch 1\n}"))
    background(0)

    assert background(18, 1, says=MISSING) == ["192.0.2.1 2", "NXDOMAIN"]


def test_one_client_of_many_makes_it_be_asked_for() -> None:
    asked = Asked(FOUND, "cache { \n prefetch 1\n}")

    async def many() -> None:
        await asked.response()
        asked.clock.now += 19
        asked.gate = asyncio.Event()
        await asyncio.gather(*(asked.response() for _ in range(50)))
        asked.gate.set()
        await settled()

    asyncio.run(many())

    assert asked.count == 2
    assert asked.queries[1].client == ("", 0)


def test_only_so_many_are_asked_for_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_REFRESHES", 3)
    asked = Asked(FOUND, "cache { \n prefetch 1\n}")
    queries = [ask(names.from_text(f"{n}.example.org"), codes.A) for n in range(5)]

    async def many() -> None:
        for query in queries:
            await asked.response(query)
        asked.clock.now += 19
        asked.gate = asyncio.Event()
        for query in queries:
            await asked.response(query)
        asked.gate.set()
        await settled()

    asyncio.run(many())

    assert asked.count == 5 + 3


def test_what_runs_behind_ends_with_the_configuration() -> None:
    asked = Asked(FOUND, "cache { \n prefetch 1\n}")

    async def run() -> int:
        async with asked.cache.running():
            await asked.response()
            asked.clock.now += 19
            asked.gate = asyncio.Event()
            await asked.response()
            await asyncio.sleep(0)
        left = len(asyncio.all_tasks()) - 1
        assert asked.metric("entries", type="success") == 0
        return left

    assert asyncio.run(run()) == 0
    assert asked.count == 2


# -- what expired -------------------------------------------------------------------------------

IMMEDIATE = "cache { \n serve_stale\n}"
VERIFY = "cache { \n serve_stale 1h verify\n}"


def test_what_expired_is_sent_at_once_with_ttl_0_and_renewed_behind() -> None:
    asked = Asked(FOUND, IMMEDIATE)
    background = Background(asked)
    background(0)

    assert background(20, 0, says=NEWER) == ["192.0.2.1 0", "192.0.2.2 20"]
    assert asked.metric("served_stale_total") == 1
    assert asked.metric("prefetch_total") == 1


def test_what_expired_says_so() -> None:
    edns = replace(QUERY, edns=Edns(1232))
    for says, code in ((FOUND, 3), (MISSING, 19)):
        asked = Asked(says, IMMEDIATE)
        asked.ask(edns)
        [option] = asked.after(21, edns).options
        assert option.to_text().startswith(f"EDE {code} ")


STALE = {
    "an hour by default": ("serve_stale", 20 + 3599, "192.0.2.1 0"),
    "not longer": ("serve_stale", 20 + 3600, "192.0.2.2 20"),
    "as configured": ("serve_stale 10s", 29, "192.0.2.1 0"),
    "not longer than configured": ("serve_stale 10s", 30, "192.0.2.2 20"),
    "never": ("serve_stale 0", 20, "192.0.2.2 20"),
    "with a TTL": ("serve_stale 1h immediate 30s", 21, "192.0.2.1 30"),
    "with the TTL that it began with": ("serve_stale \n keepttl", 21, "192.0.2.1 20"),
    "with a TTL all the same": ("serve_stale 1h immediate 9s \n keepttl", 21, "192.0.2.1 9"),
}


@pytest.mark.parametrize(("lines", "wait", "expected"), STALE.values(), ids=STALE)
def test_for_how_long_what_expired_is_sent(lines: str, wait: float, expected: str) -> None:
    background = Background(Asked(FOUND, f"cache {{ \n {lines}\n}}"))
    background(0)

    assert background(wait, says=NEWER) == [expected]


NO_BETTER = {
    "SERVFAIL": FAILED,
    "REFUSED": Says(rcode=5),
    "truncated": Says(ADDRESS, flags="QR TC"),
    "no upstream": UNREACHABLE,
    "an error": UpstreamError("gone"),
    "a fault": ValueError("broken"),
    "another question": Relay(FOUND.to(ask(names.from_text("example.org"), codes.A))),
    "malformed": Relay(b"\0\0\x80\0\0\1\0\1"),
}


@pytest.mark.parametrize("says", NO_BETTER.values(), ids=NO_BETTER)
@pytest.mark.parametrize("text", [IMMEDIATE, VERIFY])
def test_what_expired_outlives_a_failure(
    text: str, says: Says | Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked(FOUND, text)
    background = Background(asked)
    background(0)

    assert background(20, 0, says=says) == ["192.0.2.1 0", "192.0.2.1 0"]
    assert asked.count == 3
    assert ("could not be renewed" in caplog.text) is isinstance(says, ValueError)


@pytest.mark.parametrize(("says", "expected"), [(MISSING, "NXDOMAIN"), (EMPTY, "NOERROR")])
def test_a_denial_takes_the_place_of_what_expired(says: Says, expected: str) -> None:
    immediate = Background(Asked(FOUND, IMMEDIATE))
    immediate(0)
    assert immediate(20, 0, says=says) == ["192.0.2.1 0", expected]

    verify = Background(Asked(FOUND, VERIFY))
    verify(0)
    assert verify(20, 0, says=says) == [expected, expected]
    assert verify(DAY, says=NEWER) == ["192.0.2.2 20"]


def test_a_denial_that_is_not_kept_ends_an_answer_all_the_same() -> None:
    background = Background(Asked(FOUND, "cache { \n serve_stale \n disable denial\n}"))
    background(0)

    assert background(20, 0, says=MISSING) == ["192.0.2.1 0", "NXDOMAIN"]


def test_a_failure_is_never_sent_when_it_expired() -> None:
    asked = Asked(FAILED, IMMEDIATE)
    background = Background(asked)

    assert background(0, 4, says=FAILED) == ["SERVFAIL", "SERVFAIL"]
    assert background(1, says=FOUND) == ["192.0.2.1 20"]


def test_our_own_answer_takes_the_place_of_what_expired() -> None:
    ours = Answer(Sections(answer=(records.address(QUERY.name, 30, b"\x0a\0\0\1"),)), FIXED)
    for text, first in ((IMMEDIATE, "192.0.2.1 0"), (VERIFY, "10.0.0.1 30")):
        background = Background(Asked(FOUND, text))
        background(0)
        assert background(20, 0, says=ours) == [first, "10.0.0.1 30"]


def test_verified_is_what_the_upstream_says() -> None:
    asked = Asked(FOUND, VERIFY)
    background = Background(asked)
    background(0)

    assert background(20, 1, says=NEWER) == ["192.0.2.2 20", "192.0.2.2 19"]
    assert asked.metric("served_stale_total") == 0


def test_an_upstream_is_not_waited_for_longer_than_the_timeout() -> None:
    asked = Asked(FOUND, "cache { \n serve_stale 1h verify 10ms\n}")

    async def run() -> list[str]:
        await asked.response()
        asked.clock.now += 20
        asked.says, asked.gate = NEWER, asyncio.Event()
        found = [shown(await asked.reads())]
        asked.gate.set()
        await settled()
        return [*found, shown(await asked.reads())]

    assert asyncio.run(run()) == ["192.0.2.1 0", "192.0.2.2 20"]


def test_an_upstream_that_is_in_time_is_believed() -> None:
    background = Background(Asked(FOUND, "cache { \n serve_stale 1h verify 10s\n}"))
    background(0)

    assert background(20, says=NEWER) == ["192.0.2.2 20"]


@pytest.mark.parametrize("mode", ["immediate", "verify 0", "verify 10s"])
def test_after_a_failure_nobody_asks_again_for_a_while(mode: str) -> None:
    asked = Asked(FOUND, f"cache {{ \n serve_stale 1h {mode} 0 30s\n}}")
    background = Background(asked)
    background(0)

    background(20, 29.9, says=FAILED)
    assert asked.count == 2
    background(0.1)
    assert asked.count == 3


@pytest.mark.parametrize("mode", ["immediate 0 30s", "verify 0 0 30s", "verify 10ms 0 30s"])
def test_while_somebody_asks_what_expired_is_sent_at_once(mode: str) -> None:
    asked = Asked(FOUND, f"cache {{ \n serve_stale 1h {mode}\n}}")

    async def run() -> str:
        await asked.response()
        asked.clock.now += 20
        asked.gate = asyncio.Event()
        first = asyncio.ensure_future(asked.response())
        await asyncio.sleep(0)
        second = shown(await asked.reads())
        asked.gate.set()
        await first
        await settled()
        return second

    assert asyncio.run(run()) == "192.0.2.1 0"
    assert asked.count == 2


# -- serve_stale_policy prefer_positive ---------------------------------------------------------

PREFER = "serve_stale_policy prefer_positive"


@pytest.mark.parametrize("says", [MISSING, EMPTY, FAILED, Says(), Says(authority=NS), Says(ALIAS)])
@pytest.mark.parametrize("mode", ["immediate", "verify"])
def test_an_answer_is_preferred_while_it_may_be_sent(mode: str, says: Says) -> None:
    background = Background(Asked(FOUND, f"cache {{ \n serve_stale 1h {mode} \n {PREFER}\n}}"))
    background(0)

    assert background(20, 1, 3000, says=says) == ["192.0.2.1 0"] * 3
    assert background(3600, 0, says=NEWER)[1] == "192.0.2.2 20"


def test_a_denial_is_believed_when_the_answer_is_too_old() -> None:
    background = Background(Asked(FOUND, f"cache {{ \n serve_stale 1h verify \n {PREFER}\n}}"))
    background(0)

    assert background(3619, 1, says=MISSING) == ["192.0.2.1 0", "NXDOMAIN"]


def test_a_new_answer_is_preferred_to_a_denial() -> None:
    background = Background(Asked(MISSING, f"cache {{ \n serve_stale \n {PREFER}\n}}"))
    background(0)

    assert background(12, 0, says=NEWER) == ["NXDOMAIN", "192.0.2.2 20"]


# -- metrics ------------------------------------------------------------------------------------


def test_every_query_is_counted() -> None:
    asked = Asked(FOUND)
    asked.ask()
    asked.ask()
    asked.says = MISSING
    other = ask(names.from_text("missing.example.org"), codes.A)
    for _ in range(3):
        asked.ask(other)

    assert asked.metric("requests_total") == 5
    assert asked.metric("misses_total") == 2
    assert asked.metric("hits_total", type="success") == 1
    assert asked.metric("hits_total", type="denial") == 2
    assert asked.metric("entries", type="success") == 1
    assert asked.metric("entries", type="denial") == 1


def test_the_counts_outlive_a_reload_and_the_entries_do_not() -> None:
    asked = Asked(FOUND)
    asked.ask()
    assert asked.metric("entries", type="success") == 1

    later = Asked(FOUND)
    later.metrics = asked.metrics
    later.cache = Cache(metrics=asked.metrics)
    asked.queries.clear()  # a request knows its chain, and the collector does not know requests
    del asked
    gc.collect()

    assert later.metric("entries", type="success") == 0
    assert later.metric("requests_total") == 1


def test_who_makes_room_is_counted() -> None:
    asked = Asked(FOUND, "cache { \n success 0\n}")

    async def fill() -> None:
        for number in range(1026):
            await asked.response(ask(names.from_text(f"{number}.example.org"), codes.A))

    asyncio.run(fill())

    assert asked.metric("entries", type="success") == 1024
    assert asked.metric("evictions_total", type="success") == 2
    assert asked.metric("evictions_total", type="denial") == 0


def test_zones_are_a_label() -> None:
    asked = Asked(FOUND, "cache example.org EXAMPLE.com")
    asked.ask()

    assert asked.metric("requests_total", zones="example.org.,example.com.") == 1


# -- set up -------------------------------------------------------------------------------------


def test_without_a_corefile_it_is_kubeadms() -> None:
    clock = Clock()
    count = 0

    async def following(request: Request) -> Response:
        nonlocal count
        count += 1
        return Relay(Says(ADDRESS.replace("20", "300", 1)).to(request.query))

    handle: Callable[[Request], Awaitable[Response]] = Cache(clock=clock).wrap(following)
    for seconds in (0, 29.9, 0.1):
        clock.now += seconds
        asyncio.run(_one(handle))

    assert count == 2


async def _one(handle: Callable[[Request], Awaitable[Response]]) -> Response:
    return await handle(Request(QUERY, "udp", handle))


def test_the_block_ends_what_runs_and_tells_what_changed() -> None:
    plugin, made = setup_of(cache.setup, "cache 30")

    assert isinstance(plugin, Cache)
    assert len(made.resources) == 1
    assert made.drops == [plugin.drop]


def test_the_zones_are_those_of_the_block() -> None:
    plugin = plugin_of(cache.setup, "cache 5", ["example.com"])

    async def outside() -> Response:
        async def following(_: Request) -> Response:
            return Answer(Sections(answer=(TXT,)))

        return await _one(plugin.wrap(following))

    assert own(asyncio.run(outside())).sections.answer == (TXT,)
