"""Who may ask what: rules, their order, and what of it may be prepared."""

from ipaddress import ip_network

import pytest

from kdns.assembly import Block
from kdns.chain import FIXED, Answer, Dropped, Handler, Plugin
from kdns.errors import CorefileError
from kdns.plugins import acl
from kdns.plugins.acl import Networks
from kdns.wire.message import Sections
from kdns.wire.records import pack_address
from tests.plugin import answer, ask, ede, flags, own, plugin_of, rcode, sample, says, setup_of

NAME = "www.example.org."
SERVER = "dns://:53"
PASSED = says(Answer(Sections(), FIXED, by="last"))


def verdict(rules: str, asked: str, client: str, zones: tuple[str, ...] = ()) -> str:
    """What becomes of a query: ``passed``, ``dropped``, ``REFUSED`` or ``NOERROR``."""
    plugin = plugin_of(acl.setup, rules, zones)
    try:
        response = own(answer(plugin, asked, client=client, last=PASSED))
    except Dropped:
        return "dropped"
    return "passed" if response.by == "last" else f"rcode {response.sections.rcode}"


BLOCKED, FILTERED = "rcode 5", "rcode 0"
ONE = "acl example.org {{\n{}\n}}"
VERDICTS = {
    "block a type from a network": (
        "block type A net 192.168.0.0/16", f"{NAME} A", "192.168.0.2", BLOCKED,
    ),
    "another network": ("block type A net 192.168.0.0/16", f"{NAME} A", "192.167.0.2", "passed"),
    "another type": ("block type A net 192.168.0.0/16", f"{NAME} AAAA", "192.168.0.2", "passed"),
    "all types": ("block type * net 192.168.0.0/16", f"{NAME} TXT", "192.168.0.2", BLOCKED),
    "a type from everybody": ("block type A", f"{NAME} A", "10.1.0.2", BLOCKED),
    "some types": ("block type A AAAA", f"{NAME} AAAA", "10.1.0.2", BLOCKED),
    "another zone": ("block", "www.example.com. A", "10.1.0.2", "passed"),
    "the zone in another case": ("block", "www.EXAMPLE.org. A", "10.1.0.2", BLOCKED),
    "one address": ("block net 192.168.1.2", f"{NAME} A", "192.168.1.2", BLOCKED),
    "the address beside it": ("block net 192.168.1.2", f"{NAME} A", "192.168.1.3", "passed"),
    "some networks": ("block net 10.0.0.0/8 192.168.1.2", f"{NAME} A", "192.168.1.2", BLOCKED),
    "bits of the host do not matter": ("block net 10.9.9.9/8", f"{NAME} A", "10.1.0.2", BLOCKED),
    "all networks": ("block net *", f"{NAME} A", "2001:db8::1", BLOCKED),
    "all networks among others": ("block net 10.0.0.0/8 *", f"{NAME} A", "192.0.2.1", BLOCKED),
    "net before type": ("block net 10.0.0.0/8 type A", f"{NAME} A", "10.1.0.2", BLOCKED),
    "type twice": ("block type A type MX", f"{NAME} A", "10.1.0.2", BLOCKED),
    "words in any case": ("BLOCK TYPE a NET 10.0.0.0/8", f"{NAME} A", "10.1.0.2", BLOCKED),
    "filter": ("filter type A net 192.168.0.0/16", f"{NAME} A", "192.168.0.2", FILTERED),
    "drop": ("drop net 192.168.0.0/16", f"{NAME} A", "192.168.0.2", "dropped"),
    "drop others": ("drop net 192.168.0.0/16", f"{NAME} A", "10.0.0.1", "passed"),
    "the first rule counts": (
        "allow net 10.1.0.0/16\nblock net 10.0.0.0/8", f"{NAME} A", "10.1.0.2", "passed",
    ),
    "then the second one": (
        "allow net 10.1.0.0/16\nblock net 10.0.0.0/8", f"{NAME} A", "10.2.0.2", BLOCKED,
    ),
    "allow only": ("allow net 10.0.0.0/8 fd00::/8\nblock", f"{NAME} A", "192.0.2.1", BLOCKED),
    "IPv6": ("block net 2001:db8:abcd:12::/64", f"{NAME} A", "2001:db8:abcd:12::7", BLOCKED),
    "IPv6 of another network": (
        "block net 2001:db8:abcd:12::/64", f"{NAME} A", "2001:db8:abcd:13::7", "passed",
    ),
    "one IPv6 address": ("block net 2001:db8::1", f"{NAME} A", "2001:db8::1", BLOCKED),
    "IPv6 with a zone": ("block net fe80::/10", f"{NAME} A", "fe80::1%eth0", BLOCKED),
    "IPv4 is not in IPv6": ("block net ::/0", f"{NAME} A", "10.0.0.1", "passed"),
    "IPv4 as IPv6 writes it": ("block net ::ffff:10.0.0.0/104", f"{NAME} A", "10.1.2.3", BLOCKED),
    "kdns itself": ("block", f"{NAME} A", "", "passed"),
    "nobody knows who": ("allow", f"{NAME} A", "@", BLOCKED),
    "no rules": ("", f"{NAME} A", "10.0.0.1", "passed"),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "asked", "client", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_what_becomes_of_a_query(rules: str, asked: str, client: str, expected: str) -> None:
    assert verdict(ONE.format(rules), asked, client) == expected


ALLOW_BLOCK = "acl a.example.org {\nallow net 10.0.0.0/8\n}\nacl example.org {\nblock\n}"
DIRECTIVES = {
    "what the first one allows": ("www.a.example.org. A", "10.0.0.1", "passed"),
    "what it does not decide goes to the next": ("www.a.example.org. A", "192.0.2.1", BLOCKED),
    "what is in the zone of the second only": ("www.example.org. A", "10.0.0.1", BLOCKED),
}


@pytest.mark.parametrize(("asked", "client", "expected"), DIRECTIVES.values(), ids=DIRECTIVES)
def test_several_directives_are_asked_in_turn(asked: str, client: str, expected: str) -> None:
    assert verdict(ALLOW_BLOCK, asked, client) == expected


def test_without_zones_it_is_for_those_of_the_block() -> None:
    assert verdict("acl {\nblock\n}", f"{NAME} A", "10.0.0.1", ("example.org",)) == BLOCKED
    assert verdict("acl {\nblock\n}", f"{NAME} A", "10.0.0.1", ("example.com",)) == "passed"


SAID = {
    "block": ("REFUSED", (15, "blocked by the access rules of this server")),
    "filter": ("NOERROR", (17, "filtered by the access rules of this server")),
}


@pytest.mark.parametrize("action", SAID)
def test_a_negative_answer_says_why_to_who_can_read_it(action: str) -> None:
    plugin = plugin_of(acl.setup, f"acl {{\n{action}\n}}")
    read, plain = ask(plugin, f"{NAME} A", edns=1232), ask(plugin, f"{NAME} A")

    assert (rcode(read), ede(read)) == SAID[action]
    assert ede(plain) is None
    assert "AA" not in flags(read)
    assert read.sections[1:] == [[], [], []]


# -- what may be prepared ---------------------------------------------------------------------

OWNERS = {
    "nobody is asked who they are": ("block type MX", FIXED),
    "all of them are allowed first": ("allow type A\nblock net 10.0.0.0/8", FIXED),
    "another client could be blocked": ("block net 192.0.2.0/24", ()),
    "another client would be": ("allow net 10.0.0.0/8\nblock", ()),
    "the rule of one client is for another type": ("block type MX net 192.0.2.0/24", FIXED),
}


@pytest.mark.parametrize(("rules", "owners"), OWNERS.values(), ids=OWNERS)
def test_an_answer_is_prepared_only_where_all_clients_get_it(
    rules: str, owners: tuple[tuple[str, ...], ...]
) -> None:
    plugin = plugin_of(acl.setup, f"acl {{\n{rules}\n}}")

    assert own(answer(plugin, f"{NAME} A", last=PASSED)).owners == owners


def test_outside_of_its_zones_answers_stay_prepared() -> None:
    plugin = plugin_of(acl.setup, ONE.format("allow net 10.0.0.0/8\nblock"))

    assert own(answer(plugin, "example.com. A", last=PASSED)).owners == FIXED


# -- metrics ----------------------------------------------------------------------------------


def _counted(rules: str, last: Handler = PASSED) -> Block:
    """A block whose plugin was asked twice."""
    plugin, made = setup_of(acl.setup, rules)
    assert plugin is not None
    for _ in range(2):
        try:
            answer(plugin, f"{NAME} A", last=last)
        except Dropped:
            continue
    return made


@pytest.mark.parametrize(
    ("action", "name"), [("block", "blocked"), ("filter", "filtered"), ("drop", "dropped")]
)
def test_queries_that_do_not_pass_are_counted(action: str, name: str) -> None:
    made = _counted(f"acl org example.org {{\n{action}\n}}")
    labels = {"server": SERVER, "zone": "example.org.", "view": ""}

    assert sample(made, f"coredns_acl_{name}_requests_total", **labels) == 2
    assert sample(made, "coredns_acl_allowed_requests_total", server=SERVER, view="") is None


def test_queries_that_pass_are_counted() -> None:
    made = _counted(ONE.format("block type MX"))

    assert sample(made, "coredns_acl_allowed_requests_total", server=SERVER, view="") == 2


# -- networks ---------------------------------------------------------------------------------


def test_networks_of_all_lengths() -> None:
    wanted = [ip_network(text) for text in ("10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "::1/128")]
    networks = Networks(wanted[:1] + wanted[2:])
    inside = {"10.255.0.1", "192.0.2.1", "::1"}
    outside = {"11.0.0.0", "192.0.2.2", "::2", "::", "a00::"}

    assert {a for a in inside | outside if (pack_address(a) or b"") in networks} == inside
    assert b"\xff\xff\xff\xff" in Networks(wanted)


# -- the Corefile -----------------------------------------------------------------------------

REFUSED = {
    "no action": ("net 10.0.0.0/8", "unknown action of acl 'net': expected one of allow, block"),
    "a misspelt action": ("blok", "unknown action of acl 'blok'"),
    "no section": ("block 10.0.0.0/8", "unexpected '10.0.0.0/8' after block: expected type or net"),
    "an empty section": ("block type net 10.0.0.0/8", "expected at least one word or * after type"),
    "no network": ("block net", "expected at least one word or * after net"),
    "a bad network": ("block net 10.0.0.0/33", "expected an address or a network"),
    "a bad type": ("block type AA", "unknown type 'AA'"),
}


@pytest.mark.parametrize(("rules", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(rules: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(acl.setup, f"acl {{\n{rules}\n}}")

    assert str(caught.value).startswith(f"Corefile:3: {error}")


def test_it_is_a_plugin_of_many_rules() -> None:
    networks = " ".join(f"10.{high}.{low}.0/24" for high in range(20) for low in range(100))
    plugin: Plugin = plugin_of(acl.setup, f"acl {{\nallow net {networks}\nblock\n}}")

    assert own(answer(plugin, f"{NAME} A", client="10.19.99.7", last=PASSED)).by == "last"
    assert own(answer(plugin, f"{NAME} A", client="10.19.100.7", last=PASSED)).by == "acl"
