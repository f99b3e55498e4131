"""Any bytes in: a value or UpstreamError. dnspython writes the responses and reads the results."""

from contextlib import suppress

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import UpstreamError
from kdns.wire import codes, names, relay
from kdns.wire.query import RD, Edns, Query, ask, write_query

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
ADDRESSES = tuple(f"{NAME} {60 + n} IN A 192.0.2.{n}" for n in range(1, 41))


def response(*lines: str, query: Query = QUERY, flags: str = "QR RD RA", rcode: int = 0) -> bytes:
    """Write a response; a line may begin with its section, ``authority`` or ``additional``."""
    message = dns.message.make_response(dns.message.from_wire(write_query(query, 7)))
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(dns.rcode.Rcode(rcode))
    for line in lines:
        first, _, rest = line.partition(" ")
        section = {"authority": message.authority, "additional": message.additional}.get(first)
        owner, ttl, rclass, rtype, data = (line if section is None else rest).split(" ", 4)
        rrset = dns.rrset.from_text(owner, int(ttl), rclass, rtype, data)
        (message.answer if section is None else section).append(rrset)
    return message.to_wire(max_size=65_535)


def texts(message: bytes) -> list[str]:
    read = dns.message.from_wire(message, one_rr_per_rrset=True)
    return [rrset.to_text() for section in read.sections[1:] for rrset in section]


# -- does it answer? ----------------------------------------------------------------------------

GOOD = response(ADDRESSES[0])
FORGED = {
    "another id": b"\0\x08" + GOOD[2:],
    "a query": write_query(QUERY, 7),
    "another name": response(query=ask(names.from_text("wwx.example.org"), codes.A)),
    "another type": response(query=ask(names.from_text(NAME), codes.AAAA)),
    "another class": GOOD[: 12 + len(QUERY.question) - 1] + b"\3" + GOOD[29:],
    "no question": GOOD[:4] + b"\0\0" + GOOD[6:],
    "two questions": GOOD[:4] + b"\0\2" + GOOD[6:],
    "a header only": GOOD[:12],
    "nothing": b"",
}


@pytest.mark.parametrize("message", FORGED.values(), ids=FORGED)
def test_what_is_not_the_answer(message: bytes) -> None:
    assert not relay.is_answer(message, QUERY, 7)


@pytest.mark.parametrize("spelling", [NAME, NAME.upper(), "wWw.eXample.ORG."])
def test_an_answer_may_spell_the_name_in_another_case(spelling: str) -> None:
    message = response(query=ask(names.from_text(spelling), codes.A))

    assert relay.is_answer(message, QUERY, 7)


# -- where things are ---------------------------------------------------------------------------


def test_the_lowest_ttl_is_that_of_any_section_but_not_opt() -> None:
    query = ask(names.from_text(NAME), codes.A, edns=Edns(1232))
    message = response(ADDRESSES[0], f"additional {NAME} 9 IN TXT x", query=query)

    assert relay.locate(message).lowest_ttl == 9
    assert relay.locate(response(query=query)).lowest_ttl is None


def test_a_ttl_with_its_highest_bit_set_is_zero() -> None:
    message = GOOD.replace((61).to_bytes(4), b"\x80\0\0\1")

    assert relay.locate(message).lowest_ttl == 0


@pytest.mark.parametrize("rcode", [0, 2, 3, 5, 16, 23])
def test_the_rcode_is_read_with_its_upper_bits(rcode: int) -> None:
    query = ask(names.from_text(NAME), codes.A, edns=Edns(1232))

    assert relay.locate(response(query=query, rcode=rcode)).rcode == rcode


EDNS = response(query=ask(QUERY.name, codes.A, edns=Edns(512)))
BROKEN = {
    "a header cut short": GOOD[:11],
    "a query": write_query(QUERY, 7),
    "the question cut short": GOOD[:20],
    "a record too few": GOOD[:7] + b"\2" + GOOD[8:],
    "rdata cut short": GOOD[:-1],
    "a label of a reserved kind": GOOD[:12] + b"\x40" + GOOD[13:],
    "OPT in the answer section": EDNS[:6] + b"\0\1\0\0\0\0" + EDNS[12:],
    "two OPT records": EDNS[:11] + b"\2" + EDNS[12:] + EDNS[-11:],
}


