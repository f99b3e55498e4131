"""Finished responses, without the id that is stamped on in front. Knows bytes only.

Nearly all are the same octets every time. Two kinds change from one sending to the next: sets of
addresses, whose order rotates, and answers with a SOA, whose serial moves with every change of the
cluster.
"""

from collections.abc import Iterator
from itertools import count

from kdns.chain import Serial
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
        """Return what is sent this time."""
        return self.body

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


def pack(message: Message, serial: Serial | None, *, rotate: bool) -> Packet:
    """Choose the form in which a message is kept."""
    if message.serial_at and serial is not None:
        return Stamped(message, serial)
    return Rotating(message) if message.records and rotate else Packet(message.first())
