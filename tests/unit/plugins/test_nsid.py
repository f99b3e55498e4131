"""Who asks for the name of the server gets it, and nobody else."""

import socket

import dns.edns
import dns.flags
import dns.message
import pytest

from kdns.chain import FIXED, Answer, Relay, Response
from kdns.errors import CorefileError
from kdns.plugins import nsid
from kdns.wire import codes
from kdns.wire.message import Sections
from kdns.wire.query import Edns
from tests.plugin import answer, message, own, plugin_of, question, says, setup_of

NAME = "example.org. A"
ASKS = Edns(1232, do=True, options=((codes.EDNS_NSID, b""),))
OTHERS = {"no EDNS": None, "EDNS": Edns(1232), "a cookie": Edns(1232, options=((10, b"8 octets"),))}


def _relayed(*, edns: bool) -> Relay:
    """What an upstream said, with an OPT of its own or without."""
    asked = dns.message.make_query("example.org.", "A", use_edns=0 if edns else -1)
    reply = dns.message.make_response(asked)
    reply.answer = [dns.rrset.from_text("example.org.", 60, "IN", "A", "192.0.2.1")]
    return Relay(reply.to_wire(), by="forward")


RESPONSES: dict[str, Response] = {
    "of kdns": Answer(Sections(codes.NXDOMAIN), FIXED),
    "of an upstream": _relayed(edns=True),
    "of an upstream that has no EDNS": _relayed(edns=False),
}


def ids(response: Response, edns: Edns | None) -> list[bytes]:
    """The identifiers that a client sees."""
    read = message(response, NAME, edns=edns)
    return [bytes(o.nsid) for o in read.options if isinstance(o, dns.edns.NSIDOption)]


@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_who_asks_gets_it(response: Response) -> None:
    plugin = plugin_of(nsid.setup, "nsid Use The Force")
    marked = answer(plugin, NAME, edns=ASKS, last=says(response))

    assert ids(marked, ASKS) == [b"Use The Force"]


@pytest.mark.parametrize("edns", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_who_does_not_ask_does_not(response: Response, edns: Edns | None) -> None:
    plugin = plugin_of(nsid.setup, "nsid Use The Force")
    marked = answer(plugin, NAME, edns=edns, last=says(response))

    assert ids(marked, edns) == []


def test_an_answer_that_was_prepared_for_others_has_it_too() -> None:
    plugin = plugin_of(nsid.setup, "nsid me")
    marked = own(answer(plugin, NAME, last=says(RESPONSES["of kdns"])))

    assert marked.owners == FIXED
    assert ids(marked, ASKS) == [b"me"]


@pytest.mark.parametrize("name", ["of an upstream", "of an upstream that has no EDNS"])
def test_a_relay_keeps_all_else(name: str) -> None:
    plugin = plugin_of(nsid.setup, "nsid me")
    marked = answer(plugin, NAME, edns=ASKS, last=says(RESPONSES[name]))
    read = message(marked, NAME, edns=ASKS)

    assert marked.by == "forward"
    assert [str(rrset) for rrset in read.answer] == ["example.org. 60 IN A 192.0.2.1"]
    assert read.edns == 0
    assert read.flags & dns.flags.QR


def test_garbage_of_an_upstream_is_not_touched() -> None:
    garbage = Relay(b"\0\0\x80\0\0\1\0\5\0\0\0\0\xff")

    assert answer(plugin_of(nsid.setup, "nsid me"), NAME, edns=ASKS, last=says(garbage)) is garbage


def test_the_default_is_the_name_of_the_host() -> None:
    marked = answer(plugin_of(nsid.setup, "nsid"), NAME, last=says(RESPONSES["of kdns"]))

    assert ids(marked, ASKS) == [socket.gethostname().encode()]


def test_the_longest_fits_into_the_smallest_reply() -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 61]) + ". A"
    edns = Edns(512, options=(*ASKS.options, *((code, b"x" * 40) for code in (9, 10, 11, 12))))
    plugin = plugin_of(nsid.setup, f"nsid {'x' * nsid.MAX_OCTETS}")
    marked = answer(plugin, name, edns=edns, last=says(RESPONSES["of kdns"]))
    read = message(marked, question(name, edns=edns))

    assert len(read.to_wire()) <= 512


REFUSED = {
    "twice": ("nsid a\nnsid b", "3: nsid may stand only once"),
    "a block": ("nsid {\nx\n}", "3: nsid takes no block"),
    "too long": (f"nsid {'x' * 91}", "2: nsid: expected at most 90 octets, got 91"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(nsid.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")
