"""Where manifests are: paths to files with the stamps that tell when to read them again.

Opens files and lists directories; knows nothing of what is in them.
"""

import errno
import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from stat import S_ISDIR, S_ISREG

from msgspec import Struct

from kdns.errors import ManifestError, UsageError

STDIN = "-"
# Milliseconds to wait for a writer, and octets to read, before looking at signals.
_PATIENCE = 100
_AT_ONCE = 1 << 20
_SUFFIXES = (".yaml", ".yml", ".json")
# Deleted between the listing and the look at it, or a link to nowhere, to itself or below a file.
_NOWHERE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG})


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
    once: bool = False
    """Whether it can be read only once: standard input, a pipe, a device."""

    @property
    def name(self) -> str:
        """The file in messages."""
        return "stdin" if self.path == STDIN else self.path

    def read(self) -> bytes:
        """Return its bytes."""
        try:
            if self.path == STDIN:
                return _drained(_stdin())
            with open(self.path, "rb", opener=self._open) as stream:
                return _drained(stream.fileno()) if self.once else stream.read()
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def _open(self, path: str, flags: int) -> int:
        """Open without waiting for a writer: a pipe may have taken the place of a file."""
        number = os.open(path, flags | os.O_NONBLOCK)
        if not self.once and not S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, "no regular file any more")
        return number


class Listing(Struct, frozen=True):
    """The files that a path names or contains, in the order in which they are read."""

    files: tuple[File, ...] = ()
    version: int = 0
    """Seconds of the last change of one of the files, or of a directory: a deletion is one."""

    @property
    def once(self) -> bool:
        """Whether its one file can be read only once."""
        return any(file.once for file in self.files)


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
        yield _once(STDIN), 1
        return
    try:
        status = os.stat(path)  # noqa: PTH116 - the paths are texts
    except OSError as error:
        raise _unreadable(path, error) from None
    if S_ISDIR(status.st_mode):
        yield from _inside(path, status)
    elif not S_ISREG(status.st_mode):
        yield _once(path), 1
    else:
        yield _file(path, status), _seconds(status)


def _inside(directory: str, status: os.stat_result) -> Iterator[tuple[File | None, int]]:
    """Walk a directory in sorted order, past hidden entries.

    Links to files are followed, since that is what a mounted ConfigMap consists of; links to
    directories are not, since they can lead in circles.
    """
    yield None, _seconds(status)
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
                status = entry.stat()
                yield _file(entry.path, status, lenient=True), _seconds(status)
        except OSError as error:
            if error.errno not in _NOWHERE:
                raise _unreadable(entry.path, error) from None


def _file(path: str, status: os.stat_result, *, lenient: bool = False) -> File:
    return File(path, Stamp(status.st_mtime_ns, status.st_size, status.st_ino), lenient)


def _once(path: str) -> File:
    return File(path, Stamp(0, 0, 0), once=True)


def _stdin() -> int:
    # Python has no sys.stdin when the descriptor is closed, which its type does not say.
    if not hasattr(sys.stdin, "fileno"):
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.fileno()


def _drained(number: int) -> bytes:
    """Read to the end of a descriptor; a signal that comes meanwhile takes effect.

    A signal just before a blocking call is noticed after it, so no call here blocks for long.
    """
    waiting = select.poll()
    waiting.register(number, select.POLLIN)
    parts: list[bytes] = []
    while not parts or parts[-1]:
        if waiting.poll(_PATIENCE):
            with suppress(BlockingIOError):
                parts.append(os.read(number, _AT_ONCE))
    return b"".join(parts)


def _seconds(status: os.stat_result) -> int:
    return int(status.st_mtime)


def _unreadable(path: str, error: OSError) -> ManifestError:
    return ManifestError(path, 0, f"cannot be read: {error.strerror or error}")
