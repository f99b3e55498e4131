"""Where relative paths begin."""

from pathlib import Path

import pytest

from kdns.errors import CorefileError
from kdns.plugins import root
from tests.plugin import setup_of


def test_the_root_is_a_directory(tmp_path: Path) -> None:
    plugin, block = setup_of(root.setup, f"root {tmp_path}")

    assert plugin is None
    assert (block.root, block.warnings) == (tmp_path, [])


def test_the_last_of_several_counts(tmp_path: Path) -> None:
    _, block = setup_of(root.setup, f"root /\nroot {tmp_path}")

    assert block.root == tmp_path


def test_a_directory_that_is_not_there_may_come_later(tmp_path: Path) -> None:
    _, block = setup_of(root.setup, f"root {tmp_path}/zones")

    assert block.root == tmp_path / "zones"
    text = f"root: the directory '{tmp_path}/zones' does not exist"
    assert block.warnings == [f"Corefile:2: {text}"]


def test_a_file_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, block = setup_of(root.setup, f"root {tmp_path}/file")

    assert block.warnings == [f"Corefile:2: root: '{tmp_path}/file' is no directory"]


REFUSED = {
    "nothing": ("root", "2: root: expected one directory"),
    "two": ("root a b", "2: root: expected one directory, got 2 words"),
    "a block": ("root / {\nx\n}", "3: root takes no block"),
    "a path through a file": ("root /dev/null/x", "2: root: cannot access '/dev/null/x': Not a"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(root.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")
