"""The lines of a hosts file (hosts(5)) -> names and addresses, in the form in which they are asked.

Knows no files and no messages.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TypeAlias

from kdns.wire import codes, names
from kdns.wire.names import MAX_LABEL, MAX_NAME, ROOT, Name

WILDCARD = b"\1*"
_IPV4 = 4
"""Octets of an address."""
_IN_ADDR_ARPA = names.from_text("in-addr.arpa")
_IP6_ARPA = names.from_text("ip6.arpa")
_OCTETS = tuple(names.of(str(octet)) for octet in range(256))
_LENGTHS = tuple(bytes((length,)) for length in range(MAX_LABEL + 1))
Fault: TypeAlias = tuple[int, str]
"""A line, counted from 1, and what is wrong with it."""


class Entries:
    """What a hosts file says: names to addresses, addresses to names."""

    def __init__(self) -> None:
        self.addresses: dict[int, dict[Name, list[bytes]]] = {codes.A: {}, codes.AAAA: {}}
        """By type and name in lower case, which may begin with a wildcard."""
        self.names: dict[Name, list[Name]] = {}
        """By reverse name."""
        self.size = 0
        """How many addresses of names and names of addresses there are."""
        self.faults: list[Fault] = []

    def find(self, name: Name, rtype: int) -> Sequence[bytes]:
        """Return the addresses of a name; a wildcard stands for one label and not for the only."""
        known = self.addresses[rtype]
        found = known.get(name)
        if found is None and name != ROOT:
            rest = name[1 + name[0] :]
            found = None if rest == ROOT else known.get(WILDCARD + rest)
        return found or ()


def read(lines: Iterable[bytes], zones: Sequence[Name], *, reverse: bool) -> Entries:
    """Read the lines of a hosts file; names outside of the zones are left out."""
    reader = _Reader(zones, reverse=reverse)
    for number, line in enumerate(lines, 1):
        reader.take(number, line.partition(b"#")[0].split())
    return reader.entries


class _Reader:
    """Takes in a hosts file line by line."""

    def __init__(self, zones: Sequence[Name], *, reverse: bool) -> None:
        self.entries = Entries()
        self._zones = () if ROOT in zones else tuple(zones)
        self._reverse = reverse
        # Lists of names to block have the same address in every line.
        self._addresses: dict[bytes, tuple[bytes, Name] | None] = {}

    def take(self, number: int, words: list[bytes]) -> None:
        if not words:
            return
        known = self._address(words[0])
        if known is None:
            self._fault(number, f"expected an IP address, got {_shown(words[0])}")
        elif len(words) == 1:
            self._fault(number, f"expected a name after {_shown(words[0])}")
        else:
            self._add(number, *known, words[1:])

    def _address(self, word: bytes) -> tuple[bytes, Name] | None:
        if word not in self._addresses:
            self._addresses[word] = _address(word)
        return self._addresses[word]

    def _add(self, number: int, packed: bytes, pointer: Name, words: list[bytes]) -> None:
        known = self.entries.addresses[codes.A if len(packed) == _IPV4 else codes.AAAA]
        for word in words:
            try:
                name = _name(word)
            except ValueError as error:
                self._fault(number, f"expected a name, got {_shown(word)}: {error}")
                continue
            if self._zones and not any(names.is_below(name, zone) for zone in self._zones):
                continue
            known.setdefault(name, []).append(packed)
            self.entries.size += 1
            if self._reverse and not name.startswith(WILDCARD):
                self.entries.names.setdefault(pointer, []).append(name)
                self.entries.size += 1

    def _fault(self, number: int, text: str) -> None:
        self.entries.faults.append((number, text))


def _address(word: bytes) -> tuple[bytes, Name] | None:
    """Return the octets and the reverse name of an address; the zone of IPv6 does not matter."""
    packed = _ipv4(word)
    if packed is not None:
        return packed, _reverse4(packed)
    try:
        known = ip_address(word.partition(b"%")[0].decode("ascii"))
    except ValueError:
        return None
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    packed = known.packed
    return packed, _reverse4(packed) if len(packed) == _IPV4 else _reverse6(packed)


def _ipv4(word: bytes) -> bytes | None:
    """Read IPv4 by hand: ``ipaddress`` takes four times as long."""
    if word.count(b".") != _IPV4 - 1:
        return None
    try:
        packed = bytes(map(int, word.split(b".")))
    except ValueError:
        return None
    return packed if b"%d.%d.%d.%d" % tuple(packed) == word else None


def _reverse4(packed: bytes) -> Name:
    """RFC 1035 section 3.5."""
    return b"".join([_OCTETS[octet] for octet in reversed(packed)]) + _IN_ADDR_ARPA


def _reverse6(packed: bytes) -> Name:
    """RFC 3596 section 2.5."""
    nibbles = bytearray(b"\1\0" * 2 * len(packed))
    nibbles[1::2] = packed.hex().encode()[::-1]
    return bytes(nibbles) + _IP6_ARPA


def _name(word: bytes) -> Name:
    """Read a name, in lower case. Without escapes it is only split: this is done 100,000 times."""
    if b"\\" in word or word == b".":
        return names.from_text(word.decode()).lower()
    labels = word.lower().removesuffix(b".").split(b".")
    if b"" in labels or len(max(labels, key=len)) > MAX_LABEL:
        return names.from_labels(labels)  # which says what is wrong with them
    name = b"".join([_LENGTHS[len(label)] + label for label in labels]) + ROOT
    if len(name) > MAX_NAME:
        raise ValueError(f"name over {MAX_NAME} octets")
    return name


def _shown(word: bytes) -> str:
    return repr(word.decode(errors="replace"))
