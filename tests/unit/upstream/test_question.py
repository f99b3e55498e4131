"""What goes to an upstream, and what is made of what comes back."""

import dns.flags
import dns.message
import pytest

from kdns.errors import UpstreamError
from kdns.upstream.question import is_answer, is_complaint, question, read
from kdns.wire import codes, names
from kdns.wire.query import AA, CD, RA, RD, Edns, Query, ask
from kdns.wire.relay import AD

NAME = names.from_text("WWW.example.org")
PLAIN = ask(NAME, codes.A)
WITH_EDNS = ask(
    NAME, codes.A, edns=Edns(4096, do=True, options=((codes.EDNS_COOKIE, b"12345678"),))
)


def sent(query: Query) -> dns.message.Message:
    return dns.message.from_wire(b"\0\7" + question(query).body)


def reply(query: Query, *, rcode: int = 0, edns: bool | None = None, flags: str = "QR") -> bytes:
    asked = sent(query)
    if edns is not None:
        asked.use_edns(0 if edns else -1)
    message = dns.message.make_response(asked)
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(dns.rcode.Rcode(rcode))
    return message.to_wire()


def test_only_bits_that_are_for_a_resolver_go_out() -> None:
    query = Query(9, RD | AD | CD | AA | RA, PLAIN.question, PLAIN.name, codes.A)

    assert sent(query).flags == RD | AD | CD


def test_a_query_is_the_same_whoever_sends_it() -> None:
    other = Query(9, RD, WITH_EDNS.question, WITH_EDNS.name, codes.A, edns=Edns(512, do=True))

    assert question(other).body == question(WITH_EDNS).body


def test_opt_is_ours() -> None:
    assert sent(PLAIN).edns == -1
    message = sent(WITH_EDNS)
    assert (message.edns, message.payload, message.ednsflags) == (0, 1232, dns.flags.DO)
    assert message.options == ()


def test_options_that_rules_set_go_out_with_it() -> None:
    edns = Edns(4096, options=((codes.EDNS_COOKIE, b"12345678"),), passed=((8, b"\0\1\0\0"),))

    message = sent(ask(NAME, codes.A, edns=edns))

    assert [(int(option.otype), option.to_wire()) for option in message.options] == [
        (8, b"\0\1\0\0")
    ]


def test_the_answer_may_have_the_name_in_another_case() -> None:
    message = reply(ask(names.from_text("www.EXAMPLE.org"), codes.A))

    assert is_answer(question(PLAIN), message)


OTHERS = {
    "another name": reply(ask(names.from_text("wwx.example.org"), codes.A)),
    "another type": reply(ask(NAME, codes.AAAA)),
    "a query": b"\0\7" + question(PLAIN).body,
    "cut short": reply(PLAIN)[:-5],
    "two questions": reply(PLAIN)[:5] + b"\2" + reply(PLAIN)[6:],
}


@pytest.mark.parametrize("message", OTHERS.values(), ids=OTHERS)
def test_what_is_not_the_answer(message: bytes) -> None:
    assert not is_answer(question(PLAIN), message)


HEADERS = {
    "FORMERR": (b"\0\7\x80\1" + bytes(8), True),
    "NOTIMP": (b"\0\7\x84\4" + bytes(8), True),
    "no error": (b"\0\7\x80\0" + bytes(8), False),
    "no response": (b"\0\7\0\1" + bytes(8), False),
    "with a question": (b"\0\7\x80\1\0\1" + bytes(6), False),
    "cut short": (b"\0\7\x80\1" + bytes(7), False),
    "more than a header": (b"\0\7\x80\1" + bytes(9), False),
}


@pytest.mark.parametrize(("message", "expected"), HEADERS.values(), ids=HEADERS)
def test_a_complaint_is_a_header_with_an_error(message: bytes, *, expected: bool) -> None:
    assert is_complaint(message) is expected


@pytest.mark.parametrize("rcode", [0, 3, 16, 23])
def test_the_rcode_has_its_upper_bits(rcode: int) -> None:
    assert read(question(WITH_EDNS), reply(WITH_EDNS, rcode=rcode)).rcode == rcode


def test_an_opt_that_nobody_asked_for_is_left_off() -> None:
    response = read(question(PLAIN), reply(PLAIN, edns=True))

    assert dns.message.from_wire(response.message).edns == -1


def test_an_answer_without_opt_is_passed_on_as_it_is() -> None:
    message = reply(WITH_EDNS, edns=False)

    assert read(question(WITH_EDNS), message).message is message


def test_a_response_that_is_cut_within_a_record_is_truncated_or_of_no_use() -> None:
    broken = reply(PLAIN, flags="QR TC")[:7] + b"\1" + reply(PLAIN)[8:]
    response = read(question(PLAIN), broken)
    assert response.truncated
    assert response.answers == 0

    with pytest.raises(UpstreamError, match="cut short"):
        read(question(PLAIN), reply(PLAIN)[:7] + b"\1" + reply(PLAIN)[8:])