@pytest.mark.parametrize("message", BROKEN.values(), ids=BROKEN)
def test_a_broken_response_is_the_upstreams_fault(message: bytes) -> None:
    with pytest.raises(UpstreamError, match="the response"):
        relay.locate(message)


# -- on its way to the client -------------------------------------------------------------------


def test_id_and_spelling_become_those_of_the_client() -> None:
    client = Query(0x1234, RD, names.from_text("WWW.Example.org") + b"\0\1\0\1", QUERY.name, 1)

    message = relay.readdress(GOOD, client, 512)

    assert message[:2] == b"\x12\x34"
    assert texts(message) == ["WWW.Example.org. 61 IN A 192.0.2.1"]


def test_what_does_not_fit_is_cut_in_whole_records() -> None:
    message = relay.readdress(response(*ADDRESSES), QUERY, 512)

    assert 512 - 16 < len(message) <= 512
    assert dns.message.from_wire(message).flags & dns.flags.TC
    assert texts(message) == list(ADDRESSES[:29])


def test_opt_survives_a_cut() -> None:
    query = ask(names.from_text(NAME), codes.A, edns=Edns(600, do=True))
    message = relay.readdress(response(*ADDRESSES, query=query), query, 600)
    read = dns.message.from_wire(message)

    assert len(message) <= 600
    assert read.edns == 0
    assert len(texts(message)) == 34


def test_additional_data_is_cut_without_tc() -> None:
    extra = [f"additional ns{n}.example.org. 60 IN A 192.0.2.9" for n in range(30)]
    message = relay.readdress(response(ADDRESSES[0], *extra), QUERY, 512)

    assert len(message) <= 512
    assert not dns.message.from_wire(message).flags & dns.flags.TC


def test_opt_is_left_off_for_a_client_without_edns() -> None:
    query = ask(names.from_text(NAME), codes.A, edns=Edns(1232))
    message = response(ADDRESSES[0], f"additional {NAME} 9 IN TXT x", query=query)
    bare = relay.without_edns(relay.locate(message))

    assert dns.message.from_wire(bare).edns == -1
    assert texts(bare) == texts(message)
    assert relay.without_edns(relay.locate(GOOD)) == GOOD


def test_what_follows_opt_is_left_off_with_it() -> None:
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    bare = relay.without_edns(relay.locate(EDNS[:11] + b"\2" + EDNS[12:] + record))

    assert texts(bare) == []


# -- for others and later -----------------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_a_kept_response_takes_the_spelling_of_who_asks_next(*, compress: bool) -> None:
    message = response(ADDRESSES[0])
    if not compress:
        message = message.replace(b"\xc0\x0c", QUERY.name)
    client = Query(9, RD, names.from_text("WWW.Example.org") + b"\0\1\0\1", QUERY.name, 1)

    filled = relay.fill(relay.template(relay.locate(message)), client, 17)

    assert texts(filled) == ["WWW.Example.org. 17 IN A 192.0.2.1"]


def test_opt_keeps_what_stands_in_place_of_its_ttl() -> None:
    query = ask(names.from_text(NAME), codes.A, edns=Edns(1232, do=True))
    message = response(ADDRESSES[0], query=query, rcode=16)

    read = dns.message.from_wire(relay.fill(relay.template(relay.locate(message)), query, 30))

    assert read.rcode() == 16
    assert read.answer[0].ttl == 30


FLAGS = {
    "AA is never repeated": ("QR AA RD RA", RD, False, "QR RD RA"),
    "RD is the client's": ("QR RD RA", 0, False, "QR RA"),
    "AD for who did not ask": ("QR RD RA AD", RD, False, "QR RD RA"),
    "AD for AD": ("QR RD RA AD", RD | relay.AD, False, "QR RD RA AD"),
    "AD for DO": ("QR RD RA AD", RD, True, "QR RD RA AD"),
}


@pytest.mark.parametrize(("kept", "sent", "do", "expected"), FLAGS.values(), ids=FLAGS)
def test_the_flags_of_a_kept_response(kept: str, sent: int, expected: str, *, do: bool) -> None:
    message = response(ADDRESSES[0], flags=kept)
    client = Query(9, sent, QUERY.question, QUERY.name, 1, 1, Edns(1232, do=do))

    filled = relay.fill(relay.template(relay.locate(message)), client, 1)

    assert dns.flags.to_text(dns.message.from_wire(filled).flags) == expected


