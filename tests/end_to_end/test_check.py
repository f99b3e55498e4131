"""``kdns check``: what it prints, what it warns of, and its exit status."""

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct

from kdns.cli import main
from tests.end_to_end.running import ROOT

CORPUS = ROOT / "tests" / "data" / "corefiles"


class Outcome(Struct, frozen=True):
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


Check = Callable[..., Outcome]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run the command as the program does, without the time that a process takes."""

    def run(*words: str) -> Outcome:
        try:
            status = main(["check", *words])
        except SystemExit as ending:
            status = int(ending.code or 0)
        return Outcome(status, *capsys.readouterr())

    return run


def _written(directory: Path, text: str) -> str:
    path = directory / "Corefile"
    path.write_text(text)
    return str(path)


def test_each_server_block_is_shown_with_its_chain(check: Check, tmp_path: Path) -> None:
    path = _written(
        tmp_path,
        """
        .:53 example.org {
            whoami
            errors
            cache 30
            log
            loadbalance
        }
        b.example:5300 {
            bind 127.0.0.1
        }
        """,
    )
    outcome = check(path, "-p", "1053")

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert outcome.stdout == (
        "dns://.:53 dns://example.org on port 53, 1053 of all addresses\n"
        "  asks      errors -> loadbalance -> cache -> whoami\n"
        "  settings  log\n"
        "\n"
        "dns://b.example:5300 on port 5300 of 127.0.0.1\n"
        "  asks      nobody: every query is refused\n"
        "  settings  bind\n"
    )


WARNINGS = {
    "forward to itself": (
        ".:53 {{\n forward . 192.0.2.1 127.0.0.1\n}}",
        ":2: forward to 127.0.0.1 is a loop: this server block listens there",
    ),
    "forward to itself on another port": (
        ".:5300 {{\n bind 127.0.0.9\n forward . 127.0.0.9:5300\n}}",
        ":3: forward to 127.0.0.9:5300 is a loop: this server block listens there",
    ),
    "a zone that another block takes": (
        ". {{\n kubernetes cluster.local\n}}\ncluster.local {{\n whoami\n}}",
        ":2: kubernetes is never asked about cluster.local.: cluster.local at {path}:4 takes it",
    ),
    "hosts that ends the chain": (
        ". {{\n hosts {{\n  192.0.2.1 a.example\n }}\n forward . 192.0.2.1\n}}",
        ":2: hosts without fallthrough: every name that it does not have is NXDOMAIN",
    ),
    "names that stay missing": (
        ". {{\n cache {{\n  denial 9984 3600\n }}\n forward . 192.0.2.1\n}}",
        ":3: cache: a name that is missing stays missing for up to 3600 s",
    ),
    "an option that was removed": (
        ". {{\n kubernetes cluster.local {{\n  resyncperiod 5m\n }}\n}}",
        ":3: resyncperiod has no effect since CoreDNS 1.6: it may be left out",
    ),
    "another one": (
        ". {{\n kubernetes cluster.local {{\n  upstream\n }}\n}}",
        ":3: upstream left CoreDNS with 1.7: it may be left out",
    ),
}


@pytest.mark.parametrize(("text", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_what_is_legal_but_wrong_is_warned_of(
    check: Check, tmp_path: Path, text: str, warning: str
) -> None:
    path = _written(tmp_path, text.format())
    outcome = check(path)

    assert outcome.returncode == 0
    assert outcome.stderr == f"warning: {path}{warning.format(path=path)}\n"
    assert check(path, "--strict").returncode == 1


FINE = {
    "another resolver on this machine": ". {\n forward . 127.0.0.1:5300\n}",
    "hosts with fallthrough": ". {\n hosts {\n  192.0.2.1 a.example\n  fallthrough\n }\n errors\n}",
    "hosts for a zone": ". {\n hosts /etc/hosts example.org\n errors\n}",
    "a zone of another address": (
        ". {\n bind 127.0.0.1\n kubernetes cluster.local\n}\n"
        "cluster.local {\n bind 127.0.0.2\n whoami\n}"
    ),
    "a zone of another port": (
        ". {\n kubernetes cluster.local\n}\ncluster.local:5300 {\n whoami\n}"
    ),
    "a zone that rewrite leads to": (
        ". {\n kubernetes cluster.local\n}\n"
        "a.example {\n rewrite name suffix a.example cluster.local\n kubernetes cluster.local\n}"
    ),
    "a denial as in many clusters": ". {\n cache {\n  denial 9984 30\n }\n errors\n}",
}


@pytest.mark.parametrize("text", FINE.values(), ids=FINE)
def test_what_is_meant_is_not_warned_of(check: Check, tmp_path: Path, text: str) -> None:
    outcome = check(_written(tmp_path, text), "--strict")

    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.iterdir()))
def test_the_corefiles_of_distributions_pass_where_there_is_no_cluster(
    check: Check, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / name
    shutil.copytree(CORPUS / name, copy)
    corefile = copy / "Corefile"
    corefile.write_text(corefile.read_text().replace("/etc/coredns/", f"{copy}/"))

    outcome = check(str(corefile), "--strict")

    assert outcome.returncode == 0, outcome.stderr
    assert "warning" not in outcome.stderr


def test_what_is_wrong_on_this_machine_only_is_no_warning(check: Check, tmp_path: Path) -> None:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.53\n")
    path = _written(tmp_path, f". {{\n forward . {resolv}\n}}\n")
    outcome = check(path, "--strict")

    assert outcome.returncode == 0
    assert outcome.stderr.startswith(f"on this machine: {path}:2: 127.0.0.53:53 of {resolv} is ")


def test_a_corefile_that_cannot_be_run_has_status_1(check: Check, tmp_path: Path) -> None:
    path = _written(tmp_path, ". {\n kubernetes cluster.local {\n  pods none\n }\n}\n")
    outcome = check(path)

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f"kdns: {path}:3: unknown mode of pods 'none':"
        " expected one of disabled, insecure, verified\n"
    )


UNREADABLE = {
    "no such file": (["/nonexistent"], "kdns: /nonexistent: No such file or directory\n"),
    "a directory": (["/"], "kdns: /: Is a directory\n"),
    "no Corefile here": ([], "kdns: Corefile: No such file or directory\n"),
}


@pytest.mark.parametrize(("words", "text"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_has_status_1(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = check(*words)

    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (1, "", text)


def test_standard_input_can_be_checked(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.TextIOWrapper(io.BytesIO(b". {\n whoami\n}\n"))
    monkeypatch.setattr(sys, "stdin", written)
    outcome = check("stdin")

    assert outcome.returncode == 0
    assert "whoami" in outcome.stdout


def test_wrong_arguments_have_status_2(check: Check) -> None:
    assert check("--stern").returncode == 2
