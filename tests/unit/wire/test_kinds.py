"""What a response says: the same of octets and of sections. dnspython writes the octets."""

import dns.rrset
import pytest

from kdns.errors import UpstreamError
from kdns.wire import codes, kinds, names, relay
from kdns.wire.kinds import Kind, Said
from kdns.wire.query import Edns, Query, ask
from tests.unit.wire.test_relay import NAME, QUERY, response

ADDRESS = f"{NAME} 60 IN A 192.0.2.1"
ALIAS = f"{NAME} 60 IN CNAME edge.example.org."
EDGE = "edge.example.org. 60 IN A 192.0.2.1"
BACK = f"edge.example.org. 60 IN CNAME {NAME}"
OTHER = f"{NAME} 60 IN CNAME other.example.org."
SOA = "authority example.org. 12 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
NS = "authority example.org. 12 IN NS ns.example.org."
TEXT = f"{NAME} 60 IN TXT x"


def asked(rtype: int) -> Query:
    return ask(names.from_text(NAME), rtype)


KINDS = {
    "an answer": ((ADDRESS,), 0, Kind.ANSWER),
    "an answer with servers": ((ADDRESS, NS), 0, Kind.ANSWER),
    "an answer with SOA": ((ADDRESS, SOA), 0, Kind.ANSWER),
    "an alias and its target": ((ALIAS, EDGE), 0, Kind.ANSWER),
    "an alias whose target is elsewhere": ((ALIAS,), 0, Kind.ANSWER),
    "an alias that leads to nothing": ((ALIAS, SOA), 0, Kind.NODATA),
    "an alias of something else": ((EDGE, SOA), 0, Kind.NODATA),
    "aliases in a circle": ((ALIAS, BACK, SOA), 0, Kind.NODATA),
    "two aliases of one name": ((ALIAS, OTHER, EDGE, SOA), 0, Kind.NODATA),
    "NODATA": ((SOA,), 0, Kind.NODATA),
    "nothing at all": ((), 0, Kind.ANSWER),
    "a referral": ((NS,), 0, Kind.REFERRAL),
    "NXDOMAIN": ((SOA,), 3, Kind.NXDOMAIN),
    "NXDOMAIN behind an alias": ((ALIAS, SOA), 3, Kind.NXDOMAIN),
    "SERVFAIL": ((), 2, Kind.FAILURE),
    "SERVFAIL with records": ((SOA,), 2, Kind.FAILURE),
    "NOTIMP": ((), 4, Kind.FAILURE),
    "REFUSED": ((), 5, Kind.OTHER),
    "FORMERR": ((), 1, Kind.OTHER),
    "BADVERS": ((), 16, Kind.OTHER),
}


def both(lines: tuple[str, ...], rcode: int, query: Query) -> tuple[Said, Said]:
    """What octets say, and what sections say that were read from them."""
    message = response(*lines, query=query, rcode=rcode)
    return (
        kinds.of_reply(relay.locate(message)),
        kinds.of_sections(relay.sections(message, query), query),
    )


@pytest.mark.parametrize(("lines", "rcode", "kind"), KINDS.values(), ids=KINDS)
def test_kinds(lines: tuple[str, ...], rcode: int, kind: Kind) -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    of_octets, of_sections = both(lines, rcode, query)

    assert of_octets.kind is kind
    assert of_sections == of_octets


ANSWERED = {
    "an address": (codes.A, (ADDRESS,), True),
    "the alias itself": (codes.CNAME, (ALIAS,), True),
    "two aliases": (codes.CNAME, (ALIAS, OTHER), False),
    "another type": (codes.AAAA, (ADDRESS,), False),
    "any type": (codes.ANY, (TEXT,), True),
    "any type of another name": (codes.ANY, (EDGE,), False),
    "the target of an alias": (codes.A, (EDGE, ALIAS), True),
    "an alias to another type": (codes.TXT, (ALIAS, EDGE), False),
    "an address beside an alias": (codes.A, (ADDRESS, ALIAS), False),
    "another class": (codes.TXT, (TEXT.replace(" IN ", " CH "),), False),
}


