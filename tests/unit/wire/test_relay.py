"""Any bytes in: a value or UpstreamError. dnspython writes the responses and reads the results."""

from contextlib import suppress

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import UpstreamError
from kdns.wire import codes, names, records, relay
from kdns.wire.message import write
from kdns.wire.query import RA, RD, Edns, Query, ask, write_query

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


# -- edited in place ----------------------------------------------------------------------------


def test_opt_has_the_size_and_the_do_bit_of_the_client_and_what_the_upstream_said() -> None:
    theirs = ask(QUERY.name, codes.A, edns=Edns(1232))
    message = relay.explain(response(query=theirs, rcode=16), 18, "prohibited")
    client = ask(QUERY.name, codes.A, edns=Edns(4000, do=True))

    read = dns.message.from_wire(relay.readdress(message, client, 512))

    assert (read.payload, read.rcode()) == (4000, 16)
    assert read.ednsflags & dns.flags.DO
    assert [option.to_text() for option in read.options] == ["EDE 18 (Prohibited): prohibited"]


@pytest.mark.parametrize("lines", [(), ADDRESSES[:1]])
def test_a_client_without_edns_gets_no_opt(lines: tuple[str, ...]) -> None:
    message = response(*lines, query=ask(QUERY.name, codes.A, edns=Edns(1232)))

    read = dns.message.from_wire(relay.readdress(message, QUERY, 512))

    assert read.edns == -1
    assert len(read.answer) == len(lines)


def test_a_bare_response_has_its_answer_and_opt() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    more = ("authority example.org. 9 IN NS ns.example.org.", f"additional {NAME} 9 IN TXT x")
    message = relay.bare(response(*ADDRESSES[:2], *more, query=query))

    assert texts(message) == list(ADDRESSES[:2])
    assert dns.message.from_wire(message).edns == 0


def test_flags_are_set_and_cleared() -> None:
    message = relay.with_flags(GOOD, relay.AD, RA | RD)

    assert dns.flags.to_text(dns.message.from_wire(message).flags) == "QR AD"
    assert texts(message) == texts(GOOD)


def test_every_record_gets_the_ttl_and_opt_does_not() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232, do=True))
    message = response(*ADDRESSES[:2], f"additional {NAME} 9 IN TXT x", query=query, rcode=16)
    read = dns.message.from_wire(relay.retimed(relay.locate(message), 30), one_rr_per_rrset=True)

    assert {rrset.ttl for section in read.sections[1:] for rrset in section} == {30}
    assert read.rcode() == 16


# -- in another order ---------------------------------------------------------------------------

EDGE = "edge.example.org."


def reversed_order(message: bytes) -> list[str]:
    sets = relay.order(relay.locate(message)).sets
    return texts(relay.arranged(message, sets, lambda _, addresses: addresses[::-1]))


def test_addresses_change_places_within_owner_and_type() -> None:
    message = response(
        f"{NAME} 60 IN CNAME {EDGE}",
        f"{EDGE} 60 IN A 192.0.2.1",
        f"{EDGE} 60 IN A 192.0.2.2",
        f"{EDGE} 60 IN AAAA 2001:db8::1",
        f"{EDGE} 60 IN AAAA 2001:db8::2",
        "authority example.org. 60 IN NS ns.example.org.",
        "additional ns.example.org. 60 IN A 192.0.2.3",
        "additional ns.example.org. 60 IN A 192.0.2.4",
        "additional ns2.example.org. 60 IN A 192.0.2.5",
    )

    assert reversed_order(message) == [
        f"{NAME} 60 IN CNAME {EDGE}",
        f"{EDGE} 60 IN A 192.0.2.2",
        f"{EDGE} 60 IN A 192.0.2.1",
        f"{EDGE} 60 IN AAAA 2001:db8::2",
        f"{EDGE} 60 IN AAAA 2001:db8::1",
        "example.org. 60 IN NS ns.example.org.",
        "ns.example.org. 60 IN A 192.0.2.4",
        "ns.example.org. 60 IN A 192.0.2.3",
        "ns2.example.org. 60 IN A 192.0.2.5",
    ]


