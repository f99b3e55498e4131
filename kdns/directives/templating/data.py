"""What a template sees of a query, and the shape of it for the check before the first query."""

from collections.abc import Mapping

from kdns.corefile.mnemonics import CLASSES, TYPES
from kdns.directives.gotemplate.check import Fields, ListOf
from kdns.directives.gotemplate.values import Composite, Short, Value
from kdns.directives.templating.rules import Match
from kdns.wire import names
from kdns.wire.query import AA, CD, RA, RD, TC, Query
from kdns.wire.relay import AD

_ZERO = 0x0040
"""The reserved bit of the header (RFC 1035 section 4.1.1)."""
_BITS: Mapping[str, int] = {
    "Authoritative": AA,
    "Truncated": TC,
    "RecursionDesired": RD,
    "RecursionAvailable": RA,
    "Zero": _ZERO,
    "AuthenticatedData": AD,
    "CheckingDisabled": CD,
}
_QUESTION = Fields(".Question", {"Name": "string", "Qtype": "number", "Qclass": "number"})
_MESSAGE = Fields(
    ".Message",
    {
        "Id": "number",
        "Response": "truth",
        "Opcode": "number",
        **dict.fromkeys(_BITS, "truth"),
        "Rcode": "number",
        "Question": ListOf(_QUESTION),
    },
)
SHAPE = Fields(
    "the data of a template",
    {
        "Zone": "string",
        "Name": "string",
        "Regex": "string",
        "Match": ListOf("string"),
        "Group": "strings by name",
        "Class": "string",
        "Type": "string",
        "Message": _MESSAGE,
        "Question": _QUESTION,
        "Remote": "string",
        "Meta": "method",
    },
)
"""What ``data`` returns."""
PRIVATE = frozenset({"Message", "Remote", "Meta"})
"""Data that differ from client to client."""

_CLASS_TEXTS = {number: mnemonic for mnemonic, number in CLASSES.items()}
_TYPE_TEXTS = {number: mnemonic for mnemonic, number in TYPES.items()}


def class_text(rclass: int) -> str:
    """Return the mnemonic of a class; empty where it has none, as in CoreDNS."""
    return _CLASS_TEXTS.get(rclass, "")


def type_text(rtype: int) -> str:
    """Return the mnemonic of a type; empty where it has none, as in CoreDNS."""
    return _TYPE_TEXTS.get(rtype, "")


def data(query: Query, client: str, match: Match) -> Composite:
    """Return what a template sees of a query; ``client`` is an IP address."""
    question = Composite(
        "*dns.Question",
        {
            "Name": names.to_text(query.asked),
            "Qtype": Short(query.rtype),
            "Qclass": Short(query.rclass),
        },
    )
    return Composite(
        "*template.templateData",
        {
            "Zone": names.to_text(match.zone),
            "Name": match.name,
            "Regex": match.pattern.text,
            **_groups(match),
            "Class": class_text(match.rclass),
            "Type": type_text(match.rtype),
            "Message": _message(query, question),
            "Question": question,
            "Remote": client,
            "Meta": lambda _: "",
        },
    )


def _groups(match: Match) -> Mapping[str, Value]:
    """Return what was found, by number and by name; a group that took no part is empty."""
    found = [match.found.group(), *match.found.groups("")]
    numbered = {str(number): text for number, text in enumerate(found)}
    return {"Match": found, "Group": {**numbered, **match.found.groupdict("")}}


def _message(query: Query, question: Composite) -> Composite:
    return Composite(
        "*dns.Msg",
        {
            "Id": Short(query.id),
            "Response": False,
            "Opcode": query.opcode,
            **{name: bool(query.flags & bit) for name, bit in _BITS.items()},
            "Rcode": query.flags & 0xF,
            "Question": [question],
        },
    )
