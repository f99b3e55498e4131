"""The time that clients of TCP have, and how much they may ask."""

import asyncio
import socket

import pytest

from kdns.errors import CorefileError
from kdns.plugins import timeouts
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable
from kdns.server.tcp import TcpLimits, TcpServer
from kdns.wire.query import write_query
from tests.plugin import question, refuse, setup_of

LIMITS = {
    "read": ("read 15s", TcpLimits(read=15.0)),
    "write": ("write 1m", TcpLimits(write=60.0)),
    "idle": ("idle 24h", TcpLimits(idle=86_400.0)),
    "all of them": ("read 1s\nwrite 2s\nidle 3s", TcpLimits(3.0, 1.0, 2.0)),
    "a number is of seconds": ("read 15", TcpLimits(read=15.0)),
    "the last of two": ("read 15s\nread 16s", TcpLimits(read=16.0)),
    "queries": ("maxtcpqueries 128", TcpLimits(queries=128)),
    "any number of queries": ("maxtcpqueries 5\nmaxtcpqueries -1", TcpLimits()),
}


@pytest.mark.parametrize(("options", "limits"), LIMITS.values(), ids=LIMITS)
def test_the_limits(options: str, limits: TcpLimits) -> None:
    plugin, block = setup_of(timeouts.setup, f"timeouts {{\n{options}\n}}")

    assert plugin is None
    assert block.limits == limits


def test_what_one_directive_leaves_another_one_set() -> None:
    text = "timeouts {\nread 7s\n}\ntimeouts {\nidle 8s\n}"
    _, block = setup_of(timeouts.setup, text)

    assert block.limits == TcpLimits(read=7.0, idle=8.0)


REFUSED = {
    "nothing": ("timeouts", "2: timeouts: expected a block with read, write, idle or"),
    "an argument": ("timeouts 5s {\nread 5s\n}", "2: timeouts: expected no arguments"),
    "too short": ("timeouts {\nread 999ms\n}", "3: expected a duration of at least 1s, got"),
    "too long": ("timeouts {\nidle 25h\n}", "3: expected a duration of at most 24h"),
    "no duration": ("timeouts {\nidle long\n}", "3: expected a duration like 30s"),
    "two": ("timeouts {\nread 1s 2s\n}", "3: read: expected one duration, got 2 words"),
    "an unknown one": ("timeouts {\nwait 1s\n}", "3: unknown property 'wait' of timeouts"),
    "no queries": ("timeouts {\nmaxtcpqueries 0\n}", "3: expected a whole number of at least 1"),
    "fewer than none": ("timeouts {\nmaxtcpqueries -2\n}", "3: expected a whole number of"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(timeouts.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")


def test_a_connection_is_closed_after_its_last_query() -> None:
    _, block = setup_of(timeouts.setup, "timeouts {\nmaxtcpqueries 2\n}")
    query = write_query(question("example.org. A"), 7)

    async def replies() -> int:
        routes = Routes([Route(b"\0", ".", refuse)])
        server = TcpServer(Responder(routes, AnswerTable()), block.limits)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        address = listening.getsockname()
        await server.start(listening)
        reader, writer = await asyncio.open_connection(*address)
        writer.write((len(query).to_bytes(2) + query) * 2)
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        await server.close()
        return received.count(query[12:])

    assert asyncio.run(replies()) == 2
