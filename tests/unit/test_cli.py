"""What the command line imports: a start takes no longer than what it does."""

import subprocess
import sys
from importlib import import_module

import pytest

from kdns.cli import COMMANDS, main
from kdns.version import VERSION


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])

    assert f"usage: kdns {name}" in capsys.readouterr().out
    assert callable(import_module(f"kdns.commands.{name}").run)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    text = capsys.readouterr().out
    assert all(f"{name} " in text and words in text for name, words in COMMANDS.items())


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-version"])

    assert capsys.readouterr().out == f"kdns-{VERSION}\n"


def _imported(statement: str) -> set[str]:
    """Return the modules that a statement imports, in an interpreter of its own."""
    program = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        pytest.param("import kdns.cli", {"kdns.app", "msgspec", "asyncio"}, id="kdns -version"),
        pytest.param(
            "import kdns.commands.serve",
            {"kdns.explain", "kdns.kube.api", "kdns.plugins.template", "kubernetes", "yaml"},
            id="kdns serve",
        ),
    ],
)
def test_what_is_not_needed_is_not_imported(statement: str, unwanted: set[str]) -> None:
    assert not unwanted & _imported(statement)