# -- understood ---------------------------------------------------------------------------------


def test_a_chain_of_aliases_is_read_with_its_names_spelled_out() -> None:
    message = response(
        f"{NAME} 60 IN CNAME Edge.example.org.",
        "Edge.example.org. 30 IN A 192.0.2.1",
        f"authority {NAME} 60 IN NS ns.example.org.",
    )
    edge = names.from_text("Edge.example.org")

    sections = relay.read(message, QUERY)

    assert [(r.owner, r.rtype, r.ttl, r.rdata) for r in sections.answer] == [
        (QUERY.name, codes.CNAME, 60, edge),
        (edge, codes.A, 30, bytes((192, 0, 2, 1))),
    ]
    assert not sections.authority
    assert not sections.authoritative


def test_rcode_and_truncation_are_read() -> None:
    sections = relay.read(response(flags="QR TC", rcode=3), QUERY)

    assert (sections.rcode, sections.truncated) == (codes.NXDOMAIN, True)


def test_a_negative_response_is_read_with_its_soa() -> None:
    soa = "example.org. 12 IN SOA ns.example.org. h.example.org. 1 2 3 4 5"
    ns = "authority example.org. 60 IN NS ns.example.org."

    [record] = relay.read(response(f"authority {soa}", ns, rcode=3), QUERY).authority

    assert (record.owner, record.rtype, record.ttl) == (names.from_text("example.org"), 6, 12)


def test_records_of_other_classes_are_passed_over() -> None:
    assert relay.read(response(f"{NAME} 60 CH TXT x"), QUERY).answer == ()


RDATA = {
    "MX": "10 mail.example.org.",
    "SOA": "ns.example.org. hostmaster.example.org. 1 2 3 4 5",
    "SRV": "0 5 80 web.example.org.",
    "TXT": '"one" "two"',
    "TYPE65280": r"\# 4 c00cc00c",
}


@pytest.mark.parametrize(("rtype", "data"), RDATA.items(), ids=RDATA)
def test_rdata_means_the_same_outside_of_its_message(rtype: str, data: str) -> None:
    [record] = relay.read(response(f"{NAME} 60 IN {rtype} {data}"), QUERY).answer

    assert record.rdata == dns.rrset.from_text(NAME, 60, "IN", rtype, data)[0].to_wire()


def test_the_answer_to_another_question_is_not_read() -> None:
    with pytest.raises(UpstreamError, match="another question"):
        relay.read(GOOD, ask(names.from_text("example.org"), codes.A))


def test_a_name_that_points_at_itself_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamError, match="bad record"):
        relay.read(GOOD.replace(b"\xc0\x0c", b"\xc0\x21"), QUERY)


# -- any bytes ----------------------------------------------------------------------------------

WHOLE = response(*ADDRESSES[:2], f"{NAME} 9 IN MX 1 mail.example.org.")


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A good response with some octets replaced and its end perhaps cut off."""
    message = bytearray(WHOLE)
    spots = st.tuples(st.integers(0, len(message) - 1), st.integers(0, 255))
    for at, octet in draw(st.lists(spots, max_size=6)):
        message[at] = octet
    return bytes(message[: draw(st.integers(0, len(message)))])


@given(st.binary(max_size=600) | mangled())
def test_any_bytes_are_a_value_or_an_upstream_error(message: bytes) -> None:
    relay.is_answer(message, QUERY, 7)
    with suppress(UpstreamError):
        relay.readdress(message, QUERY, 30)
    with suppress(UpstreamError):
        relay.read(message, QUERY)
    with suppress(UpstreamError):
        reply = relay.locate(message)
        relay.without_edns(reply)
        relay.fill(relay.template(reply), QUERY, reply.rcode)


@given(st.sets(st.integers(1, 40)), st.integers(29, 700))
def test_a_cut_response_keeps_to_its_limit_and_to_the_order(which: set[int], limit: int) -> None:
    lines = [ADDRESSES[n - 1] for n in sorted(which)]
    message = relay.readdress(response(*lines), QUERY, limit)
    kept = texts(message)

    assert len(message) <= max(limit, 12 + len(QUERY.question))
    assert kept == lines[: len(kept)]
    assert bool(dns.message.from_wire(message).flags & dns.flags.TC) == (len(kept) < len(lines))
