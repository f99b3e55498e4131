"""The name in a record's rdata that an ``answer value`` rule is about."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from kdns.wire import codes, names
from kdns.wire.names import Name
from kdns.wire.records import Record

_NAPTR, _DNAME = 35, 39
_BEFORE: Mapping[int, int] = MappingProxyType(
    {
        codes.NS: 0,
        codes.CNAME: 0,
        codes.SOA: 0,
        codes.PTR: 0,
        codes.MX: 2,
        codes.SRV: 6,
        _DNAME: 0,
    }
)
"""Octets of rdata before the name. Of a SOA it is the primary server."""
_NAPTR_STRINGS = 3


def target(record: Record) -> Name | None:
    """Return the name in the rdata; None for a type that has none, or none of interest."""
    if record.targets:
        return record.targets[0]
    start = _start(record)
    return None if start is None else record.rdata[start : names.skip(record.rdata, start)]


def retargeted(record: Record, name: Name) -> Record:
    """Put another name in the place of ``target``."""
    if record.targets:
        return replace(record, targets=(name, *record.targets[1:]))
    start = _start(record)
    if start is None:
        raise ValueError(f"type {record.rtype} has no name to be replaced")
    end = names.skip(record.rdata, start)
    return replace(record, rdata=record.rdata[:start] + name + record.rdata[end:])


def _start(record: Record) -> int | None:
    if record.rtype != _NAPTR:
        return _BEFORE.get(record.rtype)
    # RFC 3403 section 4.1: order, preference, and three strings before the replacement.
    at = 4
    for _ in range(_NAPTR_STRINGS):
        at += 1 + record.rdata[at]
    return at
