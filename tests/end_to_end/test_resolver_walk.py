"""The search walk beside the C library's, and dig's: the names that a server is asked, in order."""

import itertools
from pathlib import Path

from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Outcome, walk
from kdns.wire import names
from tests.end_to_end.clibrary import Case, explore

LONG = "x" * 63
NAMES = (
    "web",
    "web.a",
    "web.",
    "web.a.",
    "a.b.c.d.e",
    "a.b.c.d.e.f",
    "Web",
    f"{LONG}.{LONG}.{LONG}",
    f"{LONG}x",
    "a..b",
)
CONFS = (
    "search a.svc.z svc.z z\noptions ndots:5",
    "search a.svc.z svc.z z",
    f"search z {'y' * 60}.{'y' * 60} svc.z\noptions ndots:2",
    "search z. . svc.z\noptions ndots:2",
    "domain z\noptions ndots:0",
    "search z\noptions ndots:5 no-tld-query",
    "options ndots:1",
)
PATTERNS = ("", "+", "-+", "--+", "---+", "0", "-0+", "!", "-!-", "!0", "x", "-x", "0x+", "x+")
"""What becomes of the names of a walk, in order; NXDOMAIN behind the end."""
OUTCOMES = {
    "+": Outcome.FOUND,
    "0": Outcome.NODATA,
    "-": Outcome.NXDOMAIN,
    "!": Outcome.SERVFAIL,
    "x": Outcome.FAILED,
}


def walked(name: str, conf: ResolvConf, pattern: str) -> dict[str, str]:
    """Return the names that the walk asks for, and what becomes of them."""
    walking = walk(name, conf)
    asked: dict[str, str] = {}
    found = next(walking)
    left = iter(pattern)
    while True:
        try:
            outcome = Outcome.UNASKABLE
            if _is_name(found):
                letter = asked.setdefault(found, next(left, "-"))
                outcome = OUTCOMES[letter]
            found = walking.send(outcome)
        except StopIteration:
            return asked


def _is_name(text: str) -> bool:
    try:
        names.from_text(text)
    except ValueError:
        return False
    return True


def _cases(command: str) -> list[tuple[str, ResolvConf, dict[str, str], Case]]:
    made = []
    for name, text, pattern in itertools.product(NAMES, CONFS, PATTERNS):
        conf = ResolvConf.parse(text)
        outcomes = walked(name, conf, pattern)
        case: Case = (text, [*command.split(), name], outcomes)
        made.append((f"{name} {text!r} {pattern}", conf, outcomes, case))
    return made


def _once(asked: list[str], rtype: str) -> list[str]:
    """The names that were asked for a type, each once."""
    questions = (question.split() for question in asked)
    return [*dict.fromkeys(name for name, found in questions if found == rtype)]


def test_getent_asks_for_the_same_names(tmp_path: Path) -> None:
    cases = _cases("getent ahostsv4")

    seen = explore([case for *_, case in cases], tmp_path)

    differences = {
        what: (_once(asked, "A"), [*outcomes])
        for (what, _, outcomes, _), asked in zip(cases, seen, strict=True)
        if _once(asked, "A") != [*outcomes]
    }
    assert not differences
