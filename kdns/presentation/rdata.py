"""The words of rdata -> octets, for every type that has a form; RFC 3597 section 5 for any type.

A type is a row of fields; a field reads one word or all that are left.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from itertools import groupby
from types import MappingProxyType
from typing import TypeAlias

from kdns.corefile.mnemonics import TYPES
from kdns.presentation.services import parameters
from kdns.presentation.words import Word, unescaped
from kdns.wire import names
from kdns.wire.names import ROOT, Name

MAX_STRING = 255
"""Octets of a character-string (RFC 1035 section 3.3)."""
MAX_RDATA = 65_535

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TIME = re.compile(r"(?:[0-9]+[smhdw])*[0-9]*", re.IGNORECASE)
_TIME_PART = re.compile(r"([0-9]+)([smhdw]?)", re.IGNORECASE)
_NUMBERED = re.compile(r"TYPE([0-9]{1,5})", re.IGNORECASE)
_GENERIC = r"\#"
_MAX_32 = 0xFFFF_FFFF
_MAX_16 = 0xFFFF


class Words:
    """The words of a record's rdata, read from left to right."""

    def __init__(self, found: Sequence[Word], origin: Name) -> None:
        self.origin = origin
        self._words = found
        self._at = 0

    def next(self, what: str) -> Word:
        """Take the next word; ValueError says that ``what`` is missing."""
        if self._at >= len(self._words):
            raise ValueError(f"expected {what}, got the end of the record")
        self._at += 1
        return self._words[self._at - 1]

    def rest(self) -> Sequence[Word]:
        """Take all words that are left."""
        found = self._words[self._at :]
        self._at = len(self._words)
        return found

    def end(self) -> None:
        """Refuse what is left."""
        if self._at < len(self._words):
            raise ValueError(f"expected the end of the record, got {self._words[self._at].text!r}")


Field: TypeAlias = Callable[[Words], bytes]


def read(rtype: int, found: Sequence[Word], origin: Name = ROOT) -> tuple[tuple[Name, ...], bytes]:
    """Read rdata: the names at its start that may be compressed, and the octets after them."""
    if found and found[0].text == _GENERIC and not found[0].quoted:
        return (), _generic(found)
    fields = FORMS.get(rtype)
    if fields is None:
        raise ValueError(f"the rdata of this type is written as {_GENERIC} LENGTH HEX (RFC 3597)")
    reading = Words(found, origin)
    targets = tuple(name(reading) for _ in range(_TARGETS.get(rtype, 0)))
    data = b"".join([field(reading) for field in fields[len(targets) :]])
    reading.end()
    if sum(map(len, targets)) + len(data) > MAX_RDATA:
        raise ValueError(f"rdata of more than {MAX_RDATA} octets")
    return targets, data


def seconds(text: str) -> int:
    """Read a TTL: seconds, or with units like ``1h30m``."""
    if not text or _TIME.fullmatch(text) is None:
        raise ValueError(f"expected a number of seconds, got {text!r}")
    parts = _TIME_PART.findall(text)
    total = sum(int(count) * _SECONDS[unit.lower() or "s"] for count, unit in parts)
    if total > _MAX_32:
        raise ValueError(f"{text} is more than {_MAX_32} seconds")
    return total


def absolute(text: str, origin: Name) -> Name:
    """Read a name; one without a final dot is below the origin."""
    if text == "@":
        return origin
    if not text:
        raise ValueError("expected a name, got an empty word")
    found = names.from_text(text)
    if found == ROOT or _is_absolute(text):
        return found
    if len(found) - 1 + len(origin) > names.MAX_NAME:
        raise ValueError(f"name over {names.MAX_NAME} octets: {text!r}")
    return found[:-1] + origin


def rtype_of(text: str) -> int | None:
    """Return the number of a type by its mnemonic or as ``TYPE123``; None for another word."""
    numbered = _NUMBERED.fullmatch(text)
    if numbered is not None and int(numbered.group(1)) <= _MAX_16:
        return int(numbered.group(1))
    return TYPES.get(text.upper())


# -- fields ------------------------------------------------------------------------------------


def name(words: Words) -> bytes:
    """Read a domain name."""
    return absolute(words.next("a name").text, words.origin)


def _number(octets: int) -> Field:
    highest = (1 << 8 * octets) - 1

    def read_number(words: Words) -> bytes:
        text = words.next(f"a number up to {highest}").text
        if re.fullmatch(r"[0-9]{1,10}", text) is None or int(text) > highest:
            raise ValueError(f"expected a number up to {highest}, got {text!r}")
        return int(text).to_bytes(octets)

    return read_number