@pytest.mark.parametrize(("rtype", "lines", "expected"), ANSWERED.values(), ids=ANSWERED)
def test_whether_it_has_what_was_asked_for(
    rtype: int, lines: tuple[str, ...], *, expected: bool
) -> None:
    assert kinds.of_reply(relay.locate(response(*lines, query=asked(rtype)))).answered is expected


BOUNDED = {
    "an answer": ((ADDRESS,), 0, True),
    "nothing at all": ((), 0, True),
    "NXDOMAIN with SOA": ((SOA,), 3, True),
    "NXDOMAIN without": ((), 3, False),
    "SOA in the wrong place": (("additional" + SOA.removeprefix("authority"),), 3, False),
    "an alias that leads nowhere, with SOA": ((ALIAS, SOA), 0, True),
    "an alias that leads nowhere, without": ((ALIAS,), 0, False),
    "SERVFAIL": ((), 2, True),
}


@pytest.mark.parametrize(("lines", "rcode", "expected"), BOUNDED.values(), ids=BOUNDED)
def test_whether_it_says_for_how_long(
    lines: tuple[str, ...], rcode: int, *, expected: bool
) -> None:
    of_octets, of_sections = both(lines, rcode, QUERY)

    assert (of_octets.bounded, of_sections.bounded) == (expected, expected)


@pytest.mark.parametrize("rtype", [codes.AXFR, codes.IXFR])
def test_a_transfer_is_no_answer(rtype: int) -> None:
    assert kinds.of_reply(relay.locate(response(ADDRESS, query=asked(rtype)))).kind is Kind.OTHER


# -- signatures ---------------------------------------------------------------------------------

SIGNATURE = f"{NAME} 60 IN RRSIG A 8 3 60 20200201000000 20200101000000 1 example.org. aaaa"
FEBRUARY = 1_580_515_200
VALID = {
    "in its time": (FEBRUARY - 1, True, False),
    "at its end": (FEBRUARY, True, False),
    "behind its end": (FEBRUARY + 1, True, True),
    "before it begins": (FEBRUARY - 32 * 86400, True, True),
    "for who does not care": (FEBRUARY + 1, False, False),
}


def signed(message: bytes, *, do: bool) -> relay.Reply:
    """The response as a server sends it that knows of signatures."""
    query = ask(QUERY.name, codes.A, edns=Edns(1232, do=do))
    return relay.locate(relay.readdress(message, query, 65_535))


@pytest.mark.parametrize(("now", "do", "expected"), VALID.values(), ids=VALID)
def test_signatures_expire(now: int, *, do: bool, expected: bool) -> None:
    assert kinds.expired(signed(response(ADDRESS, SIGNATURE), do=do), now) is expected


def test_signatures_over_the_end_of_time_are_valid() -> None:
    # RFC 4034 section 3.1.5: 32 bits, which begin again at 0 on 7 February 2106.
    rrset = dns.rrset.from_text(NAME, 60, "IN", "RRSIG", SIGNATURE.split(" ", 4)[4])
    written = rrset[0].to_wire()
    wrapped = written[:8] + (5).to_bytes(4) + (2**32 - 5).to_bytes(4) + written[16:]
    reply = signed(response(SIGNATURE).replace(written, wrapped), do=True)

    assert not kinds.expired(reply, 2**32 - 1)
    assert not kinds.expired(reply, 2**32 + 1)
    assert kinds.expired(reply, 2**32 + 6)


def test_a_name_that_cannot_be_read_is_the_upstreams_fault() -> None:
    message = response(ADDRESS).replace(b"\xc0\x0c", b"\xc0\x21")
    with pytest.raises(UpstreamError, match="bad record"):
        kinds.of_reply(relay.locate(message))
