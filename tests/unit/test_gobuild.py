import os
from pathlib import Path

import pytest

from tests import controlplane, coredns
from tests.gobuild import Module, NotBuilt

FAKE_GO = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo "$0: compiled" >&2
{failure}
for name in one two; do printf '#!/bin/sh\\n' > "$2$name"; chmod +x "$2$name"; done
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """A module of two programs, an empty cache, and no Go."""
    folder = tmp_path / "module"
    (folder / "cmd" / "one").mkdir(parents=True)
    (folder / "cmd" / "one" / "main.go").write_text("package main\n")
    (folder / "go.mod").write_text("module one\n\nrequire (\n\texample.org/big v1.2.3\n)\n")
    (folder / "go.sum").write_text("")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Module("example", folder, ("one", "two"), minutes=1)


def install_go(module: Module, monkeypatch: pytest.MonkeyPatch, failure: str = "") -> None:
    fake = module.folder.parent / "bin" / "go"
    fake.write_text(FAKE_GO.format(failure=failure))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_without_go_the_reason_is_clear(module: Module) -> None:
    with pytest.raises(NotBuilt, match="example is built with Go, and there is no `go` on PATH"):
        module.build()


def test_find_never_builds_but_says_how(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    install_go(module, monkeypatch)
    with pytest.raises(NotBuilt, match=r"one, two not built.*`python -m tests.example.build`"):
        module.find()


def test_what_was_built_is_found(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    install_go(module, monkeypatch)
    folder = module.build()
    assert module.find() == folder
    assert {path.name for path in folder.iterdir()} == {"lock", "one", "two"}


def test_what_is_built_needs_no_go(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    install_go(module, monkeypatch)
    folder = module.build()
    (module.folder.parent / "bin" / "go").unlink()
    assert module.build() == folder


def test_a_failed_build_leaves_no_program_and_tells(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go(module, monkeypatch, failure="echo no such package >&2; exit 1")
    with pytest.raises(NotBuilt, match=r"status 1:\n(.*\n)*no such package"):
        module.build()
    with pytest.raises(NotBuilt, match="not built yet"):
        module.find()


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "cmd/one/main.go"])
def test_another_module_has_another_folder(module: Module, name: str) -> None:
    before = module.cache()
    with (module.folder / name).open("a") as file:
        file.write("// changed\n")
    assert module.cache() != before


@pytest.mark.parametrize("package", [controlplane, coredns])
def test_the_command_that_is_named_exists(package: object) -> None:
    [folder] = package.__path__  # type: ignore[attr-defined]
    assert (Path(folder) / "build.py").exists()
