"""The UDP socket: drain it, send what is prepared, hand the rest to the responder.

The loops below are the hot path of kdns: one dict look-up per query, and two system calls per
batch where the system can do that (``batches``), per query elsewhere. Knows no zones and no chain.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

from kdns.server.batches import BATCH, MAX_QUERY, MAX_REPLY, Batch, available
from kdns.server.eager import Rest
from kdns.server.responder import Reply, Responder
from kdns.server.table import door

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.002
"""A batch that has to prepare answers ends after this time: others wait too."""
LAST_BATCHES = 200
"""More than fit into the receive buffer; at the end it is emptied, but not on and on."""
TOGETHER = 8
"""Replies that wait for one another while answers are prepared: each takes up to 0.1 ms."""
MAX_DATAGRAM = 65_535
RECEIVE_BUFFER = 4 << 20
"""Octets wanted of the kernel, which gives what it may: bursts wait here, not on the wire."""

_Client: TypeAlias = Any
"""As ``recvfrom`` returns it and ``sendto`` takes it."""
_Asked: TypeAlias = list[tuple[int, int, bytes]]
"""Control data that has a reply leave from the address that was asked."""


class UdpServer:
    """One bound UDP socket on the running event loop."""

    def __init__(self, bound: socket.socket, responder: Responder) -> None:
        """Take over a bound, non-blocking socket."""
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket = bound
        self._door = door("udp", bound.family)
        self._waiting: set[Rest[Reply]] = set()
        self.use(responder)
        self._loop = asyncio.get_running_loop()
        if available():
            self._batch = Batch(bound)
            self._loop.add_reader(bound, self._drain)
        else:
            self._loop.add_reader(bound, self._drain_singly)

    def use(self, responder: Responder) -> None:
        """Answer with this one from the next datagram on; those that wait keep theirs."""
        self._responder = responder
        self._table = responder.table
        self._packets = responder.table.packets[self._door]

    async def finish(self, patience: float) -> None:
        """Answer what has arrived, within so many seconds, while another socket takes the rest."""
        # Connected to itself it gets nothing more: who else is bound to the port gets all.
        with suppress(OSError):
            self._socket.connect(self._socket.getsockname())
        for _ in range(LAST_BATCHES):
            if not self._pending():
                break
            await asyncio.sleep(0)
        self._loop.remove_reader(self._socket)
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=patience)

    def _pending(self) -> bool:
        """Whether a datagram waits to be read."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            # An ICMP error of an earlier reply.
            return True
        return True

    def close(self) -> None:
        """Stop reading, drop the queries that wait, close the socket."""
        self._loop.remove_reader(self._socket)
        for reply in tuple(self._waiting):
            reply.cancel()
        self._socket.close()

    def _drain(self) -> None:
        """Answer one batch. Slots from ``begun`` on wait to be sent together."""
        batch, packets = self._batch, self._packets
        count = batch.receive()
        began = monotonic()
        queries, lengths, replies, sizes = batch.queries, batch.lengths, batch.replies, batch.sizes
        begun = at = out = 0
        prepared = count
        for slot in range(count):
            # The id is two octets: whatever follows it is the question in the client's form.
            packet = packets.get(bytes(queries[at + 2 : at + lengths[slot]]))
            body = b"" if packet is None else packet.body or packet.next()
            if packet is not None and body:
                packet.hits += 1
            else:
                prepared = 0
                if slot - begun >= TOGETHER:
                    batch.send(begun, slot)
                    begun = slot
                datagram = bytes(queries[at : at + lengths[slot]])
                body = self._unprepared(datagram, batch.client(slot), batch.asked(slot))[2:]
            size = len(body) + 2
            if body and size <= MAX_REPLY:
                replies[out : out + 2] = queries[at : at + 2]
                replies[out + 2 : out + size] = body
                sizes[slot] = size
            else:
                if body:
                    whole = bytes(queries[at : at + 2]) + body
                    self._send(whole, batch.client(slot), batch.asked(slot))
                # Nothing goes out from this slot, or it went alone.
                batch.send(begun, slot)
                begun = slot + 1
            at += MAX_QUERY
            out += MAX_REPLY
        batch.send(begun, count)
        if prepared:
            self._table.busy += monotonic() - began
            self._table.served += prepared

    def _drain_singly(self) -> None:
        """Answer a batch, one system call after the other."""
        receive, packets = self._socket.recvfrom, self._packets
        until = monotonic() + BATCH_SECONDS
        for _ in range(BATCH):
            try:
                datagram, client = receive(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of an earlier reply: the client is gone, its query was answered.
                continue
            packet = packets.get(datagram[2:])
            body = b"" if packet is None else packet.body or packet.next()
            if packet is not None and body:
                packet.hits += 1
                self._send(datagram[:2] + body, client, [])
                continue
            if reply := self._unprepared(datagram, client, []):
                self._send(reply, client, [])
            if monotonic() > until:
                return

    def _unprepared(self, datagram: bytes, client: _Client, asked: _Asked) -> bytes:
        """Return the reply to a query, or nothing: then it is sent later, if at all."""
        reply = self._responder.respond(datagram, client[:2], self._door)
        if isinstance(reply, Rest):
            self._waiting.add(reply)
            reply.then(partial(self._answer_later, client, asked))
            return b""
        return reply or b""

    def _answer_later(self, client: _Client, asked: _Asked, waited_for: Rest[Reply]) -> None:
        self._waiting.discard(waited_for)
        if not waited_for.cancelled() and (reply := waited_for.result()) is not None:
            self._send(reply, client, asked)

    def _send(self, reply: bytes, client: _Client, asked: _Asked) -> None:
        try:
            self._socket.sendmsg([reply], asked, 0, client)
        except OSError as error:
            # UDP may lose a reply: the client asks again. A full send buffer is no reason to wait.
            log.debug("reply not sent: %s", error)
