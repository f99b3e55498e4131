"""Bind UDP and TCP to the same addresses and port, and serve on them for as long as a block runs.

Knows no zones and no chain.
"""

import errno
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from kdns.errors import UsageError
from kdns.server.responder import Responder
from kdns.server.tcp import TcpLimits, TcpServer
from kdns.server.udp import UdpServer

Address: TypeAlias = tuple[str, int]
"""IP address and port."""

LOOPBACK = ("127.0.0.1", "::1")
_BACKLOG = 128
_FREE_PORT_TRIES = 20


@asynccontextmanager
async def listening(
    hosts: Sequence[str], port: int, responder: Responder, limits: TcpLimits | None = None
) -> AsyncIterator[list[Address]]:
    """Serve on these addresses while the block runs; yields where, port 0 replaced.

    Without hosts it is loopback, IPv6 only where the machine has it. Raises UsageError for an
    address that cannot be bound.
    """
    pairs = _bind_all(hosts or LOOPBACK, port, optional_ipv6=not hosts)
    async with AsyncExitStack() as stack:
        for datagrams, streams in pairs:
            udp = UdpServer(datagrams, responder)
            stack.callback(udp.close)
            tcp = TcpServer(responder, limits or TcpLimits())
            stack.push_async_callback(tcp.close)
            await tcp.start(streams)
        yield [datagrams.getsockname()[:2] for datagrams, _ in pairs]


_Pair: TypeAlias = tuple[socket.socket, socket.socket]


def _bind_all(hosts: Sequence[str], port: int, *, optional_ipv6: bool) -> list[_Pair]:
    """Bind every host to the same port, or nothing at all."""
    pairs: list[_Pair] = []
    try:
        for host in hosts:
            try:
                pairs.append(_bind_pair(host, port))
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


def _bind_pair(host: str, port: int) -> _Pair:
    """Bind UDP and TCP to one port. Of port 0 the kernel picks UDP's, which TCP may not get."""
    for attempt in range(_FREE_PORT_TRIES):
        datagrams = _bind(host, port, socket.SOCK_DGRAM)
        try:
            streams = _bind(host, datagrams.getsockname()[1], socket.SOCK_STREAM)
        except OSError:
            datagrams.close()
            if port or attempt == _FREE_PORT_TRIES - 1:
                raise
        else:
            streams.listen(_BACKLOG)
            return datagrams, streams
    raise AssertionError("the last attempt returns or raises")


def _bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
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
