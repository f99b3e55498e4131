"""The page of directives has all of them."""

import re

from kdns.corefile.directives import KNOWN, ORDER
from tests.end_to_end.running import ROOT

HAS, HAS_NOT = (ROOT / "docs" / "plugins.md").read_text().split("## What kdns does not have")
ROW = re.compile(r"^\| (.+?) \|", re.MULTILINE)


def test_what_kdns_has_is_listed_in_the_order_of_the_chain() -> None:
    links = [row for row in ROW.findall(HAS) if row.startswith("[")]

    assert links == [f"[{name}](../kdns/plugins/{name}.md)" for name in ORDER if name in KNOWN]


def test_what_kdns_does_not_have_is_listed() -> None:
    named = re.findall(r"`(\w+)`", " ".join(ROW.findall(HAS_NOT)))

    assert sorted(named) == sorted(set(ORDER) - KNOWN)