def test_an_owner_is_the_same_however_it_is_written() -> None:
    first = b"\3WWW" + b"\xc0\x10" + b"\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x09"
    message = GOOD[:7] + b"\2" + GOOD[8:] + first

    assert reversed_order(message) == [
        f"{NAME} 61 IN A 192.0.2.9",
        "WWW.example.org. 60 IN A 192.0.2.1",
    ]


JUMBLED = {
    "addresses": ((codes.A, codes.A), False),
    "an alias first": ((codes.CNAME, codes.A), False),
    "an alias and its signature first": ((codes.CNAME, codes.RRSIG, codes.CNAME, codes.A), False),
    "an alias behind an address": ((codes.A, codes.CNAME), True),
    "one MX": ((codes.MX,), False),
    "two MX": ((codes.MX, codes.MX), True),
    "nothing": ((), False),
}


@pytest.mark.parametrize(("types", "expected"), JUMBLED.values(), ids=JUMBLED)
def test_what_takes_more_than_changing_addresses(types: tuple[int, ...], *, expected: bool) -> None:
    assert relay.jumbled(types) is expected


def test_an_address_of_another_class_stays_where_it_is() -> None:
    message = response(*ADDRESSES[:2])
    chaos = message.replace(b"\0\1\0\1", b"\0\1\0\3")

    assert relay.order(relay.locate(chaos)) == relay.Order()


# -- understood ---------------------------------------------------------------------------------


def test_a_chain_of_aliases_is_read_with_its_names_spelled_out() -> None:
    message = response(
        f"{NAME} 60 IN CNAME Edge.example.org.",
        "Edge.example.org. 30 IN A 192.0.2.1",
        f"authority {NAME} 60 IN NS ns.example.org.",
    )
    edge = names.from_text("Edge.example.org")

    sections = relay.read(message, QUERY)

    assert sections.answer == (
        records.cname(QUERY.name, 60, edge),
        records.address(edge, 30, bytes((192, 0, 2, 1))),
    )
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
    "NS": "ns.example.org.",
    "SOA": "ns.example.org. hostmaster.example.org. 1 2 3 4 5",
    "PTR": "www.example.org.",
    "HINFO": "one two",
    "MX": "10 mail.example.org.",
    "TXT": '"one" "two"',
    "RP": "who.example.org. what.example.org.",
    "AFSDB": "1 db.example.org.",
    "RT": "1 route.example.org.",
    "PX": "1 one.example.org. two.example.org.",
    "SRV": "0 5 80 web.example.org.",
    "NAPTR": '100 10 "u" "sip+E2U" "!^.*$!sip:x!" next.example.org.',
    "KX": "1 kx.example.org.",
    "DNAME": "other.example.org.",
    "CAA": '0 issue "ca.example.org"',
    "TYPE65280": r"\# 4 c00cc00c",
}


@pytest.mark.parametrize(("rtype", "data"), RDATA.items(), ids=RDATA)
def test_rdata_means_the_same_outside_of_its_message(rtype: str, data: str) -> None:
    [record] = relay.read(response(f"{NAME} 60 IN {rtype} {data}"), QUERY).answer
    written = dns.rrset.from_text(NAME, 60, "IN", rtype, data)[0].to_wire()

    assert b"".join(record.targets) + record.rdata == written


COMPRESSED = {
    "CNAME": (codes.CNAME, b"\xc0\x10", b"\7example\3org\0"),
    "MX": (codes.MX, b"\0\1\4mail\xc0\x10", b"\0\1\4mail\7example\3org\0"),
    "SRV": (codes.SRV, bytes(6) + b"\xc0\x10", bytes(6) + b"\7example\3org\0"),
    "NAPTR": (35, bytes(4) + b"\1u\0\0\xc0\x10", bytes(4) + b"\1u\0\0\7example\3org\0"),
    "no type that may be": (codes.TXT, b"\2\xc0\x10", b"\2\xc0\x10"),
}


