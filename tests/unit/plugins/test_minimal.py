"""Answers lose what was not asked for; denials, referrals and failures do not."""

import dns.message
import pytest

from kdns.chain import FIXED, Answer, Relay
from kdns.errors import CorefileError
from kdns.plugins import minimal
from kdns.wire import codes, names, relay
from kdns.wire.message import Sections
from kdns.wire.query import Edns, ask
from tests.plugin import answer, own, plugin_of, says, setup_of
from tests.unit.wire.test_relay import response, texts

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A, edns=Edns(1232))
ADDRESS = f"{NAME} 60 IN A 192.0.2.1"
ALIAS = f"{NAME} 60 IN CNAME edge.example.org."
EDGE = "edge.example.org. 60 IN A 192.0.2.1"
NS = "authority example.org. 60 IN NS ns.example.org."
SOA = "authority example.org. 12 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
GLUE = "additional ns.example.org. 60 IN A 192.0.2.53"

CASES = {
    "an answer": ((ADDRESS, NS, GLUE), 0, (ADDRESS,)),
    "an answer behind an alias": ((ALIAS, EDGE, NS, GLUE), 0, (ALIAS, EDGE)),
    "data elsewhere": ((GLUE,), 0, ()),
    "an answer alone": ((ADDRESS,), 0, (ADDRESS,)),
    "NODATA": ((SOA,), 0, (SOA,)),
    "NODATA behind an alias": ((ALIAS, SOA), 0, (ALIAS, SOA)),
    "NXDOMAIN": ((SOA,), 3, (SOA,)),
    "a referral": ((NS, GLUE), 0, (NS, GLUE)),
    "SERVFAIL": ((SOA,), 2, (SOA,)),
    "REFUSED": ((GLUE,), 5, (GLUE,)),
}


def bare(lines: tuple[str, ...]) -> list[str]:
    return [line.removeprefix("authority ").removeprefix("additional ") for line in lines]


@pytest.mark.parametrize(("given", "rcode", "left"), CASES.values(), ids=CASES)
def test_what_is_left_of_what_an_upstream_says(
    given: tuple[str, ...], rcode: int, left: tuple[str, ...]
) -> None:
    came = Relay(response(*given, query=QUERY, rcode=rcode), "forward")

    went = answer(plugin_of(minimal.setup, "minimal"), QUERY, last=says(came))

    assert isinstance(went, Relay)
    assert texts(went.message) == bare(left)
    assert dns.message.from_wire(went.message).edns == 0
    assert went.by == "forward"
    assert (went is came) is (given == left)


@pytest.mark.parametrize(("given", "rcode", "left"), CASES.values(), ids=CASES)
def test_what_is_left_of_an_answer_of_ours(
    given: tuple[str, ...], rcode: int, left: tuple[str, ...]
) -> None:
    sections = relay.sections(response(*given, query=QUERY, rcode=rcode), QUERY)
    came = Answer(sections, FIXED, by="file", rotate=True)
    expected = relay.sections(response(*left, query=QUERY, rcode=rcode), QUERY)

    went = own(answer(plugin_of(minimal.setup, "minimal"), QUERY, last=says(came)))

    assert went == Answer(expected, FIXED, by="file", rotate=True)
    assert (went is came) is (given == left)


@pytest.mark.parametrize("message", [b"", b"\0\0\x80\0\0\1\0\1"])
def test_what_nobody_can_read_is_passed_on(message: bytes) -> None:
    came = Relay(message)

    assert answer(plugin_of(minimal.setup, "minimal"), QUERY, last=says(came)) is came


def test_a_finished_message_stays_finished() -> None:
    came = Relay(response(ADDRESS, NS), ready=QUERY, order=relay.Order(jumbled=True))

    went = answer(plugin_of(minimal.setup, "minimal"), QUERY, last=says(came))

    assert isinstance(went, Relay)
    assert went.ready is QUERY
    assert went.order is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("minimal yes", "minimal: expected no arguments"),
        ("minimal {\n x\n}", "minimal takes no block"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=message):
        setup_of(minimal.setup, text)


def test_an_empty_answer_stays_as_it_is() -> None:
    came = Answer(Sections())

    assert answer(plugin_of(minimal.setup, "minimal"), QUERY, last=says(came)) is came
