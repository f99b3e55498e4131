"""docs/explain.md is true: what it shows is what happens."""

import re
import shlex
from pathlib import Path

import pytest

from kdns.cli import main
from kdns.commands import exits
from kdns.lint import loading, rules
from tests.end_to_end.running import ROOT

PAGE = (ROOT / "docs" / "explain.md").read_text()
EXAMPLES = [
    example
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for example in block.split("$ kdns ")[1:]
]


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.startswith("explain")])
def test_an_explanation_is_as_shown(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, _, shown = example.partition("\n")
    monkeypatch.chdir(ROOT)

    main(shlex.split(command))

    assert capsys.readouterr().out == shown


def test_the_files_of_records_are_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [one for one in EXAMPLES if one.startswith("records")]
    command, _, shown = example.partition("\n")
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    monkeypatch.chdir(tmp_path)

    assert main(shlex.split(command)) == 0

    assert sorted(path.name for path in Path("zones").iterdir()) == shown.splitlines()[1:]


def test_the_program_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(ROOT)

    exec(compile(program, "explain.md", "exec"), {})  # noqa: S102 - the page's own example

    assert len(capsys.readouterr().out.splitlines()) == 3


def test_every_code_is_in_the_table() -> None:
    codes = {value for name, value in vars(rules).items() if name.isupper() and _is_code(value)}

    assert codes | {loading.CONFLICT} == set(re.findall(r"^\| (K\d+) ", PAGE, re.MULTILINE))


def test_every_exit_status_is_in_the_table() -> None:
    documented = dict(re.findall(r"^(\d)  (.+)$", exits.__doc__ or "", re.MULTILINE))

    assert documented == dict(re.findall(r"^\| (\d) \| (.+) \|$", PAGE, re.MULTILINE))


def _is_code(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"K\d{3}", value) is not None
