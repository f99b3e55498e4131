"""Bits of the header are set and cleared, the last rule winning."""

import dns.flags
import pytest

from kdns.chain import FIXED, Answer, Relay, Request, Response
from kdns.errors import CorefileError
from kdns.plugins import header
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.query import AA, CD, RA, RD, ask
from tests.plugin import answer, message, own, plugin_of, says, setup_of
from tests.unit.wire.test_relay import response, texts

QUERY = ask(names.from_text("www.example.org."), codes.A)
ADDRESS = "www.example.org. 60 IN A 192.0.2.1"
ANSWER = Answer(Sections(), FIXED, by="kubernetes", rotate=True)

RULES = {
    "set ra": ("response set ra", "QR AA RD RA"),
    "set two": ("response set ra aa", "QR AA RD RA"),
    "clear": ("response clear aa rd", "QR"),
    "set and clear": ("response set ra \n response clear rd", "QR AA RA"),
    "the last one wins": ("response set ra \n response clear ra", "QR AA RD"),
    "the last one wins within a line": ("response clear aa \n response set aa ra", "QR AA RD RA"),
    "any case": ("RESPONSE Set RA", "QR AA RD RA"),
    "of queries only": ("query clear rd", "QR AA RD"),
}


def rules(lines: str) -> str:
    return f"header {{ \n {lines} \n}}"


@pytest.mark.parametrize(("lines", "flags"), RULES.values(), ids=RULES)
def test_the_flags_of_an_answer_of_ours(lines: str, flags: str) -> None:
    changed = answer(plugin_of(header.setup, rules(lines)), QUERY, last=says(ANSWER))

    assert dns.flags.to_text(message(changed, QUERY).flags) == flags
    assert (own(changed).owners, own(changed).by, own(changed).rotate) == (
        FIXED,
        "kubernetes",
        True,
    )


@pytest.mark.parametrize(("lines", "flags"), RULES.values(), ids=RULES)
def test_the_flags_of_what_an_upstream_says(lines: str, flags: str) -> None:
    came = Relay(response(ADDRESS, query=QUERY, flags="QR AA RD"), "forward", ready=QUERY)
    changed = answer(plugin_of(header.setup, rules(lines)), QUERY, last=says(came))

    assert isinstance(changed, Relay)
    assert dns.flags.to_text(message(changed, QUERY).flags) == flags
    assert texts(changed.message) == [ADDRESS]
    assert (changed.by, changed.ready) == ("forward", QUERY)


EARLIER = {
    "what was cleared is set": ("response set ra", Sections(clear_flags=RA), "QR AA RD RA"),
    "what was set is cleared": ("response clear ra", Sections(set_flags=RA), "QR AA RD"),
    "others stay": ("response set ra", Sections(set_flags=CD, clear_flags=AA), "QR RD RA CD"),
}


@pytest.mark.parametrize(("lines", "sections", "flags"), EARLIER.values(), ids=EARLIER)
def test_rules_win_over_earlier_ones(lines: str, sections: Sections, flags: str) -> None:
    came = Answer(sections)
    changed = answer(plugin_of(header.setup, rules(lines)), QUERY, last=says(came))

    assert dns.flags.to_text(message(changed, QUERY).flags) == flags


QUERIES = {
    "set": ("query set rd", 0, RD),
    "clear": ("query clear rd", RD | CD, CD),
    "set two": ("query set aa ra", RD, AA | RA | RD),
    "the last one wins": ("query set rd \n query clear rd", RD, 0),
    "of responses only": ("response clear rd", RD, RD),
}


@pytest.mark.parametrize(("lines", "sent", "expected"), QUERIES.values(), ids=QUERIES)
def test_the_flags_of_a_query(lines: str, sent: int, expected: int) -> None:
    seen: list[int] = []

    async def last(request: Request) -> Response:
        seen.append(request.query.flags)
        return ANSWER

    answer(plugin_of(header.setup, rules(lines)), "www.example.org A", flags=sent, last=last)

    assert seen == [expected]


def test_the_rules_of_all_directives_are_applied() -> None:
    plugin = plugin_of(header.setup, f"{rules('response set ra')} \n {rules('response clear aa')}")
    changed = answer(plugin, QUERY, last=says(ANSWER))

    assert dns.flags.to_text(message(changed, QUERY).flags) == "QR RD RA"


WRONG = {
    "header": "header: expected a block with lines like: response set ra",
    "header response set ra": "header: expected no arguments",
    rules("answer set ra"): "unknown selector of header 'answer'",
    rules("response"): "response: expected at least 2 words",
    rules("response set"): "response: expected at least 2 words",
    rules("response put ra"): "unknown action of header 'put': expected one of set, clear",
    rules("response set ad"): "unknown flag 'ad': expected one of aa, ra, rd",
    rules("query set tc"): "unknown flag 'tc'",
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_said(text: str, expected: str) -> None:
    with pytest.raises(CorefileError, match=expected):
        setup_of(header.setup, text)
