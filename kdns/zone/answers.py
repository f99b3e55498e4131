"""What a look-up can end in, and the making of records. Knows no objects."""

from typing import TypeAlias

from msgspec import Struct

from kdns.kube.objects import Kind
from kdns.kube.owners import Owner
from kdns.wire.names import Name
from kdns.wire.records import Record

Owners: TypeAlias = tuple[Owner, ...]


class Found(Struct, frozen=True, gc=False):
    """The name has records of the type."""

    answer: tuple[Record, ...]
    owners: Owners
    additional: tuple[Record, ...] = ()


class Alias(Struct, frozen=True, gc=False):
    """The name is another name's alias, whatever the type (RFC 1034 section 3.6.2)."""

    record: Record
    target: Name
    owners: Owners


class NoData(Struct, frozen=True, gc=False):
    """The name exists and has no record of the type (RFC 2308 section 2.2)."""

    reason: str
    owners: Owners
    empty: bool = False
    """Whether it is an empty non-terminal: only names below it have records (RFC 8020)."""


class NoName(Struct, frozen=True, gc=False):
    """Neither the name nor any name below it exists (RFC 8020)."""

    reason: str
    owners: Owners
    needs: tuple[Kind, ...] = ()
    """Kinds of which everything must be known for this to be true. As long as one of them was not
    listed, the name may well exist."""

    @property
    def namespace(self) -> str:
        """The one namespace that decides; empty where it may be any."""
        return next((owner[1] for owner in self.owners if owner[0] == "namespace"), "")


Lookup: TypeAlias = Found | Alias | NoData | NoName


def found(records: list[Record], reason: str, owners: Owners) -> Found | NoData:
    """Return the records if there are any, without duplicates, else NODATA."""
    if not records:
        return NoData(reason, owners)
    return Found(tuple(dict.fromkeys(records)), owners)
