from collections.abc import Callable
from functools import partial
from ipaddress import ip_network

import pytest

from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY
from kdns.errors import CorefileError
from kdns.wire.names import from_text, to_text

RCODES = "expected one like NOERROR, FORMERR, SERVFAIL"


def token(text: str, line: int = 7) -> Token:
    return Token(text, "Corefile", line)


def directive(*words: str, lines: tuple[Line, ...] = (), line: int = 7) -> Directive:
    name, *args = (token(word, line) for word in words)
    return Directive(name, tuple(args), lines)


def line_of(*words: str) -> Line:
    name, *args = map(token, words)
    return Line(name, tuple(args))


def refusal(read: Callable[[], object]) -> str:
    """What an error says after its place, which is always the same one here."""
    with pytest.raises(CorefileError) as caught:
        read()
    place, text = str(caught.value).split(": ", 1)
    assert place == "Corefile:7"
    return text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30s", 30.0),
        ("1h2m3.5s", 3723.5),
        ("500ms", 0.5),
        ("2us", 2e-6),
        ("2\u00b5s", 2e-6),
        ("2\u03bcs", 2e-6),
        ("7ns", 7e-9),
        (".5s", 0.5),
        ("1.m", 60.0),
        ("+5s", 5.0),
        ("1s1s", 2.0),
    ],
)
def test_durations_are_those_of_go(text: str, seconds: float) -> None:
    assert values.duration(token(text)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "5", "5x", "5 s", "1S", "--5s", "5s-", "1e3s", ".s", "9999999h", "\u0665s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    expected = f"expected a duration like 30s, 1m30s or 500ms, got {text!r}"
    assert refusal(lambda: values.duration(token(text))) == expected


def test_a_duration_has_bounds() -> None:
    assert values.duration(token("2s"), 2, 2) == 2
    assert values.duration(token("-2s"), low=-5) == -2
    assert refusal(lambda: values.duration(token("-1s"))) == (
        "expected a duration of at least 0s, got '-1s'"
    )
    assert refusal(lambda: values.duration(token("1ms"), low=0.5)) == (
        "expected a duration of at least 500ms, got '1ms'"
    )
    assert refusal(lambda: values.duration(token("2h"), high=3600)) == (
        "expected a duration of at most 1h0m0s, got '2h'"
    )
    assert refusal(lambda: values.duration(token("2h"), high=90)) == (
        "expected a duration of at most 1m30s, got '2h'"
    )


def test_a_bare_number_is_seconds_only_where_it_may_be() -> None:
    assert values.duration(token("30"), bare="seconds") == 30
    assert values.duration(token("1m"), bare="seconds") == 60
    assert refusal(lambda: values.duration(token("x"), bare="seconds")) == (
        "expected a duration like 30s, 1m30s or 500ms or a number of seconds, got 'x'"
    )


def test_whole_numbers_have_bounds() -> None:
    assert values.integer(token("5"), 0, 5) == 5
    assert values.integer(token("-5"), -5, 5) == -5
    assert values.integer(token("+007"), 0, MANY) == 7


@pytest.mark.parametrize("text", ["", "6", "-1", "1.0", "1_0", "0x1", "\u0665", "9" * 5000])
def test_what_is_no_whole_number_in_bounds_is_refused(text: str) -> None:
    expected = f"expected a whole number from 0 to 5, got {text!r}"
    assert refusal(lambda: values.integer(token(text), 0, 5)) == expected


def test_a_number_without_an_upper_bound_is_asked_for_as_such() -> None:
    text = refusal(lambda: values.integer(token("0"), 1, MANY))

    assert text == "expected a whole number of at least 1, got '0'"


def test_numbers() -> None:
    assert values.number(token("1.5"), 0, 2) == 1.5
    assert values.number(token("1e-1"), 0, 2) == 0.1
    for text in ("nan", "inf", "2.1", "x", "1e999"):
        expected = f"expected a number from 0 to 2, got {text!r}"
        assert refusal(partial(values.number, token(text), 0, 2)) == expected


def test_percentages() -> None:
    assert values.percentage(token("10%"), 10, 90) == 10
    for text in ("10", "9%", "91%", "%", "x%"):
        expected = f"expected a percentage from 10% to 90%, got {text!r}"
        assert refusal(partial(values.percentage, token(text), 10, 90)) == expected


def test_a_choice_names_what_there_is_and_the_nearest() -> None:
    policies = ("random", "round_robin", "sequential")

    assert values.choice(token("random"), policies, "policy") == "random"
    assert refusal(lambda: values.choice(token("roundrobin"), policies, "policy")) == (
        "unknown policy 'roundrobin': expected one of random, round_robin, sequential, "
        "did you mean 'round_robin'?"
    )
    assert refusal(lambda: values.choice(token("x"), ("only",), "word")) == (
        "unknown word 'x': expected only"
    )


def test_switches() -> None:
    assert [values.switch(token(text)) for text in ("on", "off")] == [True, False]
    assert refusal(lambda: values.switch(token("true"))) == (
        "unknown switch 'true': expected one of on, off"
    )


def test_addresses_have_one_text() -> None:
    assert values.address(token("10.0.0.1")) == "10.0.0.1"
    assert values.address(token("2001:DB8:0::1")) == "2001:db8::1"
    for text in ("10.0.0", "example.org", "[::1]", ""):
        expected = f"expected an IP address, got {text!r}"
        assert refusal(partial(values.address, token(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("10.0.0.1", ("10.0.0.1", 9153)),
        ("localhost:0", ("localhost", 0)),
        ("dns_1.example.", ("dns_1.example.", 9153)),
        ("[2001:DB8::1]:80", ("2001:db8::1", 80)),
        ("[2001:DB8::1]", ("2001:db8::1", 9153)),
        ("2001:db8::1", ("2001:db8::1", 9153)),
        ("fe80::1%eth0", ("fe80::1%eth0", 9153)),
        (":80", ("", 80)),
    ],
)
def test_hosts_and_ports(text: str, expected: tuple[str, int]) -> None:
    assert values.host_port(token(text), 9153) == expected


@pytest.mark.parametrize(
    "text", ["", ":", "a:b", "a:", "1:2:3", "[a]:80", "[]:80", "a b:80", "-a", "[::1]80", "::x"]
)
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    expected = f"expected ADDRESS:PORT, [IPV6]:PORT or :PORT, got {text!r}"
    assert refusal(lambda: values.host_port(token(text), 9153)) == expected


def test_a_port_has_sixteen_bits() -> None:
    assert refusal(lambda: values.host_port(token(":65536"), 1)) == (
        "expected a port from 0 to 65535, got ':65536'"
    )


def test_networks() -> None:
    assert values.network(token("10.1.2.3/8")) == ip_network("10.0.0.0/8")
    assert values.network(token("2001:db8::/32")) == ip_network("2001:db8::/32")
    assert values.network(token("10.0.0.1")) == ip_network("10.0.0.1/32")
    for text in ("10.0.0.0/33", "10.0.0.0/255.0.0.0", "a/8", "1", "10.0.0.0/"):
        expected = (
            f"expected an address or a network like 10.0.0.0/8 or 2001:db8::/32, got {text!r}"
        )
        assert refusal(partial(values.network, token(text))) == expected


def test_a_pattern_says_what_is_wrong_with_it() -> None:
    assert values.regex(token("^a$")).search("a")
    assert refusal(lambda: values.regex(token("(?=a)"))) == (
        "regular expression '(?=a)': '(?=' is not in Go's syntax"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", ["."]),
        ("Example.ORG", ["example.org."]),
        ("example.org.", ["example.org."]),
        ("dns://example.org:53", ["example.org."]),
        (":53", ["."]),
        ("10.0.0.0/16", ["0.10.in-addr.arpa."]),
        ("10.0.0.0/15", ["0.10.in-addr.arpa.", "1.10.in-addr.arpa."]),
        ("192.168.1.1/23", ["0.168.192.in-addr.arpa.", "1.168.192.in-addr.arpa."]),
        ("192.0.2.1/32", ["1.2.0.192.in-addr.arpa."]),
        ("0.0.0.0/0", ["in-addr.arpa."]),
        ("2001:db8::/31", ["8.b.d.0.1.0.0.2.ip6.arpa.", "9.b.d.0.1.0.0.2.ip6.arpa."]),
        ("2001:db8::/32", ["8.b.d.0.1.0.0.2.ip6.arpa."]),
        ("10.0.0.0/8:53", ["10.in-addr.arpa."]),
        ("10.0.0.0", ["10.0.0.0."]),
        ("0/25.2.0.192.in-addr.arpa", ["0/25.2.0.192.in-addr.arpa."]),
    ],
)
def test_zones_and_the_reverse_zones_of_networks(text: str, expected: list[str]) -> None:
    assert [to_text(name) for name in values.zones([token(text)], ())] == expected


def test_without_zones_the_default_stands() -> None:
    default = [from_text("example.org")]

    assert values.zones([], default) == tuple(default)
    assert values.zones([token("a"), token("b")], default) == (from_text("a"), from_text("b"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a..b", "label of 0 octets, expected 1 to 63"),
        ("a" * 64, "label of 64 octets, expected 1 to 63"),
        ("a:", "expected a port after the last colon"),
        ("a:65536", "expected a port from 0 to 65535, got 65536"),
        ("10.0.0.0/33", "'10.0.0.0/33' does not appear to be an IPv4 or IPv6 network"),
        ("[2001:db8::]/32", "expected an address or a network like 10.0.0.0/8 or 2001:db8::/32"),
    ],
)
def test_what_is_no_zone_is_refused(text: str, reason: str) -> None:
    expected = f"expected a zone or a network, got {text!r}: {reason}"
    assert refusal(lambda: values.zones([token(text)], ())) == expected


def test_codes_have_names_in_any_case_and_numbers() -> None:
    assert [values.rcode(token(text)) for text in ("NXDOMAIN", "refused", "11")] == [3, 5, 11]
    assert [values.rtype(token(text)) for text in ("A", "https", "ANY", "TYPE123", "type1")] == [
        1,
        65,
        255,
        123,
        1,
    ]
    assert [values.rclass(token(text)) for text in ("IN", "ch", "ANY", "CLASS7")] == [1, 3, 255, 7]


COREDNS_RCODES = """
    0 NOERROR 1 FORMERR 2 SERVFAIL 3 NXDOMAIN 4 NOTIMP 4 NOTIMPL 5 REFUSED 6 YXDOMAIN 7 YXRRSET
    8 NXRRSET 9 NOTAUTH 10 NOTZONE 11 DSOTYPENI 16 BADSIG 17 BADKEY 18 BADTIME 19 BADMODE
    20 BADNAME 21 BADALG 22 BADTRUNC 23 BADCOOKIE
"""
"""All names of rcodes that CoreDNS 1.14.7 reads in a Corefile."""


def test_an_rcode_has_every_name_that_coredns_has_for_it() -> None:
    numbers, words = COREDNS_RCODES.split()[::2], COREDNS_RCODES.split()[1::2]

    assert [values.rcode(token(word)) for word in words] == [*map(int, numbers)]


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (
            values.rcode,
            "BADVERS",
            f"unknown rcode 'BADVERS': {RCODES}, did you mean 'BADSIG'?",
        ),
        (
            values.rcode,
            "NXDOMIAN",
            f"unknown rcode 'NXDOMIAN': {RCODES}, did you mean 'NXDOMAIN'?",
        ),
        (
            values.rcode,
            "4096",
            f"unknown rcode '4096': {RCODES}",
        ),
        (
            values.rtype,
            "AAA",
            "unknown type 'AAA': expected one like A, NS, MD, did you mean 'AAAA'?",
        ),
        (values.rtype, "TYPE65536", "unknown type 'TYPE65536': expected one like A, NS, MD"),
        (values.rclass, "XX", "unknown class 'XX': expected one like IN, CS, CH"),
    ],
)
def test_unknown_codes_are_refused(read: Callable[[Token], int], text: str, expected: str) -> None:
    assert refusal(lambda: read(token(text))) == expected


