"""The search walk beside the C library's, and dig's: the names that a server is asked, in order."""

import itertools
import socket
from pathlib import Path
from typing import NamedTuple

import kdns
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Outcome, Style, walk
from kdns.wire import names
from tests.end_to_end.clibrary import Case, explore
from tests.end_to_end.running import ROOT

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


def walked(name: str, conf: ResolvConf, pattern: str, style: Style = "glibc") -> dict[str, str]:
    """Return the names that the walk asks for, and what becomes of them."""
    walking = walk(name, conf, style)
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


class Example(NamedTuple):
    """A walk of ours, and the case that explores another one."""

    title: str
    asked: list[str]
    case: Case


def _examples(command: str, style: Style = "glibc") -> list[Example]:
    made = []
    for name, text, pattern in itertools.product(NAMES, CONFS, PATTERNS):
        outcomes = walked(name, ResolvConf.parse(text), pattern, style)
        case = (text, [*command.split(), name], outcomes)
        made.append(Example(f"{name} {text!r} {pattern}", [*outcomes], case))
    return made


def _of_type(asked: list[str], rtype: str) -> list[str]:
    """The names that were asked for a type, each once."""
    questions = (question.split() for question in asked)
    return [*dict.fromkeys(name for name, found in questions if found == rtype)]


def _differing(
    examples: list[Example], tmp_path: Path, *rtypes: str
) -> dict[str, tuple[list[str], list[str]]]:
    """Return theirs and ours, where they differ."""
    ran = explore([example.case for example in examples], tmp_path)
    return {
        f"{example.title} {rtype}": (theirs, example.asked)
        for example, one in zip(examples, ran, strict=True)
        for rtype in rtypes
        if (theirs := _of_type(one.asked, rtype)) != example.asked
    }


def test_getent_asks_for_the_same_names(tmp_path: Path) -> None:
    assert not _differing(_examples("getent ahostsv4"), tmp_path, "A")


def test_getent_asks_for_the_same_names_where_both_families_are_wanted(tmp_path: Path) -> None:
    assert not _differing(_examples("getent ahosts"), tmp_path, "A", "AAAA")


def test_dig_searches_as_musl_does(tmp_path: Path) -> None:
    examples = _examples("dig +search +showsearch +tries=1", "musl")

    # dig takes ten times as long as getent.
    assert not _differing(examples[::5], tmp_path, "A")


DEMO = str(ROOT / "manifests" / "demo")
SEARCH = "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5"
HOSTS = (
    "web",
    "web.default",
    "web.default.svc",
    "web.default.svc.cluster.local",
    "web.default.svc.cluster.local.",
    "WEB",
    "db",
    "db-0.db",
    "queue.data",
    "kubernetes",
    "cart",
    "nope",
    "web.nope",
    "web.",
)


def test_getent_finds_the_same_addresses(tmp_path: Path) -> None:
    cases: list[Case] = [(SEARCH, ["getent", "ahosts", host], {}) for host in HOSTS]

    ran = explore(cases, tmp_path, DEMO)

    with kdns.Cluster(manifests=DEMO) as cluster:
        resolver = cluster.resolver(conf=kdns.ResolvConf.parse(SEARCH))
        ours = [_addresses(resolver, host) for host in HOSTS]
    assert [{line.split()[0] for line in one.printed.splitlines()} for one in ran] == ours
    assert sum(map(bool, ours)) == len(HOSTS) - 3


def _addresses(resolver: kdns.Resolver, host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in resolver.getaddrinfo(host, None)}
    except socket.gaierror:
        return set()
