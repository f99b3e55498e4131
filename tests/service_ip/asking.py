"""A client that asks at a steady rate, as the resolvers of programs do, and keeps what it is told.

``python -m tests.service_ip.asking SERVER RATE FILE`` asks ``NAME TYPE`` of each line of the file
in turn, every line at least twice, until its standard input ends. It prints a line after as many
questions as RATE, and a report at the end. Knows sockets and messages, no cluster.
"""

import asyncio
import errno
import socket
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

import dns.message
import msgspec

ATTEMPTS, PATIENCE = 2, 2.0
"""How often a resolver asks, and seconds between: ``options timeout:2``. libc's own are 5."""
ROUNDS = 2
LARGEST = 65_535


class Loss(msgspec.Struct, frozen=True):
    """A query that was not answered."""

    at: float
    """Seconds after the start that it was sent."""
    question: str
    port: str
    """Whose port it was sent from: its own, or one of those that are kept."""
    why: str


class Report(msgspec.Struct):
    """What came of the questions."""

    asked: int = 0
    seconds: float = 0.0
    lost: list[Loss] = []
    """Queries, of which a question has up to two."""
    failed: list[str] = []
    """Questions that had no answer in the end."""
    answers: dict[str, set[str]] = {}
    """The different messages to each question, in hexadecimal and without id."""
    slowest: float = 0.0
    """Seconds that the slowest answer took."""


class Asker:
    """Asks one server; every other question from a port of its own, as libc does.

    The others are from ports that are kept, as c-ares does: to a proxy each is one long exchange.
    What was not answered is asked again from another port, as both do.
    """

    def __init__(self, server: str) -> None:
        self.report = Report()
        self._server = server
        self._kept: list[socket.socket] = []
        self._began = asyncio.get_running_loop().time()

    def close(self) -> None:
        """Close what was kept, and note the time."""
        self.report.seconds = self._now()
        for one in self._kept:
            one.close()

    async def ask(self, number: int, question: str, wire: bytes) -> None:
        """Ask until there is an answer, or a resolver would give up."""
        keep, began = bool(number % 2), self._now()
        numbered = (number & 0xFFFF).to_bytes(2) + wire[2:]
        self.report.asked += 1
        for _ in range(ATTEMPTS):
            sent = self._now()
            try:
                data = await self._attempt(numbered, keep=keep)
            except OSError as error:
                # A time-out has no number.
                why = errno.errorcode.get(error.errno or 0, "silence")
                loss = Loss(sent, question, "kept" if keep else "own", why)
                self.report.lost.append(loss)
                continue
            self.report.answers.setdefault(question, set()).add(data[2:].hex())
            self.report.slowest = max(self.report.slowest, self._now() - began)
            return
        self.report.failed.append(question)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    async def _attempt(self, wire: bytes, *, keep: bool) -> bytes:
        one = self._kept.pop() if keep and self._kept else self._connected()
        try:
            data = await exchange(one, wire)
        except OSError:
            one.close()
            raise
        if keep:
            self._kept.append(one)
        else:
            one.close()
        return data

    def _connected(self) -> socket.socket:
        """Return a socket that hears of ICMP errors."""
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect((self._server, 53))
        return one


async def exchange(one: socket.socket, wire: bytes) -> bytes:
    """Send a query and return its answer; OSError when there is none."""
    one.send(wire)
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                data = await asyncio.get_running_loop().sock_recv(one, LARGEST)
                if data[:2] == wire[:2]:
                    return data
    except TimeoutError:
        # A machine that stands still is no server that is silent.
        with suppress(BlockingIOError):
            return one.recv(LARGEST)
        raise


async def ask_all(server: str, rate: int, questions: list[str]) -> Report:
    """Ask in turn until the standard input ends."""
    loop = asyncio.get_running_loop()
    over = loop.run_in_executor(None, sys.stdin.read)
    wires = [query(question) for question in questions]
    asker, began = Asker(server), loop.time()
    async with asyncio.TaskGroup() as tasks:
        for number in count():
            if over.done() and number >= ROUNDS * len(questions):
                break
            await asyncio.sleep(max(0, began + number / rate - loop.time()))
            turn = number % len(questions)
            tasks.create_task(asker.ask(number, questions[turn], wires[turn]))
            if not number % rate:
                print(number, flush=True)  # noqa: T201 - somebody waits for it
    asker.close()
    return asker.report


def query(question: str) -> bytes:
    """Return the query of ``NAME TYPE``."""
    name, rtype = question.split()
    return dns.message.make_query(name, rtype).to_wire()


def main() -> None:
    """Ask, and print the report."""
    server, rate, file = sys.argv[1:]
    questions = Path(file).read_text().splitlines()
    report = asyncio.run(ask_all(server, int(rate), questions))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")


if __name__ == "__main__":
    main()
