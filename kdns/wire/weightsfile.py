"""The lines of a weight file -> how often each address of a name comes first.

A name stands on a line of its own, and each of the lines below has an address and a weight. Empty
lines and those that begin with # are passed over. Knows no files and no chance.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TypeAlias

from kdns.errors import CorefileError
from kdns.wire import names
from kdns.wire.names import Name
from kdns.wire.records import pack_address

MAX_WEIGHT = 255
_COMMENT = "#"
Weights: TypeAlias = dict[Name, dict[bytes, int]]
"""By name, in lower case, and address, as octets."""


def read(lines: Iterable[str], path: str) -> Weights:
    """Read a weight file; CorefileError names the line that is wrong and what was expected."""
    found: Weights = {}
    current: dict[bytes, int] | None = None
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith(_COMMENT):
            continue
        match words:
            case [name]:
                current = found.setdefault(_name(name, path, number), {})
            case [address, weight]:
                if current is None:
                    text = f"expected a name before the first address, got {line.strip()!r}"
                    raise CorefileError(path, number, text)
                # The first of two weights of an address counts, as in CoreDNS.
                packed = _address(address, path, number)
                current.setdefault(packed, _weight(weight, path, number))
            case _:
                text = f"expected a name, or an address and its weight, got {line.strip()!r}"
                raise CorefileError(path, number, text)
    return found


def _name(text: str, path: str, number: int) -> Name:
    if pack_address(text) is not None:
        raise CorefileError(path, number, f"expected a weight after the address {text}")
    try:
        return names.from_text(text).lower()
    except ValueError as error:
        raise CorefileError(path, number, f"expected a name, got {text!r}: {error}") from None


def _address(text: str, path: str, number: int) -> bytes:
    try:
        return ip_address(text).packed
    except ValueError:
        raise CorefileError(path, number, f"expected an IP address, got {text!r}") from None


def _weight(text: str, path: str, number: int) -> int:
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004 - digits that are certainly too many
    if not 1 <= value <= MAX_WEIGHT:
        expected = f"expected a weight from 1 to {MAX_WEIGHT}"
        raise CorefileError(path, number, f"{expected}, got {text!r}")
    return value
