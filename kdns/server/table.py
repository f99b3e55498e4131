"""The answer table: what was answered once is sent again until its owner changes.

Two levels. ``packets`` maps everything of a datagram after its id to the finished response: that
is the whole work for a query that was asked before in the same form. Behind it, answers by
question serve the same question in another form (TCP, another EDNS size, a new cookie).

A question's first answer leaves nothing behind but two octets that say so. Asked again before they
are overwritten, its answer is kept, in one of two parts, of which one is for names that do not
exist. So a flood of names that nobody asks twice pushes out nothing and takes no memory, and a
flood of missing names that somebody does ask twice pushes out only missing names. Both parts are
bounded in entries and in octets.

Opens no sockets; knows no zones and no clock.
"""

import socket
from collections.abc import Iterable
from mmap import mmap
from typing import Literal, TypeAlias

from kdns.chain import Answer, Transport
from kdns.kube.owners import EVERYTHING, Owner
from kdns.server.packets import Packet
from kdns.server.tally import Tally
from kdns.wire import codes

Door: TypeAlias = tuple[Transport, Literal["1", "2"]]
"""The way that a query came: transport, and family: 1 is IPv4, 2 is IPv6, as metrics have it."""
DOORS: tuple[Door, ...] = (("udp", "1"), ("udp", "2"), ("tcp", "1"), ("tcp", "2"))


def door(transport: Transport, family: socket.AddressFamily) -> Door:
    """Return the door that a socket is."""
    return transport, "2" if family == socket.AF_INET6 else "1"


MAX_ANSWERS = 50_000
"""Answers in each main part. At 10,000 services that is five names for each."""
MAX_BYTES = 64 << 20
"""Octets of each main part: answers, packets and their keys."""
PLACES, MARKS = 1 << 19, (1 << 16) - 1
"""Questions of which it is known that they were asked once, and what tells them apart."""
MAX_FORMS = 8
"""Packets of one question: a client that varies its EDNS options must not fill the table."""
MAX_KEY = 400
"""Octets of a query that gets a packet: the longest name and some EDNS options, but no padding."""
MAX_PASSING = 10_000
PASSING_BYTES = 16 << 20
"""What others said, for a moment each: as many packets and octets."""
_ENTRY = 500
"""Octets of an entry without its records, about: dicts, sets, key, sections."""
_RECORD = 160
"""Octets of a record without its rdata, about."""


class _Entry:
    """An answer, and the keys of the packets that were made from it."""

    __slots__ = ("answer", "keys", "size")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.keys: list[tuple[Door, bytes]] = []
        self.size = _octets(answer)


def _octets(answer: Answer) -> int:
    """Return about how much memory an answer takes."""
    sections, octets = answer.sections, _ENTRY
    for record in (*sections.answer, *sections.authority, *sections.additional):
        octets += _RECORD + len(record.rdata)
    return octets


class _Shelf:
    """Entries in the order of their arrival, and what they may take."""

    def __init__(self, entries: int, octets: int) -> None:
        self.entries: dict[bytes, _Entry] = {}
        self.octets = 0
        self._bounds = entries, octets

    def add(self, question: bytes, entry: _Entry) -> None:
        self.entries[question] = entry
        self.octets += entry.size

    def remove(self, question: bytes) -> _Entry | None:
        entry = self.entries.pop(question, None)
        if entry is not None:
            self.octets -= entry.size
        return entry

    def oldest_of_too_many(self) -> bytes | None:
        """Return what has to go; None while everything fits."""
        entries, octets = self._bounds
        if len(self.entries) > entries or self.octets > octets:
            return next(iter(self.entries), None)
        return None


class _Doorkeeper:
    """Remembers by two octets each which questions were asked not long ago.

    A question has one place, and takes it from whoever had it: that is how old ones are forgotten.
    Of those that share a place one in 65,535 is taken for another, which costs an entry and no
    more. Python hashes octets with a secret of the process: nobody can choose who is forgotten.
    """

    def __init__(self) -> None:
        # Pages of their own: they take memory as they are written to, and give it back at once.
        self._marks = memoryview(mmap(-1, 2 * PLACES)).cast("H")

    def knows(self, question: bytes) -> bool:
        """Whether the question was asked lately; it is remembered from now on."""
        number = hash(question)
        place, mark = number % PLACES, number // PLACES % MARKS + 1
        known = self._marks[place] == mark
        self._marks[place] = mark
        return known


