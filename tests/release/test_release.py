"""What is released: one version, archives that are whole, and locked requirements."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from kdns.version import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HASHED = re.compile(
    r"^(\S+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def _locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    found = {package: version for package, version, _ in HASHED.findall(text)}
    pinned = [line for line in text.splitlines() if "==" in line and not line.startswith("#")]
    assert len(found) == len(pinned), "every requirement has its digests"
    return found


def test_the_locked_requirements_have_what_the_project_needs() -> None:
    locked = _locked("image.txt")
    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[wanted.name.lower()]), text


def test_what_builds_the_wheel_and_lists_the_parts_is_locked_too() -> None:
    assert "setuptools" in _locked("build.txt")
    assert {"cyclonedx-bom", "debsbom"} <= _locked("sbom.txt").keys()


def test_the_manifests_name_the_image_of_this_version() -> None:
    for path in (ROOT / "manifests").rglob("kustomization.yaml"):
        for image in yaml.safe_load(path.read_text()).get("images", ()):
            assert image["newTag"] == VERSION, path


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of the working tree, and the wheel out of that sdist, made with what is locked."""
    folder = tmp_path_factory.mktemp("dist")
    python = _environment(folder / "tools", "build.txt")
    tree = folder / "tree"
    tree.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "kdns", tree / "kdns", ignore=shutil.ignore_patterns("__pycache__"))
    archive = folder / _hook(python, tree, "build_sdist", folder)
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "source", filter="data")
    [source] = (folder / "source").iterdir()
    _hook(python, source, "build_wheel", folder)
    return folder


def _environment(folder: Path, locked: str) -> Path:
    """Make an environment of exactly these packages, and return its Python."""
    _run(folder.parent, sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    # The file is complete: `pip check` says so, and nobody has to search for what it may lack.
    options = ("--require-hashes", "--only-binary=:all:", "--no-deps")
    _pip(python, "install", *options, "--requirement", ROOT / "requirements" / locked)
    return python


def _pip(python: Path, command: str, *words: str | Path) -> None:
    """Let our own pip work on another environment: to install one there takes seconds."""
    if command == "install":
        words = ("--quiet", "--no-compile", *words)
    _run(python.parent, sys.executable, "-m", "pip", "--python", python, command, *words)


def _hook(python: Path, tree: Path, hook: str, folder: Path) -> str:
    """Call a hook of PEP 517; it tells the name of what it made last."""
    program = (
        "import sys; from setuptools import build_meta as backend;"
        " print(getattr(backend, sys.argv[1])(sys.argv[2]))"
    )
    return _run(tree, python, "-c", program, hook, str(folder)).splitlines()[-1]


def _run(where: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_wheel_has_every_module_and_page_and_the_one_version(dist: Path) -> None:
    [path] = dist.glob("*.whl")
    assert path.name == f"kdns-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path) as wheel:
        packed = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"kdns-{VERSION}.dist-info/METADATA").decode())
    # Whoever works on the tree adds modules meanwhile: what was packed is the copy.
    tree = dist / "tree"
    expected = {str(one.relative_to(tree)) for one in tree.rglob("kdns/**/*.py")}
    expected |= {str(one.relative_to(tree)) for one in tree.glob("kdns/plugins/*.md")}

    assert expected | {"kdns/py.typed"} <= packed
    assert not [name for name in packed if name.startswith("tests")]
    assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "Apache-2.0")


@pytest.mark.timeout(300)
def test_the_wheel_in_a_clean_environment_of_the_locked_requirements_runs(
    dist: Path, tmp_path: Path
) -> None:
    [wheel] = dist.glob("*.whl")
    python = _environment(tmp_path / "clean", "image.txt")
    _pip(python, "install", "--no-index", "--no-deps", wheel)
    program = python.with_name("kdns")
    demo = ("--manifests", ROOT / "manifests" / "demo")

    _pip(python, "check")
    assert _run(tmp_path, program, "--version").strip() == f"kdns-{VERSION}"
    assert "db.default.svc.cluster.local." in _run(tmp_path, program, "query", "db", *demo)
