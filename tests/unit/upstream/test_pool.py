"""Which socket a question leaves from: an idle one, a new one, or one of those in use."""

import asyncio
from typing import Any

import pytest

from kdns.upstream.deadlines import Deadlines
from kdns.upstream.pool import Channel, Exchange, Pool, Turnover
from kdns.upstream.question import Question, question
from kdns.upstream.settings import Settings
from kdns.wire import codes, names
from kdns.wire.query import ask

ASKED: Question = question(ask(names.from_text("www.example.org"), codes.A))
LATER = 1e12


class Sink(Channel):
    """Takes whatever is sent."""

    def __init__(self, pool: Pool[Any]) -> None:
        super().__init__(asyncio.get_running_loop(), pool)
        self.sent: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def close(self) -> None:
        pass

    def mismatched(self, exchange: Exchange) -> None:
        pass

    def answer(self) -> None:
        """Answer the first question that waits."""
        message_id, exchange = next(iter(self.waiting.items()))
        body = exchange.asked.body
        self.arrived(message_id + bytes((body[0] | 0x80,)) + body[1:])


class Asker:
    """Asks from sockets of a pool."""

    def __init__(self, turnover: Turnover) -> None:
        self.pool: Pool[Sink] = Pool(Settings(), turnover)
        self._deadlines = Deadlines()

    def ask(self, now: float = 0.0) -> Sink:
        """Ask once more; return from where."""
        channel = self.pool.take(now)
        if channel is None:
            channel = Sink(self.pool)
            self.pool.add(channel)
        channel.ask(ASKED, self._deadlines, LATER)
        return channel


def test_sockets_in_use_are_shared_once_there_are_enough() -> None:
    async def test() -> int:
        asker = Asker(Turnover(most=3))
        used = [asker.ask() for _ in range(30)]
        found = len(set(map(id, used)))
        asker.pool.close()
        return found

    assert asyncio.run(test()) == 3


def test_a_shared_socket_has_an_id_for_every_question() -> None:
    async def test() -> int:
        asker = Asker(Turnover(most=1))
        ids = {one.sent[-1][:2] for one in (asker.ask() for _ in range(200))}
        asker.pool.close()
        return len(ids)

    assert asyncio.run(test()) == 200


def test_one_that_was_used_enough_is_left_to_those_who_wait_there() -> None:
    async def test() -> tuple[bool, bool, int]:
        asker = Asker(Turnover(most=1, max_uses=3))
        first, *_ = [asker.ask() for _ in range(3)]
        first.answer()
        other = asker.ask()
        before = len(first.waiting)
        asker.pool.close()
        return first.retired, other is first, before

    assert asyncio.run(test()) == (True, False, 2)


def test_one_whose_response_did_not_come_is_left() -> None:
    async def test() -> bool:
        asker = Asker(Turnover(most=1))
        first = asker.ask()
        next(iter(first.waiting.values())).cancel()
        other = asker.ask()
        asker.pool.close()
        return other is first

    assert asyncio.run(test()) is False


@pytest.mark.parametrize(("seconds", "same"), [(5.0, True), (50.0, False)])
def test_one_that_is_too_old_is_replaced(seconds: float, *, same: bool) -> None:
    async def test() -> bool:
        asker = Asker(Turnover(max_age=10.0))
        first = asker.ask()
        first.answer()
        now = first.made + seconds
        first.used = now
        other = asker.ask(now)
        asker.pool.close()
        return other is first

    assert asyncio.run(test()) is same
