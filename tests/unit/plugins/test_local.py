"""localhost and the reverse zones beside it."""

import pytest

from kdns.chain import FIXED
from kdns.errors import CorefileError
from kdns.plugins import local
from tests.plugin import answer, ask, flags, lines, own, plugin_of, rcode, sample, setup_of

TTL = 604_800
SOA = "{} 604800 SOA localhost. root.localhost. 1 0 0 0 604800"
ANSWERS = {
    "A": ("localhost. A", "localhost. 604800 A 127.0.0.1"),
    "AAAA": ("localhost. AAAA", "localhost. 604800 AAAA ::1"),
    "any case": ("LocalHost. A", "LocalHost. 604800 A 127.0.0.1"),
    "NS": ("localhost. NS", "localhost. 604800 NS localhost."),
    "SOA": ("localhost. SOA", SOA.format("localhost.")),
    "NS of a reverse zone": ("127.in-addr.arpa. NS", "127.in-addr.arpa. 604800 NS localhost."),
    "SOA of a reverse zone": ("0.in-addr.arpa. SOA", SOA.format("0.in-addr.arpa.")),
    "loopback": ("1.0.0.127.in-addr.arpa. PTR", "1.0.0.127.in-addr.arpa. 604800 PTR localhost."),
    "below localhost": ("a.b.localhost. A", "a.b.localhost. 604800 A 127.0.0.1"),
    "below localhost, IPv6": ("a.LOCALHOST. AAAA", "a.LOCALHOST. 604800 AAAA ::1"),
    "before a domain": ("localhost.x.org. A", "localhost.x.org. 604800 A 127.0.0.1"),
}


@pytest.mark.parametrize(("asked", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_answered(asked: str, expected: str) -> None:
    read = ask(plugin_of(local.setup, "local"), asked)

    assert (lines(read.answer), read.authority) == ([expected], [])
    assert rcode(read) == "NOERROR"
    assert "AA" not in flags(read)


NEGATIVE = {
    "another type": ("localhost. MX", "NOERROR", "localhost."),
    "an address of a reverse zone": ("127.in-addr.arpa. A", "NOERROR", "127.in-addr.arpa."),
    "another type of loopback": ("1.0.0.127.in-addr.arpa. A", "NOERROR", "127.in-addr.arpa."),
    "another address of loopback": ("2.0.0.127.in-addr.arpa. PTR", "NXDOMAIN", "127.in-addr.arpa."),
    "an address of nobody": ("9.0.0.0.in-addr.arpa. PTR", "NXDOMAIN", "0.in-addr.arpa."),
    "broadcast": ("255.255.255.255.in-addr.arpa. PTR", "NXDOMAIN", "255.in-addr.arpa."),
    "another type below localhost": ("a.localhost. MX", "NOERROR", "a.localhost."),
    "another type before a domain": ("localhost.x.org. TXT", "NOERROR", "localhost.x.org."),
    "any case": ("2.127.IN-ADDR.arpa. PTR", "NXDOMAIN", "127.IN-ADDR.arpa."),
}


@pytest.mark.parametrize(("asked", "expected", "origin"), NEGATIVE.values(), ids=NEGATIVE)
def test_what_is_not_there(asked: str, expected: str, origin: str) -> None:
    read = ask(plugin_of(local.setup, "local"), asked)

    assert (rcode(read), read.answer) == (expected, [])
    assert lines(read.authority) == [SOA.format(origin)]


OTHERS = [
    "example.org. A",
    "www.localhost.org. A",
    "mylocalhost. A",
    "1.0.0.10.in-addr.arpa. PTR",
    "localhost. A CH",
    ". NS",
]


@pytest.mark.parametrize("asked", OTHERS)
def test_what_is_left_to_others(asked: str) -> None:
    assert own(answer(plugin_of(local.setup, "local"), asked)).by == "last"


@pytest.mark.parametrize(("switch", "by"), [("on", "local"), ("off", "last")])
def test_localhost_before_a_domain_may_be_off(switch: str, by: str) -> None:
    plugin = plugin_of(local.setup, f"local {{\nlocalhost_prefix {switch}\n}}")

    assert own(answer(plugin, "localhost.x.org. A")).by == by
    assert own(answer(plugin, "x.localhost. A")).by == "local"


def test_what_ought_not_to_be_asked_is_counted_every_time() -> None:
    plugin, block = setup_of(local.setup, "local")
    assert plugin is not None

    for asked in ("a.localhost. A", "localhost.x.org. A", "localhost. A"):
        answer(plugin, asked)

    assert sample(block, "coredns_local_localhost_requests_total") == 2
    assert own(answer(plugin, "a.localhost. A")).owners == ()
    assert own(answer(plugin, "localhost. A")).owners == FIXED


REFUSED = {
    "an argument": ("local x", "2: local: expected no arguments"),
    "an unknown option": ("local {\nprefix on\n}", "3: unknown property 'prefix' of local"),
    "no switch": ("local {\nlocalhost_prefix\n}", "3: localhost_prefix: expected one switch"),
    "a bad switch": ("local {\nlocalhost_prefix no\n}", "3: unknown switch 'no'"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(local.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")
