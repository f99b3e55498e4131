"""Clients are told who they are."""

from typing import Literal

import pytest

from kdns.errors import CorefileError
from kdns.plugins import whoami
from tests.plugin import answer, ask, flags, lines, own, plugin_of, rcode, setup_of

TOLD = {
    "IPv4": (
        "example.org. A", "10.0.0.7", "udp",
        ["example.org. 0 A 10.0.0.7", "_udp.example.org. 0 SRV 0 0 40212 ."],
    ),
    "IPv6 over TCP": (
        "example.org. A", "2001:db8::7", "tcp",
        ["example.org. 0 AAAA 2001:db8::7", "_tcp.example.org. 0 SRV 0 0 40212 ."],
    ),
    "IPv6 with a zone": (
        "example.org. A", "fe80::7%eth0", "udp",
        ["example.org. 0 AAAA fe80::7", "_udp.example.org. 0 SRV 0 0 40212 ."],
    ),
    "any type, in the case of the client": (
        "Example.ORG. MX", "10.0.0.7", "udp",
        ["Example.ORG. 0 A 10.0.0.7", "_udp.Example.ORG. 0 SRV 0 0 40212 ."],
    ),
    "the root": (". NS", "10.0.0.7", "udp", [". 0 A 10.0.0.7", "_udp. 0 SRV 0 0 40212 ."]),
    "kdns itself": ("example.org. A", "", "udp", []),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "client", "transport", "expected"), TOLD.values(), ids=TOLD)
def test_who_you_are(
    asked: str, client: str, transport: Literal["udp", "tcp"], expected: list[str]
) -> None:
    read = ask(plugin_of(whoami.setup, "whoami"), asked, client=client, transport=transport)

    assert (read.answer, lines(read.additional)) == ([], expected)
    assert rcode(read) == "NOERROR"
    assert "AA" in flags(read)


def test_addresses_are_of_class_in_whatever_was_asked() -> None:
    read = ask(plugin_of(whoami.setup, "whoami"), "example.org. A CH")

    assert str(read.additional[0]) == "example.org. 0 IN A 10.0.0.1"


def test_a_name_that_has_no_room_for_the_transport_gets_the_address_only() -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 61]) + "."
    read = ask(plugin_of(whoami.setup, "whoami"), f"{name} A", edns=4096)

    assert lines(read.additional) == [f"{name} 0 A 10.0.0.1"]


def test_it_is_for_this_client_only() -> None:
    response = own(answer(plugin_of(whoami.setup, "whoami"), "example.org. A"))

    assert (response.owners, response.by) == ((), "whoami")


@pytest.mark.parametrize("text", ["whoami x", "whoami {\nx\n}"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(CorefileError, match=r"Corefile:[23]: whoami"):
        setup_of(whoami.setup, text)
