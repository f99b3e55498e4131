"""The harness itself: what counts as a difference, and what is asked."""

from itertools import islice
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.differential.case import Case
from tests.differential.compare import SILENCE, beside, differences, read
from tests.differential.contestants import COMPAT, NORMAL
from tests.differential.known import KNOWN, Known
from tests.differential.options import OPTION_SETS
from tests.differential.population import objects
from tests.differential.question import Edns, Question
from tests.differential.questions import TYPES, Questions
from tests.differential.run import Report
from tests.differential.vocabulary import Vocabulary

DOCUMENT = Path(__file__).parents[2] / "docs" / "coredns-differences.md"
NAME = "web.shop.svc.cluster.local."
SOA = "cluster.local. 5 SOA ns.dns.cluster.local. root.cluster.local. {} 7200 1800 86400 5"
A1, A2 = f"{NAME} 5 A 10.0.0.1", f"{NAME} 5 A 10.0.0.2"
ELSE = "else.where. 5 A 10.0.0.1"
LINK = f"{NAME} 5 CNAME other.test."


def _wire(
    *answer: str,
    flags: str = "QR AA RD",
    rcode: str = "NOERROR",
    authority: str = "",
    edns: tuple[int, bool] | None = None,
    because: str = "",
) -> bytes:
    message = dns.message.make_query(NAME, "A")
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(dns.rcode.from_text(rcode))
    message.answer = [_record(line) for line in answer]
    message.authority = [_record(authority)] if authority else []
    if edns is not None:
        option = dns.edns.EDEOption(dns.edns.EDECode.OTHER, because)
        size, do = edns
        message.use_edns(0, dns.flags.DO if do else 0, size, options=[option] if because else [])
    return message.to_wire()


def _record(line: str) -> dns.rrset.RRset:
    owner, ttl, rtype, rdata = line.split(maxsplit=3)
    return dns.rrset.from_text(owner, int(ttl), "IN", rtype, rdata)


PLAIN = _wire(A1, A2, edns=(1232, False))
PAIRS: dict[str, tuple[bytes | None, bytes | None, set[str]]] = {
    "the same": (PLAIN, PLAIN, set()),
    "another order": (PLAIN, _wire(A2, A1, edns=(1232, False)), set()),
    "an explanation": (PLAIN, _wire(A1, A2, edns=(1232, False), because="so"), set()),
    "another serial": (
        _wire(authority=SOA.format(1)),
        _wire(authority=SOA.format(2)),
        set(),
    ),
    "one record less": (PLAIN, _wire(A1, edns=(1232, False)), {"answer"}),
    "one record twice": (PLAIN, _wire(A1, A1, A2, edns=(1232, False)), {"answer"}),
    "another TTL": (_wire(A1), _wire(A1.replace(" 5 ", " 6 ")), {"ttl"}),
    "another case of the owner": (_wire(ELSE), _wire(ELSE.replace("e", "E")), {"answer"}),
    "another rcode": (_wire(), _wire(rcode="NXDOMAIN"), {"rcode"}),
    "another flag": (_wire(A1), _wire(A1, flags="QR AA RD RA"), {"flag RA"}),
    "two other flags": (_wire(A1), _wire(A1, flags="QR RD CD"), {"flag AA", "flag CD"}),
    "another SOA": (
        _wire(authority=SOA.format(1)),
        _wire(authority=SOA.format(1).replace("7200", "7201")),
        {"authority"},
    ),
    "no EDNS": (PLAIN, _wire(A1, A2), {"edns"}),
    "another size": (PLAIN, _wire(A1, A2, edns=(512, False)), {"edns"}),
    "another DO": (PLAIN, _wire(A1, A2, edns=(1232, True)), {"edns"}),
    "an alias after its target": (
        _wire(LINK, "other.test. 5 A 10.0.0.1"),
        _wire("other.test. 5 A 10.0.0.1", LINK),
        {"order"},
    ),
    "silence": (None, PLAIN, {"silence"}),
    "both silent": (None, None, set()),
    "garbage": (PLAIN, b"garbage", {"silence"}),
    "cut, other records": (_wire(A1, flags="QR TC"), _wire(A2, flags="QR TC"), set()),
    "cut, far fewer records": (
        _wire(*(f"{NAME} 5 A 10.0.0.{n}" for n in range(9)), flags="QR TC"),
        _wire(A1, flags="QR TC"),
        {"cut"},
    ),
    "cut, another TTL": (
        _wire(A1, flags="QR TC"),
        _wire(A1.replace(" 5 ", " 6 "), flags="QR TC"),
        {"answer"},
    ),
    "cut by one only": (_wire(A1, flags="QR TC"), _wire(A1, flags="QR"), {"flag TC"}),
}