class AnswerTable:
    """Prepared answers, dropped by owner."""

    def __init__(
        self,
        tally: Tally | None = None,
        *,
        max_answers: int = MAX_ANSWERS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.packets: dict[Door, dict[bytes, Packet]] = {door: {} for door in DOORS}
        """Read by the sockets on every query, and written by nobody else. A reply for TCP is too
        large for UDP, and counted apart: one door never finds the other's."""
        self.tally = tally or Tally()
        """Outlives the table: a reload loses no count."""
        self.busy = 0.0
        """Seconds that batches took in which every packet was prepared, and how many these were:
        too short to be measured one by one."""
        self.served = 0
        self.changes = 0
        """Counts the drops: an answer that was begun before one may be out of date."""
        self._existing = _Shelf(max_answers, max_bytes)
        self._missing = _Shelf(max_answers, max_bytes)
        self._doorkeeper = _Doorkeeper()
        self._shelves = (self._existing, self._missing)
        self._owned: dict[Owner, set[bytes]] = {}
        self._passing: dict[tuple[Door, bytes], Packet] = {}
        self._passing_octets = 0

    def __len__(self) -> int:
        return sum(len(shelf.entries) for shelf in self._shelves)

    @property
    def octets(self) -> int:
        """Return about how much memory is taken."""
        return sum(shelf.octets for shelf in self._shelves)

    def answer(self, question: bytes) -> Answer | None:
        """Return the answer that is kept for a question (as sent)."""
        entry = self._existing.entries.get(question) or self._missing.entries.get(question)
        return None if entry is None else entry.answer

    def put(self, question: bytes, answer: Answer) -> bool:
        """Keep an answer until one of its owners is touched, if this is not the first lately."""
        if not self._doorkeeper.knows(question):
            return False
        self._drop(question)
        for owner in answer.owners:
            self._owned.setdefault(owner, set()).add(question)
        missing = answer.sections.rcode == codes.NXDOMAIN
        self._add(self._missing if missing else self._existing, question, _Entry(answer))
        return True

    def put_packet(self, question: bytes, door: Door, key: bytes, packet: Packet) -> None:
        """Keep a finished form of an answer that is kept."""
        shelf = self._existing if question in self._existing.entries else self._missing
        entry = shelf.remove(question)
        if entry is None:
            return
        packets = self.packets[door]
        self._drop_passing(door, key)
        if key not in packets and len(key) <= MAX_KEY:
            if len(entry.keys) >= MAX_FORMS:
                self._drop_packet(entry, *entry.keys[0])
            entry.keys.append((door, key))
            packets[key] = packet
            entry.size += len(key) + len(packet)
        # Put back at the end: what is still being prepared is in use.
        self._add(shelf, question, entry)

    def put_passing(self, door: Door, key: bytes, packet: Packet) -> None:
        """Keep a packet that says itself for how long it is good."""
        self._drop_passing(door, key)
        if len(key) > MAX_KEY or key in self.packets[door]:
            return
        self.packets[door][key] = self._passing[(door, key)] = packet
        self._passing_octets += len(key) + len(packet)
        while len(self._passing) > MAX_PASSING or self._passing_octets > PASSING_BYTES:
            self._drop_passing(*next(iter(self._passing)))

    def drop(self, owners: Iterable[Owner]) -> None:
        """Forget every answer that was made from one of these."""
        self.changes += 1
        for owner in owners:
            if owner == EVERYTHING:
                self.clear()
            for question in tuple(self._owned.get(owner, ())):
                self._drop(question)

    def clear(self) -> None:
        """Forget everything."""
        self.changes += 1
        for shelf in self._shelves:
            for question in tuple(shelf.entries):
                self._drop(question)
        for door, key in tuple(self._passing):
            self._drop_passing(door, key)

    def flush(self) -> Tally:
        """Count the sendings of prepared packets until now, and return the tally."""
        for packets in self.packets.values():
            self.tally.fold(packets.values(), self._mean())
        return self.tally

    def _add(self, shelf: _Shelf, question: bytes, entry: _Entry) -> None:
        shelf.add(question, entry)
        while (oldest := shelf.oldest_of_too_many()) is not None:
            self._drop(oldest)

    def _drop(self, question: bytes) -> None:
        for shelf in self._shelves:
            entry = shelf.remove(question)
            if entry is not None:
                self._forget(question, entry)

    def _forget(self, question: bytes, entry: _Entry) -> None:
        for door, key in tuple(entry.keys):
            self._drop_packet(entry, door, key)
        for owner in entry.answer.owners:
            questions = self._owned.get(owner)
            if questions is not None:
                questions.discard(question)
                if not questions:
                    del self._owned[owner]

    def _drop_passing(self, door: Door, key: bytes) -> None:
        packet = self._passing.pop((door, key), None)
        if packet is not None:
            del self.packets[door][key]
            self._passing_octets -= len(key) + len(packet)
            self.tally.fold((packet,), self._mean())

    def _drop_packet(self, entry: _Entry, door: Door, key: bytes) -> None:
        packet = self.packets[door].pop(key)
        entry.keys.remove((door, key))
        entry.size -= len(key) + len(packet)
        self.tally.fold((packet,), self._mean())

    def _mean(self) -> float:
        """Return the seconds that a prepared packet takes."""
        return self.busy / self.served if self.served else 0.0
