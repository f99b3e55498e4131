"""The last known objects, kept in a file for the next start. Knows no API server and no DNS.

The file is text, one JSON value per line: a header, the objects, and a trailer that tells whether
everything is there and unharmed. ``encode`` and ``decode`` are pure; ``load`` and ``Keeper`` touch
the disk, and no trouble with it ever stops anybody.
"""

import asyncio
import logging
import os
import time
from binascii import crc32
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder, Encoder

from kdns.errors import SnapshotError
from kdns.kube.objects import EndpointSlice, Kind, Namespace, Object, Pod, Service

log = logging.getLogger(__name__)

MAX_SKEW = 300.0
"""Seconds by which the clock may have been ahead when a snapshot was written."""
FORMAT = "kdns snapshot"
VERSION = 2
"""Goes up when an older kdns could not read the objects any more, or would misread them."""

Contents: TypeAlias = tuple[Iterable[Kind], Iterable[Object]]
"""The kinds that are completely known, and all their objects."""


class Snapshot(Struct, frozen=True):
    """What was known at some time."""

    written: float
    """Until when it was known to be true."""
    about: str
    """Which cluster and which part of it."""
    kinds: tuple[Kind, ...]
    """Only these were completely known."""
    objects: tuple[Object, ...]


class _Header(Struct):
    format: str = ""
    version: int = 0
    about: str = ""
    written: float = 0.0
    kinds: tuple[Kind, ...] = ()


class _Trailer(Struct):
    objects: int
    crc: int


_header = Decoder(_Header).decode
_trailer = Decoder(_Trailer).decode
_entry = Decoder(tuple[Kind, Raw]).decode
_decoders: dict[Kind, Callable[[Raw], Object]] = {
    "Namespace": Decoder(Namespace).decode,
    "Service": Decoder(Service).decode,
    "ServiceImport": Decoder(Service).decode,
    "EndpointSlice": Decoder(EndpointSlice).decode,
    "Pod": Decoder(Pod).decode,
}
_json = Encoder().encode


# -- pure -------------------------------------------------------------------------------------


def encode(contents: Contents, written: float, about: str = "") -> Iterator[bytes]:
    """Yield the lines of a snapshot.

    One at a time, so that whoever writes them never keeps other threads waiting for long.
    """
    kinds, objects = contents
    line = _json(_Header(FORMAT, VERSION, about, written, tuple(kinds))) + b"\n"
    crc, count = crc32(line), 0
    yield line
    for count, item in enumerate(objects, 1):  # noqa: B007 - the trailer needs the last one
        line = _json((item.KIND, item)) + b"\n"
        crc = crc32(line, crc)
        yield line
    yield _json(_Trailer(count, crc)) + b"\n"


def decode(data: bytes) -> Snapshot:
    """Read a snapshot, or raise ``SnapshotError``."""
    lines = data.splitlines(keepends=True)
    try:
        header = _header(lines[0])
        if (header.format, header.version) != (FORMAT, VERSION):
            found = f"{header.format!r} version {header.version}"
            raise SnapshotError(f"found {found}, expected {FORMAT!r} version {VERSION}")
        trailer = _trailer(lines[-1])
        if crc32(data[: -len(lines[-1])]) != trailer.crc or trailer.objects != len(lines) - 2:
            raise SnapshotError("it is damaged: the checksum is wrong")
        objects = tuple(_object(line) for line in lines[1:-1])
    except (MsgspecError, ValueError, RecursionError, IndexError) as problem:
        raise SnapshotError(f"it is damaged: {problem}") from problem
    return Snapshot(header.written, header.about, header.kinds, objects)


def _object(line: bytes) -> Object:
    kind, raw = _entry(line)
    return _decoders[kind](raw)


def usable(snapshot: Snapshot, now: float, max_age: float, about: str) -> Snapshot:
    """Return the snapshot if it is of this cluster and no older than that.

    Raises ``SnapshotError`` otherwise.
    """
    age = now - snapshot.written
    if age > max_age:
        raise SnapshotError(f"it is {age:.0f} s old, expected at most {max_age:.0f} s")
    if age < -MAX_SKEW:
        raise SnapshotError(f"it is from the future, by {-age:.0f} s")
    if snapshot.about != about:
        raise SnapshotError(f"it is of {snapshot.about!r}, expected {about!r}")
    return snapshot


# -- files ------------------------------------------------------------------------------------


def load(
    path: Path, max_age: float, about: str = "", now: Callable[[], float] = time.time
) -> Snapshot | None:
    """Read the snapshot of an earlier run; ``None``, and a warning, when it is of no use."""
    try:
        return usable(decode(path.read_bytes()), now(), max_age, about)
    except FileNotFoundError:
        log.info("snapshot %s: there is none yet", path)
    except (SnapshotError, OSError) as problem:
        log.warning("snapshot %s is not used: %s", path, problem)
    return None


def save(path: Path, contents: Contents, now: float, about: str = "") -> None:
    """Write a snapshot so that the file is at any time either the old one or the new one."""
    # Always the same name: what a killed process left is overwritten, and does not pile up.
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.writelines(encode(contents, now, about))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


FIRST = 5.0
"""Seconds from the first change to the first snapshot of a process."""


class Keeper:
    """Writes a snapshot after changes, but rarely, while its block runs and once at its end."""

    def __init__(
        self,
        path: Path,
        contents: Callable[[], Contents],
        interval: float = 60.0,
        about: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        """``contents`` is asked on the event loop; what it returns is written by a thread.

        ``now`` is the time until which it is known to be true.
        """
        self._about = about
        self._path = path
        self._contents = contents
        self._interval = interval
        self._now = now
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    def changed(self) -> None:
        """Tell that there is something to write; costs next to nothing."""
        self._changed.set()

    async def __aenter__(self) -> Self:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is not written yet."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._writing is not None:
            # Never two at once: the older one might be the last to be renamed.
            await self._writing
        if self._changed.is_set():
            await self._write()

    async def _run(self) -> None:
        # A server that is killed in its first minute is to find what it had listed.
        pause = min(FIRST, self._interval)
        while True:
            await self._changed.wait()
            await asyncio.sleep(pause)
            pause = self._interval
            self._writing = asyncio.create_task(self._write())
            await asyncio.shield(self._writing)

    async def _write(self) -> None:
        self._changed.clear()
        kinds, objects = self._contents()
        kept: Contents = (tuple(kinds), tuple(objects))
        try:
            await asyncio.to_thread(save, self._path, kept, self._now(), self._about)
        except OSError as problem:
            log.warning("snapshot %s is not written: %s", self._path, problem)
