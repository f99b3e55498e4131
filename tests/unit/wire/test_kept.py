"""A kept response, filled in for others and later; dnspython writes it and reads the result."""

from contextlib import suppress

import dns.flags
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import UpstreamError
from kdns.wire import codes, names, relay
from kdns.wire.kept import Kept
from kdns.wire.message import extended_error
from kdns.wire.query import CD, RD, Edns, Query, ask
from tests.unit.wire.test_relay import ADDRESSES, NAME, QUERY, mangled, response, texts


def kept(message: bytes) -> Kept:
    return Kept(relay.locate(message))


def read(message: bytes) -> dns.message.Message:
    return dns.message.from_wire(message)


def spelled(text: str, message_id: int = 9) -> Query:
    return Query(message_id, RD, names.from_text(text) + b"\0\1\0\1", QUERY.name, codes.A)


@pytest.mark.parametrize("compress", [True, False])
def test_it_takes_id_and_spelling_of_who_asks_next(*, compress: bool) -> None:
    message = response(ADDRESSES[0])
    if not compress:
        message = message.replace(b"\xc0\x0c", QUERY.name)
    one = kept(message)

    for text in ("WWW.Example.org.", "www.EXAMPLE.org."):
        filled = one.fill(spelled(text, 99), 17)
        assert filled[:2] == b"\0\x63"
        assert texts(filled) == [f"{text} 17 IN A 192.0.2.1"]
        assert str(read(filled).question[0].name) == text


def test_every_record_shows_the_ttl_that_is_left() -> None:
    one = kept(response(*ADDRESSES[:2], "authority example.org. 9 IN NS ns.example.org."))

    for ttl in (30, 30, 29, 0):
        filled = texts(one.fill(QUERY, ttl))
        assert [line.split()[1] for line in filled] == [str(ttl)] * 3


def test_sections_stay_what_they_are() -> None:
    written = response(
        *ADDRESSES[:2],
        "authority example.org. 9 IN NS ns.example.org.",
        "additional ns.example.org. 9 IN A 192.0.2.9",
    )
    before, after = read(written), read(kept(written).fill(QUERY, 9))

    assert [len(section) for section in after.sections] == [1, 1, 1, 1]
    assert after.authority == before.authority
    assert after.additional == before.additional


OPT = {
    "a client without EDNS": (None, 1232, -1, 0, 0),
    "a client with EDNS": (Edns(700), 1232, 0, 700, 0),
    "a client with DO": (Edns(700, do=True), 1232, 0, 700, dns.flags.DO),
    "an upstream without EDNS": (Edns(700), None, 0, 700, 0),
}


@pytest.mark.parametrize(("edns", "asked", "version", "size", "flags"), OPT.values(), ids=OPT)
def test_opt_is_for_the_client(
    edns: Edns | None, asked: int | None, version: int, size: int, flags: int
) -> None:
    ours = ask(QUERY.name, codes.A, edns=None if asked is None else Edns(asked))
    filled = read(kept(response(ADDRESSES[0], query=ours)).fill(ask(QUERY.name, 1, edns=edns), 9))

    assert filled.edns == version
    assert filled.payload == size
    assert filled.ednsflags & dns.flags.DO == flags


def test_extended_errors_are_kept_and_other_options_are_not() -> None:
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    written = relay.with_option(response(query=query, rcode=2), Edns(1232), 10, b"a cookie")
    one = kept(relay.with_option(written, Edns(1232), 15, b"\0\x06bogus"))

    stale = read(one.fill(query, 9, extended_error(codes.EDE_STALE_ANSWER, "expired")))
    bare = read(one.fill(QUERY, 9, extended_error(codes.EDE_STALE_ANSWER, "expired")))

    assert [option.to_text() for option in stale.options] == [
        "EDE 6 (DNSSEC Bogus): bogus",
        "EDE 3 (Stale Answer): expired",
    ]
    assert bare.edns == -1


FLAGS = {
    "AA is always set": ("QR RD RA", RD, None, "QR AA RD RA"),
    "RD is the client's": ("QR RD RA", 0, None, "QR AA RA"),
    "CD is the client's": ("QR RD RA", RD | CD, None, "QR AA RD RA CD"),
    "RA is the upstream's": ("QR RD", RD, None, "QR AA RD"),
    "AD for who did not ask": ("QR RD RA AD", RD, None, "QR AA RD RA"),
    "AD for who has EDNS only": ("QR RD RA AD", RD, Edns(1232), "QR AA RD RA"),
    "AD for AD": ("QR RD RA AD", RD | relay.AD, None, "QR AA RD RA AD"),
    "AD for DO": ("QR RD RA AD", RD, Edns(1232, do=True), "QR AA RD RA AD"),
    "no AD of the upstream": ("QR RD RA", RD | relay.AD, None, "QR AA RD RA"),
}


@pytest.mark.parametrize(("theirs", "sent", "edns", "expected"), FLAGS.values(), ids=FLAGS)
def test_flags(theirs: str, sent: int, edns: Edns | None, expected: str) -> None:
    client = Query(9, sent, QUERY.question, QUERY.name, 1, 1, edns)

    filled = kept(response(ADDRESSES[0], flags=theirs)).fill(client, 1)

    assert dns.flags.to_text(read(filled).flags) == expected


@pytest.mark.parametrize("rcode", [0, 2, 3, 4])
def test_the_rcode_is_kept(rcode: int) -> None:
    one = kept(response(rcode=rcode))

    assert one.rcode == rcode
    assert read(one.fill(QUERY, 1)).rcode() == rcode


def test_its_order_is_true_of_what_it_is_filled_into() -> None:
    one = kept(response(*ADDRESSES[:3]))
    filled = one.fill(spelled("WWW.example.org."), 9)

    turned = relay.arranged(filled, one.order.sets, lambda _, found: found[1:] + found[:1])

    assert texts(turned) == [f"WWW.example.org. 9 IN A 192.0.2.{n}" for n in (2, 3, 1)]


def test_a_large_one_counts_its_octets() -> None:
    small, large = kept(response(ADDRESSES[0])), kept(response(*ADDRESSES))

    assert large.octets - small.octets >= 39 * 16


@given(st.binary(max_size=600) | mangled())
def test_any_bytes_are_filled_or_an_upstream_error(message: bytes) -> None:
    with suppress(UpstreamError):
        kept(message).fill(QUERY, 5)


@given(st.lists(st.sampled_from(ADDRESSES), unique=True), st.integers(0, 2**31 - 1))
def test_what_is_filled_reads_as_what_was_kept(lines: list[str], ttl: int) -> None:
    message = response(*lines, f"additional {NAME} 9 IN MX 1 mail.example.org.")

    expected = [" ".join((*line.split()[:1], str(ttl), *line.split()[2:])) for line in lines]
    assert texts(kept(message).fill(QUERY, ttl))[:-1] == expected
