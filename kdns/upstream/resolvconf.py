"""Addresses of upstream resolvers: written by hand, or found in resolv.conf.

Knows no sockets and asks nobody: an upstream is an address, not a name.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from kdns.errors import UsageError

PORT = 53
MAX_UPSTREAMS = 15
SYSTEM = Path("/etc/resolv.conf")
REAL = Path("/run/systemd/resolve/resolv.conf")
"""The resolvers behind systemd-resolved's stub."""
# systemd-resolved(8): the stub and its proxy. In a pod they lead back to the pod itself.
_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})
_MAX_PORT = 65_535
_BRACKETS = re.compile(r"\[(.+)\](?::(.*))?")
_ONE_COLON = re.compile(r"([^:]+):([^:]*)")

_Address: TypeAlias = IPv4Address | IPv6Address


class Upstream(Struct, frozen=True):
    """A resolver: IP address, with its scope where it has one, and port."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Upstream:
    """Read ``ADDR``, ``ADDR:PORT``, ``[ADDR]:PORT`` or a plain IPv6 address."""
    host, port = _split(text)
    try:
        address = ip_address(host)
    except ValueError:
        raise UsageError(f"upstream {text!r}: expected ADDR, ADDR:PORT or [IPV6]:PORT") from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise UsageError(f"upstream {text!r}: expected a port from 1 to {_MAX_PORT}")
    return Upstream(str(address), int(port))


def system(path: Path = SYSTEM, real: Path = REAL) -> list[Upstream]:
    """Find the resolvers of this machine.

    Behind the stub of systemd-resolved they are the ones that it asks itself.
    """
    found = _nameservers(path)
    if found and all(upstream.host in _STUBS for upstream in found):
        found = _nameservers(real) or found
    # resolv.conf(5): "If no nameserver entries are present, the default is to use the name
    # server on the local machine."
    return found or [Upstream("127.0.0.1")]


def without(
    wanted: Iterable[Upstream], own: Sequence[tuple[str, int]]
) -> tuple[list[Upstream], list[Upstream]]:
    """Divide upstreams into those to use and those that would be this server asking itself.

    ``own`` are the addresses and ports that it listens on.
    """
    bound = [(_address(host), port) for host, port in own]
    kept: list[Upstream] = []
    dropped: list[Upstream] = []
    for upstream in wanted:
        ours = any(_reaches(upstream, address, port) for address, port in bound)
        (dropped if ours else kept).append(upstream)
    return kept, dropped


def _reaches(upstream: Upstream, bound: _Address, port: int) -> bool:
    """Whether a socket that is bound to this address gets what is sent to the upstream."""
    asked = ip_address(upstream.host)
    if port != upstream.port or asked.version != bound.version:
        return False
    # A wildcard listens on loopback too, and what is sent to it arrives there.
    here = asked.is_loopback or asked.is_unspecified
    return (
        asked == bound
        or (here and bound.is_unspecified)
        or (asked.is_unspecified and bound.is_loopback)
    )


def _address(text: str) -> _Address:
    try:
        return ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r}: expected an IP address") from None


def _split(text: str) -> tuple[str, str]:
    """Divide into host and port; what has several colons and no brackets is all host."""
    found = _BRACKETS.fullmatch(text) or _ONE_COLON.fullmatch(text)
    if found is None:
        return text, str(PORT)
    host, port = found.groups(default=str(PORT))
    return host, port


def _nameservers(path: Path) -> list[Upstream]:
    """Read the ``nameserver`` lines of a file, in their order; none where there is no file."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    found: list[Upstream] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["nameserver"]:
            # libc passes over what is no address, and so do we.
            with suppress(UsageError):
                found += [parse(host) for host in words[1:2]]
    return found[:MAX_UPSTREAMS]
