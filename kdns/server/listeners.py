"""The sockets of one server: UDP and TCP on the same address and port, IPv4 and IPv6.

They stay open when the configuration changes: only the responder behind them is replaced. Knows
no zones and no chain.
"""

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import TypeAlias

from kdns.chain import Address
from kdns.errors import UsageError
from kdns.server.responder import Responder
from kdns.server.tcp import TcpLimits, TcpServer
from kdns.server.udp import UdpServer

GRACE = 5.0
"""Seconds that queries have to be answered when their listener ends, as in CoreDNS."""
LOOPBACK = ("127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")
_BACKLOG = 128
_FREE_PORT_TRIES = 20


class Listener:
    """One address and port, bound but silent until ``start``.

    ``host`` "" is every address, "localhost" loopback; either in IPv6 only where the machine has
    it. Raises UsageError for an address that cannot be bound.
    """

    def __init__(self, host: str, port: int, *, shared: bool = False) -> None:
        """``shared`` lets others bind the same port: a wildcard beside an address, workers."""
        hosts = _GROUPS.get(host, (host,))
        self._pairs = _bind_all(hosts, port, optional_ipv6=host in _GROUPS, shared=shared)
        self._datagrams: list[UdpServer] = []
        self._streams: list[TcpServer] = []
        self._open = AsyncExitStack()

    @property
    def addresses(self) -> list[Address]:
        """Return where it listens, port 0 replaced."""
        return [datagrams.getsockname()[:2] for datagrams, _ in self._pairs]

    async def start(self, responder: Responder, limits: TcpLimits) -> None:
        """Answer from now on."""
        for datagrams, streams in self._pairs:
            udp = UdpServer(datagrams, responder)
            self._datagrams.append(udp)
            self._open.callback(udp.close)
            tcp = TcpServer(responder, limits)
            self._streams.append(tcp)
            self._open.push_async_callback(tcp.close)
            await tcp.start(streams)

    def use(self, responder: Responder, limits: TcpLimits) -> None:
        """Answer with another responder from the next query on."""
        for udp in self._datagrams:
            udp.use(responder)
        for tcp in self._streams:
            tcp.responder, tcp.limits = responder, limits

    def share(self, *, on: bool = True) -> None:
        """Let others bind the same port from now on, or nobody any more.

        Who takes over binds before we let go.
        """
        for bound in chain.from_iterable(self._pairs):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, on)

    async def finish(self) -> None:
        """Take no more queries, answer those that are here within ``GRACE``, and close."""
        datagrams = (udp.finish(GRACE) for udp in self._datagrams)
        streams = (tcp.finish(GRACE) for tcp in self._streams)
        await asyncio.gather(*datagrams, *streams)
        await self.close()

    async def close(self) -> None:
        """Stop listening at once; also before it was started."""
        await self._open.aclose()
        for pair in self._pairs:
            _close(*pair)


_GROUPS = {"": EVERYWHERE, "localhost": LOOPBACK}


_Pair: TypeAlias = tuple[socket.socket, socket.socket]


def _bind_all(hosts: Sequence[str], port: int, *, optional_ipv6: bool, shared: bool) -> list[_Pair]:
    """Bind every host to the same port, or nothing at all."""
    pairs: list[_Pair] = []
    try:
        for host in hosts:
            try:
                pairs.append(_bind_pair(host, port, shared=shared))
            except OSError as error:
                if not (optional_ipv6 and ":" in host and error.errno in _NO_IPV6):
                    raise UsageError(_cannot(host, port, error)) from error
            else:
                port = pairs[-1][0].getsockname()[1]
    except BaseException:
        for pair in pairs:
            _close(*pair)
        raise
    return pairs


_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


def _cannot(host: str, port: int, error: OSError) -> str:
    hint = " (ports under 1024 need root or CAP_NET_BIND_SERVICE)"
    denied = error.errno == errno.EACCES
    return f"cannot listen on {show((host, port))}: {error.strerror}{hint if denied else ''}"


def _bind_pair(host: str, port: int, *, shared: bool) -> _Pair:
    """Bind UDP and TCP to one port. Of port 0 the kernel picks UDP's, which TCP may not get."""
    for attempt in range(_FREE_PORT_TRIES):
        datagrams = _bind(host, port, socket.SOCK_DGRAM, shared=shared)
        try:
            chosen = datagrams.getsockname()[1]
            streams = _bind(host, chosen, socket.SOCK_STREAM, shared=shared)
        except OSError:
            datagrams.close()
            if port or attempt == _FREE_PORT_TRIES - 1:
                raise
        else:
            streams.listen(_BACKLOG)
            return datagrams, streams
    raise AssertionError("the last attempt returns or raises")


def _bind(host: str, port: int, kind: socket.SocketKind, *, shared: bool) -> socket.socket:
    try:
        info = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)[0]
    except socket.gaierror:
        raise UsageError(f"cannot listen on {host}: expected an IP address") from None
    bound = socket.socket(info[0], kind)
    try:
        if info[0] == socket.AF_INET6:
            # IPv4 has a socket of its own: replies to mapped addresses would leave from it.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        bound.bind(info[4])
    except OSError:
        bound.close()
        raise
    return bound


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        one.close()


def show(address: Address) -> str:
    """Write an address and port as people do."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
