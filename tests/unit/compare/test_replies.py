"""What of two replies counts as a difference."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from kdns.compare.replies import Difference, difference, lines
from kdns.corefile.mnemonics import TYPES
from kdns.wire import names
from kdns.wire.query import ask

CALM, ALL = False, True


def _said(
    *answer: str, rcode: str = "NOERROR", rtype: str = "A", flags: str = "QR", everything: bool
) -> tuple[str, ...]:
    query = dns.message.make_query("a.example.", rtype)
    reply = dns.message.make_response(query)
    reply.flags = dns.flags.from_text(flags)
    reply.set_rcode(dns.rcode.from_text(rcode))
    for record in answer:
        owner, ttl, kind, rdata = record.split(" ", 3)
        reply.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, rdata))
    question = ask(names.from_text("a.example."), TYPES[rtype])
    return lines(reply.to_wire(), question, everything=everything)


ONE, TWO = "a.example. 30 A 192.0.2.1", "a.example. 30 A 192.0.2.2"
SOA = "a.example. 5 SOA ns.dns. hostmaster. {} 7200 1800 86400 5"


@pytest.mark.parametrize(
    ("theirs", "ours", "rtype"),
    [
        pytest.param((ONE, TWO), (TWO, ONE), "A", id="order"),
        pytest.param((ONE,), ("a.example. 7 A 192.0.2.1",), "A", id="ttl"),
        pytest.param((ONE,), ("A.Example. 30 A 192.0.2.1",), "A", id="case-of-the-owner"),
        pytest.param((SOA.format(1),), (SOA.format(2),), "SOA", id="serial"),
        pytest.param(
            ("a.example. 5 PTR B.example.",), ("a.example. 5 PTR b.Example.",), "PTR", id="case"
        ),
    ],
)
def test_what_does_not_matter(theirs: tuple[str, ...], ours: tuple[str, ...], rtype: str) -> None:
    first = _said(*theirs, rtype=rtype, everything=CALM)
    assert difference(first, _said(*ours, rtype=rtype, everything=CALM)) is None


def test_another_rcode_matters() -> None:
    found = difference(_said(rcode="NXDOMAIN", everything=CALM), _said(everything=CALM))
    assert found == Difference(("NXDOMAIN",), ("NOERROR",))


def test_only_the_records_that_differ_are_shown() -> None:
    found = difference(_said(ONE, TWO, everything=CALM), _said(TWO, everything=CALM))
    assert found == Difference(("a.example. A 192.0.2.1",), ())


def test_case_matters_in_text() -> None:
    first, second = (
        _said(f'a.example. 5 TXT "{word}"', rtype="TXT", everything=CALM) for word in ("a", "A")
    )
    assert difference(first, second) is not None


@pytest.mark.parametrize("flags", ["QR AA", "QR RA", "QR AD"])
def test_flags_and_ttls_matter_only_when_all_is_wanted(flags: str) -> None:
    for everything, differs in ((CALM, False), (ALL, True)):
        first = _said(ONE, everything=everything)
        assert (difference(first, _said(ONE, flags=flags, everything=everything)) is not None) is (
            differs
        )
    later = _said("a.example. 7 A 192.0.2.1", everything=ALL)
    assert difference(_said(ONE, everything=ALL), later) == Difference(
        ("answer: a.example. 30 A 192.0.2.1",), ("answer: a.example. 7 A 192.0.2.1",)
    )
