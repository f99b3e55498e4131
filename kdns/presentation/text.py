"""A ``Record`` -> one line of a master file (RFC 1035 section 5.1), and its rdata alone.

Types that a cluster has, and some that upstreams have, get their own form; for all others there is
the form of RFC 3597 section 5, which every reader understands.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TypeAlias

from kdns.corefile.mnemonics import class_text, type_text
from kdns.wire import codes, names
from kdns.wire.records import Record

_QUOTED = frozenset(b'"\\')
_PRINTABLE = range(0x20, 0x7F)
_NUMBER, _LONG = 2, 4
_SOA_NUMBERS = 5
_SRV_NUMBERS = 3

_Form: TypeAlias = Callable[[bytes], str]


def line(record: Record) -> str:
    """Write owner, TTL, class, type and rdata, with tabs between them."""
    fields = (
        names.to_text(record.owner),
        str(record.ttl),
        class_text(record.rclass),
        type_text(record.rtype),
        rdata(record),
    )
    return "\t".join(fields)


def rdata(record: Record) -> str:
    """Write the rdata."""
    octets = b"".join(record.targets) + record.rdata
    form = _FORMS.get(record.rtype)
    if form is None:
        return _generic(octets)
    try:
        return form(octets)
    # An upstream may send anything under any type.
    except (ValueError, IndexError):
        return _generic(octets)


def string(data: bytes) -> str:
    """Write a character-string in quotes."""
    return f'"{"".join(map(_character, data))}"'


def _character(octet: int) -> str:
    if octet in _QUOTED:
        return "\\" + chr(octet)
    return chr(octet) if octet in _PRINTABLE else f"\\{octet:03d}"


def _generic(octets: bytes) -> str:
    return f"\\# {len(octets)} {octets.hex()}".rstrip()


def _ipv4(octets: bytes) -> str:
    return str(IPv4Address(octets))


def _ipv6(octets: bytes) -> str:
    return str(IPv6Address(octets))


def _name(octets: bytes) -> str:
    if names.skip(octets, 0) != len(octets) or len(octets) > names.MAX_NAME:
        raise ValueError("not one name")
    return names.to_text(octets)


def _numbers(octets: bytes, count: int, size: int) -> str:
    if len(octets) < count * size:
        raise ValueError("cut short")
    parts = (octets[at * size : (at + 1) * size] for at in range(count))
    return " ".join(str(int.from_bytes(part)) for part in parts)


def _soa(octets: bytes) -> str:
    first = names.skip(octets, 0)
    second = names.skip(octets, first)
    if len(octets) != second + _SOA_NUMBERS * _LONG:
        raise ValueError("cut short")
    servers = f"{names.to_text(octets[:first])} {names.to_text(octets[first:second])}"
    return f"{servers} {_numbers(octets[second:], _SOA_NUMBERS, _LONG)}"


def _numbered(count: int) -> _Form:
    """Return the form of some 16-bit numbers and a name."""
    before = count * _NUMBER
    return lambda octets: f"{_numbers(octets, count, _NUMBER)} {_name(octets[before:])}"


def _two_strings(octets: bytes) -> str:
    if len(octets) < _NUMBER or len(octets) != _NUMBER + octets[0] + octets[1 + octets[0]]:
        raise ValueError("not two strings")
    return _strings(octets)


def _strings(octets: bytes) -> str:
    if not octets:
        raise ValueError("no string")
    found, at = [], 0
    while at < len(octets):
        end = at + 1 + octets[at]
        if end > len(octets):
            raise ValueError("cut short")
        found.append(string(octets[at + 1 : end]))
        at = end
    return " ".join(found)


_FORMS: Mapping[int, _Form] = MappingProxyType(
    {
        codes.A: _ipv4,
        codes.AAAA: _ipv6,
        **dict.fromkeys((codes.NS, codes.CNAME, codes.PTR), _name),
        codes.SOA: _soa,
        codes.MX: _numbered(1),
        codes.SRV: _numbered(_SRV_NUMBERS),
        codes.TXT: _strings,
        codes.HINFO: _two_strings,
    }
)
