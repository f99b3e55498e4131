"""The UDP socket: drain it, send what is prepared, hand the rest to the responder.

The loop below is the hot path of kdns: one dict look-up and two system calls per query. Knows no
zones and no chain.
"""

import asyncio
import logging
import socket
from functools import partial
from typing import Any

from kdns.server.responder import Reply, Responder
from kdns.server.table import door

log = logging.getLogger(__name__)

BATCH = 64
"""Datagrams per wake-up. More would keep TCP and timers waiting for over a millisecond."""
BATCH_SECONDS = 0.002
"""A batch that has to prepare answers ends after this time: others wait too."""
MAX_DATAGRAM = 65_535
RECEIVE_BUFFER = 4 << 20
"""Octets wanted of the kernel, which gives what it may: bursts wait here, not on the wire."""


class UdpServer:
    """One bound UDP socket on the running event loop."""

    def __init__(self, bound: socket.socket, responder: Responder) -> None:
        """Take over a bound, non-blocking socket."""
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket = bound
        self._door = door("udp", bound.family)
        self._waiting: set[asyncio.Task[Reply]] = set()
        self.use(responder)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._drain)

    def use(self, responder: Responder) -> None:
        """Answer with this one from the next datagram on; those that wait keep theirs."""
        self._responder = responder
        self._table = responder.table
        self._packets = responder.table.packets[self._door]

    def close(self) -> None:
        """Stop reading, drop the queries that wait, close the socket."""
        self._loop.remove_reader(self._socket)
        for task in self._waiting:
            task.cancel()
        self._socket.close()

    def _drain(self) -> None:
        receive, packets, time = self._socket.recvfrom, self._packets, self._loop.time
        began, prepared = time(), True
        for served in range(BATCH):  # noqa: B007 - how many there were counts, after the loop
            try:
                datagram, client = receive(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                # An ICMP error of an earlier reply: the client is gone, its query was answered.
                continue
            packet = packets.get(datagram[2:])
            if packet is None:
                prepared = False
                self._unprepared(datagram, client)
                if time() - began > BATCH_SECONDS:
                    break
            else:
                packet.hits += 1
                self._send(datagram[:2] + (packet.body or packet.next()), client)
        else:
            served = BATCH
        if prepared:
            self._table.busy += time() - began
            self._table.served += served

    def _unprepared(self, datagram: bytes, client: Any) -> None:  # noqa: ANN401 - as recvfrom has it
        reply = self._responder.respond(datagram, client[:2], self._door)
        if isinstance(reply, asyncio.Task):
            self._waiting.add(reply)
            reply.add_done_callback(partial(self._answer_later, client))
        elif reply is not None:
            self._send(reply, client)

    def _answer_later(self, client: Any, task: "asyncio.Task[Reply]") -> None:  # noqa: ANN401
        self._waiting.discard(task)
        if not task.cancelled() and (reply := task.result()) is not None:
            self._send(reply, client)

    def _send(self, reply: bytes, client: Any) -> None:  # noqa: ANN401
        try:
            self._socket.sendto(reply, client)
        except OSError as error:
            # UDP may lose a reply: the client asks again. A full send buffer is no reason to wait.
            log.debug("reply not sent: %s", error)
