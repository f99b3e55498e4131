"""``getaddrinfo`` over a resolver: the same arguments, results and errors as ``socket``'s."""

import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from msgspec import Struct

from kdns.resolver.results import NOERROR, Address, Result
from kdns.wire import codes

AddressInfo: TypeAlias = tuple[
    socket.AddressFamily,
    socket.SocketKind,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
"""Family, type, protocol, canonical name and socket address."""
Host: TypeAlias = str | bytes | None
Port: TypeAlias = str | bytes | int | None
Find: TypeAlias = Callable[[str, tuple[int, ...]], Awaitable[Result]]
"""Walks the search list for a name of some types."""

_in_c = socket.getaddrinfo
"""What stands there before a program puts something of ours in its place."""
_TYPES: dict[int, tuple[int, ...]] = {
    socket.AF_UNSPEC: (codes.A, codes.AAAA),
    socket.AF_INET: (codes.A,),
    socket.AF_INET6: (codes.AAAA,),
}
_NODATA = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)
_FAULTS = {
    "NXDOMAIN": (socket.EAI_NONAME, "Name or service not known"),
    NOERROR: (_NODATA, "No address associated with hostname"),
    "SERVFAIL": (socket.EAI_AGAIN, "Temporary failure in name resolution"),
}
_FAILED = (socket.EAI_FAIL, "Non-recoverable failure in name resolution")
_LOOPBACK: tuple[Address, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
# RFC 6724 section 2.1: prefix and precedence. What is not here has 40 (::/0).
_PRECEDENCE = {
    ip_network("::1/128"): 50,
    ip_network("::ffff:0:0/96"): 35,
    ip_network("2002::/16"): 30,
    ip_network("2001::/32"): 5,
    ip_network("fc00::/7"): 3,
    ip_network("::/96"): 1,
    ip_network("fec0::/10"): 1,
    ip_network("3ffe::/16"): 1,
}
_OTHERS = 40
_ONLY_HERE = socket.AI_CANONNAME | socket.AI_ADDRCONFIG | socket.AI_V4MAPPED | socket.AI_ALL
"""Flags that mean nothing to the look-up of a numeric address."""


class LookupFailed(socket.gaierror):
    """A name without an address; ``result`` says more."""

    def __init__(self, number: int, text: str, result: Result) -> None:
        super().__init__(number, text)
        self.result = result


class Wanted(Struct, frozen=True):
    """The arguments of ``socket.getaddrinfo``."""

    host: Host
    port: Port
    family: int = 0
    kind: int = 0
    proto: int = 0
    flags: int = 0

    def numeric(self, address: Host, flags: int) -> list[AddressInfo]:
        """Ask the C library about an address, with other flags; it asks nobody."""
        asked = (self.family, self.kind, self.proto)
        return list(_in_c(address, self.port, *asked, flags))


async def getaddrinfo(find: Find, wanted: Wanted) -> list[AddressInfo]:
    """Return what ``socket.getaddrinfo`` would in a pod; raises socket.gaierror.

    Ports, socket types and numeric addresses are left to the C library, which asks nobody about
    them. AI_ADDRCONFIG has no effect: the addresses of this machine are not those of the pod.
    """
    numeric = numeric_only(wanted)
    if numeric is not None:
        return numeric
    canonical, addresses = await _looked_up(find, _text(wanted.host), wanted)
    passed = wanted.flags & ~_ONLY_HERE | socket.AI_NUMERICHOST
    found: list[AddressInfo] = []
    for address in sorted(addresses, key=_precedence, reverse=True):
        found += wanted.numeric(str(address), passed)
    if found and wanted.flags & socket.AI_CANONNAME:
        found[0] = (*found[0][:3], canonical, found[0][4])
    return found


def is_local(name: str) -> bool:
    """Whether a name is the machine's own, which no server is asked about (RFC 6761 6.3)."""
    bare = name.lower().removesuffix(".")
    return bare == "localhost" or bare.endswith(".localhost")


def numeric_only(wanted: Wanted) -> list[AddressInfo] | None:
    """Look up what is no name; None for a name."""
    if wanted.host in {None, "", b""}:
        return wanted.numeric(wanted.host, wanted.flags)
    try:
        return wanted.numeric(wanted.host, wanted.flags | socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME or wanted.flags & socket.AI_NUMERICHOST:
            raise
        return None


def _text(host: Host) -> str:
    if isinstance(host, bytes):
        return host.decode("ascii")
    text = host or ""
    return text if text.isascii() else text.encode("idna").decode("ascii")


async def _looked_up(find: Find, name: str, wanted: Wanted) -> tuple[str, Iterable[Address]]:
    """Return the canonical name and the addresses, or raise."""
    family = wanted.family
    if is_local(name):
        return name, [one for one in _LOOPBACK if _wants(family, one)]
    result = await find(name, _TYPES[family])
    if result.addresses:
        return result.canonical.removesuffix("."), result.addresses
    if family == socket.AF_INET6 and wanted.flags & socket.AI_V4MAPPED:
        result = await find(name, _TYPES[socket.AF_INET])
        if result.addresses:
            mapped = [ip_address(f"::ffff:{address}") for address in result.addresses]
            return result.canonical.removesuffix("."), mapped
    raise _fault(name, result)


def _wants(family: int, address: Address) -> bool:
    versions = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}
    return versions.get(family, address.version) == address.version


def _fault(name: str, result: Result) -> LookupFailed:
    """Make the error of the C library, with the reason behind its words."""
    number, text = _FAULTS.get(result.rcode, _FAILED)
    reason = f": {result.reason}" if result.reason else ""
    return LookupFailed(number, f"{text}: {name}{reason}", result)


def _precedence(address: Address) -> int:
    """Rank by RFC 6724 rule 6; the other rules need an address of ours."""
    as_v6 = ip_address(f"::ffff:{address}") if address.version == 4 else address  # noqa: PLR2004
    found = (rank for network, rank in _PRECEDENCE.items() if as_v6 in network)
    return next(found, _OTHERS)
