"""What a parent and its worker processes say to one another, as frames on a socket pair.

Both ends are the same program of the same version, so a frame is a pickle. Knows no DNS.
"""

import asyncio
import pickle
import socket
from contextlib import suppress
from typing import Any, TypeAlias

from msgspec import Struct
from prometheus_client import Metric

from kdns.cluster import From
from kdns.corefile.syntax import Corefile
from kdns.kube.changes import Change
from kdns.kube.objects import Kind
from kdns.kube.resources import Selection

LAST = -1
"""Number of a report that nobody asked for: the worker ends."""
_LENGTH = 4
_LIMIT = 1 << 30

Source: TypeAlias = tuple[From, Selection]
"""What a cluster follows: its name on both sides."""


class Changes(Struct, frozen=True):
    """Changes of a cluster, in their order."""

    source: Source
    changes: tuple[Change, ...]


class Condition(Struct, frozen=True):
    """What is known of a cluster beside its objects."""

    source: Source
    synced: bool
    stale: str
    unlisted: frozenset[tuple[Kind, str]]
    serial: int


class Run(Struct, frozen=True):
    """Change over to this Corefile; ``port`` is for zones without one."""

    corefile: Corefile
    port: int


class Ran(Struct, frozen=True):
    """Whether a worker changed over: an error, or nothing."""

    error: str = ""


class Report(Struct, frozen=True):
    """Ask for ``Reported``."""

    number: int


class Reported(Struct, frozen=True):
    """The metrics of a worker at this moment, or at its end."""

    number: int
    families: tuple[Metric, ...]


class End(Struct, frozen=True):
    """Answer what has arrived, report for the last time, and end."""


class Stopped(Struct, frozen=True):
    """A fault that must not go on: the whole server ends with this exit status."""

    status: int
    why: str


Frame: TypeAlias = Changes | Condition | Run | Ran | Report | Reported | End | Stopped


class Pipe:
    """One end of the connection between parent and worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Pipe":
        """Take over one end of a socket pair."""
        reader, writer = await asyncio.open_connection(sock=end)
        return cls(reader, writer)

    def send(self, frame: Frame) -> None:
        """Send a frame, whenever the other side reads it."""
        data = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
        self._writer.write(len(data).to_bytes(_LENGTH) + data)

    @property
    def waiting(self) -> int:
        """Return the octets that the other side has not read yet."""
        transport: Any = self._writer.transport
        return int(transport.get_write_buffer_size())

    async def receive(self) -> Frame | None:
        """Return the next frame; None when the other side is gone."""
        try:
            size = int.from_bytes(await self._reader.readexactly(_LENGTH))
            data = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None
        frame: Frame = pickle.loads(data)  # noqa: S301 - the other end is this very program
        return frame

    def close(self) -> None:
        """Close this end."""
        self._writer.close()

    async def finish(self) -> None:
        """Close this end when the other side was sent everything."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
