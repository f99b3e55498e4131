import pytest

from kdns.corefile.keys import Served, check_overlaps, read_keys
from kdns.corefile.parser import parse
from kdns.errors import CorefileError
from kdns.wire.names import to_text

LIKE = "expected a zone like example.org:53"
NETWORK = "expected an address or a network like 10.0.0.0/8 or 2001:db8::/32"


def zones_and_ports(key: str) -> list[tuple[str, int | None]]:
    (block,) = parse(f"{key} {{\n}}", "Corefile").blocks
    return [(to_text(key.zone), key.port) for key in read_keys(block)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (".", [(".", None)]),
        (".:1053", [(".", 1053)]),
        (":53", [(".", 53)]),
        ("dns://.:53", [(".", 53)]),
        ("Example.org", [("example.org.", None)]),
        ("example.org:5353", [("example.org.", 5353)]),
        ("hostname.bind:0", [("hostname.bind.", 0)]),
        ("10.0.0.0/24", [("0.0.10.in-addr.arpa.", None)]),
        ("10.0.0.0/15:53", [("0.10.in-addr.arpa.", 53), ("1.10.in-addr.arpa.", 53)]),
        ("2001:db8::/32:53", [("8.b.d.0.1.0.0.2.ip6.arpa.", 53)]),
        ("a b:54", [("a.", None), ("b.", 54)]),
    ],
)
def test_keys_are_zones_and_ports(key: str, expected: list[tuple[str, int | None]]) -> None:
    assert zones_and_ports(key) == expected


def test_the_zones_of_a_network_share_their_text() -> None:
    (block,) = parse("dns://10.0.0.0/15 {\n}", "Corefile").blocks

    assert [(key.scheme, key.text) for key in read_keys(block)] == [
        ("dns", "dns://10.0.0.0/15")
    ] * 2


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(
            (
                f"{scheme}://.",
                f"'{scheme}://.' is not served: kdns serves DNS over UDP and TCP, dns://",
            )
            for scheme in ("tls", "https", "https3", "quic", "grpc", "unix")
        ),
        ("http://.", "unknown scheme in 'http://.': expected dns://, did you mean 'https'?"),
        ("dnss://.", "unknown scheme in 'dnss://.': expected dns://, did you mean 'dns'?"),
        (
            "a,b",
            "expected a zone, got 'a,b': ',' stands in no zone, is a space missing?",
        ),
        (". {}", "expected a zone, got '{}': '{' stands in no zone, is a space missing?"),
        (
            "(a) b",
            "expected a zone, got '(a)': '(' stands in no zone, is a space missing?",
        ),
        ("dns://", f"{LIKE}, got 'dns://'"),
        (
            ".:",
            f"{LIKE}, got '.:': expected a port after the last colon",
        ),
        (
            ".:70000",
            f"{LIKE}, got '.:70000': expected a port from 0 to 65535, got 70000",
        ),
        (
            "a..b",
            f"{LIKE}, got 'a..b': label of 0 octets, expected 1 to 63",
        ),
        (
            "[2001:db8::]/32",
            f"{LIKE}, got '[2001:db8::]/32': {NETWORK}",
        ),
    ],
)
def test_keys_that_cannot_be_served_are_refused(key: str, expected: str) -> None:
    with pytest.raises(CorefileError) as caught:
        zones_and_ports(f"\n{key}")

    assert str(caught.value) == f"Corefile:2: {expected}"


def check(text: str, *binds: tuple[str, ...]) -> None:
    blocks = parse(text, "Corefile").blocks
    check_overlaps(
        Served(read_keys(block), bound) for block, bound in zip(blocks, binds, strict=True)
    )


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        pytest.param(".:53 {\n}\n.:54 {\n}", ((), ()), id="other ports"),
        pytest.param(". {\n}\na {\n}", ((), ()), id="other zones"),
        pytest.param(". {\n}\n. {\n}", (("10.0.0.1",), ("10.0.0.2",)), id="other addresses"),
        pytest.param(". {\n}", (("10.0.0.1", "10.0.0.2"),), id="two addresses of one block"),
        pytest.param(". {\n}\na {\n}", (("10.0.0.1",), ()), id="another zone on all addresses"),
    ],
)
def test_blocks_that_serve_different_things_go_together(
    text: str, binds: tuple[tuple[str, ...], ...]
) -> None:
    check(text, *binds)


@pytest.mark.parametrize(
    ("text", "binds", "expected"),
    [
        pytest.param(
            ".:53 {\n}\n.:53 {\n}",
            ((), ()),
            "3: cannot serve dns://.:53 - it is already defined at Corefile:1",
            id="the same",
        ),
        pytest.param(
            ".:53 {\n}\na .  {\n}",
            ((), ()),
            "3: cannot serve dns://.:53 - it is already defined at Corefile:1",
            id="by the default port",
        ),
        pytest.param(
            "a A. {\n}",
            ((),),
            "1: cannot serve dns://a.:53 - it is already defined at Corefile:1",
            id="in one block",
        ),
        pytest.param(
            ". {\n}\n. {\n}",
            (("10.0.0.1",), ("10.0.0.2", "10.0.0.1")),
            "3: cannot serve dns://.:53 on 10.0.0.1 - it is already defined at Corefile:1",
            id="the same address",
        ),
        pytest.param(
            ". {\n}\n. {\n}",
            ((), ("10.0.0.1",)),
            "3: cannot serve dns://.:53 on 10.0.0.1 - its listeners overlap with those of "
            "dns://.:53 at Corefile:1",
            id="all addresses, then one",
        ),
        pytest.param(
            ". {\n}\n. {\n}",
            (("10.0.0.1",), ()),
            "3: cannot serve dns://.:53 - its listeners overlap with those of "
            "dns://.:53 on 10.0.0.1 at Corefile:1",
            id="one address, then all",
        ),
    ],
)
def test_the_same_zone_port_and_address_twice_is_refused(
    text: str, binds: tuple[tuple[str, ...], ...], expected: str
) -> None:
    with pytest.raises(CorefileError) as caught:
        check(text, *binds)

    assert str(caught.value) == f"Corefile:{expected}"


def test_the_default_port_is_an_argument() -> None:
    (block,) = parse(". .:53 {\n}", "Corefile").blocks

    check_overlaps([Served(read_keys(block))], default_port=1053)
    with pytest.raises(CorefileError, match="already defined"):
        check_overlaps([Served(read_keys(block))], default_port=53)
