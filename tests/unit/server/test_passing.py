"""What other servers said, sent again without asking the chain for as long as its TTLs stay."""

import dns.message
import dns.rrset
import pytest
from msgspec import Struct

from kdns.chain import Relay, Repeat, Request, Response
from kdns.server.packets import ORDERS, Passing
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable, Door
from kdns.wire import names

UDP: Door = ("udp", "1")
CLIENT = ("192.0.2.7", 5353)


class Leave(Repeat):
    """Leave until a time that the test chooses."""

    def __init__(self, until: float = float("inf")) -> None:
        self.end = until
        self.times = 0

    def until(self) -> float:
        return self.end

    def sent(self, times: int) -> None:
        self.times += times


class Asked(Struct):
    """What the chain was asked."""

    requests: list[Request]


def _responder(
    repeat: Repeat | None, table: AnswerTable, *, counted: bool = True
) -> tuple[Responder, Asked]:
    asked = Asked([])

    async def upstream(request: Request) -> Response:
        asked.requests.append(request)
        reply = dns.message.make_response(dns.message.from_wire(_wire(request)))
        return Relay(reply.to_wire(), "cache", request.query, repeat=repeat)

    return Responder(Routes([Route(names.ROOT, ".", upstream, counted=counted)]), table), asked


def _wire(request: Request) -> bytes:
    query = dns.message.make_query(names.to_text(request.query.asked), "A", id=request.query.id)
    return query.to_wire()


def _ask(responder: Responder, name: str = "example.com.") -> bytes:
    """Ask as the socket does: the packet first, then the chain."""
    query = dns.message.make_query(name, "A").to_wire()
    packet = responder.table.packets[UDP].get(query[2:])
    body = b"" if packet is None else packet.body or packet.next()
    if packet is not None and body:
        packet.hits += 1
        return query[:2] + body
    reply = responder.respond(query, CLIENT, UDP)
    assert isinstance(reply, bytes)
    assert reply[:2] == query[:2]
    return reply


def test_the_chain_is_asked_once_and_everything_is_counted() -> None:
    leave, table = Leave(), AnswerTable()
    responder, asked = _responder(leave, table)
    for _ in range(5):
        _ask(responder)

    assert len(asked.requests) == 1
    tally = table.flush()
    assert sum(tally.requests.values()) == 5
    assert tally.responses[".", "", "NOERROR", "cache"] == 5
    assert leave.times == 4


def test_without_leave_the_chain_is_asked_every_time() -> None:
    responder, asked = _responder(None, AnswerTable())
    for _ in range(3):
        _ask(responder)

    assert len(asked.requests) == 3


def test_when_its_time_is_over_the_chain_is_asked_again() -> None:
    table = AnswerTable()
    responder, asked = _responder(Leave(until=0.0), table)
    for _ in range(3):
        _ask(responder)

    assert len(asked.requests) == 3
    assert sum(table.flush().requests.values()) == 3


def test_all_are_forgotten_with_everything_else() -> None:
    table = AnswerTable()
    responder, asked = _responder(Leave(), table)
    _ask(responder)
    table.clear()
    _ask(responder)

    assert len(asked.requests) == 2


def test_many_names_do_not_grow_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdns.server.table.MAX_PASSING", 50)
    table = AnswerTable()
    responder, _ = _responder(Leave(), table, counted=False)
    for number in range(60):
        _ask(responder, f"n{number}.example.com.")

    assert len(table.packets[UDP]) == 50


@pytest.mark.parametrize(("drawn", "different"), [(1, 1), (ORDERS - 1, 7), (3 * ORDERS, 8)])
def test_orders_are_drawn_once_and_then_take_turns(drawn: int, different: int) -> None:
    orders = iter(range(1000))
    packet = Passing(b"first", Leave(), lambda: b"id%d" % next(orders), clock=lambda: 0.0)
    seen = [packet.next() for _ in range(drawn)]

    assert len(set(seen)) == different
    assert next(orders) == min(drawn, ORDERS - 1)


def test_a_response_that_was_cut_is_not_kept() -> None:
    table = AnswerTable()

    async def upstream(request: Request) -> Response:
        reply = dns.message.make_response(dns.message.from_wire(_wire(request)))
        reply.answer.append(
            dns.rrset.from_text(
                "example.com.", 5, "IN", "TXT", *['"' + "x" * 200 + str(n) + '"' for n in range(5)]
            )
        )
        return Relay(reply.to_wire(), "cache", request.query, repeat=Leave())

    responder = Responder(Routes([Route(names.ROOT, ".", upstream)]), table)
    assert len(_ask(responder)) <= 512
    assert not table.packets[UDP]
