"""The parameters of SVCB and HTTPS records (RFC 9460 section 2.1) -> octets."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import TypeAlias

from kdns.presentation.words import Word, unescaped

KEYS: Mapping[str, int] = MappingProxyType(
    {
        "mandatory": 0,
        "alpn": 1,
        "no-default-alpn": 2,
        "port": 3,
        "ipv4hint": 4,
        "ech": 5,
        "ipv6hint": 6,
        "dohpath": 7,
        "ohttp": 8,
    }
)
"""Registry "Service Parameter Keys (SvcParamKeys)"."""

_MANDATORY = 0
_NUMBERED = re.compile(r"key([0-9]{1,5})")
_MAX_KEY = 65_534
_MAX_PORT = 65_535
_ITEM = re.compile(rb"((?:\\.|[^\\,])*),", re.DOTALL)
_Value: TypeAlias = Callable[[bytes], bytes]


def parameters(found: Sequence[Word]) -> bytes:
    """Read parameters; they are written in the order of their keys."""
    values: dict[int, bytes] = {}
    for name, value in _pairs(found):
        key = _key(name)
        if key in values:
            raise ValueError(f"the parameter {name} stands twice")
        values[key] = _READERS.get(key, bytes)(value)
    _check(values)
    return b"".join(
        key.to_bytes(2) + len(value).to_bytes(2) + value for key, value in sorted(values.items())
    )


def _pairs(found: Sequence[Word]) -> list[tuple[str, bytes]]:
    """Divide ``key=value``, ``key="value"`` and ``key`` into key and value."""
    pairs: list[tuple[str, bytes]] = []
    for word in found:
        if word.quoted:
            if not (word.glued and pairs and not pairs[-1][1]):
                raise ValueError(f"expected a parameter like alpn=h2, got {word.text!r}")
            pairs[-1] = (pairs[-1][0], unescaped(word))
            continue
        name, _, value = word.text.partition("=")
        pairs.append((name, unescaped(Word(value))))
    return pairs


def _key(name: str) -> int:
    numbered = _NUMBERED.fullmatch(name)
    if numbered is not None and int(numbered.group(1)) <= _MAX_KEY:
        return int(numbered.group(1))
    if name not in KEYS:
        raise ValueError(f"unknown parameter {name!r}: expected one of {', '.join(KEYS)}, key123")
    return KEYS[name]


def _check(values: Mapping[int, bytes]) -> None:
    """Refuse a mandatory parameter that is not there (RFC 9460 section 8)."""
    listed = values.get(_MANDATORY, b"")
    for at in range(0, len(listed), 2):
        if int.from_bytes(listed[at : at + 2]) not in values:
            raise ValueError("a parameter is mandatory and not there")


def _list(value: bytes) -> list[bytes]:
    r"""Divide at commas; ``\,`` is a comma and ``\\`` a backslash in an item."""
    items = _ITEM.findall(value + b",")
    if b"" in items or sum(map(len, items)) + len(items) <= len(value):
        raise ValueError(f"expected values with commas, got {value.decode(errors='replace')!r}")
    return [re.sub(rb"\\(.)", rb"\1", item, flags=re.DOTALL) for item in items]


def _mandatory(value: bytes) -> bytes:
    keys = sorted(_key(item.decode(errors="replace")) for item in _list(value))
    if keys[0] == _MANDATORY or len(set(keys)) < len(keys):
        raise ValueError("mandatory names every parameter once, and not itself")
    return b"".join(key.to_bytes(2) for key in keys)


def _alpn(value: bytes) -> bytes:
    return b"".join(bytes((len(item),)) + item for item in _list(value))


def _nothing(value: bytes) -> bytes:
    if value:
        raise ValueError("no-default-alpn and ohttp have no value")
    return b""


def _port(value: bytes) -> bytes:
    if re.fullmatch(rb"[0-9]{1,5}", value) is None or int(value) > _MAX_PORT:
        raise ValueError(f"expected a port, got {value.decode(errors='replace')!r}")
    return int(value).to_bytes(2)


def _ech(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError("ech: expected base64") from None


def _addresses(kind: type[IPv4Address | IPv6Address]) -> _Value:
    return lambda value: b"".join(kind(item.decode()).packed for item in _list(value))


_READERS: Mapping[int, _Value] = MappingProxyType(
    {
        KEYS["mandatory"]: _mandatory,
        KEYS["alpn"]: _alpn,
        KEYS["no-default-alpn"]: _nothing,
        KEYS["port"]: _port,
        KEYS["ipv4hint"]: _addresses(IPv4Address),
        KEYS["ech"]: _ech,
        KEYS["ipv6hint"]: _addresses(IPv6Address),
        KEYS["ohttp"]: _nothing,
    }
)
