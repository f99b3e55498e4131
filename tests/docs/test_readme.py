"""The README and the pages of plugins are true: what they show is what happens."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kdns.cli import main
from kdns.zone.settings import Settings
from tests.end_to_end.running import ROOT, kdns, need

README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "kdns" / "plugins").glob("*.md"))


def _console() -> list[tuple[str, list[str]]]:
    """Every command of the console examples, with the output that is shown."""
    [block] = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [
        (example.splitlines()[0], example.splitlines()[1:]) for example in block.split("$ ")[1:]
    ]


def test_dig_prints_what_the_readme_shows() -> None:
    need("dig")
    with kdns("--manifests", str(ROOT / "manifests" / "demo"), "--upstream", "none") as server:
        for command, shown in _console():
            here = command.replace("-p 1053", f"-p {server.port}")
            run = ["sh", "-c", here]
            output = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            assert sorted(output.splitlines()) == sorted(shown), command


def test_a_mistake_in_a_corefile_is_shown_as_the_readme_says() -> None:
    found = re.search(
        r"^\$ (printf .*) \| .venv/bin/kdns (check stdin)\n(.*)$", README, re.MULTILINE
    )
    assert found
    corefile = subprocess.run(["sh", "-c", found[1]], capture_output=True, check=True).stdout
    command = [sys.executable, "-m", "kdns", *found[2].split()]
    outcome = subprocess.run(command, input=corefile, capture_output=True, check=False)

    assert outcome.stderr.decode().splitlines() == [found[3]]
    assert outcome.returncode == 1


def test_the_first_output_is_what_kdns_prints() -> None:
    with kdns(
        "--manifests", str(ROOT / "manifests" / "demo"), "--upstream", "192.0.2.53"
    ) as server:
        server.wait_for("^try: ")
        printed = "\n".join(server.output).replace(f":{server.port}", ":1053")
        printed = printed.replace(f"-p {server.port}", "-p 1053")

    if "[::1]" not in printed:
        pytest.skip("this machine has no IPv6 loopback")
    assert f"```\n{printed}\n```" in README


def test_the_usage_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    options = set(re.findall(r"^  (-[-.a-z]+)", capsys.readouterr().out, re.MULTILINE)) - {"-h"}

    assert options == {option for option in options if option in README}


def test_the_commands_of_the_readme_are_those_of_ci() -> None:
    [run, test] = re.findall(r"^```sh\n(.*?)\n```", README, re.MULTILINE | re.DOTALL)

    assert run.endswith(".venv/bin/kdns --manifests manifests/demo")
    assert test in (ROOT / ".ci" / "run").read_text()
    assert len(shlex.split(run)) < 15


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_its_sections(page: Path) -> None:
    sections = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)

    wanted = ["Name", "Description", "Syntax", "Options", "Examples"]
    assert [section for section in sections if section in wanted] == wanted


def test_the_page_of_kubernetes_lists_every_option() -> None:
    page = (ROOT / "kdns" / "plugins" / "kubernetes.md").read_text()

    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)

    assert listed == list(Settings.__struct_fields__)


def test_every_plugin_has_a_page() -> None:
    modules = {path.stem for path in (ROOT / "kdns" / "plugins").glob("[a-z]*.py")}

    assert modules == {page.stem for page in PAGES}
