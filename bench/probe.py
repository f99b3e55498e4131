"""Questions over UDP, and when several servers begin to give the right answer.

Knows DNS messages as bytes. Does not know what changes the answers.
"""

import select
import socket as sockets
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

PAUSE = 0.000_25  # between an answer and the next question
PATIENT = 0.01  # the same, where the questions must not cost what is measured
RESEND = 1.0
TYPES = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}
ATTEMPTS, TIMEOUT = 5, 1.0
OPT = b"\0\0\x29\x10\0\0\0\0\0\0\0"  # payload size 4096


def encode(name: str, rtype: int, number: int, options: bytes = b"") -> bytes:
    """Return a query, recursion desired; ``options`` is an OPT record or nothing."""
    labels = (bytes((len(label),)) + label.encode() for label in name.rstrip(".").split("."))
    header = struct.pack("!6H", number, 0x0100, 1, 0, 0, bool(options))
    return header + b"".join(labels) + struct.pack("!xHH", rtype, 1) + options


def exchange(port: int, name: str, rtype: str, *, edns: bool = False) -> bytes:
    """Ask one question over UDP and return the reply."""
    query = encode(name, TYPES[rtype], 1, OPT if edns else b"")
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as probe:
        probe.settimeout(TIMEOUT)
        probe.connect(("127.0.0.1", port))
        for _ in range(ATTEMPTS):
            with suppress(OSError):
                probe.send(query)
                return probe.recv(65_535)
    raise TimeoutError(f"no answer for {name} {rtype} on port {port}")


@dataclass(frozen=True)
class Question:
    """A name whose A records must include the address."""

    name: str
    address: str

    def query(self, number: int = 0) -> bytes:
        """Return the query with that id."""
        return encode(self.name, TYPES["A"], number, OPT)

    def answered_by(self, reply: bytes) -> bool:
        """Whether the reply has the address."""
        return sockets.inet_aton(self.address) in reply


@dataclass
class Poll:
    """One question asked again and again of one server, until the answer is right."""

    port: int
    question: Question
    pause: float
    right_at: float = 0.0
    due: float = 0.0
    waiting: bool = False
    socket: sockets.socket = field(init=False)

    def __post_init__(self) -> None:
        self.socket = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.connect(("127.0.0.1", self.port))

    def ask(self) -> None:
        """Send the question if it is time; a refused one counts as lost."""
        now = time.monotonic()
        if now < self.due:
            return
        self.waiting, self.due = True, now + RESEND
        try:
            self.socket.send(self.question.query())
        except OSError:
            self.waiting, self.due = False, now + PATIENT

    def read(self) -> None:
        """Take in the answer."""
        now = time.monotonic()
        self.waiting, self.due = False, now + self.pause
        with suppress(OSError):
            if self.question.answered_by(self.socket.recv(65_535)):
                self.right_at = now


@dataclass
class Race:
    """Polls of the same question, and what else happens meanwhile.

    ``arrivals`` says when each of the other files could first be read, such as the connection
    with the request that makes the change.
    """

    ports: Mapping[str, int]
    question: Question
    seconds: float
    others: Mapping[str, "Readable"] = field(default_factory=dict)
    pause: float = PAUSE
    arrivals: dict[str, float] = field(default_factory=dict)

    def run(self) -> dict[str, float]:
        """Poll until every server is right, and return when each was, by the monotonic clock."""
        polls = {name: Poll(port, self.question, self.pause) for name, port in self.ports.items()}
        end = time.monotonic() + self.seconds
        try:
            while pending := [poll for poll in polls.values() if not poll.right_at]:
                if time.monotonic() > end:
                    raise TimeoutError(f"no {self.question.address} at {self.question.name}")
                self._step(pending)
        finally:
            for poll in polls.values():
                poll.socket.close()
        return {name: poll.right_at for name, poll in polls.items()}

    def _step(self, polls: Sequence[Poll]) -> None:
        """Send what is due, and take in what can be read before the next is."""
        for poll in polls:
            poll.ask()
        expected = {name: o for name, o in self.others.items() if name not in self.arrivals}
        watched = [*(p.socket for p in polls if p.waiting), *expected.values()]
        pause = max(0.0, min(poll.due for poll in polls) - time.monotonic())
        ready, _, _ = select.select(watched, [], [], pause)
        now = time.monotonic()
        self.arrivals |= {name: now for name, other in expected.items() if other in ready}
        for poll in polls:
            if poll.socket in ready:
                poll.read()


class Readable(Protocol):
    """What ``select`` takes."""

    def fileno(self) -> int:
        """Return the number of the open file."""


def first_right(port: int, question: Question, seconds: float) -> float:
    """Return when the server gave the right answer."""
    return Race({"": port}, question, seconds, pause=PATIENT).run()[""]
