"""The names that stand for a name, and the one that speaks for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Outcome, Style, walk

POD = ResolvConf(("a.svc.z", "svc.z", "z"), 5)
OUTCOMES = {
    "+": Outcome.FOUND,
    "0": Outcome.NODATA,
    "-": Outcome.NXDOMAIN,
    "!": Outcome.SERVFAIL,
    "x": Outcome.FAILED,
    "#": Outcome.UNASKABLE,
}


def walked(
    name: str, outcomes: dict[str, str], conf: ResolvConf = POD, style: Style = "glibc"
) -> tuple[str, int]:
    """Walk with these outcomes, NXDOMAIN for all other names; return the names and the place."""
    walking = walk(name, conf, style)
    tried = [next(walking)]
    while True:
        try:
            tried.append(walking.send(OUTCOMES[outcomes.get(tried[-1], "-")]))
        except StopIteration as end:
            return " ".join(tried), end.value


ALL = "web.a.svc.z. web.svc.z. web.z. web."
# Name, what becomes of the names, what is tried, and which of them is told.
GLIBC: dict[str, tuple[str, dict[str, str], ResolvConf, str, int]] = {
    "nowhere": ("web", {}, POD, ALL, 3),
    "found at once": ("web", {"web.a.svc.z.": "+"}, POD, "web.a.svc.z.", 0),
    "found later": ("web", {"web.z.": "+"}, POD, "web.a.svc.z. web.svc.z. web.z.", 2),
    "found as it is": ("web", {"web.": "+"}, POD, ALL, 3),
    "NODATA goes on": ("web", {"web.a.svc.z.": "0"}, POD, ALL, 0),
    "NODATA, then found": ("web", {"web.a.svc.z.": "0", "web.z.": "+"}, POD, ALL[:-5], 2),
    "the first NODATA is told": ("web", {"web.svc.z.": "0", "web.z.": "0"}, POD, ALL, 1),
    "NODATA as it is": ("web", {"web.": "0"}, POD, ALL, 3),
    "SERVFAIL goes on": ("web", {"web.a.svc.z.": "!"}, POD, ALL, 0),
    "SERVFAIL, then found": ("web", {"web.a.svc.z.": "!", "web.": "+"}, POD, ALL, 3),
    "NODATA before SERVFAIL": ("web", {"web.a.svc.z.": "!", "web.svc.z.": "0"}, POD, ALL, 1),
    "SERVFAIL before the last NXDOMAIN": ("web", {"web.z.": "!"}, POD, ALL, 2),
    "REFUSED ends the search": ("web", {"web.a.svc.z.": "x"}, POD, "web.a.svc.z. web.", 1),
    "REFUSED after NODATA": (
        "web",
        {"web.a.svc.z.": "0", "web.svc.z.": "x"},
        POD,
        "web.a.svc.z. web.svc.z. web.",
        0,
    ),
    "too long ends the search": ("web", {"web.a.svc.z.": "#"}, POD, "web.a.svc.z. web.", 1),
    "a final dot": ("web.", {}, POD, "web.", 0),
    "a final dot and dots": ("a.b.c.d.e.f.", {}, POD, "a.b.c.d.e.f.", 0),
    "four dots": (
        "a.b.c.d.e",
        {},
        POD,
        "a.b.c.d.e.a.svc.z. a.b.c.d.e.svc.z. a.b.c.d.e.z. a.b.c.d.e.",
        3,
    ),
    "five dots": ("a.b.c.d.e.f", {"a.b.c.d.e.f.": "+"}, POD, "a.b.c.d.e.f.", 0),
    "five dots, nowhere": (
        "a.b.c.d.e.f",
        {},
        POD,
        "a.b.c.d.e.f. a.b.c.d.e.f.a.svc.z. a.b.c.d.e.f.svc.z. a.b.c.d.e.f.z.",
        0,
    ),
    "five dots, found later": (
        "a.b.c.d.e.f",
        {"a.b.c.d.e.f.svc.z.": "+"},
        POD,
        "a.b.c.d.e.f. a.b.c.d.e.f.a.svc.z. a.b.c.d.e.f.svc.z.",
        2,
    ),
    "as it is first, then NODATA": (
        "a.b",
        {"a.b.z.": "0"},
        ResolvConf(("z",), 1),
        "a.b. a.b.z.",
        0,
    ),
    "REFUSED as it is goes on": ("a.b", {"a.b.": "x"}, ResolvConf(("z",), 1), "a.b. a.b.z.", 0),
    "no list": ("web", {}, ResolvConf(), "web.", 0),
    "no list, dots": ("a.b", {}, ResolvConf(), "a.b.", 0),
    "no list, NODATA": ("web", {"web.": "0"}, ResolvConf(), "web.", 0),
    "the default ndots is 1": ("a.b", {}, ResolvConf(("z",)), "a.b. a.b.z.", 0),
    "ndots 0": ("web", {"web.": "+"}, ResolvConf(("z",), 0), "web.", 0),
    "a domain with a final dot": ("web", {}, ResolvConf(("z.",)), "web.z. web.", 1),
    "the root on the list": ("web", {}, ResolvConf(("z", "."), 5), "web.z. web.", 1),
    "the root first": ("web", {}, ResolvConf((".", "z"), 5), "web. web.z.", 1),
    "no-tld-query": ("web", {}, ResolvConf(("z",), options=("no-tld-query",)), "web.z.", 0),
    "no-tld-query and a dot": (
        "a.b",
        {},
        ResolvConf(("z",), 5, options=("no-tld-query",)),
        "a.b.z. a.b.",
        1,
    ),
    "no-tld-query without a list": ("web", {}, ResolvConf(options=("no-tld-query",)), "web.", 0),
    "the root": (".", {}, POD, ".", 0),
}  # fmt: skip


@pytest.mark.parametrize(("name", "outcomes", "conf", "tried", "told"), GLIBC.values(), ids=GLIBC)
def test_glibc(
    name: str, outcomes: dict[str, str], conf: ResolvConf, tried: str, told: int
) -> None:
    assert walked(name, outcomes, conf) == (tried, told)


MUSL: dict[str, tuple[str, dict[str, str], ResolvConf, str, int]] = {
    "nowhere": ("web", {}, POD, ALL, 3),
    "found later": ("web", {"web.z.": "+"}, POD, "web.a.svc.z. web.svc.z. web.z.", 2),
    "NODATA ends it": ("web", {"web.svc.z.": "0"}, POD, "web.a.svc.z. web.svc.z.", 1),
    "SERVFAIL ends it": ("web", {"web.a.svc.z.": "!"}, POD, "web.a.svc.z.", 0),
    "REFUSED ends it": ("web", {"web.a.svc.z.": "x"}, POD, "web.a.svc.z.", 0),
    "too long is passed over": ("web", {"web.a.svc.z.": "#"}, POD, ALL, 3),
    "a final dot": ("web.", {}, POD, "web.", 0),
    "enough dots are never completed": ("a.b", {}, ResolvConf(("z",), 1), "a.b.", 0),
    "too few dots": ("a.b", {}, ResolvConf(("z",), 2), "a.b.z. a.b.", 1),
    "no list": ("web", {}, ResolvConf(), "web.", 0),
}


@pytest.mark.parametrize(("name", "outcomes", "conf", "tried", "told"), MUSL.values(), ids=MUSL)
def test_musl(name: str, outcomes: dict[str, str], conf: ResolvConf, tried: str, told: int) -> None:
    assert walked(name, outcomes, conf, "musl") == (tried, told)


CONFS = st.builds(
    ResolvConf,
    st.lists(st.sampled_from(["a.z", "z", "b.z.", "."]), max_size=4, unique=True).map(tuple),
    st.integers(0, 6),
    options=st.sampled_from([(), ("no-tld-query",)]),
)


@given(
    st.from_regex(r"[a-c](\.[a-c]){0,6}\.?", fullmatch=True),
    CONFS,
    st.sampled_from(["glibc", "musl"]),
    st.lists(st.sampled_from([*OUTCOMES.values()]), min_size=6, max_size=6),
)
def test_whatever_happens_the_walk_ends_at_the_first_find_and_tells_a_name_it_tried(
    name: str, conf: ResolvConf, style: Style, outcomes: list[Outcome]
) -> None:
    letters = {outcome: letter for letter, outcome in OUTCOMES.items()}
    became: dict[str, str] = {}
    for asked, outcome in zip(walked(name, {}, conf, style)[0].split(), outcomes, strict=False):
        became[asked] = letters[outcome]

    tried, told = walked(name, became, conf, style)

    seen = [became.get(one, "-") for one in tried.split()]
    assert all(one.endswith(".") for one in tried.split())
    assert "+" not in seen[:-1]
    assert told == len(seen) - 1 if seen[-1] == "+" else 0 <= told < len(seen)
