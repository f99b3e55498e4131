"""``kdns query``: what it prints, and its exit status."""

import json
from pathlib import Path

import pytest

from kdns.cli import main
from kdns.commands import exits
from kdns.resolver.results import Record, Result
from tests.end_to_end.running import ROOT

DEMO = ("--manifests", str(ROOT / "manifests" / "demo"))


def test_the_names_tried_are_comments_before_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["query", "web.default", "--from", "data", *DEMO]) == 0

    why = "service default does not exist in namespace data"
    assert capsys.readouterr().out.splitlines() == [
        f"; web.default.data.svc.cluster.local. A: NXDOMAIN ({why})",
        "; web.default.svc.cluster.local. A: NOERROR",
        "web.default.svc.cluster.local.\t30\tIN\tA\t10.99.7.5",
    ]


def test_what_is_not_there_ends_with_the_rcode(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "web", "AAAA", *DEMO]) == 4

    assert capsys.readouterr().out.splitlines()[-1] == "; NODATA"


def test_json_is_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "nope", "--output", "json", *DEMO]) == 3

    result = json.loads(capsys.readouterr().out)
    assert result["rcode"] == "NXDOMAIN"
    assert [one["name"] for one in result["tried"]] == [
        "nope.default.svc.cluster.local.",
        "nope.svc.cluster.local.",
        "nope.cluster.local.",
        "nope.",
    ]


OPTIONS: dict[str, tuple[list[str], str]] = {
    "the zone": (["web.default.svc.z.test.", "--zone", "z.test"], "web.default.svc.z.test."),
    "the TTL": (["web", "--ttl", "7"], "\t7\t"),
    "a pod": (["web", "--from", "default/db-0"], "web.default.svc.cluster.local."),
    "the C library": (["web.default.svc", "--style", "musl"], "web.default.svc.cluster.local."),
    "a type": (["_postgres._tcp.db", "SRV"], "SRV\t0 33 5432 db-0.db.default.svc"),
}


@pytest.mark.parametrize(("words", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_options(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", *words, *DEMO]) == 0

    assert expected in capsys.readouterr().out


def test_a_resolv_conf_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("search data.svc.cluster.local\n")

    main(["query", "web", "--resolv-conf", str(path), *DEMO])

    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "web.data.svc.cluster.local.",
        "web.",
    ]


FAILED: dict[str, tuple[list[str], int, str]] = {
    "no cluster": (["web"], 1, "no cluster: expected --manifests PATH or --kubeconfig FILE (this"),
    "no pod": (["web", "--from", "default/nope", *DEMO], 1, "pod default/nope does not exist"),
    "no such type": (["web", "SVR", *DEMO], 1, "unknown type 'SVR', did you mean 'SRV'?"),
    "no such upstream": (["web", "--upstream", "there", *DEMO], 1, "upstream"),
    "two upstreams": (
        ["web", "--upstream", "system", "--upstream", "192.0.2.1", *DEMO],
        1,
        "--upstream system stands alone",
    ),
    "two clusters": (["web", "--kubeconfig", "a", *DEMO], 1, "exclude one another"),
}


@pytest.mark.parametrize(("words", "status", "why"), FAILED.values(), ids=FAILED)
def test_what_cannot_be_asked(
    words: list[str], status: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["query", *words]) == status

    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="nothing"),
        pytest.param(["web", "A", "B"], id="too much"),
        pytest.param(["web", "--search", "a.test"], id="a search list of the server"),
        pytest.param(["web", "--style", "bsd"], id="a C library"),
        pytest.param(["web", "--wait", "-1"], id="a time"),
    ],
)
def test_arguments_that_cannot_be_read(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["query", *words, *DEMO])

    assert end.value.code == 2
    assert "--help)" in capsys.readouterr().err


RECORD = Record("a.", 1, "A", "10.0.0.1")


@pytest.mark.parametrize(
    ("result", "status"),
    [
        pytest.param(Result("a", "A", "a.", "NOERROR", (RECORD,)), 0, id="found"),
        pytest.param(Result("a", "A", "a.", "NOERROR"), 4, id="NODATA"),
        pytest.param(Result("a", "A", "a.", "NXDOMAIN"), 3, id="NXDOMAIN"),
        pytest.param(Result("a", "A", "a.", "NXDOMAIN", (RECORD,)), 3, id="an alias to nowhere"),
        pytest.param(Result("a", "A", "a.", "REFUSED"), 5, id="REFUSED"),
        pytest.param(Result("a", "A", "a.", "SERVFAIL"), 6, id="SERVFAIL"),
        pytest.param(Result("a", "A", "a.", "NOTIMP"), 7, id="NOTIMP"),
        pytest.param(Result("a", "A", "a.", ""), 7, id="not asked"),
    ],
)
def test_the_exit_status(result: Result, status: int) -> None:
    assert exits.status(result) == status
