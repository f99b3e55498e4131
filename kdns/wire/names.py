"""Domain names as uncompressed wire bytes, the form in which they are asked and compared.

A name is length octets and labels, ended by a zero: hashable, sliced at label boundaries, and
lower-cased with ``bytes.lower()``, because a length octet is at most 63 and "A" is 65.
Knows no messages.
"""

import re
from typing import TypeAlias

Name: TypeAlias = bytes

ROOT: Name = b"\0"
MAX_NAME = 255
"""Octets of the longest name, its root included (RFC 1035 section 2.3.4)."""
MAX_LABEL = 63
POINTER = 0xC0
"""The two upper bits of a pointer (RFC 1035 section 4.1.4)."""

_ESCAPED = re.compile(rb"\\(\d\d\d|.)|(.)", re.DOTALL)
_SPECIAL = frozenset(b'."\\();@$')


def from_text(text: str) -> Name:
    """Read a name in presentation form; a missing final dot makes no difference.

    Raises ValueError for an empty label, a label over 63 octets or a name over 255.
    """
    if text in {"", "."}:
        return ROOT
    parts = _split(text)
    name = from_labels(parts[:-1] if parts[-1] == b"" else parts)
    if len(name) > MAX_NAME:
        raise ValueError(f"name over {MAX_NAME} octets: {text!r}")
    return name


def from_labels(labels: list[bytes]) -> Name:
    """Join labels; ValueError where one is empty or over 63 octets."""
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            raise ValueError(f"label of {len(label)} octets, expected 1 to {MAX_LABEL}")
    return b"".join(bytes((len(label),)) + label for label in labels) + ROOT


def of(*labels: str) -> Name:
    """Join the labels that a program knows to be right: ``of("ns", "dns") + origin[...]``.

    The result has no root: append the origin.
    """
    return "".join([chr(len(label)) + label for label in labels]).encode("latin-1")


def to_text(name: Name) -> str:
    """Write a name in presentation form, with its final dot (RFC 4343 section 2.1 escapes)."""
    if name == ROOT:
        return "."
    return "".join(_escape(label) + "." for label in labels(name))


def labels(name: Name) -> list[bytes]:
    """Return the labels from left to right, without the root."""
    found, at = [], 0
    while length := name[at]:
        found.append(name[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def is_below(name: Name, origin: Name) -> bool:
    """Whether the name is the origin or lies under it; both in lower case."""
    return name.endswith(origin) and starts_label(name, len(name) - len(origin))


def starts_label(name: Name, offset: int) -> bool:
    """Whether a label, or the root, begins at an offset of a name."""
    at = 0
    while at < offset:
        at += 1 + name[at]
    return at == offset


def skip(message: bytes, at: int) -> int:
    """Return the offset after a name in a message, without following the pointer it may end in.

    Raises ValueError for a reserved label type and for a name that the message does not hold.
    """
    size = len(message)
    while at < size:
        length = message[at]
        if length >= POINTER:
            return at + 2
        # RFC 1035 section 4.1.4: the combinations 10 and 01 are reserved.
        if length > MAX_LABEL:
            break
        at += 1 + length
        if not length:
            return at
    raise ValueError("bad name")


def _split(text: str) -> list[bytes]:
    """Split at the dots that are not escaped."""
    found = [bytearray()]
    for escaped, plain in _ESCAPED.findall(text.encode("utf-8")):
        if plain == b".":
            found.append(bytearray())
        else:
            found[-1] += plain or _unescape(escaped)
    return [bytes(label) for label in found]


def _unescape(escaped: bytes) -> bytes:
    if len(escaped) == 1:
        return escaped
    if int(escaped) > 255:  # noqa: PLR2004 - an octet
        raise ValueError(f"\\{escaped.decode()} is no octet")
    return bytes((int(escaped),))


def _escape(label: bytes) -> str:
    if label.replace(b"-", b"").replace(b"_", b"").isalnum():  # nearly every label; ASCII only
        return label.decode("ascii")
    return "".join(_character(octet) for octet in label)


def _character(octet: int) -> str:
    if octet in _SPECIAL:
        return "\\" + chr(octet)
    if 0x20 < octet < 0x7F:  # noqa: PLR2004 - printable ASCII without the space
        return chr(octet)
    return f"\\{octet:03d}"
