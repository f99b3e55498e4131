"""One line of a master file -> a ``Record`` (RFC 1035 section 5.1)."""

import re
from collections.abc import Sequence

from kdns.corefile.mnemonics import CLASSES
from kdns.presentation import rdata
from kdns.presentation.words import Word, words
from kdns.wire import codes
from kdns.wire.names import ROOT, Name
from kdns.wire.records import Record

DEFAULT_TTL = 3600
"""Seconds, where a line says nothing."""

_NUMBERED = re.compile(r"CLASS([0-9]{1,5})", re.IGNORECASE)
_MAX_CLASS = 65_535


def read_record(text: str, origin: Name = ROOT) -> Record:
    """Read ``OWNER [TTL] [CLASS] TYPE RDATA``; ValueError says what was expected.

    Names without a final dot are below the origin.
    """
    if text[:1].isspace():
        raise ValueError("expected the name of the owner first, got white space")
    found = words(text)
    if not found:
        raise ValueError("expected a record, got nothing")
    if found[0].text.startswith("$"):
        raise ValueError(f"expected a record, got the directive {found[0].text}")
    owner = rdata.absolute(found[0].text, origin)
    ttl, rclass, at = _head(found)
    rtype = rdata.rtype_of(found[at].text) if at < len(found) else None
    if rtype is None:
        got = repr(found[at].text) if at < len(found) else "the end of the record"
        raise ValueError(f"expected a TTL, a class or a type, got {got}")
    targets, data = rdata.read(rtype, found[at + 1 :], origin)
    return Record(owner, rtype, ttl, data, targets, rclass)


def _head(found: Sequence[Word]) -> tuple[int, int, int]:
    """Read TTL and class, in either order: both, and where the type stands."""
    ttl: int | None = None
    rclass: int | None = None
    at = 1
    while at < len(found):
        text = found[at].text
        if rclass is None and (known := _class(text)) is not None:
            rclass = known
        elif ttl is None and text[:1].isdigit():
            ttl = rdata.seconds(text)
        else:
            break
        at += 1
    return (
        DEFAULT_TTL if ttl is None else ttl,
        codes.CLASS_IN if rclass is None else rclass,
        at,
    )


def _class(text: str) -> int | None:
    numbered = _NUMBERED.fullmatch(text)
    if numbered is not None and int(numbered.group(1)) <= _MAX_CLASS:
        return int(numbered.group(1))
    return CLASSES.get(text.upper())
