"""Ask one upstream over UDP, each question from a port that is hard to guess.

A socket is connected, so that the kernel drops what others send and reports it when nobody
listens there. It is used for some questions and then closed: to open one for every question
costs more than all the rest, and one that stays open for long could be found out (RFC 5452
section 9.2). Whoever guesses has to guess port and id, be it one question that waits on a port or
several. Knows no second upstream.
"""

import asyncio
import socket
from collections.abc import Awaitable

from kdns.upstream.address import Upstream
from kdns.upstream.counts import Counts
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.pool import Channel, Exchange, Pool, Turnover
from kdns.upstream.question import Question
from kdns.upstream.settings import Settings

PORTS = 32
"""Ports that questions leave from at the same time. More would have the event loop look at more
sockets for the same responses."""
MAX_USES, MAX_AGE = 128, 2.0
"""Questions from one port, and seconds; CoreDNS has no such limits."""
_MOST_MESSAGES = 16
"""Datagrams that are read in one go: a flood of forged ones must not keep others waiting."""
_MAX_MESSAGE = 65_535


class Datagrams:
    """The UDP sockets to an upstream."""

    def __init__(self, upstream: Upstream, settings: Settings, counts: Counts) -> None:
        self._upstream = upstream
        self._source = settings.source
        self._counts = counts
        self._deadlines = Deadlines()
        turnover = Turnover(most=PORTS, max_uses=MAX_USES, max_age=MAX_AGE, shuffled=True)
        self._pool: Pool[_Port] = Pool(settings, turnover)

    def ask(self, asked: Question, until: float) -> Awaitable[bytes]:
        """Return the response to a question; it, or this, raises OSError or UpstreamError.

        ``until`` is in the time of the event loop.
        """
        loop = asyncio.get_running_loop()
        port = self._pool.take(loop.time())
        if port is None:
            self._counts.opened["udp"] += 1
            port = self._open(loop)
        else:
            self._counts.reused["udp"] += 1
        return port.ask(asked, self._deadlines, until)

    def close(self) -> None:
        """Close all sockets, for good; who waits gets an OSError."""
        self._pool.close()

    def _open(self, loop: asyncio.AbstractEventLoop) -> "_Port":
        port = _Port(connected(self._upstream, self._source), loop, self._pool)
        self._pool.add(port)
        return port


class _Port(Channel):
    """A connected UDP socket."""

    def __init__(
        self, bound: socket.socket, loop: asyncio.AbstractEventLoop, pool: "Pool[_Port]"
    ) -> None:
        super().__init__(loop, pool)
        self._socket = bound
        self._closed = False
        loop.add_reader(bound, self._read)

    def send(self, message: bytes) -> None:
        """Send a datagram."""
        self._socket.send(message)

    def close(self) -> None:
        """Close the socket."""
        self._closed = True
        self.loop.remove_reader(self._socket)
        self._socket.close()

    def mismatched(self, exchange: Exchange) -> None:
        """Ignore it: it may be forged, and the true one may follow (RFC 5452 section 9.1)."""

    def _read(self) -> None:
        """Read what is there, and no further than to the last response that is waited for."""
        for _ in range(_MOST_MESSAGES):
            try:
                message = self._socket.recv(_MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError as error:
                self.fail(error)
                return
            self.arrived(message)
            if self._closed or not self.waiting:
                return


def connected(upstream: Upstream, source: str) -> socket.socket:
    """Open a UDP socket to an upstream; the kernel picks its port at random."""
    family, _, _, _, address = socket.getaddrinfo(
        upstream.host, upstream.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if source:
            opened.bind((source, 0))
        opened.connect(address)
    except BaseException:
        opened.close()
        raise
    return opened
