"""What the machine's network looks like from here. Sends nothing."""

import socket
from collections.abc import Sequence

# Addresses of RFC 5737 and RFC 3849, which lead nowhere but have a route.
_SOMEWHERE_V4, _SOMEWHERE_V6 = "192.0.2.1", "2001:db8::1"


def own_addresses(bind: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that NS records lead to; without a bind, all are bound.

    A wildcard stands for the address that the machine would send from.
    """
    found: list[str] = []
    for host in bind or ("0.0.0.0", "::"):
        match host:
            case "0.0.0.0":
                found += _source_address(socket.AF_INET, _SOMEWHERE_V4)
            case "::":
                found += _source_address(socket.AF_INET6, _SOMEWHERE_V6)
            case _:
                found.append(host)
    return tuple(found)


def _source_address(family: socket.AddressFamily, somewhere: str) -> list[str]:
    """Ask the routing table; connecting a UDP socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((somewhere, 53))
        except OSError:
            return []
        return [str(probe.getsockname()[0])]
