"""The files of a Corefile: the only place in this package that reads any.

Knows no syntax but that of a pattern.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

STDIN = "stdin"
"""The path that means standard input, as for CoreDNS."""

_WILD = re.compile(r"[*?\[]")
_TOO_WILD = re.compile(r"\*.*\*|\?.*\?|\[", re.DOTALL)


class Source(Struct, frozen=True):
    """A file that was read."""

    path: str
    content: bytes


Read: TypeAlias = Callable[[str, Path], Sequence[Source]]
"""Pattern and directory that it is relative to -> files; OSError or ValueError where it fails."""


def read(path: str) -> Source:
    """Read one file, or standard input; OSError where that fails."""
    return Source(path, sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes())


def matching(pattern: str, directory: Path) -> list[Source]:
    """Read the files that match, sorted: none for a pattern without any, one for a plain path.

    As in CoreDNS hidden files match, and a directory that matches is an error. Raises OSError
    for what cannot be read and ValueError for a pattern with more than a ``*`` and a ``?``.
    """
    if _TOO_WILD.search(pattern):
        raise ValueError("expected at most one * and one ?, and no [, in a pattern")
    if not _WILD.search(pattern):
        return [_file(directory / pattern)]
    anchor = Path(pattern).anchor
    found = Path(anchor).glob(pattern.lstrip(anchor)) if anchor else directory.glob(pattern)
    return [_file(path) for path in sorted(found)]


def _file(path: Path) -> Source:
    return Source(os.path.normpath(path), path.read_bytes())