def _time(words: Words) -> bytes:
    return seconds(words.next("a number of seconds").text).to_bytes(4)


def _moment(words: Words) -> bytes:
    """Read a time of RFC 4034 section 3.2: YYYYMMDDHHmmSS in UTC, or seconds since 1970."""
    text = words.next("a time").text
    if re.fullmatch(r"[0-9]{14}", text):
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return (int(moment.timestamp()) & _MAX_32).to_bytes(4)
    if re.fullmatch(r"[0-9]{1,10}", text) is None or int(text) > _MAX_32:
        raise ValueError(f"expected a time like 20300101000000, got {text!r}")
    return int(text).to_bytes(4)


def _ipv4(words: Words) -> bytes:
    return _packed(words, IPv4Address, "an IPv4 address")


def _ipv6(words: Words) -> bytes:
    return _packed(words, IPv6Address, "an IPv6 address")


def _packed(words: Words, kind: type[IPv4Address | IPv6Address], what: str) -> bytes:
    text = words.next(what).text
    try:
        # A zone, as in fe80::1%eth0, is of no other machine's interest.
        return kind(text.replace("%", "-")).packed
    except ValueError:
        raise ValueError(f"expected {what}, got {text!r}") from None


def _string(words: Words) -> bytes:
    return _counted(unescaped(words.next("a string")))


def _strings(words: Words) -> bytes:
    """Read all strings that are left; a long one becomes several of 255 octets."""
    first = words.next("a string")
    data = [unescaped(word) for word in (first, *words.rest())]
    return b"".join(
        _counted(text[at : at + MAX_STRING])
        for text in data
        for at in range(0, max(1, len(text)), MAX_STRING)
    )


def _text(words: Words) -> bytes:
    """Read a string that fills the rest of the rdata and has no length of its own."""
    return unescaped(words.next("a string"))


def _counted(data: bytes) -> bytes:
    if len(data) > MAX_STRING:
        raise ValueError(f"a string of {len(data)} octets, expected {MAX_STRING} at the most")
    return bytes((len(data),)) + data


def _joined(words: Words, what: str) -> str:
    """Join the words that are left: white space in hex and base64 means nothing."""
    return words.next(what).text + "".join(word.text for word in words.rest())


def _hex(words: Words) -> bytes:
    return _unhex(_joined(words, "hex digits"))


def _unhex(text: str) -> bytes:
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise ValueError(f"expected pairs of hex digits, got {text!r}") from None


def _base64(words: Words) -> bytes:
    text = _joined(words, "base64")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"expected base64, got {text!r}") from None


def _base32(words: Words) -> bytes:
    """Read a hash of NSEC3: base32hex without padding, with its length before it."""
    text = words.next("base32hex").text.upper()
    try:
        return _counted(base64.b32hexdecode(text + "=" * (-len(text) % 8)))
    except binascii.Error:
        raise ValueError(f"expected base32hex, got {text!r}") from None


def _salt(words: Words) -> bytes:
    text = words.next("a salt").text
    return b"\0" if text == "-" else _counted(_unhex(text))


def _type(words: Words) -> bytes:
    return _known_type(words.next("a type")).to_bytes(2)


def _bitmap(words: Words) -> bytes:
    """Read types into the windows of RFC 4034 section 4.1.2."""
    types = sorted({_known_type(word) for word in words.rest()})
    return b"".join(
        _window(number, [rtype & 0xFF for rtype in window])
        for number, window in groupby(types, key=lambda rtype: rtype >> 8)
    )


