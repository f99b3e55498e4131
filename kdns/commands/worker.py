"""One of the processes of ``multisocket``: a server whose cluster comes through a pipe.

Started as ``python -m kdns.commands.worker FD`` by ``crew`` and by nobody else. It binds sockets
of its own beside those of the others, and ends when it is told to or its pipe does; first it
answers the queries that are in its sockets.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from functools import partial

from kdns.app import FromParent, Server
from kdns.cluster import Cluster, Clusters, From, FromObjects
from kdns.commands import loops
from kdns.errors import KdnsError
from kdns.kube.resources import Selection
from kdns.workers.pipe import (
    LAST,
    Changes,
    Condition,
    End,
    Pipe,
    Ran,
    Report,
    Reported,
    Run,
    Source,
    Stopped,
)

log = logging.getLogger(__name__)


class PipedClusters(Clusters):
    """Clusters whose changes a parent sends, under the names that it has for them."""

    def get(self, source: From, selection: Selection) -> Cluster:
        """Return the cluster that the parent has for this."""
        known = (source, selection)
        return super().get(FromObjects(repr(known), known=False), Selection())

    def of(self, source: Source) -> Cluster:
        """Return the cluster of a frame."""
        return self.get(*source)


async def work(end: socket.socket) -> None:
    """Do what the parent says until it says nothing any more."""
    pipe = await Pipe.over(end)
    server = Server(FromParent(), clusters=PipedClusters())
    telling = asyncio.create_task(_tell_of_stop(server, pipe))
    try:
        while (frame := await pipe.receive()) is not None:
            match frame:
                case Changes() | Condition():
                    _follow(server, frame)
                case Run():
                    pipe.send(Ran(await _run(server, frame)))
                case Report(number):
                    pipe.send(_reported(server, number))
                case End():
                    break
                case _:
                    raise AssertionError(f"a parent does not say {type(frame).__name__}")
    finally:
        telling.cancel()
        server.ending = True
        await server.close()
        pipe.send(_reported(server, LAST))
        await pipe.finish()


def _reported(server: Server, number: int) -> Reported:
    return Reported(number, tuple(server.metrics.registry.collect()))


async def _tell_of_stop(server: Server, pipe: Pipe) -> None:
    await server.stopped.wait()
    pipe.send(Stopped(server.status, server.why))


def _follow(server: Server, frame: Changes | Condition) -> None:
    clusters = server.clusters
    if not isinstance(clusters, PipedClusters):
        raise TypeError("a worker has piped clusters")
    cluster = clusters.of(frame.source)
    match frame:
        case Changes(changes=changes):
            for change in changes:
                cluster.take(change)
        case Condition():
            cluster.know(frame.stale, frame.unlisted, frame.serial)
            if frame.synced:
                cluster.synced.set()


async def _run(server: Server, frame: Run) -> str:
    """Change over to a Corefile; return why that is impossible, or nothing."""
    try:
        await server.run(FromParent(frame.corefile, frame.port))
    except KdnsError as error:
        return str(error)
    # What is there now stays: the collector need not look through it again.
    gc.freeze()
    return ""


def main() -> None:
    """Serve until the parent ends."""
    logging.basicConfig(format="[%(levelname)s] %(message)s", level=logging.INFO, stream=sys.stdout)
    # A terminal sends these to every process of a group; the parent decides what they mean.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    loops.run(partial(work, socket.socket(fileno=int(sys.argv[1]))))
    # Threads of pages or look-ups must not hold up an end.
    os._exit(0)


if __name__ == "__main__":
    main()
