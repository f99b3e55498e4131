"""A Corefile put together: who listens where, with which chain, and what is left of each block."""

import asyncio
import socket
from pkgutil import iter_modules

import dns.message
import pytest

from kdns import configuration, plugins
from kdns.chain import Address
from kdns.cluster import FromManifests
from kdns.configuration import Configuration
from kdns.corefile.directives import KNOWN, ORDER
from kdns.corefile.parser import parse
from kdns.errors import CorefileError
from kdns.kube.resources import Selection
from kdns.server.http import Visit
from kdns.server.table import door
from tests.cluster import lines, rcode
from tests.plugin import FakeRuntime

HERE = "127.0.0.9"


def _built(text: str, port: int = 53, runtime: FakeRuntime | None = None) -> Configuration:
    return configuration.build(parse(text, "Corefile"), port, runtime or FakeRuntime())


def _ask(built: Configuration, address: Address, question: str) -> dns.message.Message:
    """Ask the server of an address, as if over UDP."""
    name, rtype = question.split()
    query = dns.message.make_query(name, rtype)

    async def ask() -> bytes | None:
        reply = built.servers[address].responder.respond(
            query.to_wire(), (HERE, 5300), door("udp", socket.AF_INET)
        )
        return await reply if isinstance(reply, asyncio.Future) else reply

    reply = asyncio.run(ask())
    assert reply is not None
    return dns.message.from_wire(reply)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_directive_of_ours_has_a_plugin(name: str) -> None:
    assert callable(configuration.setup_of(name))
    assert name in ORDER


def test_every_plugin_has_a_directive() -> None:
    assert {module.name for module in iter_modules(plugins.__path__)} == KNOWN


def test_the_order_of_the_chain_is_not_that_of_the_file() -> None:
    built = _built(". {\n whoami\n cache\n loadbalance\n errors\n}")
    [block] = built.blocks

    assert [name for name, _ in block.plugins] == ["errors", "loadbalance", "cache", "whoami"]


PLACES: dict[str, tuple[str, list[Address]]] = {
    "the port that is given": (". {\n}", [("", 1053)]),
    "its own port": (".:5300 {\n}", [("", 5300)]),
    "two ports": (". .:5300 {\n}", [("", 1053), ("", 5300)]),
    "two addresses": (
        f". {{\n bind {HERE} 127.0.0.8\n}}",
        [(HERE, 1053), ("127.0.0.8", 1053)],
    ),
    "two blocks at one place": ("a {\n}\nb {\n}", [("", 1053)]),
    "two blocks at two": ("a {\n}\nb:53 {\n}", [("", 1053), ("", 53)]),
}


@pytest.mark.parametrize(("text", "places"), PLACES.values(), ids=PLACES)
def test_a_block_is_listened_for_where_its_keys_say(text: str, places: list[Address]) -> None:
    assert [*_built(text, 1053).servers] == places


def test_a_name_goes_to_the_block_of_its_longest_zone() -> None:
    built = _built(
        """
        . {
            template IN A {
                answer "{{ .Name }} 5 IN A 192.0.2.1"
            }
        }
        a.example {
            template IN A {
                answer "{{ .Name }} 5 IN A 192.0.2.2"
            }
        }
        b.example:5300 {
            whoami
        }
        """
    )

    assert lines(_ask(built, ("", 53), "x.a.example. A").answer) == {"x.a.example. 5 A 192.0.2.2"}
    assert lines(_ask(built, ("", 53), "b.example. A").answer) == {"b.example. 5 A 192.0.2.1"}
    assert rcode(_ask(built, ("", 5300), "a.example. A")) == "REFUSED"


def test_a_block_without_plugins_refuses() -> None:
    assert rcode(_ask(_built(". {\n}"), ("", 53), "a.example. A")) == "REFUSED"


@pytest.mark.parametrize(
    ("address", "label"),
    [
        (("", 53), "dns://:53"),
        (("10.0.0.1", 53), "dns://10.0.0.1:53"),
        (("2001:db8::1", 5300), "dns://[2001:db8::1]:5300"),
    ],
)
def test_servers_are_named_as_in_coredns(address: Address, label: str) -> None:
    assert configuration.label_of(address) == label


def test_plugins_are_enabled_for_each_zone_where_it_is_served() -> None:
    built = _built("a.example b.example:5300 {\n whoami\n bind 127.0.0.9\n}")

    assert [(row.server, row.zone, row.name) for row in built.enabled] == [
        ("dns://127.0.0.9:53", "a.example.", "whoami"),
        ("dns://127.0.0.9:5300", "b.example.", "whoami"),
    ]


def test_addresses_on_one_port_share_it() -> None:
    built = _built(f".:53 {{\n bind {HERE}\n}}\na:53 {{\n bind 127.0.0.8\n}}\nb:54 {{\n}}")

    assert {address: one.shared for address, one in built.servers.items()} == {
        (HERE, 53): True,
        ("127.0.0.8", 53): True,
        ("", 54): False,
    }


def test_pages_of_all_blocks_stand_at_their_addresses() -> None:
    built = _built(
        f"a {{\n health {HERE}:1\n ready {HERE}:1\n}}\n"
        f"b {{\n ready {HERE}:2\n prometheus {HERE}:2\n}}"
    )

    assert {address: sorted(pages) for address, pages in built.pages.items()} == {
        (HERE, 1): ["/health", "/ready"],
        (HERE, 2): ["/metrics", "/ready"],
    }
    assert built.pages[HERE, 1]["/health"](Visit()).body == b"OK"


def test_of_several_clusters_all_have_to_be_ready() -> None:
    runtime = FakeRuntime()
    built = _built(
        "a {\n kubernetes a {\n manifests /a\n }\n}\nb {\n kubernetes b {\n manifests /b\n }\n}",
        runtime=runtime,
    )
    clusters = [runtime.clusters.get(FromManifests((path,)), Selection()) for path in ("/a", "/b")]
    assert [check() for check in built.checks.values()] == [False]
    clusters[0].synced.set()
    assert [check() for check in built.checks.values()] == [False]
    clusters[1].synced.set()
    assert [check() for check in built.checks.values()] == [True]


def test_warnings_of_all_blocks_are_collected() -> None:
    built = _built(
        "a {\n kubernetes a {\n manifests /a\n upstream\n }\n}\n"
        "b {\n kubernetes b {\n manifests /a\n resyncperiod\n }\n}"
    )

    assert [warning.split(" ")[0] for warning in built.warnings] == ["Corefile:4:", "Corefile:10:"]


BAD = {
    "nothing": ("", "Corefile: no server block"),
    "a snippet only": ("(a) {\n whoami\n}", "Corefile: no server block"),
    "a zone twice": (". {\n}\n.:53 {\n}", "Corefile:3: cannot serve dns://.:53"),
    "an address and all": (
        f". {{\n bind {HERE}\n}}\n. {{\n}}",
        "Corefile:4: cannot serve dns://.:53 - its listeners overlap",
    ),
    "an unknown word": (". {\n wohami\n}", "Corefile:2: Unknown directive 'wohami'"),
    "a word of CoreDNS": (". {\n dnssec\n}", "Corefile:2: directive 'dnssec' is one of CoreDNS"),
}


@pytest.mark.parametrize(("text", "error"), BAD.values(), ids=BAD)
def test_what_cannot_be_served_names_its_line(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as raised:
        _built(text)

    assert str(raised.value).startswith(error)
