import pytest

from kdns.errors import UsageError
from kdns.kube.selectors import Selector

LABELS = {"app": "web", "tier": "front", "example.com/team": "shop", "empty": ""}

MATCHES = [
    ("", True),
    ("app", True),
    ("gone", False),
    ("!gone", True),
    ("! app", False),
    ("app=web", True),
    ("app==web", True),
    ("app = db", False),
    ("app!=db", True),
    ("gone!=db", True),
    ("app!=web", False),
    ("app in (web,db)", True),
    ("app in (db)", False),
    ("gone in (db)", False),
    ("app notin ( web , db )", False),
    ("gone notin (web)", True),
    ("empty=", True),
    ("example.com/team=shop,app,tier in (front)", True),
    ("app=web,tier=back", False),
    ("in=web", False),
    ("  app=web  ", True),
]


@pytest.mark.parametrize(("text", "expected"), MATCHES)
def test_selects_by_labels(text: str, expected: bool) -> None:
    assert Selector.parse(text).matches(LABELS) is expected


EXPECTED = "expected a=b, a!=b, a in (b,c), a notin (b,c), a or !a, joined by commas"
VALUE = "expected at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
REFUSED = {
    "a=b,": "found 'a=b,', " + EXPECTED,
    ",a": "found ',a', " + EXPECTED,
    "a in b": "found 'a in b', " + EXPECTED,
    "ok,a>1": "found 'a>1', " + EXPECTED,
    "-a": "found '-a', " + EXPECTED,
    "a=b c": "found 'a=b c', " + EXPECTED,
    "a=-b": "found the value '-b', " + VALUE,
    "a in (b,c d)": "found the value 'c d', " + VALUE,
}


@pytest.mark.parametrize("text", REFUSED)
def test_says_what_it_cannot_read(text: str) -> None:
    with pytest.raises(UsageError) as error:
        Selector.parse(text)

    assert str(error.value) == f"label selector {text!r}: {REFUSED[text]}"
