"""Sockets to one upstream that are used again, and the questions that wait on each.

Usually one question waits on a socket. When as many are open as may be, they are shared: then the
id tells the responses apart.
"""

import asyncio
from abc import ABC, abstractmethod
from secrets import randbelow, token_bytes
from typing import Generic, Self, TypeVar

from kdns.errors import UpstreamError
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.question import Question, is_answer, is_complaint
from kdns.upstream.settings import Settings

MAX_OPEN = 256
"""Sockets of one transport to one upstream: other parts of a server need some too."""
CLOSED = "its sockets were closed"
_ID = 2


class Channel(ABC):
    """A socket to an upstream."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiting: dict[bytes, tuple[Question, asyncio.Future[bytes]]] = {}
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
    def mismatched(self, future: "asyncio.Future[bytes]") -> None:
        """Decide about a response with the right id that is to another question."""

    async def ask(
        self, asked: Question, pool: "Pool[Self]", deadlines: Deadlines, until: float
    ) -> bytes:
        """Send a query, wait for its response until a time of the event loop, go back to the pool.

        Raises OSError or UpstreamError where none comes.
        """
        # RFC 5452 section 9.2: the id is not to be guessed.
        message_id = token_bytes(_ID)
        while message_id in self.waiting:
            message_id = token_bytes(_ID)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self.waiting[message_id] = (asked, future)
        self.uses += 1
        try:
            self.send(message_id + asked.body)
            deadlines.add(future, until)
            return await future
        except BaseException:
            # A response may still come: nobody else is to mistake it for theirs.
            self.retired = True
            raise
        finally:
            del self.waiting[message_id]
            pool.give_back(self, self._loop.time())

    def arrived(self, message: bytes) -> None:
        """Hand a message to whoever waits for it, if anybody does."""
        found = self.waiting.get(message[:_ID])
        if found is None or found[1].done():
            return
        asked, future = found
        if is_answer(asked, message):
            future.set_result(message)
        elif is_complaint(message):
            future.set_exception(UpstreamError("the response is an error without a question"))
        else:
            self.mismatched(future)

    def fail(self, error: OSError) -> None:
        """Tell all who wait that nothing will come."""
        self.retired = True
        for _, future in self.waiting.values():
            if not future.done():
                future.set_exception(error)


_C = TypeVar("_C", bound=Channel)


class Pool(Generic[_C]):
    """The open sockets of one transport to one upstream."""

    def __init__(self, settings: Settings, *, max_uses: int = 0, shuffled: bool = False) -> None:
        """``max_uses`` questions are asked from a socket, 0 is any number.

        ``shuffled`` takes any idle one, not the last that was used: its port is not to be guessed.
        """
        self._expire = settings.expire
        self._max_age = settings.max_age
        self._max_idle = settings.max_idle
        self._max_uses = max_uses
        self._shuffled = shuffled
        self.closed = False
        self._open: set[_C] = set()
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
            if self._shuffled and len(idle) > 1:
                index = randbelow(len(idle))
                idle[index], idle[-1] = idle[-1], idle[index]
            channel = idle.pop()
            if self._usable(channel, now):
                return channel
            self._close(channel)
        if len(self._open) + opening < MAX_OPEN:
            return None
        shared = [channel for channel in self._open if not channel.retired]
        return shared[randbelow(len(shared))] if shared else None

    def is_full(self, opening: int) -> bool:
        """Whether no more are to be opened."""
        return len(self._open) + opening >= MAX_OPEN

    def add(self, channel: _C) -> None:
        """Count a socket that was opened, or close it when all was closed meanwhile."""
        if self.closed:
            channel.close()
            raise ConnectionAbortedError(CLOSED)
        self._open.add(channel)

    def give_back(self, channel: _C, now: float) -> None:
        """Keep a socket, or close it, when nobody waits on it any more."""
        channel.used = now
        if self._max_uses and channel.uses >= self._max_uses:
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

    def _usable(self, channel: _C, now: float) -> bool:
        if channel.retired or now - channel.used > self._expire:
            return False
        return not self._max_age or now - channel.made <= self._max_age

    def _close(self, channel: _C) -> None:
        if channel in self._open:  # or all was closed, and who waited there heard of it later
            self._open.remove(channel)
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
