"""The answer table: what was answered once is sent again until its owner changes.

Two levels. ``packets`` maps everything of a datagram after its id to the finished response: that
is the whole work for a query that was asked before in the same form. Behind it, answers by
question serve the same question in another form (TCP, another EDNS size, a new cookie).

A question's first answer is on probation: it is kept apart, in a small FIFO, and makes no packet.
Asked again, it moves to the main part. So a flood of names that nobody asks twice pushes out only
other such names, and costs a bounded amount of memory.

Knows no sockets, no zones, no clock.
"""

from collections.abc import Iterable

from kdns.chain import Answer
from kdns.kube.store import Owner
from kdns.server.packets import Packet, Serial

MAX_ANSWERS = 50_000
"""Answers kept in the main part. At 10,000 services that is five names for each."""
MAX_BYTES = 64 << 20
"""Octets of all packets, and of their keys."""
MAX_PROBATION = 2_000
MAX_FORMS = 8
"""Packets of one question: a client that varies its EDNS options must not fill the table."""


class _Entry:
    """An answer, and the keys of the packets that were made from it."""

    __slots__ = ("answer", "keys")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.keys: list[bytes] = []


class AnswerTable:
    """Prepared answers, dropped by owner."""

    def __init__(
        self,
        *,
        max_answers: int = MAX_ANSWERS,
        max_bytes: int = MAX_BYTES,
        max_probation: int = MAX_PROBATION,
    ) -> None:
        self.packets: dict[bytes, Packet] = {}
        """Read by the sockets on every datagram, and by nobody else written."""
        self.serial = Serial()
        self.bytes = 0
        self.changes = 0
        """Counts the drops: an answer that was begun before one may be out of date."""
        self._max_answers = max_answers
        self._max_bytes = max_bytes
        self._max_probation = max_probation
        self._main: dict[bytes, _Entry] = {}
        self._probation: dict[bytes, _Entry] = {}
        self._owned: dict[Owner, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._main) + len(self._probation)

    def answer(self, question: bytes) -> Answer | None:
        """Return the answer to a question (as sent); asking is what ends its probation."""
        entry = self._main.get(question)
        if entry is not None:
            return entry.answer
        entry = self._probation.pop(question, None)
        if entry is None:
            return None
        self._main[question] = entry
        if len(self._main) > self._max_answers:
            self._drop(next(iter(self._main)))
        return entry.answer

    def put(self, question: bytes, answer: Answer) -> None:
        """Keep a new answer, on probation."""
        self._drop(question)
        self._probation[question] = _Entry(answer)
        for owner in answer.owners:
            self._owned.setdefault(owner, set()).add(question)
        if len(self._probation) > self._max_probation:
            self._drop(next(iter(self._probation)))

    def put_packet(self, question: bytes, key: bytes, packet: Packet) -> None:
        """Keep a finished form of an answer that is past its probation."""
        entry = self._main.get(question)
        if entry is None or key in self.packets:
            return
        if len(entry.keys) >= MAX_FORMS:
            self._drop_packet(entry, entry.keys[0])
        entry.keys.append(key)
        self.packets[key] = packet
        self.bytes += len(key) + len(packet)
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._main)))

    def drop(self, owners: Iterable[Owner]) -> None:
        """Forget every answer that was made from one of these."""
        self.changes += 1
        for owner in owners:
            for question in tuple(self._owned.get(owner, ())):
                self._drop(question)

    def clear(self) -> None:
        """Forget everything."""
        for question in (*self._main, *self._probation):
            self._drop(question)

    def _drop(self, question: bytes) -> None:
        entry = self._main.pop(question, None) or self._probation.pop(question, None)
        if entry is None:
            return
        for key in tuple(entry.keys):
            self._drop_packet(entry, key)
        for owner in entry.answer.owners:
            questions = self._owned.get(owner)
            if questions is not None:
                questions.discard(question)
                if not questions:
                    del self._owned[owner]

    def _drop_packet(self, entry: _Entry, key: bytes) -> None:
        entry.keys.remove(key)
        self.bytes -= len(key) + len(self.packets.pop(key))
