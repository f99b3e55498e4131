"""What of an upstream's response is passed on: dnspython writes it, hand and chance damage it."""

from contextlib import suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import UpstreamError
from kdns.wire import codes, names, relay, soundness
from kdns.wire.query import Edns, ask, write_query

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
END = 12 + len(QUERY.question)
HEADER = b"\0\7\x80\0\0\1"
TO_QUESTION = b"\xc0\x0c"


def written(*lines: str, authority: tuple[str, ...] = (), edns: int = -1) -> bytes:
    """Write a response of records in presentation form, with EDNS of this extended rcode."""
    query = ask(QUERY.name, codes.A, edns=Edns(1232) if edns >= 0 else None)
    message = dns.message.make_response(dns.message.from_wire(write_query(query, 7)))
    for section, texts in ((message.answer, lines), (message.authority, authority)):
        for line in texts:
            owner, ttl, rclass, rtype, data = line.split(" ", 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, data))
    if edns >= 0:
        message.set_rcode(dns.rcode.Rcode(edns))
    return message.to_wire(max_size=65_535)


def record(
    rtype: int, rdata: bytes, owner: bytes = TO_QUESTION, length: int | None = None
) -> bytes:
    size = len(rdata) if length is None else length
    return owner + rtype.to_bytes(2) + b"\0\1\0\0\0\x3c" + size.to_bytes(2) + rdata


def by_hand(*records: bytes, authority: int = 0, additional: int = 0) -> bytes:
    counts = (len(records) - authority - additional, authority, additional)
    octets = b"".join(count.to_bytes(2) for count in counts)
    return HEADER + octets + QUERY.question + b"".join(records)


def at(offset: int) -> bytes:
    """Write a pointer; the first record begins at ``END``, its rdata twelve octets later."""
    return (0xC000 | offset).to_bytes(2)


FIRST = END + 12

SOUND = {
    "nothing": written(),
    "addresses": written(f"{NAME} 60 IN A 192.0.2.1", f"{NAME} 60 IN AAAA 2001:db8::1"),
    "an alias": written(f"{NAME} 60 IN CNAME a.example.net.", "a.example.net. 60 IN A 192.0.2.1"),
    "a denial": written(
        authority=("example.org. 60 IN SOA ns.example.org. root.example.org. 1 2 3 4 5",)
    ),
    "a referral": written(authority=("example.org. 60 IN NS a.iana-servers.net.",)),
    "mail": written(f"{NAME} 60 IN MX 10 mail.example.org."),
    "a service": written(f"{NAME} 60 IN SRV 1 2 3 sip.example.org."),
    "two names": written(f"{NAME} 60 IN RP me.example.org. about.example.org."),
    "NAPTR": written(f'{NAME} 60 IN NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp.example.org.'),
    "text": written(f'{NAME} 60 IN TXT "a" "b"'),
    "a signature": written(
        f"{NAME} 60 IN RRSIG A 8 3 60 20300101000000 20200101000000 1 example.org. AA=="
    ),
    "a type that nobody knows": written(f"{NAME} 60 IN TYPE65280 \\# 3 c0ffee"),
    "a name that leads to the root": by_hand(
        record(codes.NS, b"\1a\0"), record(codes.NS, at(FIRST + 2))
    ),
    "a chain of pointers": by_hand(
        record(codes.NS, b"\1a" + TO_QUESTION),
        record(codes.NS, at(FIRST)),
        record(codes.NS, at(FIRST)),
    ),
    "a pointer into unknown rdata": by_hand(record(65_280, b"\1a\0"), record(codes.NS, at(FIRST))),
    "an address of another class": HEADER
    + b"\0\1\0\0\0\0"
    + QUERY.question
    + TO_QUESTION
    + b"\0\1\0\3\0\0\0\x3c\0\5\1a\0\0\7",
}


@pytest.mark.parametrize("message", SOUND.values(), ids=SOUND)
def test_what_is_sound(message: bytes) -> None:
    assert soundness.check(message, END) is None


@pytest.mark.parametrize("rcode", [0, 5, 16, 23])
def test_opt_has_the_upper_bits_of_the_rcode(rcode: int) -> None:
    assert soundness.check(written(edns=rcode), END) == rcode >> 4


