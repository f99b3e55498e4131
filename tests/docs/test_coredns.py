"""docs/coredns.md is true: its flags, its signals' statuses and the example of ``kdns check``."""

import re
from pathlib import Path

import pytest

from kdns.cli import main
from tests.end_to_end.running import ROOT

PAGE = (ROOT / "docs" / "coredns.md").read_text()


def test_the_flags_are_those_of_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    group = capsys.readouterr().out.partition("as CoreDNS:")[2].partition("\n\n")[0]
    known = set(re.findall(r"^  (-[.a-z]+)|, (-p) ", group, re.MULTILINE))
    table = PAGE.partition("## Flags")[2].partition("## ")[0]

    listed = re.findall(r"(?:^\| |, )`(-[.a-z]+)", table, re.MULTILINE)
    assert set(listed) == {word for words in known for word in words if word}


def test_kdns_check_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [corefile] = re.findall(r"^```corefile\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [shown] = re.findall(r"^\$ kdns check\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("Corefile").write_text(corefile)

    assert main(["check"]) == 0
    assert "".join(capsys.readouterr()) == shown


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", PAGE))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
