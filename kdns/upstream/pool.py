"""Sockets to one upstream that are used again, and the questions that wait on each.

When as many are in use as may be, they are shared: then the id tells the responses apart.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from msgspec import Struct

from kdns.errors import UpstreamError
from kdns.prompt import Prompt
from kdns.upstream.chance import Chance
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.question import Question, is_answer, is_complaint
from kdns.upstream.settings import Settings

MAX_OPEN = 256
"""Sockets of one transport to one upstream: other parts of a server need some too."""
CLOSED = "its sockets were closed"
_ID = 2


class Exchange(Prompt[bytes]):
    """A question that waits on a socket for its response."""

    def __init__(self, channel: "Channel", message_id: bytes, asked: Question) -> None:
        super().__init__(loop=channel.loop)
        self.message_id = message_id
        self.asked = asked
        self._channel = channel

    def set_exception(self, exception: type | BaseException) -> None:
        """End it without a response. Raises OSError or UpstreamError where it is awaited."""
        self._channel.give_up(self)
        super().set_exception(exception)

    def cancel(self, msg: object = None) -> bool:
        """End it because nobody waits any more."""
        if not self.done():
            self._channel.give_up(self)
        return super().cancel(msg)


class Channel(ABC):
    """A socket to an upstream."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool[Any]") -> None:
        self.loop = loop
        self._pool = pool
        self.waiting: dict[bytes, Exchange] = {}
        """By the id of the query."""
        self.made = self.used = loop.time()
        self.uses = 0
        self.retired = False
        """Whether no more questions are to be asked here."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Send a query. Raises OSError where that is impossible."""

    @abstractmethod
    def close(self) -> None:
        """Close the socket; nobody waits any more."""

    @abstractmethod
    def mismatched(self, exchange: Exchange) -> None:
        """Decide about a response with the right id that is to another question."""

    def ask(self, asked: Question, deadlines: Deadlines, until: float) -> Exchange:
        """Send a query, and have its response until a time of the event loop.

        Raises OSError where that is impossible.
        """
        # RFC 5452 section 9.2: the id is not to be guessed.
        message_id = self._pool.chance.octets(_ID)
        while message_id in self.waiting:
            message_id = self._pool.chance.octets(_ID)
        exchange = self.waiting[message_id] = Exchange(self, message_id, asked)
        self.uses += 1
        try:
            self.send(message_id + asked.body)
        except OSError:
            self.give_up(exchange)
            raise
        deadlines.add(exchange, until)
        return exchange

    def arrived(self, message: bytes) -> None:
        """Hand a message to whoever waits for it, if anybody does."""
        exchange = self.waiting.get(message[:_ID])
        if exchange is None:
            return
        if is_answer(exchange.asked, message):
            self._end(exchange)
            exchange.set_result(message)
        elif is_complaint(message):
            exchange.set_exception(UpstreamError("the response is an error without a question"))
        else:
            self.mismatched(exchange)

    def fail(self, error: OSError) -> None:
        """Tell all who wait that nothing will come."""
        self.retired = True
        for exchange in tuple(self.waiting.values()):
            if not exchange.done():
                exchange.set_exception(error)

    def give_up(self, exchange: Exchange) -> None:
        """Wait no longer. A response may still come: nobody else is to mistake it for theirs."""
        self.retired = True
        self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        """Go back to the pool, if it was the last one that waited."""
        if self.waiting.pop(exchange.message_id, None) is not None:
            self._pool.give_back(self, self.loop.time())


class Turnover(Struct, frozen=True):
    """When there is to be another socket instead."""

    most: int = MAX_OPEN
    """Sockets that are asked from, besides retired ones that wait for the last response."""
    max_uses: int = 0
    """Questions from one; 0 is any number."""
    max_age: float = 0.0
    """Seconds; 0 is any age."""
    shuffled: bool = False
    """Use any idle one, not the last that was used: its port is not to be guessed."""


_C = TypeVar("_C", bound=Channel)


class Pool(Generic[_C]):
    """The open sockets of one transport to one upstream."""

    def __init__(self, settings: Settings, turnover: Turnover = Turnover()) -> None:  # noqa: B008
        """Prepare; nothing is opened here."""
        self.chance = Chance()
        self._expire = settings.expire
        ages = [age for age in (settings.max_age, turnover.max_age) if age]
        self._max_age = min(ages, default=0.0)
        self._max_idle = settings.max_idle
        self._turnover = turnover
        self.closed = False
        self._open: set[_C] = set()
        self._live: list[_C] = []
        """Those that may be asked from, and some that were retired since."""
        self._idle: list[_C] = []
        self._timer: asyncio.TimerHandle | None = None

    def take(self, now: float, opening: int = 0) -> _C | None:
        """Return a socket to use; None where there is none.

        A socket is shared when there are as many as may be, ``opening`` among them. Raises
        ConnectionAbortedError when all was closed.
        """
        if self.closed:
            raise ConnectionAbortedError(CLOSED)
        idle = self._idle
        while idle:
            if self._turnover.shuffled and len(idle) > 1:
                index = self.chance.below(len(idle))
                idle[index], idle[-1] = idle[-1], idle[index]
            channel = idle.pop()
            if self._usable(channel, now):
                return channel
            self._close(channel)
        return self._shared(opening)

    def is_full(self, opening: int) -> bool:
        """Whether no more are to be opened."""
        return len(self._open) + opening >= MAX_OPEN

    def add(self, channel: _C) -> None:
        """Count a socket that was opened, or close it when all was closed meanwhile."""
        if self.closed:
            channel.close()
            raise ConnectionAbortedError(CLOSED)
        self._open.add(channel)
        self._live.append(channel)

    def give_back(self, channel: _C, now: float) -> None:
        """Keep a socket, or close it, when nobody waits on it any more."""
        channel.used = now
        if 0 < self._turnover.max_uses <= channel.uses:
            channel.retired = True
        if channel.waiting:
            return
        if channel.retired or (self._max_idle and len(self._idle) >= self._max_idle):
            self._close(channel)
        else:
            self._idle.append(channel)
            if self._timer is None:
                self._arm()

    def close(self) -> None:
        """Close all, for good; who waits gets an OSError."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for channel in [*self._open]:
            channel.fail(ConnectionAbortedError(CLOSED))
            self._close(channel)
        self._idle.clear()

    def _shared(self, opening: int) -> _C | None:
        """Return one that is in use already; None where another one may be opened."""
        live = self._live
        while live and (len(live) + opening >= self._turnover.most or self.is_full(opening)):
            index = self.chance.below(len(live))
            channel = live[index]
            if not channel.retired:
                return channel
            live[index] = live[-1]
            live.pop()
        return None

    def _usable(self, channel: _C, now: float) -> bool:
        if channel.retired or now - channel.used > self._expire:
            return False
        return not self._max_age or now - channel.made <= self._max_age

    def _close(self, channel: _C) -> None:
        if channel in self._open:  # or all was closed, and who waited there heard of it later
            self._open.remove(channel)
            channel.retired = True
            channel.close()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(self._expire, 1.0), self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        idle, self._idle = self._idle, []
        for channel in idle:
            if self._usable(channel, now):
                self._idle.append(channel)
            else:
                self._close(channel)
        if self._idle:
            self._arm()