@pytest.mark.parametrize(("rtype", "data", "expected"), COMPRESSED.values(), ids=COMPRESSED)
def test_compressed_names_in_rdata_are_spelled_out(
    rtype: int, data: bytes, expected: bytes
) -> None:
    record = b"\xc0\x0c" + rtype.to_bytes(2) + b"\0\1\0\0\0\1" + len(data).to_bytes(2) + data
    message = GOOD[: 12 + len(QUERY.question)] + record

    [read] = relay.read(message, QUERY).answer

    assert b"".join(read.targets) + read.rdata == expected


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_a_name_that_its_rdata_does_not_hold_is_the_upstreams_fault(cut: int) -> None:
    message = response(f"{NAME} 60 IN CNAME {EDGE}", f"{EDGE} 60 IN A 192.0.2.1")
    start = 12 + len(QUERY.question) + 10
    short = message[:start] + cut.to_bytes(2) + message[start + 2 :][:cut]
    with pytest.raises(UpstreamError, match="the response"):
        relay.read(short[:7] + b"\1" + short[8:], QUERY)


def test_the_whole_of_a_response_is_understood() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    written = relay.explain(
        response(
            f"{NAME} 60 IN CNAME {EDGE}",
            f"{EDGE} 60 IN TYPE65280 \\# 2 c00c",
            "authority example.org. 60 IN NS ns.example.org.",
            "additional ns.example.org. 60 IN A 192.0.2.3",
            f"additional {NAME} 60 CH TXT x",
            query=query,
            flags="QR AA RD RA AD",
        ),
        18,
        "prohibited",
    )

    sections = relay.sections(written, query)
    again = query.id.to_bytes(2) + write(query, sections, 1232).first()

    assert texts(again) == texts(written)
    assert dns.flags.to_text(dns.message.from_wire(again).flags) == "QR AA RD RA AD"
    assert dns.message.from_wire(again).options == dns.message.from_wire(written).options


@pytest.mark.parametrize("flags", ["QR", "QR RD RA", "QR AA RD", "QR TC RD RA", "QR RD RA AD"])
def test_the_flags_of_a_whole_response_are_those_of_the_upstream(flags: str) -> None:
    query = Query(0, RD if "RD" in flags else 0, QUERY.question, QUERY.name, codes.A)
    sections = relay.sections(response(ADDRESSES[0], flags=flags), query)

    for recursion in (False, True):
        written = bytes(2) + write(query, sections, 512, recursion=recursion).first()
        assert dns.flags.to_text(dns.message.from_wire(written).flags) == flags


def test_an_option_that_is_cut_short_is_the_upstreams_fault() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    for data in (b"\0", b"\0\x0f\0\2x"):
        message = EDNS[:-2] + len(data).to_bytes(2) + data
        with pytest.raises(UpstreamError, match="cut short"):
            relay.sections(message, query)


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
    for reader in (relay.read, relay.sections):
        with suppress(UpstreamError):
            reader(message, QUERY)
    with suppress(UpstreamError):
        relay.bare(message)
    with suppress(UpstreamError):
        reply = relay.locate(message)
        relay.without_edns(reply)
        relay.retimed(reply, 1)
        relay.arranged(message, relay.order(reply).sets, lambda _, addresses: addresses[::-1])


@given(st.sets(st.integers(1, 40)), st.integers(29, 700))
def test_a_cut_response_keeps_to_its_limit_and_to_the_order(which: set[int], limit: int) -> None:
    lines = [ADDRESSES[n - 1] for n in sorted(which)]
    message = relay.readdress(response(*lines), QUERY, limit)
    kept = texts(message)

    assert len(message) <= max(limit, 12 + len(QUERY.question))
    assert kept == lines[: len(kept)]
    assert bool(dns.message.from_wire(message).flags & dns.flags.TC) == (len(kept) < len(lines))
