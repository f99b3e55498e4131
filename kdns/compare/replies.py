"""What of a reply matters, as lines, and in which of them two replies differ. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from kdns.corefile.mnemonics import RCODES, type_text
from kdns.presentation import text
from kdns.wire import codes, names, relay
from kdns.wire.query import AA, RA, TC, Query
from kdns.wire.records import Record
from kdns.wire.relay import AD

_FLAGS = {"aa": AA, "tc": TC, "ra": RA, "ad": AD}
_RCODE_TEXTS = {number: word for word, number in reversed([*RCODES.items()])}
_SERIAL_AT = 2
"""Which word of a SOA's rdata is the serial."""
# Their rdata is text, in which case means something; in all others it is names and numbers.
_CASED = frozenset({codes.TXT, codes.HINFO})


class Difference(Struct, frozen=True):
    """The lines that only one of two replies has."""

    theirs: tuple[str, ...]
    ours: tuple[str, ...]


def lines(message: bytes, query: Query, *, everything: bool = False) -> tuple[str, ...]:
    """Say what a response to this query says, without an order.

    The rcode, and the records of the answer without their TTLs: a cache counts them down.
    ``everything`` adds the flags, the TTLs, the other two sections and the serial of a SOA. Raises
    UpstreamError for octets that are no response.
    """
    sections = relay.sections(message, query)
    rcode = _RCODE_TEXTS.get(sections.rcode, f"RCODE{sections.rcode}")
    if not everything:
        # What could not be had over TCP either is no answer to compare.
        cut = ["cut short"] if sections.truncated else []
        return (rcode, *cut, *sorted(map(_bare, sections.answer)))
    flags = int.from_bytes(message[2:4])
    shown = " ".join(name for name, bit in _FLAGS.items() if flags & bit)
    return (
        rcode,
        f"flags: {shown}",
        *_whole("answer", sections.answer),
        *_whole("authority", sections.authority),
        *_whole("additional", sections.additional),
    )


def difference(theirs: Sequence[str], ours: Sequence[str]) -> Difference | None:
    """Return the lines that are not in both; None where there are none."""
    left, right = Counter(theirs), Counter(ours)
    found = Difference(_order(theirs, left - right), _order(ours, right - left))
    return found if found.theirs or found.ours else None


def _order(lines: Iterable[str], only: Counter[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for line in lines if line in only))


def _bare(record: Record) -> str:
    """Write a record without its TTL, and a SOA without its serial: each server has its own."""
    words = _rdata(record).split()
    if record.rtype == codes.SOA:
        del words[_SERIAL_AT : _SERIAL_AT + 1]
    return f"{_owner(record)} {type_text(record.rtype)} {' '.join(words)}"


def _whole(section: str, found: Iterable[Record]) -> Iterator[str]:
    for record in found:
        rtype = type_text(record.rtype)
        yield f"{section}: {_owner(record)} {record.ttl} {rtype} {_rdata(record)}"


def _owner(record: Record) -> str:
    return names.to_text(record.owner.lower())


def _rdata(record: Record) -> str:
    written = text.rdata(record)
    return written if record.rtype in _CASED else written.lower()
