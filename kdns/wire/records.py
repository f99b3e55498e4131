"""Resource records as values, and the rdata of the types that a cluster has.

Knows the wire format of rdata; knows no messages, no Kubernetes.
"""

from ipaddress import ip_address
from struct import Struct as Layout

from msgspec import Struct

from kdns.wire import codes
from kdns.wire.names import Name

_SRV = Layout("!HHH")
_SOA = Layout("!IIIII")
SOA_SERIAL_FROM_END = _SOA.size
"""The serial starts this many octets before the end of a SOA's rdata."""
MAX_STRING = 255


class Record(Struct, frozen=True, gc=False):
    """A resource record."""

    owner: Name
    rtype: int
    ttl: int
    """Seconds."""
    rdata: bytes
    """What follows the names of ``targets``; all of the rdata where there are none."""
    targets: tuple[Name, ...] = ()
    """Names at the start of the rdata that may be compressed (RFC 3597 section 4)."""
    rclass: int = codes.CLASS_IN


def address(owner: Name, ttl: int, packed: bytes) -> Record:
    """Make an A for four octets, an AAAA for sixteen (RFC 1035 section 3.4.1, RFC 3596)."""
    return Record(owner, codes.A if len(packed) == 4 else codes.AAAA, ttl, packed)  # noqa: PLR2004


def cname(owner: Name, ttl: int, target: Name) -> Record:
    """RFC 1035 section 3.3.1."""
    return Record(owner, codes.CNAME, ttl, b"", (target,))


def ns(owner: Name, ttl: int, target: Name) -> Record:
    """RFC 1035 section 3.3.11."""
    return Record(owner, codes.NS, ttl, b"", (target,))


def ptr(owner: Name, ttl: int, target: Name) -> Record:
    """RFC 1035 section 3.3.12."""
    return Record(owner, codes.PTR, ttl, b"", (target,))


def txt(owner: Name, ttl: int, text: str) -> Record:
    """RFC 1035 section 3.3.14: one string of at most 255 octets."""
    data = text.encode()[:MAX_STRING]
    return Record(owner, codes.TXT, ttl, bytes((len(data),)) + data)


def srv(owner: Name, ttl: int, weight: int, port: int, target: Name) -> Record:
    """RFC 2782, priority 0. The target is never compressed, says the RFC."""
    return Record(owner, codes.SRV, ttl, _SRV.pack(0, weight, port) + target)


def soa(owner: Name, ttl: int, servers: tuple[Name, Name], numbers: tuple[int, ...]) -> Record:
    """RFC 1035 section 3.3.13.

    ``servers`` are mname and rname; ``numbers`` are serial, refresh, retry, expire, minimum.
    """
    return Record(owner, codes.SOA, ttl, _SOA.pack(*numbers), servers)


def pack_address(text: str) -> bytes | None:
    """Octets of an IP address; None when it is none, for data is not to be trusted here.

    The usual IPv4 text is read by hand: ``ipaddress`` takes five times as long.
    """
    parts = text.split(".")
    try:
        if len(parts) == 4 and text.isascii() and text.replace(".", "").isdecimal():  # noqa: PLR2004 - octets
            return bytes(map(int, parts))
        return ip_address(text).packed
    except ValueError:
        return None
