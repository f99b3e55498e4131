"""EDNS options of a query: set, added, replaced or taken away, and how that is undone."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.wire import names
from kdns.wire.query import Query

SUBNET = 8
"""RFC 7871."""

Option: TypeAlias = tuple[int, bytes]
Options: TypeAlias = tuple[Option, ...]
Action: TypeAlias = Literal["set", "append", "replace", "unset"]
Word: TypeAlias = Literal[
    "{qname}",
    "{qtype}",
    "{client_ip}",
    "{client_port}",
    "{protocol}",
    "{server_ip}",
    "{server_port}",
]
WORDS: tuple[Word, ...] = (
    "{qname}",
    "{qtype}",
    "{client_ip}",
    "{client_port}",
    "{protocol}",
    "{server_ip}",
    "{server_port}",
)


class Peers(Struct, frozen=True):
    """Who talks to whom, as texts and numbers; an address may be empty."""

    client: str
    client_port: int
    server: str
    server_port: int
    protocol: str


class Subnet(Struct, frozen=True):
    """The client's network of so many bits (RFC 7871 section 6)."""

    ipv4: int
    ipv6: int


Content: TypeAlias = bytes | Word | Subnet
"""What an option is to hold: octets, or what is known of the query at hand."""


class Edit(Struct, frozen=True):
    """One change of a query's options."""

    action: Action
    code: int
    content: Content = b""
    revert: bool = False


class Undo(Struct, frozen=True):
    """How an option is put back: to what it held before, or away."""

    code: int
    before: bytes | None = None


def edited(edit: Edit, options: Options, query: Query, peers: Peers) -> tuple[Options, Undo] | None:
    """Return other options and the way back; None where the edit does not apply."""
    at = _find(options, edit.code)
    if edit.action == "unset":
        return tuple(option for option in options if option[0] != edit.code), Undo(edit.code)
    if (at is None and edit.action == "replace") or (at is not None and edit.action == "append"):
        return None
    data = octets(edit.content, query, peers)
    if data is None:
        return None
    if at is None:
        return (*options, (edit.code, data)), Undo(edit.code)
    return _put(options, at, data), Undo(edit.code, options[at][1])


def undone(options: Options, undos: Iterable[Undo]) -> Options:
    """Put options back, those that are still there."""
    for undo in undos:
        at = _find(options, undo.code)
        if at is None:
            continue
        if undo.before is None:
            options = options[:at] + options[at + 1 :]
        else:
            options = _put(options, at, undo.before)
    return options


def octets(  # noqa: PLR0911 - one for each
    content: Content, query: Query, peers: Peers
) -> bytes | None:
    """Return what an option is to hold; None where it is not known."""
    match content:
        case bytes():
            return content
        case Subnet():
            return _subnet(content, peers.client)
        case "{qname}":
            return names.to_text(query.asked).encode()
        case "{qtype}":
            return query.rtype.to_bytes(2)
        case "{client_ip}":
            return _packed(peers.client)
        case "{server_ip}":
            return _packed(peers.server)
        case "{client_port}":
            return peers.client_port.to_bytes(2) if peers.client else None
        case "{server_port}":
            return peers.server_port.to_bytes(2) if peers.server else None
        case "{protocol}":
            return peers.protocol.encode()


def _find(options: Options, code: int) -> int | None:
    return next((at for at, option in enumerate(options) if option[0] == code), None)


def _put(options: Options, at: int, data: bytes) -> Options:
    return (*options[:at], (options[at][0], data), *options[at + 1 :])


def _packed(address: str) -> bytes | None:
    return ip_address(address).packed if address else None


def _subnet(subnet: Subnet, client: str) -> bytes | None:
    """Write family, bits, scope and the octets of the network that have any of these bits."""
    if not client:
        return None
    address = ip_address(client.partition("%")[0])
    family, bits = (1, subnet.ipv4) if address.version == 4 else (2, subnet.ipv6)  # noqa: PLR2004 - IP's
    network = ip_network((address, bits), strict=False).network_address.packed
    return family.to_bytes(2) + bytes((bits, 0)) + network[: -(-bits // 8)]