LONG = (b"\x3f" + b"x" * 63) * 3
UNSOUND = {
    "a pointer to itself": (by_hand(record(codes.CNAME, at(FIRST))), "pointer"),
    "a pointer forward": (
        by_hand(record(codes.CNAME, at(FIRST + 2)), record(codes.NS, b"\0")),
        "pointer",
    ),
    "a pointer forward in an owner": (by_hand(record(codes.A, bytes(4), at(END + 16))), "pointer"),
    "a circle": (by_hand(record(codes.NS, b"\1a" + at(FIRST))), "pointer"),
    "a pointer into the header": (by_hand(record(codes.CNAME, at(2))), "pointer"),
    "a pointer beyond the end": (by_hand(record(codes.CNAME, b"\xff\xff")), "pointer"),
    "half a pointer": (by_hand(record(codes.CNAME, b"\xc0")), "cut short"),
    "a reserved label": (by_hand(record(codes.CNAME, b"\x40\0")), "reserved"),
    "a reserved label where a pointer leads": (
        by_hand(record(65_280, b"\x80"), record(codes.CNAME, at(FIRST))),
        "reserved",
    ),
    "a name of 256 octets": (
        by_hand(record(codes.CNAME, LONG + b"\x3e" + b"x" * 62 + b"\0")),
        "over 255",
    ),
    "a name of 256 octets with its rest": (
        by_hand(record(codes.CNAME, LONG + b"\x2e" + b"x" * 46 + TO_QUESTION)),
        "over 255",
    ),
    "octets after a name": (by_hand(record(codes.CNAME, b"\1a\0\0")), "type 5 of a wrong length"),
    "a name longer than its rdata": (
        by_hand(record(codes.CNAME, b"\1a\0", length=2)),
        "wrong length",
    ),
    "no room for numbers": (by_hand(record(codes.SOA, b"\0\0" + bytes(19))), "wrong length"),
    "an address of three octets": (by_hand(record(codes.A, bytes(3))), "type 1 of a wrong length"),
    "an address of five octets": (
        by_hand(record(codes.AAAA, bytes(5))),
        "type 28 of a wrong length",
    ),
    "rdata cut short": (by_hand(record(codes.TXT, b"", length=9)), "cut short"),
    "a record cut short": (by_hand(TO_QUESTION + b"\0\1\0"), "cut short"),
    "a record that is missing": (by_hand(b""), "cut short"),
    "NAPTR without strings": (by_hand(record(35, b"\0\1\0\2")), "cut short"),
    "two OPT": (by_hand(*[record(codes.OPT, b"", b"\0")] * 2, additional=2), "misplaced OPT"),
    "OPT of a name": (by_hand(record(codes.OPT, b""), additional=1), "misplaced OPT"),
    "OPT as an answer": (by_hand(record(codes.OPT, b"", b"\0")), "misplaced OPT"),
    "OPT in the authority section": (
        by_hand(record(codes.OPT, b"", b"\0"), authority=1),
        "misplaced OPT",
    ),
}


@pytest.mark.parametrize(("message", "reason"), UNSOUND.values(), ids=UNSOUND)
def test_what_is_not_sound(message: bytes, reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason):
        soundness.check(message, END)


def test_a_name_of_255_octets_is_sound() -> None:
    by_itself = LONG + b"\x3d" + b"x" * 61 + b"\0"
    with_its_rest = LONG + b"\x2d" + b"x" * 45 + TO_QUESTION

    assert len(by_itself) == 255
    assert (
        soundness.check(
            by_hand(*(record(codes.NS, one) for one in (by_itself, with_its_rest))), END
        )
        is None
    )


def test_a_long_row_of_pointers_is_not_followed() -> None:
    row = b"\0" + b"".join(at(FIRST + max(0, 2 * n - 1)) for n in range(200))
    message = by_hand(record(65_280, row), record(codes.CNAME, at(FIRST + 2 * 199 + 1)))

    with pytest.raises(UpstreamError, match="over 255"):
        soundness.check(message, END)


def test_a_response_that_was_cut_is_sent_as_truncated_and_empty() -> None:
    stump = dns.message.from_wire(soundness.stump(SOUND["an alias"][:-3], END))

    assert stump.flags & dns.flags.TC
    assert stump.id == 7
    assert str(stump.question[0].name) == NAME
    assert stump.sections[1:] == [[], [], []]


@given(st.binary(max_size=60))
def test_any_octets_are_looked_at_without_another_exception(octets: bytes) -> None:
    with suppress(UpstreamError):
        soundness.check(HEADER + octets[:6].ljust(6, b"\0") + QUERY.question + octets[6:], END)


@given(
    st.sampled_from([*SOUND.values(), written(f"{NAME} 60 IN MX 10 a.b.", edns=0)]),
    st.lists(st.tuples(st.integers(6, 90), st.integers(0, 255)), max_size=4),
)
def test_what_is_sound_can_be_worked_on(message: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(message)
    for offset, octet in damage:
        if offset < len(damaged) and not 12 <= offset < END:
            damaged[offset] = octet
    query = ask(QUERY.name, codes.A, edns=Edns(1232))
    with suppress(UpstreamError):
        soundness.check(bytes(damaged), END)
        assert len(relay.readdress(bytes(damaged), query, 512)) <= 512
