"""A zone as it stands in a Corefile -> names: a network stands for its reverse zones.

Knows no tokens: what cannot be read is a ValueError that says what was expected.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from kdns.wire import names
from kdns.wire.names import Name

Network: TypeAlias = IPv4Network | IPv6Network

SCHEMES = ("dns", "tls", "https", "https3", "quic", "grpc", "unix")
"""What CoreDNS takes off the front of a zone."""
MAX_PORT = 65_535

_SCHEME = re.compile(rf"({'|'.join(SCHEMES)})://(.*)", re.DOTALL)
_PORT = re.compile(r"(.*):([0-9]+)", re.DOTALL)
# RFC 2317 zones such as 0/25.2.0.192.in-addr.arpa are names: they have letters and no colon.
_NETWORK = re.compile(r"\[?(?:[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*)\]?/[0-9]+")


def divide(text: str) -> tuple[str, str, int | None]:
    """Divide ``[SCHEME://]ZONE[:PORT]`` into scheme, zone and port; the scheme is ``dns`` if none.

    ``:53`` is the port of the root. Raises ValueError for an impossible port.
    """
    found = _SCHEME.fullmatch(text)
    scheme, rest = found.groups() if found else ("dns", text)
    if rest.endswith(":"):
        raise ValueError("expected a port after the last colon")
    numbered = _PORT.fullmatch(rest)
    if numbered is None:
        return scheme, rest, None
    zone, digits = numbered.groups()
    if len(digits) > len(str(MAX_PORT)) or int(digits) > MAX_PORT:
        raise ValueError(f"expected a port from 0 to {MAX_PORT}, got {digits}")
    return scheme, zone, int(digits)


def expand(zone: str) -> tuple[Name, ...]:
    """Return the names of a zone, in lower case: one, or those that cover a network.

    Raises ValueError for what is neither a name nor a network.
    """
    if _NETWORK.fullmatch(zone):
        return reverse_zones(network(zone))
    return (names.from_text(zone).lower(),)


def network(text: str) -> Network:
    """Read ``ADDRESS/BITS`` or an address; bits of the host are set to 0, as in CoreDNS.

    Raises ValueError for anything else.
    """
    if re.fullmatch(r"[0-9A-Fa-f.:]+(/[0-9]{1,3})?", text) is None:
        raise ValueError("expected an address or a network like 10.0.0.0/8 or 2001:db8::/32")
    return ip_network(text, strict=False)


def reverse_zones(wanted: Network) -> tuple[Name, ...]:
    """Return the zones that cover a network: cut at octets (in-addr.arpa), at nibbles (ip6.arpa).

    A network that ends between two cuts is all the zones of the next one: 10.0.0.0/15 is two.
    """
    step = 8 if isinstance(wanted, IPv4Network) else 4
    bits = -(-wanted.prefixlen // step) * step
    return tuple(_reverse(part, bits // step) for part in wanted.subnets(new_prefix=bits))


def _reverse(part: Network, labels: int) -> Name:
    """Return the zone of a network that is as many labels long."""
    whole = part.network_address.reverse_pointer.split(".")
    return names.from_text(".".join(whole[-2 - labels :]))
