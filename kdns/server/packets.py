"""Finished responses, without the id that is stamped on in front. Knows bytes and the clock only.

Nearly all are the same octets every time. Two kinds change from one sending to the next: sets of
addresses, whose order rotates, and answers with a SOA, whose serial moves with every change of the
cluster.
"""

from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic

from kdns.chain import Repeat, Serial
from kdns.server.tally import Traffic
from kdns.wire.message import Message

_STARTS: Iterator[int] = count()
"""Where the next set begins, so that a set that is prepared anew does not start at its first
address every time."""


class Packet:
    """A finished response that counts how often it was sent."""

    __slots__ = ("body", "hits", "traffic")

    def __init__(self, body: bytes = b"") -> None:
        self.body = body
        """What is sent after the id, always the same; empty where ``next`` has to be asked."""
        self.hits = 0
        self.traffic: Traffic | None = None
        """What a sending is counted as; None while nobody counts."""

    def next(self) -> bytes:
        """Return what is sent this time; nothing when it may not be sent any more."""
        return self.body

    def sent(self, times: int) -> None:
        """Take note of sendings that were counted."""

    def __len__(self) -> int:
        return len(self.body)


class Rotating(Packet):
    """A set of addresses that starts one further every time.

    The records are kept twice in a row, so that every order is one slice. When not all of them
    fit, the slice is shorter: each reply shows a different part of the set.
    """

    __slots__ = ("_at", "_doubled", "_head", "_period", "_size", "_tail", "_window")

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._head = message.head
        self._doubled = message.records * 2
        self._period = len(message.records)
        self._size = message.record_size
        self._window = message.shown * message.record_size
        self._tail = message.tail
        self._at = next(_STARTS) * self._size % self._period

    def next(self) -> bytes:
        """Return the response with the next order of addresses."""
        at = self._at
        self._at = (at + self._size) % self._period
        return self._head + self._doubled[at : at + self._window] + self._tail

    def __len__(self) -> int:
        return len(self._head) + len(self._doubled) + len(self._tail)


class Stamped(Packet):
    """A response that shows the SOA serial."""

    __slots__ = ("_after", "_before", "_serial")

    def __init__(self, message: Message, serial: Serial) -> None:
        super().__init__()
        self._before = message.head[: message.serial_at]
        self._after = message.head[message.serial_at + 4 :] + message.tail
        self._serial = serial

    def next(self) -> bytes:
        """Return the response with the serial of this moment."""
        return self._before + self._serial.octets + self._after

    def __len__(self) -> int:
        return len(self._before) + 4 + len(self._after)


ORDERS = 8
"""Orders of addresses that a passing response is kept in."""


class Passing(Packet):
    """A response of another server, for the moment in which its TTLs stay as they are.

    The orders of its addresses are drawn one by one, and then take turns.
    """

    __slots__ = ("_at", "_bodies", "_clock", "_reorder", "_repeat", "_until")

    def __init__(
        self,
        body: bytes,
        repeat: Repeat,
        reorder: Callable[[], bytes] | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``reorder`` returns the whole message, with an id that is left out."""
        super().__init__()
        self._bodies = [body]
        self._at = 0
        self._reorder = reorder
        self._repeat = repeat
        self._until = repeat.until()
        self._clock = clock

    def next(self) -> bytes:
        """Return the response with the next order of addresses, while its time lasts."""
        if self._clock() >= self._until:
            return b""
        bodies = self._bodies
        if self._reorder is None:
            return bodies[0]
        if len(bodies) < ORDERS:
            bodies.append(self._reorder()[2:])
            return bodies[-1]
        self._at = (self._at + 1) % ORDERS
        return bodies[self._at]

    def sent(self, times: int) -> None:
        """Tell whoever gave leave."""
        self._repeat.sent(times)

    def __len__(self) -> int:
        return len(self._bodies[0]) * (1 if self._reorder is None else ORDERS)


def pack(message: Message, serial: Serial | None, *, rotate: bool) -> Packet:
    """Choose the form in which a message is kept."""
    if message.serial_at and serial is not None:
        return Stamped(message, serial)
    return Rotating(message) if message.records and rotate else Packet(message.first())
