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
        self._responder = responder
        self._packets = responder.table.packets["udp"]
        self._waiting: set[asyncio.Task[Reply]] = set()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._drain)

    def close(self) -> None:
        """Stop reading, drop the queries that wait, close the socket."""
        self._loop.remove_reader(self._socket)
        for task in self._waiting:
            task.cancel()
        self._socket.close()

    def _drain(self) -> None:
        receive, packets = self._socket.recvfrom, self._packets
        until = self._loop.time() + BATCH_SECONDS
        for _ in range(BATCH):
            try:
                datagram, client = receive(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of an earlier reply: the client is gone, its query was answered.
                continue
            packet = packets.get(datagram[2:])
            if packet is None:
                self._unprepared(datagram, client)
                if self._loop.time() > until:
                    return
            else:
                body = packet if type(packet) is bytes else packet.next()  # type: ignore[union-attr]
                self._send(datagram[:2] + body, client)

    def _unprepared(self, datagram: bytes, client: Any) -> None:  # noqa: ANN401 - as recvfrom has it
        reply = self._responder.respond(datagram, "udp")
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