@pytest.mark.parametrize(("theirs", "ours", "kinds"), PAIRS.values(), ids=PAIRS)
def test_kinds_of_difference(theirs: bytes | None, ours: bytes | None, kinds: set[str]) -> None:
    assert differences(read(theirs), read(ours)) == kinds


def test_ttls_that_count_down_may_differ_by_the_slack() -> None:
    theirs, ours = read(_wire(A1)), read(_wire(A1.replace(" 5 ", " 8 ")))

    assert not differences(theirs, ours, slack=3)
    assert differences(theirs, ours, slack=2) == {"ttl"}


def test_where_a_cache_keeps_spellings_case_means_nothing() -> None:
    theirs, ours = (read(wire, fold=True) for wire in (_wire(ELSE), _wire(ELSE.replace("e", "E"))))

    assert not differences(theirs, ours)


def test_two_answers_are_shown_side_by_side_with_what_differs_marked() -> None:
    text = beside(read(_wire(A1)), read(_wire(A2))).splitlines()

    assert text[0].split() == ["CoreDNS", "!", "|", "!", "kdns"]
    [differing] = [line for line in text[1:] if "!" in line]
    assert differing.split("|") == [f"    {A1} ! ", f" !   {A2}"]


def _case(ours: bytes) -> Case:
    question = Question((b"web", b"shop", b"svc", b"cluster", b"local"), 1)
    theirs, read_ours = read(_wire(A1)), read(ours)
    return Case(OPTION_SETS[0], question, theirs, read_ours, differences(theirs, read_ours))


def test_a_difference_that_no_entry_explains_is_reported_with_its_question() -> None:
    report = Report()
    report.take([(COMPAT, _case(_wire(rcode="SERVFAIL", edns=(512, True))))])

    assert [mode for mode, _ in report.unknown] == [COMPAT]
    assert "web.shop.svc.cluster.local. A" in report.story()
    assert "not on the list: answer, edns, rcode" in report.table()


def test_an_entry_that_explains_one_kind_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = Known("Q0", "for a test", lambda _: frozenset({"rcode", "answer"}))
    monkeypatch.setitem(KNOWN, COMPAT, (entry,))
    report = Report()
    report.take([(COMPAT, _case(_wire(rcode="SERVFAIL")))])
    report.take([(COMPAT, _case(_wire(rcode="SERVFAIL", edns=(512, True))))])

    assert report.explained[COMPAT, entry] == 2
    assert len(report.unknown) == 1


def test_an_entry_that_was_not_needed_is_named() -> None:
    unused = Report().unused(OPTION_SETS)

    assert f"Q8 ({NORMAL})" in unused
    assert f"Q17 ({COMPAT})" in unused


def test_every_entry_of_the_list_is_in_the_document_of_differences() -> None:
    rows = {line.split("|")[1].strip() for line in DOCUMENT.read_text().splitlines() if "|" in line}

    assert {entry.name for entries in KNOWN.values() for entry in entries} <= rows


def _asked(count: int, seed: int = 0) -> list[Question]:
    vocabulary = Vocabulary.of(objects())
    return [
        question
        for options in OPTION_SETS
        for question in islice(Questions(vocabulary, options, seed), count)
    ]


def test_a_seed_asks_the_same_and_another_seed_something_else() -> None:
    assert _asked(100, seed=1) == _asked(100, seed=1)
    assert _asked(100, seed=1) != _asked(100, seed=2)


def test_questions_are_of_every_type_and_over_both_transports() -> None:
    asked = _asked(300)

    assert {question.rtype for question in asked} == {
        int(dns.rdatatype.from_text(name)) for name in TYPES
    }
    assert {question.tcp for question in asked} == {True, False}
    assert {question.edns is None for question in asked} == {True, False}
    assert {question.name.islower() for question in asked} == {True, False}


def test_every_question_is_a_message_that_can_be_read() -> None:
    for question in _asked(50):
        message = dns.message.from_wire(question.wire(7))

        assert message.id == 7
        assert message.question[0].name.to_text() == question.name
        assert message.question[0].rdtype == question.rtype


def test_a_question_is_written_as_dig_is_called() -> None:
    question = Question((b"web", b"test"), 28, edns=Edns(512, do=True), tcp=True)

    assert str(question) == "web.test. AAAA +tcp +bufsize=512 +do"


def test_silence_is_no_answer() -> None:
    assert read(None) is SILENCE