def test_arguments_come_back_when_their_number_is_right() -> None:
    assert values.arguments(directive("loop"), 0) == ()
    assert values.arguments(line_of("ttl", "5"), 1) == (token("5"),)
    assert len(values.arguments(directive("forward", ".", "a", "b"), 2, MANY)) == 3


@pytest.mark.parametrize(
    ("words", "low", "high", "what", "expected"),
    [
        ("expire 1 2 3", 1, None, "address", "expire: expected one address, got 3 words"),
        ("expire", 1, None, "duration", "expire: expected one duration, got no words"),
        ("loop x", 0, None, "argument", "loop: expected no arguments, got one word"),
        ("ttl", 1, 3, "address", "ttl: expected 1 to 3 addresses, got no words"),
        ("cache 1 2", 0, 1, "argument", "cache: expected at most one argument, got 2 words"),
        ("except", 1, MANY, "zone", "except: expected at least one zone, got no words"),
        ("tls 1", 7, None, "word", "tls: expected 7 words, got one word"),
    ],
)
def test_the_wrong_number_of_arguments_is_refused(
    words: str, low: int, high: int | None, what: str, expected: str
) -> None:
    assert refusal(lambda: values.arguments(line_of(*words.split()), low, high, what=what)) == (
        expected
    )


def test_a_block_is_refused_where_there_is_none() -> None:
    values.no_lines(directive("loop"))

    refused = directive("loop", lines=(line_of("twice"),))
    assert refusal(lambda: values.no_lines(refused)) == "loop takes no block, got 'twice'"


def test_a_directive_may_stand_only_once() -> None:
    first = directive("health", line=3)

    assert values.once([first]) is first
    assert refusal(lambda: values.once([first, directive("health")])) == (
        "health may stand only once in a server block, it is already at Corefile:3"
    )


def test_an_unknown_property_names_the_known_ones_and_the_nearest() -> None:
    line = line_of("expir", "10s")

    assert refusal(lambda: values.unknown(line, ("except", "expire"), of="forward")) == (
        "unknown property 'expir' of forward: expected one of except, expire, "
        "did you mean 'expire'?"
    )
    assert refusal(lambda: values.unknown(line, ("ttl",))) == (
        "unknown property 'expir': expected ttl"
    )