def _window(number: int, types: Sequence[int]) -> bytes:
    bits = bytearray(types[-1] // 8 + 1)
    for rtype in types:
        bits[rtype // 8] |= 0x80 >> rtype % 8
    return bytes((number, len(bits))) + bytes(bits)


def _known_type(word: Word) -> int:
    rtype = rtype_of(word.text)
    if rtype is None:
        raise ValueError(f"unknown type {word.text!r}")
    return rtype


def _groups(count: int, digits: int, mark: str) -> Field:
    """Read groups of hex digits with a mark between them."""
    form = re.compile(mark.join([rf"[0-9A-Fa-f]{{{digits}}}"] * count))

    def read_groups(words: Words) -> bytes:
        text = words.next(f"{count} groups of hex digits").text
        if form.fullmatch(text) is None:
            expected = mark.join(["0" * digits] * count)
            raise ValueError(f"expected hex digits like {expected}, got {text!r}")
        return bytes.fromhex(text.replace(mark, ""))

    return read_groups


def _parameters(words: Words) -> bytes:
    return parameters(words.rest())


_U8, _U16, _U32 = _number(1), _number(2), _number(4)
_DIGEST = (_U16, _U8, _U8, _hex)
_KEY = (_U16, _U8, _U8, _base64)
_CERTIFICATE = (_U8, _U8, _U8, _hex)
_PREFERENCE = (_U16, name)
_SERVICE = (_U16, name, _parameters)

_BY_NAME: Mapping[str, tuple[Field, ...]] = {
    "A": (_ipv4,),
    "NS": (name,),
    "MD": (name,),
    "MF": (name,),
    "CNAME": (name,),
    "SOA": (name, name, _U32, _time, _time, _time, _time),
    "MB": (name,),
    "MG": (name,),
    "MR": (name,),
    "PTR": (name,),
    "HINFO": (_string, _string),
    "MINFO": (name, name),
    "MX": _PREFERENCE,
    "TXT": (_strings,),
    "RP": (name, name),
    "AFSDB": _PREFERENCE,
    "X25": (_string,),
    "ISDN": (_strings,),
    "RT": _PREFERENCE,
    "NSAP-PTR": (name,),
    "PX": (_U16, name, name),
    "GPOS": (_string, _string, _string),
    "AAAA": (_ipv6,),
    "SRV": (_U16, _U16, _U16, name),
    "NAPTR": (_U16, _U16, _string, _string, _string, name),
    "KX": _PREFERENCE,
    "CERT": (_U16, _U16, _U8, _base64),
    "DNAME": (name,),
    "DS": _DIGEST,
    "SSHFP": (_U8, _U8, _hex),
    "RRSIG": (_type, _U8, _U8, _time, _moment, _moment, _U16, name, _base64),
    "NSEC": (name, _bitmap),
    "DNSKEY": _KEY,
    "DHCID": (_base64,),
    "NSEC3": (_U8, _U8, _U16, _salt, _base32, _bitmap),
    "NSEC3PARAM": (_U8, _U8, _U16, _salt),
    "TLSA": _CERTIFICATE,
    "SMIMEA": _CERTIFICATE,
    "NINFO": (_strings,),
    "CDS": _DIGEST,
    "CDNSKEY": _KEY,
    "OPENPGPKEY": (_base64,),
    "CSYNC": (_U32, _U16, _bitmap),
    "ZONEMD": (_U32, _U8, _U8, _hex),
    "SVCB": _SERVICE,
    "HTTPS": _SERVICE,
    "SPF": (_strings,),
    "NID": (_U16, _groups(4, 4, ":")),
    "L32": (_U16, _ipv4),
    "L64": (_U16, _groups(4, 4, ":")),
    "LP": _PREFERENCE,
    "EUI48": (_groups(6, 2, "-"),),
    "EUI64": (_groups(8, 2, "-"),),
    "URI": (_U16, _U16, _text),
    "CAA": (_U8, _string, _text),
    "AVC": (_strings,),
    "RESINFO": (_strings,),
    "TA": _DIGEST,
    "DLV": _DIGEST,
}

FORMS: Mapping[int, tuple[Field, ...]] = MappingProxyType(
    {TYPES[mnemonic]: fields for mnemonic, fields in _BY_NAME.items()}
)

# RFC 3597 section 4: names may be compressed only in the types of RFC 1035. These begin with one.
_ONE_TARGET = ("NS", "MD", "MF", "CNAME", "MB", "MG", "MR", "PTR")
_TARGETS: Mapping[int, int] = MappingProxyType(
    {TYPES[mnemonic]: 1 for mnemonic in _ONE_TARGET} | {TYPES["SOA"]: 2, TYPES["MINFO"]: 2}
)


def _generic(found: Sequence[Word]) -> bytes:
    r"""Read ``\# LENGTH HEX`` (RFC 3597 section 5)."""
    length, data = _number(2), _unhex("".join(word.text for word in found[2:]))
    if int.from_bytes(length(Words(found[1:], ROOT))) != len(data):
        raise ValueError(f"{_GENERIC} {found[1].text} is followed by {len(data)} octets")
    return data


def _is_absolute(text: str) -> bool:
    """Whether the last dot is there and not escaped."""
    bare = text.removesuffix(".")
    return bare != text and (len(bare) - len(bare.rstrip("\\"))) % 2 == 0
