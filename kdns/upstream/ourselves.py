"""Which upstreams are this server itself: to ask them would be a loop. Asks nobody."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeAlias

from kdns.errors import UsageError
from kdns.upstream.address import Upstream

PROC = Path("/proc/net")
_Address: TypeAlias = IPv4Address | IPv6Address
Addresses: TypeAlias = frozenset[_Address]


def without(
    wanted: Iterable[Upstream],
    own: Sequence[tuple[str, int]],
    local: Addresses | None = None,
) -> tuple[list[Upstream], list[Upstream]]:
    """Divide upstreams into those to use and those that would be this server asking itself.

    ``own`` are the addresses and ports that it listens on; behind a wildcard these are the
    addresses of the machine, ``local``, which are looked up when not given.
    """
    bound = [(_address(host), port) for host, port in own]
    if local is None:
        local = machine() if any(address.is_unspecified for address, _ in bound) else frozenset()
    kept: list[Upstream] = []
    dropped: list[Upstream] = []
    for upstream in wanted:
        ours = any(_reaches(upstream, address, port, local) for address, port in bound)
        (dropped if ours else kept).append(upstream)
    return kept, dropped


def machine(proc: Path = PROC) -> Addresses:
    """Return the IP addresses of this machine; none where its kernel is not Linux."""
    return frozenset({*_ipv4(proc / "fib_trie"), *_ipv6(proc / "if_inet6")})


def _reaches(upstream: Upstream, bound: _Address, port: int, local: Addresses) -> bool:
    """Whether a socket that is bound to this address gets what is sent to the upstream."""
    asked = _address(upstream.host.partition("%")[0])
    if port != upstream.port or asked.version != bound.version:
        return False
    # A wildcard listens on loopback too, and what is sent to it arrives there.
    here = asked.is_loopback or asked.is_unspecified or asked in local
    return (
        asked == bound
        or (here and bound.is_unspecified)
        or (asked.is_unspecified and bound.is_loopback)
    )


def _ipv4(path: Path) -> list[_Address]:
    """Read the kernel's routes: those of its own addresses are ``/32 host LOCAL``."""
    found: list[_Address] = []
    before = ""
    for line in _lines(path):
        if "/32 host LOCAL" in line and before.startswith("|-- "):
            found.append(ip_address(before.removeprefix("|-- ")))
        before = line.strip()
    return found


def _ipv6(path: Path) -> list[_Address]:
    """Read a table of which the first column is an address in hexadecimal."""
    return [IPv6Address(int(line.split()[0], 16)) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().splitlines()
    return []


def _address(text: str) -> _Address:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r}: expected an IP address") from None
