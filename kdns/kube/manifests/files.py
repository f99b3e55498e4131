"""Where manifests are: paths to files with the stamps that tell when to read them again.

Opens files and lists directories; knows nothing of what is in them.
"""

import os
import sys
from collections.abc import Iterator
from stat import S_ISDIR

from msgspec import Struct

from kdns.errors import ManifestError, UsageError

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")


class Stamp(Struct, frozen=True, gc=False):
    """What changes when a file does: a rewrite, a replacement and a switched link all show."""

    modified: int
    """In nanoseconds."""
    size: int
    inode: int


class File(Struct, frozen=True, gc=False):
    """One file to read."""

    path: str
    stamp: Stamp
    lenient: bool = False
    """Found in a directory, where not every file is a manifest."""
    version: int = 1
    """Whole seconds of the last change of the file, or of the directory it was found in."""

    @property
    def name(self) -> str:
        """The file in messages."""
        return "stdin" if self.path == STDIN else self.path

    def read(self) -> bytes:
        """Return its bytes."""
        if self.path == STDIN:
            return sys.stdin.buffer.read()
        try:
            with open(self.path, "rb") as stream:  # noqa: PTH123 - the paths are texts
                return stream.read()
        except OSError as error:
            raise _unreadable(self.path, error) from None


class Listing(Struct, frozen=True):
    """The files that a path names or contains, in the order in which they are read."""

    files: tuple[File, ...] = ()
    version: int = 0
    """The highest version of a file or directory, so that a deletion shows in it too."""


def find(path: str) -> Listing:
    """List the file that the path names, or the manifests in the directory that it names."""
    if not path:
        raise UsageError("manifests '': expected a path")
    found = list(_below(path))
    version = max(seconds for _, seconds in found)
    return Listing(tuple(file for file, _ in found if file), version)


def _below(path: str) -> Iterator[tuple[File | None, int]]:
    """Yield files, and directories as None, with their versions."""
    if path == STDIN:
        yield File(STDIN, Stamp(0, 0, 0)), 1
        return
    try:
        status = os.stat(path)  # noqa: PTH116 - the paths are texts
    except OSError as error:
        raise _unreadable(path, error) from None
    if S_ISDIR(status.st_mode):
        yield from _inside(path, status)
    else:
        file = _file(path, status, 0)
        yield file, file.version


def _inside(directory: str, status: os.stat_result) -> Iterator[tuple[File | None, int]]:
    """Walk a directory in sorted order, past hidden entries.

    Links to files are followed, since that is what a mounted ConfigMap consists of; links to
    directories are not, since they can lead in circles.
    """
    seconds = _seconds(status)
    yield None, seconds
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(directory, error) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from _inside(entry.path, entry.stat())
            elif entry.name.endswith(_SUFFIXES) and entry.is_file():
                file = _file(entry.path, entry.stat(), seconds, lenient=True)
                yield file, file.version
        except FileNotFoundError:
            # Deleted between the listing and the look at it, or a link to nowhere.
            continue


def _file(path: str, status: os.stat_result, seconds: int, *, lenient: bool = False) -> File:
    stamp = Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
    return File(path, stamp, lenient, max(_seconds(status), seconds))


def _seconds(status: os.stat_result) -> int:
    return int(status.st_mtime)


def _unreadable(path: str, error: OSError) -> ManifestError:
    return ManifestError(path, 0, f"cannot be read: {error.strerror or error}")
