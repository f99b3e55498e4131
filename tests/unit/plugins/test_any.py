"""ANY is answered with one HINFO record, everything else is passed on."""

import pytest

from kdns.chain import FIXED, Answer
from kdns.errors import CorefileError
from kdns.plugins import any as any_plugin
from kdns.wire import codes
from kdns.wire.message import Sections
from tests.plugin import answer, ask, lines, own, plugin_of, rcode, says, setup_of


def test_any_is_answered_with_hinfo() -> None:
    plugin = plugin_of(any_plugin.setup, "any")
    read = ask(plugin, "WWW.Example.org ANY")

    assert lines(read.answer) == ['WWW.Example.org. 8482 HINFO "ANY obsoleted" "See RFC 8482"']
    assert rcode(read) == "NOERROR"
    assert not read.authority
    assert not read.additional


def test_the_answer_is_prepared_for_everybody() -> None:
    made = own(answer(plugin_of(any_plugin.setup, "any"), "example.org ANY"))

    assert (made.owners, made.by) == (FIXED, "any")
    assert not made.sections.authoritative


@pytest.mark.parametrize("rtype", ["A", "HINFO", "TXT"])
def test_other_types_are_passed_on(rtype: str) -> None:
    other = Answer(Sections(codes.NXDOMAIN))

    assert answer(plugin_of(any_plugin.setup, "any"), f"x. {rtype}", last=says(other)) is other


@pytest.mark.parametrize(
    ("text", "message"),
    [("any example.org", "any: expected no arguments"), ("any {\n x\n}", "any takes no block")],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=message):
        setup_of(any_plugin.setup, text)
