"""Many questions at a time, over UDP and TCP. Knows octets and sockets only."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

WINDOW = 6
"""Questions in flight to one server block; the socket of the upstream must hold those of all."""
PATIENCE = (0.5, 2.0)
"""Seconds to wait for an answer, first and when asked again: some questions have none."""
AT_A_TIME = 16
"""Questions on one TCP connection."""
HOST = "127.0.0.1"


async def ask(port: int, messages: Sequence[tuple[bytes, bool]]) -> list[bytes | None]:
    """Ask all of them, those marked over TCP, and return the answers in the same order.

    Ids are set here. No answer is None.
    """
    found: list[bytes | None] = [None] * len(messages)
    datagrams = [(n, wire) for n, (wire, tcp) in enumerate(messages) if not tcp]
    streamed = [(n, wire) for n, (wire, tcp) in enumerate(messages) if tcp]
    chunks = [streamed[at : at + AT_A_TIME] for at in range(0, len(streamed), AT_A_TIME)]
    await asyncio.gather(
        _ask_datagrams(port, datagrams, found), *(_ask_stream(port, one, found) for one in chunks)
    )
    return found


class _Asker(asyncio.DatagramProtocol):
    """Matches answers with questions."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._room = asyncio.Semaphore(WINDOW)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _address: object) -> None:
        future = self._waiting.get(int.from_bytes(data[:2]))
        if future is not None and not future.done():
            future.set_result(data)

    async def ask(self, number: int, wire: bytes) -> bytes | None:
        """Ask, twice if need be."""
        assert self._transport is not None
        message_id = number & 0xFFFF
        async with self._room:
            for seconds in PATIENCE:
                future = self._waiting[message_id] = asyncio.get_running_loop().create_future()
                self._transport.sendto(message_id.to_bytes(2) + wire[2:])
                with suppress(TimeoutError):
                    return await asyncio.wait_for(future, seconds)
        return None


async def _ask_datagrams(
    port: int, questions: Sequence[tuple[int, bytes]], found: list[bytes | None]
) -> None:
    loop = asyncio.get_running_loop()
    transport, asker = await loop.create_datagram_endpoint(_Asker, remote_addr=(HOST, port))
    try:
        answers = await asyncio.gather(*(asker.ask(*question) for question in questions))
    finally:
        transport.close()
    for (number, _), answer in zip(questions, answers, strict=True):
        found[number] = answer


async def _ask_stream(
    port: int, questions: Sequence[tuple[int, bytes]], found: list[bytes | None]
) -> None:
    """Send all questions at once; what is not answered in time stays None."""
    reader, writer = await asyncio.open_connection(HOST, port)
    numbers = {number & 0xFFFF: number for number, _ in questions}
    framed = ((len(wire), number & 0xFFFF, wire[2:]) for number, wire in questions)
    writer.write(b"".join(s.to_bytes(2) + n.to_bytes(2) + rest for s, n, rest in framed))
    with suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        async with asyncio.timeout(sum(PATIENCE)):
            for _ in questions:
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                found[numbers[int.from_bytes(answer[:2])]] = answer
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
